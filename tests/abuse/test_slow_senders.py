"""Abuse 9: clients that send a byte a second, and never a message."""

from __future__ import annotations

import os
import sys
import time
from itertools import repeat
from pathlib import Path
from statistics import median

import pytest

from hubbub import Address

from support.abuse_peers import PeerCrowd
from support.abuse_tools import LIFTED, UNMEASURED, endings, many_descriptors
from support.figures import FULL, note, scaled
from support.programs import Peer, Program, ServerProgram, hubbub_serve

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

PATHS = (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", ""))
"""Where a program of the tests finds what they share."""

LINES = b"".join([b"%099d\n" % number for number in range(500)])
ANSWERS = b"".join([b"We got your message: " + line for line in LINES.splitlines(keepends=True)])


def load(endpoint: Address, seconds: float) -> None:
    """Print how many lines a second one client is answered; each answer must be right."""
    with Peer(endpoint) as peer:
        started = time.monotonic()
        count = 0
        # There is always something for the server to do.
        peer.send(LINES)
        while time.monotonic() < started + seconds:
            peer.send(LINES)
            assert peer.exactly(len(ANSWERS)) == ANSWERS
            count += 500
        sys.stdout.write(f"{count / (time.monotonic() - started)}\n")


def others(server: ServerProgram) -> Program:
    """A client that talks as fast as it can, in a program of its own: what the slow ones cost here is not to count."""
    variables = {**UNMEASURED, "PYTHONPATH": os.pathsep.join(PATHS)}
    return Program(sys.executable, __file__, *map(str, server.endpoint), str(SECONDS), env=variables)


def test_9_senders_of_a_byte_a_second_end_in_time_know_why_and_slow_nobody_down() -> None:
    with (
        many_descriptors(COUNT + 500),
        hubbub_serve("echo", "--quiet", f"--message-time={MESSAGE_TIME}", *LIFTED, env=UNMEASURED) as server,
    ):
        quiet, disturbed, lasted = [], [], []
        for round_number in range(1, ROUNDS + 1):
            with others(server) as talking:
                quiet.append(float(talking.output.rest()))
            with PeerCrowd(server.endpoint) as crowd:
                for _ in range(COUNT):
                    crowd.add(repeat(b"x"), interval=1.0)
                with others(server) as talking:
                    crowd.run(lambda: not talking.running, "end of the others")
                    disturbed.append(float(talking.output.rest()))
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


if __name__ == "__main__":
    load(Address(sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))
