"""Abuse 13: clients that stall in their TLS handshake, or send what is none."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import cycle
from pathlib import Path

import pytest

from support.abuse_peers import Member, PeerCrowd, Talk, TlsPeer
from support.abuse_tools import KIB, LIFTED, MIB, UNMEASURED, endings, many_descriptors, resident_memory
from support.certificates import (
    CLIENT_HELLO,
    HANDSHAKE,
    SERVER_NAME,
    client_hello,
    fragmented,
    hello_without_key,
    make_certificates,
    tls_message,
    tls_record,
)
from support.figures import FULL, note, scaled
from support.programs import WAIT_TIME, hubbub_serve

pytestmark = pytest.mark.quiet

COUNT = scaled(1_000, 100)
FIRST = 20
HANDSHAKE_TIME = scaled(10, 2)

MEMORY = 50 * MIB * COUNT // 1_000
"""What handshakes of all kinds may cost together."""

MEMORY_OF_ONE_KIND = 64 * KIB * COUNT
"""What they may cost if they are all of the most costly kind: OpenSSL alone takes 44 KiB to answer a first message."""

# To answer a thousand first messages takes a second; a machine of CI may have its processor taken away for a while.
LATE = 3.0 if FULL else 5.0
"""How much later than at the deadline a connection may end, in seconds."""

APPLICATION_DATA = struct.pack(">BHH", 23, 0x0303, 16 * KIB) + b"x"
LARGEST_HELLO = 131_000
"""OpenSSL takes one of up to 131,396 bytes."""


def hello_of(size: int) -> bytes:
    """The beginning of a first message that says it has so many bytes."""
    return tls_message(CLIENT_HELLO, b"\3\3" + b"x" * 32, size)


MOST_OF_LARGEST = b"".join(map(tls_record, [hello_of(LARGEST_HELLO), *[b"x" * 16 * KIB] * 7]))

# What each of the crowd sends before it falls silent.
STALLED: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "half a first message": lambda: client_hello()[:100],
    "a first message": client_hello,
    "a first message and the beginning of a record": lambda: client_hello() + APPLICATION_DATA,
    "a record that does not come": lambda: struct.pack(">BHH", HANDSHAKE, 0x0301, 16 * KIB) + b"\1",
    "most of a first message in records of a byte": lambda: fragmented(tls_record(hello_of(2_700) + b"x" * 2_650), 1),
    "most of a second first message": lambda: hello_without_key() + tls_record(hello_of(LARGEST_HELLO) + b"x" * 8_000),
}
GARBAGE: dict[str, Callable[[], bytes]] = {
    "HTTP": lambda: b"GET / HTTP/1.1\r\nHost: " + SERVER_NAME.encode() + b"\r\n\r\n",
    "zeros": lambda: bytes(512),
    "a first message of 128 KiB that does not come": lambda: tls_record(hello_of(LARGEST_HELLO)),
    "most of a first message of 128 KiB": lambda: MOST_OF_LARGEST,
    "most of a second first message of 128 KiB": lambda: hello_without_key() + MOST_OF_LARGEST,
}
KINDS = {**STALLED, **GARBAGE}
ALL = "handshakes of all kinds"


@pytest.mark.parametrize("sent", [ALL, *KINDS] if FULL else [ALL])
def test_13_a_handshake_that_gets_nowhere_ends_in_time_costs_little_and_keeps_nobody_out(
    sent: str, tmp_path: Path
) -> None:
    certificates = make_certificates(tmp_path)
    options = (f"--handshake-time={HANDSHAKE_TIME}", *certificates.options, *LIFTED)
    says = cycle([(kind, KINDS[kind]()) for kind in ([*KINDS] if sent == ALL else [sent])])
    allowed = MEMORY if sent == ALL else MEMORY_OF_ONE_KIND
    with many_descriptors(COUNT + 500), hubbub_serve("relay", *options, env=UNMEASURED) as server, ExitStack() as stack:
        dial = partial(TlsPeer, server.endpoint, certificates.client_context())
        sender, listener = (server.inside(stack.enter_context(dial())) for _ in range(2))
        crowd = stack.enter_context(PeerCrowd(server.endpoint))
        # What the first of them make is made once.
        with Talk(sender, listener, dial) as talk:
            for _, (_, data) in zip(range(FIRST), says, strict=False):
                crowd.add([data])
            crowd.run(lambda: len(talk.delays) > 10, "talk")
        before = resident_memory(server.pid)
        members: dict[bool, list[Member]] = {True: [], False: []}
        with Talk(sender, listener, dial) as talk:
            for _, (kind, data) in zip(range(COUNT), says, strict=False):
                members[kind in STALLED].append(crowd.add([data]))
            # By then, everyone of the crowd has been accepted and read.
            already = len(talk.delays)
            crowd.run(lambda: len(talk.delays) >= already + 3, "newcomer that is let in")
            memory = resident_memory(server.pid) - before
            crowd.run(lambda: crowd.ended, "end of all handshakes", within=HANDSHAKE_TIME + WAIT_TIME)
            memory = max(memory, resident_memory(server.pid) - before)
        stalled = [member.lasted for member in members[True]]
        longest = max(member.lasted for member in crowd.members)
        note(13, f"{COUNT:,} of {sent}: the last ended", f"{longest:.2f} s", f"{HANDSHAKE_TIME} s")
        note(13, f"{COUNT:,} of {sent}: memory", f"{memory / MIB:.1f} MiB", f"< {allowed / MIB:.1f} MiB")
        note(13, f"{COUNT:,} of {sent}: a newcomer dials, is let in and hears", talk.figures, f"< {LATE:g} s")
        assert memory < allowed
        assert longest < HANDSHAKE_TIME + LATE
        assert min(stalled, default=HANDSHAKE_TIME) > HANDSHAKE_TIME - 0.1
        assert max(talk.delays) < LATE
        counted = Counter(endings(server))
        assert counted["late"] + counted["bad-tls"] == FIRST + COUNT
        assert counted["late"] >= len(stalled)
        assert counted["bad-tls"] >= len(members[False])
