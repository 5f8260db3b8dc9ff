"""Abuse 40 and 41: clients over HTTP that never end their request, or a frame."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import chain, cycle, repeat

import pytest

from support.abuse_peers import PeerCrowd, Talk
from support.abuse_tools import KIB, MIB, endings, many_descriptors, resident_memory
from support.abuse_web import WebPeer, get, web_serve
from support.figures import FULL, note, scaled
from support.programs import WAIT_TIME
from support.websocket import HANDSHAKE, close_code, said

pytestmark = [pytest.mark.long, pytest.mark.quiet]

COUNT = scaled(1_000, 100)
FIRST = 20
HANDSHAKE_TIME = scaled(10, 2)
MESSAGE_TIME = scaled(10, 2)

LATE = 3.0 if FULL else 5.0
"""How much later than at the deadline a connection may end, in seconds."""

HEAD_LIMIT = 16 * KIB
OVERHEAD = 8 * KIB
"""What the objects of a connection may cost that is not answered yet, its task and its parser among them."""

# What each says, in pieces with a second between two of them.
KINDS: dict[str, Iterable[bytes]] = {
    "nothing": (),
    "half a request": [HANDSHAKE[:-10]],
    "a head of 15 KiB without its end": [get("sse")[:-2] + b"X: " + b"x" * 15 * KIB],
    "a byte a second": [bytes((byte,)) for byte in get("ws")[:-1]],
    "a request that is answered, and half of the next": [get("nothing") + get("sse")[:-1]],
}


def test_40_requests_that_never_end_are_ended_in_time_and_cost_little() -> None:
    options = (f"--handshake-time={HANDSHAKE_TIME}", "--quiet")
    with many_descriptors(COUNT + 500), web_serve("relay", *options) as (server, web), PeerCrowd(web) as crowd:
        with server.peer() as sender, server.peer() as listener:
            # Who connected first is known once the second is heard.
            listener.send(b"I am here\n")
            assert sender.line() == b"I am here\n"
            with Talk(sender, listener) as talk:
                for _, says in zip(range(FIRST), cycle(KINDS.values()), strict=False):
                    crowd.add(says)
                crowd.run(lambda: len(talk.delays) > 10, "talk")
            before = resident_memory(server.pid)
            with Talk(sender, listener) as talk:
                for _, says in zip(range(COUNT), cycle(KINDS.values()), strict=False):
                    crowd.add(says, interval=1.0)
                already = len(talk.delays)
                crowd.run(lambda: len(talk.delays) > already + 10, "talk")
                memory = resident_memory(server.pid) - before
                crowd.run(lambda: crowd.ended, "end of all", within=HANDSHAKE_TIME + WAIT_TIME)
                memory = max(memory, resident_memory(server.pid) - before)
        each, lasted = memory / COUNT, [member.lasted for member in crowd.members]
        note(40, f"{COUNT:,} half requests: memory for each", f"{each / KIB:.1f} KiB", "24 KiB")
        note(40, f"{COUNT:,} half requests: the last ended", f"{max(lasted):.2f} s", f"{HANDSHAKE_TIME} s")
        note(40, f"{COUNT:,} half requests: a line to the clients inside", talk.figures, f"< {LATE:g} s")
        assert memory <= COUNT * (HEAD_LIMIT + OVERHEAD) + MIB
        assert min(lasted) > HANDSHAKE_TIME - 0.1
        assert max(lasted) < HANDSHAKE_TIME + LATE
        assert max(talk.delays) < LATE
        told = [b"HTTP/1.1 408 " in member.heard for member in crowd.members[FIRST:]]
        assert told == [kind != "nothing" for _, kind in zip(range(COUNT), cycle(KINDS), strict=False)]
        assert endings(server)["late"] == FIRST + COUNT


def test_41_a_frame_of_a_byte_a_second_is_ended_in_time_with_its_reason() -> None:
    slow = {
        "a frame": said(1, b"x" * 1000),
        "parts without end": said(1, last=False) + said(0, last=False) * 100,
        "a head": said(2, size=1 << 15)[:4],
    }
    options = (f"--message-time={MESSAGE_TIME}", "--quiet")
    with many_descriptors(COUNT + 500), web_serve("echo", *options) as (server, web), PeerCrowd(web) as crowd:
        with server.peer() as sender:
            sender.send(b"hello\n")
            assert sender.line() == b"We got your message: hello\n"
        for _, wire in zip(range(COUNT), cycle(slow.values()), strict=False):
            says = chain([wire[at : at + 1] for at in range(len(wire))], repeat(b""))
            crowd.add(says, interval=1.0, dial=partial(WebPeer, receive_buffer=None))
        crowd.run(lambda: crowd.ended, "end of the slow ones", within=2 * MESSAGE_TIME + WAIT_TIME)
        lasted = [member.lasted for member in crowd.members]
        bound = MESSAGE_TIME * 5 / 4 + LATE
        note(
            41,
            f"{COUNT:,} frames of a byte a second: ended after",
            f"{min(lasted):.2f} to {max(lasted):.2f} s",
            f"{bound:g} s",
        )
        assert min(lasted) > MESSAGE_TIME - 0.1
        assert max(lasted) < bound
        assert {close_code(member.heard.removeprefix(b"\x89\0")) for member in crowd.members} == {1013}
        assert endings(server)["unfinished"] == COUNT
