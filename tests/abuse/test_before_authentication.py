"""Abuse 15: clients that flood the server before they have said the secret."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import repeat
from pathlib import Path

import pytest

from hubbub import Address
from hubbub.framing.telnet import DO, IAC

from support.abuse_peers import PeerCrowd, Talk, TlsPeer
from support.abuse_tools import (
    KIB,
    LIFTED,
    MIB,
    UNMEASURED,
    endings,
    many_descriptors,
    resident_memory,
    unread_in_kernel,
)
from support.certificates import make_certificates
from support.figures import FULL, note, scaled
from support.programs import WAIT_TIME, Peer, hubbub_serve

pytestmark = pytest.mark.long

COUNT = scaled(1_000, 100)
# All of them must have flooded before the first is late, and each of them has a TLS handshake.
HANDSHAKE_TIME = scaled(30, 4)

HELD = 16 * KIB
"""What may be held of what one of them has said, and as much of what it is to be told."""

OVERHEAD = 3 * KIB
"""What the objects may cost that hold it."""

# To take in a thousand floods at once takes a second; a machine of CI may have its processor taken away for a while.
LATE = 3.0 if FULL else 5.0
"""How much later than it should something may happen, in seconds."""

RECORD_ROOM = 17 * KIB
"""What OpenSSL has of the record behind (RFC 8446, 5.2); of a secret without end, the first record is all."""

ONCE = MIB
"""What a process may take once, and not for each: code that first runs now, and a step of the allocator."""

TEXT = b"x" * 16 * KIB
QUESTIONS = bytes([IAC, DO, 1]) * (5 * KIB)
"""Each of them asks for an answer of three bytes."""


@pytest.mark.parametrize(
    ("flood", "each_way"), [(TEXT, 1), (QUESTIONS, 2)], ids=["a secret without end", "telnet questions"]
)
@pytest.mark.parametrize("transport", ["TCP", "TLS"])
def test_15_a_flood_before_the_secret_is_held_back_costs_little_and_ends_in_time(
    transport: str, flood: bytes, each_way: int, tmp_path: Path
) -> None:
    certificates = make_certificates(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("sesame\n")
    options = [f"--secret-file={secret}", f"--handshake-time={HANDSHAKE_TIME}", "--framing=lines"]
    dial: Callable[[Address], Peer] = Peer
    if transport == "TLS":
        options += certificates.options
        dial = partial(TlsPeer, context=certificates.client_context())
    what = f"{COUNT:,} of {'telnet questions' if flood is QUESTIONS else 'a secret without end'} over {transport}"
    with (
        many_descriptors(COUNT + 500),
        hubbub_serve("relay", *options, *LIFTED, env=UNMEASURED) as server,
        dial(server.endpoint) as sender,
        dial(server.endpoint) as listener,
        PeerCrowd(server.endpoint) as crowd,
    ):
        for peer in (sender, listener):
            peer.send(b"sesame\n")
            server.inside(peer)
        for _ in range(COUNT):
            crowd.add(dial=dial)
        with Talk(sender, listener) as talk:
            crowd.run(lambda: len(talk.delays) > 10, "talk")
            before = resident_memory(server.pid)
            for member in crowd.members:
                crowd.let_say(member, repeat(flood))
            crowd.run_until_stuck()
            # And the server is done with all that it has read.
            already = len(talk.delays)
            crowd.run(lambda: len(talk.delays) >= already + 3, "line inside")
            held = (resident_memory(server.pid) - before) / COUNT
            unread = unread_in_kernel(server.endpoint) / COUNT
            assert flood is QUESTIONS or not any(member.ended for member in crowd.members)
            crowd.run(lambda: crowd.ended, "end of the flood", within=HANDSHAKE_TIME + WAIT_TIME)
        lasted = [member.lasted for member in crowd.members]
        allowed = each_way * HELD + OVERHEAD + ONCE // COUNT
        if flood is QUESTIONS and transport == "TLS":
            allowed += RECORD_ROOM
        note(15, f"{what}: held in the process for each", f"{held / KIB:.1f} KiB", f"<= {allowed / KIB:g} KiB")
        note(15, f"{what}: in the kernel's receive queue for each", f"{unread / KIB:.0f} KiB", "")
        note(15, f"{what}: the last ended", f"{max(lasted):.2f} s", f"{HANDSHAKE_TIME} s")
        note(15, f"{what}: a line inside takes", talk.figures, f"< {LATE:g} s")
        assert held <= allowed
        assert max(lasted) < HANDSHAKE_TIME + LATE
        assert max(talk.delays) < LATE
        counted = endings(server)
        if flood is QUESTIONS:
            # Who asks on and on may be ended before.
            assert counted.keys() <= {"late", "malformed"}
            assert sum(counted.values()) == COUNT
        else:
            assert min(lasted) > HANDSHAKE_TIME - 0.1
            assert counted == {"late": COUNT}
