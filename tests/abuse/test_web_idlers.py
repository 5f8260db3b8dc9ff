"""Abuse 48: readers over HTTP that never read, among others that do."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

import pytest

from support.abuse_idlers import IDLER_LIMIT, MEMORY_LIMIT, OPTIONS, compare_speed, run
from support.abuse_tools import Crowd, many_descriptors, mib
from support.abuse_web import REQUESTS, WebPeer, web_serve
from support.figures import note, scaled

pytestmark = [pytest.mark.long, pytest.mark.quiet]

READERS = scaled(900, 30)
IDLERS = scaled(100, 9)

KINDS = ("ws", "sse", "json")


def run_once(memory: list[float], idlers: int) -> float:
    """Broadcast to readers of plain TCP, beside so many that never read; how fast each reader hears."""
    with (
        many_descriptors(2 * (READERS + IDLERS) + 500),
        web_serve("relay", "--when-slow=skip", *OPTIONS) as (server, web),
        ExitStack() as stack,
    ):
        idle = [
            stack.enter_context(WebPeer(web, REQUESTS[KINDS[number % len(KINDS)]], receive_buffer=4096))
            for number in range(idlers)
        ]
        crowd = stack.enter_context(Crowd("read", server.endpoint, readers=READERS))
        seen = run(server, crowd, {peer.port for peer in idle}, port=web.port)
    if idlers:
        memory += [seen.resident + seen.idle]
        each = seen.idle / idlers
        note(48, f"the kernel's for each of {idlers} that never read", f"{each / 1024:.0f} KiB", "256 KiB")
        assert each <= IDLER_LIMIT
    return seen.speed


def test_48_readers_over_http_that_never_read_take_no_more_than_those_of_tcp() -> None:
    memory: list[float] = []
    what = f"{IDLERS} of WebSocket, SSE and JSON never read: speed of the others"
    compare_speed(48, what, partial(run_once, memory, 0), partial(run_once, memory, IDLERS))
    note(48, "memory, the kernel's included", mib(max(memory)), f"<= {mib(MEMORY_LIMIT)}")
    assert max(memory) <= MEMORY_LIMIT
