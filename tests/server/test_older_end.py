"""A server whose rooms have an older end, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import hubbub

from support.helpers import Peer, Record, eventually, idle
from support.stored import SlowOlderEnd, StoreOf

KIB = 1024


@asynccontextmanager
async def storing(turns: int = 0) -> AsyncIterator[tuple[hubbub.Server[Any], Record]]:
    """A server with a store that takes so many turns of the loop to be read."""
    record = Record()
    limits = hubbub.Settings(retention=64 * KIB, pace=None, drain_time=0.1)
    store = StoreOf(partial(SlowOlderEnd, 2**30, turns))
    async with hubbub.Server(
        idle, port=0, framing=hubbub.ByteLines(), settings=limits, observer=record, store=store
    ) as server:
        yield server, record


async def test_a_client_that_stalls_far_beyond_retention_hears_everything() -> None:
    lines = [b"%06d %s\n" % (number, b"x" * 1000) for number in range(5_000)]
    async with storing() as (server, record), Peer.of(server, receive_buffer=4 * KIB) as peer:
        (client,) = await record.wait_for_clients(1)
        for line in lines:
            await server.broadcast(line)
        assert client.lag.bytes > 2 * 64 * KIB
        for line in lines:
            assert await peer.line() == line
        await eventually(lambda: client.lag.messages == 0)
        assert client.ending is None


async def test_a_closing_server_does_not_wait_for_an_older_end_that_does_not_answer() -> None:
    async with storing(turns=10**9) as (server, record), Peer.of(server, receive_buffer=4 * KIB) as peer:
        await record.wait_for_clients(1)
        for _ in range(10_000):
            await server.broadcast(b"x" * 1000)
        reading = asyncio.create_task(peer.rest())
        await eventually(lambda: bool(server._pump.tasks))
        await server.close()
        assert not server._pump.tasks
        await reading
        (ending,) = await record.wait_for_endings(1)
        assert ending.code is hubbub.EndingCode.SHUTDOWN
