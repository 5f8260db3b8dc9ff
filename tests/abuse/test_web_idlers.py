"""Abuse 48: readers over HTTP that never read, among others that do."""

from __future__ import annotations

import time
from contextlib import ExitStack
from functools import partial
from statistics import median

import pytest

from support.abuse_tools import (
    MIB,
    Crowd,
    StreamSender,
    Watch,
    compare,
    kernel_memory,
    many_descriptors,
    mib,
    resident_memory,
)
from support.abuse_web import REQUESTS, WebPeer, web_serve
from support.figures import FULL, note, scaled

pytestmark = [pytest.mark.long, pytest.mark.quiet]

READERS = scaled(900, 30)
IDLERS = scaled(100, 9)
RETENTION = 16 * MIB
SIZE = scaled(24, 8) * MIB
ROUNDS = scaled(5, 2)
WARM_UP = RETENTION + 4 * MIB
"""After so much, an idler has held senders for as long as it may, and is out of what is retained."""

PACE = scaled(256, 1024) * 1024
SLACK = 64 * MIB
IDLER_LIMIT = 256 * 1024
"""Bytes of the kernel's for a client that reads nothing, as for one of TCP."""

SHARE = 0.95 if FULL else 0.25
"""Of their speed, what readers keep. A short run takes a tenth of a second, in which a shared machine does anything."""

KINDS = ("ws", "sse", "json")


def run(memory: list[float], idlers: int) -> float:
    """Broadcast to readers of plain TCP, beside so many that never read; how fast each reader hears."""
    options = ("--quiet", "--when-slow=skip", f"--retention={RETENTION}", f"--pace={PACE}", "--patience=3600")
    with many_descriptors(2 * (READERS + IDLERS) + 500), web_serve("relay", *options) as (server, web):
        with ExitStack() as stack:
            idle = [
                stack.enter_context(WebPeer(web, REQUESTS[KINDS[number % len(KINDS)]], receive_buffer=4096))
                for number in range(idlers)
            ]
            ports = {peer.port for peer in idle}
            crowd = stack.enter_context(Crowd("read", server.endpoint, readers=READERS))
            sender = stack.enter_context(StreamSender(server.endpoint))
            resident = stack.enter_context(Watch(lambda: resident_memory(server.pid)))
            kernel = stack.enter_context(Watch(lambda: kernel_memory(web.port, ports)))
            for part in (WARM_UP, SIZE):
                crowd.send(b"%d\n" % part)
                started = time.monotonic()
                sender.say(part)
                heard = crowd.told()
                assert heard["positions"] == [sender.position]
                assert not heard["wrong"]
                assert not heard["ended"]
        if idlers:
            memory += [resident.peak + kernel.peak]
            each = kernel.peak / idlers
            note(48, f"the kernel's for each of {idlers} that never read", f"{each / 1024:.0f} KiB", "256 KiB")
            assert each <= IDLER_LIMIT
        return SIZE / float(heard["at"] - started)


def test_48_readers_over_http_that_never_read_take_no_more_than_those_of_tcp() -> None:
    memory: list[float] = []
    alone, beside = compare(ROUNDS, partial(run, memory, 0), partial(run, memory, IDLERS))
    share = median(one / other for one, other in zip(beside, alone, strict=True)) if FULL else max(beside) / max(alone)
    bound = RETENTION + SLACK
    note(48, f"{IDLERS} of WebSocket, SSE and JSON never read: speed of the others", f"{share:.1%}", ">= 95 %")
    note(48, "memory, the kernel's included", mib(max(memory)), f"<= {mib(bound)}")
    assert share >= SHARE
    assert max(memory) <= bound
