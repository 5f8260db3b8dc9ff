"""What a client hears first of what was said before, where its listener says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

import hubbub

from support.helpers import Peer, Record, at, eventually, idle
from support.stored import SlowOlderEnd, StoreOf

KIB = 1024


def slow_store() -> StoreOf:
    """A store that takes some turns of the loop to be read."""
    return StoreOf(partial(SlowOlderEnd, 2**30, turns=3))


def older_of(server: hubbub.Server[Any]) -> Any:
    return server.root._log.older


@asynccontextmanager
async def replaying(
    *replays: Any, store: Any = None, **settings: Any
) -> AsyncIterator[tuple[hubbub.Server[Any], Record]]:
    """A server with a listener for each `replay`."""
    record = Record()
    listeners: list[hubbub.Listener[Any]] = [
        hubbub.Listener(endpoint=hubbub.Address("127.0.0.1", 0), replay=replay) for replay in replays
    ]
    limits = hubbub.Settings(retention=64 * KIB, **settings)
    async with hubbub.Server(
        idle, listeners=listeners, framing=hubbub.ByteLines(), settings=limits, observer=record, store=store
    ) as server:
        yield server, record


@pytest.mark.parametrize(
    ("replay", "first"),
    [
        (None, 10),
        ("none", 10),
        (0, 10),
        (3, 7),
        ("3", 7),
        (100, 0),
        ("all", 0),
        (timedelta(hours=1), 0),
        ("1h", 0),
        (timedelta(0), 10),
        ("64K", 0),
        # Each message counts 256 bytes beside its own.
        ("516B", 8),
    ],
)
@pytest.mark.parametrize("flushed", [True, False])
async def test_a_client_hears_first_what_its_listener_replays(replay: Any, first: int, flushed: bool) -> None:
    async with replaying(replay) as (server, record):
        texts = [b"%d" % number for number in range(10)]
        for text in texts:
            # As if each came from somebody else.
            await server.broadcast(text, sender=text.decode())
            if flushed:
                await asyncio.sleep(0)
        async with Peer.of(server) as peer:
            await record.wait_for_clients(1)
            await server.broadcast(b"live")
            heard = [await peer.line() for _ in range(10 - first + 1)]
        assert heard == [text + b"\n" for text in [*texts[first:], b"live"]]


async def test_each_place_has_its_own_replay_and_one_that_only_writes_hears_nothing() -> None:
    listeners: list[hubbub.Listener[Any]] = [
        hubbub.Listener(endpoint=hubbub.Address("127.0.0.1", 0), replay="all", role=role) for role in ("read", "write")
    ]
    record = Record()
    async with hubbub.Server(idle, listeners=listeners, framing=hubbub.ByteLines(), observer=record) as server:
        await server.broadcast(b"before")
        async with Peer.of(server) as reader, Peer.of(at(server, 1)) as writer:
            await record.wait_for_clients(2)
            assert await reader.line() == b"before\n"
            await server.close()
            assert await writer.rest() == b"server is closing\n"


async def test_a_client_that_is_back_hears_what_it_has_said_itself() -> None:
    async with replaying("all") as (server, record):
        async with Peer.of(server) as peer:
            (client,) = await record.wait_for_clients(1)
            await server.broadcast(b"mine", exclude=client)
            await server.broadcast(b"theirs")
            assert await peer.line() == b"theirs\n"
        async with Peer.of(server) as again:
            assert [await again.line(), await again.line()] == [b"mine\n", b"theirs\n"]


@pytest.mark.parametrize(("replay", "first"), [("all", 0), (350, 50), ("1d", 0)])
async def test_what_memory_has_dropped_is_replayed_from_the_older_end(replay: Any, first: int) -> None:
    async with replaying(replay, store=slow_store(), pace=None) as (server, record):
        lines = [b"%04d %s" % (number, b"x" * 200) for number in range(400)]
        for line in lines:
            await server.broadcast(line, sender=line[:4].decode())
            await asyncio.sleep(0)
        assert server.root._log.oldest.seq > 100
        async with Peer.of(server) as peer:
            (client,) = await record.wait_for_clients(1)
            speaking = asyncio.create_task(speak_on(server))
            for line in lines[first:]:
                assert await peer.line() == line + b"\n"
            live = [await peer.line() for _ in range(50)]
            assert live == [b"live %d\n" % number for number in range(50)]
            await speaking
            await eventually(lambda: client.lag.messages == 0)


async def fill(server: hubbub.Server[Any]) -> None:
    """Say more than memory holds, each message in a flush of its own."""
    for _ in range(400):
        await server.broadcast(b"x" * 200)
        await asyncio.sleep(0)


async def speak_on(server: hubbub.Server[Any]) -> None:
    for number in range(50):
        await server.broadcast(b"live %d" % number)
        await asyncio.sleep(0)


async def test_what_cannot_be_read_ends_the_client_with_the_reason() -> None:
    async with replaying("all", store=slow_store(), pace=None) as (server, record):
        await fill(server)
        older_of(server).failure = OSError(5, "Input/output error")
        async with Peer.of(server) as peer:
            assert await peer.rest() == b""
        (ending,) = await record.wait_for_endings(1)
        assert ending.code is hubbub.EndingCode.UNDELIVERABLE
        assert ending.reason == "what is to be replayed cannot be read: [Errno 5] Input/output error"
        async with Peer.of(server) as peer:
            assert await peer.line() == b"x" * 200 + b"\n"


async def test_a_server_closes_while_a_client_waits_for_its_replay() -> None:
    async with replaying("all", store=slow_store(), pace=None, drain_time=0.1, cancel_time=0.1) as (server, record):
        await fill(server)
        older_of(server).turns = 10**9
        async with Peer.of(server) as peer:
            await record.wait_for_clients(1)
            await server.close()
            await peer.rest()
        (ending,) = await record.wait_for_endings(1)
        assert ending.code is hubbub.EndingCode.SHUTDOWN


@pytest.mark.parametrize("replay", ["x", -1, "", "2026-11-28T08:00:00Z", "0123456789abcdef:1", timedelta(-1)])
def test_a_replay_that_says_nothing_is_an_error(replay: Any) -> None:
    if replay == "":
        assert hubbub.Listener(endpoint=hubbub.Address("127.0.0.1", 0), replay=replay).replayed is None
        return
    with pytest.raises(ValueError, match=r"^replay is .*; it must be none, all, a number of messages, a size such as"):
        hubbub.Listener(endpoint=hubbub.Address("127.0.0.1", 0), replay=replay)


@pytest.mark.parametrize("max_lag", [timedelta(milliseconds=1), 300])
async def test_what_is_replayed_is_no_lag(max_lag: Any) -> None:
    record = Record()
    listener: hubbub.Listener[Any] = hubbub.Listener(
        endpoint=hubbub.Address("127.0.0.1", 0), replay="all", max_lag=max_lag
    )
    settings = hubbub.Settings(pace=None)
    async with hubbub.Server(
        idle, listeners=[listener], framing=hubbub.ByteLines(), settings=settings, observer=record
    ) as server:
        lines = [b"%04d %s" % (number, b"x" * 1000) for number in range(8000)]
        for line in lines:
            await server.broadcast(line)
        async with Peer.of(server, receive_buffer=4 * KIB) as peer:
            (client,) = await record.wait_for_clients(1)
            for line in lines:
                client._reader.check_lag(skip=True)
                assert await peer.line() == line + b"\n"
            assert client.ending is None


async def test_a_client_that_is_ended_while_its_replay_is_looked_for_hears_nothing_of_it() -> None:
    async with replaying("all", store=slow_store(), pace=None) as (server, record):
        await fill(server)
        older, asked, answer = older_of(server), asyncio.Event(), asyncio.Event()
        read = older.chunk_at

        async def chunk_at(seq: int) -> Any:
            asked.set()
            await answer.wait()
            return await read(seq)

        older.chunk_at = chunk_at
        async with Peer.of(server) as peer:
            (client,) = await record.wait_for_clients(1)
            await asked.wait()
            closing = asyncio.create_task(client.close())
            await eventually(lambda: client.ending is not None)
            answer.set()
            await closing
            assert await peer.rest() == b""
        await eventually(lambda: not server._sessions.readers)
        assert client not in server.root
