"""Abuse 9: clients that send a byte a second, and never a message."""

from __future__ import annotations

from itertools import repeat
from statistics import median

import pytest

from support.abuse_peers import PeerCrowd
from support.abuse_tools import LIFTED, UNMEASURED, Crowd, endings, many_descriptors
from support.figures import FULL, note, scaled
from support.programs import ServerProgram, hubbub_serve

pytestmark = pytest.mark.long

COUNT = scaled(1_000, 50)
MESSAGE_TIME = scaled(10, 2)
ROUNDS = scaled(7, 1)
SECONDS = scaled(4, 1)
"""How long the others talk in each round: all of it while the slow ones are there."""

# In short, one round on a machine of CI says little: that a server still serves.
SHARE = 0.95 if FULL else 0.3
"""What of the others' throughput must be left."""

# The server looks eight times in that time who is within a message, and sees its beginning and its end that late.
LATE = MESSAGE_TIME / 4 + (1.0 if FULL else 5.0)
"""How much later than at the deadline one of them may end, in seconds."""


def others(server: ServerProgram) -> Crowd:
    """A client that talks as fast as it can, in a program of its own: what the slow ones cost here is not to count."""
    return Crowd("converse", server.endpoint, seconds=SECONDS, answer="We got your message: ")


def test_9_senders_of_a_byte_a_second_end_in_time_know_why_and_slow_nobody_down() -> None:
    with (
        many_descriptors(COUNT + 500),
        hubbub_serve("echo", "--quiet", f"--message-time={MESSAGE_TIME}", *LIFTED, env=UNMEASURED) as server,
    ):
        quiet, disturbed, lasted = [], [], []
        for round_number in range(1, ROUNDS + 1):
            with others(server) as talking:
                quiet.append(talking.told()["speed"])
            with PeerCrowd(server.endpoint) as crowd:
                for _ in range(COUNT):
                    crowd.add(repeat(b"x"), interval=1.0)
                with others(server) as talking:
                    crowd.run(lambda: not talking.running, "end of the others")
                    disturbed.append(talking.told()["speed"])
                crowd.run(lambda: crowd.ended, "end of the slow ones")
                lasted += [member.lasted for member in crowd.members]
                told = {member.heard for member in crowd.members}
            assert told == {b"message not complete within %d s\n" % MESSAGE_TIME}
            assert endings(server)["unfinished"] == COUNT * round_number
        share = median(disturbed) / median(quiet)
        what, bounds = f"{COUNT:,} senders of a byte a second", f"{MESSAGE_TIME} to {MESSAGE_TIME + LATE:g} s"
        note(9, f"{what}: the others' throughput", f"{share:.1%}", f">= {SHARE:.0%}")
        note(9, f"{what}: ended after", f"{min(lasted):.2f} to {max(lasted):.2f} s", bounds)
        assert min(lasted) > MESSAGE_TIME - 0.1
        assert max(lasted) < MESSAGE_TIME + LATE
        assert share >= SHARE
