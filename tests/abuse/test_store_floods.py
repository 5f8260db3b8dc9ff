"""Abuse 36: floods of rooms, joins and replays at a server with a store, and what breaks off, while its disk is slow.

The server is in the program of the test, so that its disk can be stalled, and its store asked what waits.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

import hubbub
from hubbub.stores.rows import read_chunks

from support.abuse_stores import FRAMING, all_committed, entries_of, size_on_disk
from support.abuse_tools import KIB, MIB, UNLIMITED, mib, resident_memory
from support.figures import FULL, note, scaled
from support.helpers import Peer, Record, at, dial, eventually, idle
from support.stores import SqliteBench, storing

pytestmark = pytest.mark.long


@pytest.fixture
def bench(tmp_path: Path) -> SqliteBench:
    return SqliteBench(tmp_path)


def figures(server: hubbub.Server[Any]) -> Any:
    store = server.statistics().store
    assert store is not None
    return store


async def flood_of_rooms(client: hubbub.Client[bytes], rooms: int) -> None:
    """Make rooms, say something in each, and leave it."""
    for number in range(rooms):
        room = await client.join(f"room-{number}")
        await room.broadcast(b"." * 100)
        await client.leave(room)


async def test_36_rooms_that_come_and_go_while_the_disk_stalls(bench: SqliteBench) -> None:
    """Each is forgotten for the next one before its message is committed. Nothing of that stays."""
    rooms = scaled(20_000, 2_000)
    async with storing(bench, rooms_limit=20, store_patience=60) as (server, record), Peer.of(server):
        (client,) = await record.wait_for_clients(1)
        sure = server.room("sure", settings=hubbub.Settings(durable="ack"), keep=False)
        bench.stall()
        acknowledged = asyncio.create_task(sure.broadcast(b"x"))
        await eventually(lambda: sure.head.seq == 1)
        sure.close()
        before = resident_memory(os.getpid())
        await flood_of_rooms(client, rooms)
        grown = resident_memory(os.getpid()) - before
        assert figures(server).pending >= rooms * 256
        bench.heal()
        # Whoever waits is told, in a room that is forgotten as well.
        await acknowledged
        await eventually(lambda: figures(server).pending == 0)
        assert not figures(server).out
        assert len(figures(server).committed) <= 20
        note(36, f"{rooms} rooms that come and go on a stalled disk: memory", mib(grown), "")
        assert grown <= rooms * 8 * KIB


@pytest.mark.parametrize("limit", [20, 10_000])
async def test_36_more_rooms_than_the_file_has_room_for(bench: SqliteBench, limit: int) -> None:
    """However many there are, the file keeps to its size, and the oldest are forgotten: the store is never out."""
    rooms = scaled(100_000, 3_000)
    largest = 0
    async with storing(bench, rooms_limit=limit, store_size=MIB) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        reading = asyncio.create_task(read_on(peer))
        for _ in range(10):
            await flood_of_rooms(client, rooms // 10)
            largest = max(largest, size_on_disk(bench.path))
        await server.broadcast(b"the last")
        await all_committed(server)
        assert not figures(server).out
        count = len(figures(server).committed)
        note(
            36,
            f"{rooms} rooms, of {limit} at most, in a file of 1 MiB: largest, and rooms kept",
            f"{mib(largest)}, {count}",
            "<= 1 MiB",
        )
        assert largest <= MIB
        reading.cancel()
    async with storing(bench, rooms_limit=limit, store_size=MIB) as (server, _):
        assert len(figures(server).committed) == count
        await server.broadcast(b"x")


async def read_on(peer: Peer) -> None:
    while await peer.reader.read(64 * KIB):
        pass


async def test_36_a_store_that_was_closed_on_a_full_disk_can_be_opened_again(bench: SqliteBench) -> None:
    async with storing(bench, store_patience=0.2) as (server, _):
        await server.broadcast(b"kept")
        await eventually(lambda: figures(server).committed["root"] == 1)
        bench.fill()
        await server.broadcast(b"lost")
    async with storing(bench) as (server, _):
        assert [entry.message for entry in await entries_of(server.root)] == [b"kept"]


# Readers that come and go, or break off.


def places() -> list[hubbub.Listener[bytes]]:
    """A place, and one whose clients hear first all that is stored."""
    here = hubbub.Address("127.0.0.1", 0)
    return [hubbub.Listener(endpoint=here), hubbub.Listener(endpoint=here, replay="all")]


async def fill(server: hubbub.Server[bytes], size: int) -> None:
    """Store so many bytes, most of which memory drops."""
    for number in range(size // KIB):
        await server.broadcast(b"%0*d" % (KIB - 1, number))
    await all_committed(server)


async def test_36_clients_that_come_again_and_again_and_begin_with_all_there_is(bench: SqliteBench) -> None:
    count = scaled(3000, 200)
    async with storing(bench, listeners=places(), retention=64 * KIB) as (server, _):
        await fill(server, 8 * MIB)
        before = resident_memory(os.getpid())
        for number in range(count):
            plain = await dial(server, at=1, receive_buffer=4 * KIB)
            if number % 3:
                # It has got its place, and its first messages; or it goes at once.
                await asyncio.get_running_loop().sock_recv(plain, 1)
            plain.close()
        await eventually(lambda: not server.clients)
        grown = resident_memory(os.getpid()) - before
        note(36, f"{count} clients that begin with all there is, and go: memory", mib(grown), "<= 16 MiB")
        assert grown <= 16 * MIB
        assert not server._pump.tasks
        assert isinstance(server._store, hubbub.SqliteStore)
        readers = server._store._shared.readers
        assert readers is not None
        await eventually(lambda: not readers._reads)
        async with Peer.of(at(server, 1)) as peer:
            assert [int(await peer.line()) for _ in range(8 * KIB)] == list(range(8 * KIB))


async def test_36_joins_and_histories_that_are_cancelled_anywhere_leave_nothing_behind(bench: SqliteBench) -> None:
    """Each is cancelled after none, one, two… turns of the loop, until one comes to its end."""
    async with storing(bench, retention=64 * KIB) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        reading = asyncio.create_task(read_on(peer))
        room = server.room("far")
        for number in range(2000):
            await room.broadcast(b"%0*d" % (KIB, number))
        await eventually(lambda: figures(server).committed.get("far") == 2000)

        async def join() -> None:
            await client.join(room, since=1900)
            await client.leave(room)

        async def history() -> None:
            assert [int(entry.message) async for entry in room.history(last=1900)] == list(range(100, 2000))

        cancelled = 0
        for work in (join, history, join):
            finished = False
            turns = 0
            while not finished:
                task = asyncio.create_task(work())
                for _ in range(turns):
                    await asyncio.sleep(0 if turns % 2 else 0.0005)
                    if task.done():
                        break
                finished = task.done()
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                if client in room:
                    await client.leave(room)
                cancelled += not finished
                turns += 1
        await history()
        await eventually(lambda: not server._pump.tasks)
        assert client.rooms == {server.root}
        assert client.ending is None
        note(36, "joins and histories cancelled, each in a later turn", cancelled, "")
        reading.cancel()


async def test_36_joins_far_back_in_a_loop_while_the_disk_reads_slowly(
    bench: SqliteBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They wait for each other, in threads of the store. Those who are live do not wait, and nothing piles up."""
    crowd = 20

    def read_slowly(*arguments: Any) -> Any:
        time.sleep(0.02)
        return read_chunks(*arguments)

    monkeypatch.setattr("hubbub.stores.sqlite_log.read_chunks", read_slowly)
    async with storing(bench, retention=64 * KIB) as (server, record), AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(Peer.of(server)) for _ in range(crowd + 1)]
        clients = await record.wait_for_clients(crowd + 1)
        far = server.room("far")
        for number in range(2000):
            await far.broadcast(b"%0*d" % (KIB, number))
        await eventually(lambda: figures(server).committed.get("far") == 2000)
        assert isinstance(server._store, hubbub.SqliteStore)
        readers = server._store._shared.readers
        assert readers is not None
        joins = most = 0

        async def come_and_go(client: hubbub.Client[bytes], since: int) -> None:
            nonlocal joins, most
            while True:
                await client.join(far, since=since)
                await client.leave(far)
                joins += 1
                most = max(most, len(readers._reads))

        reading = [asyncio.create_task(read_on(peer)) for peer in peers[1:]]
        loops = [asyncio.create_task(come_and_go(client, 1999 - n)) for n, client in enumerate(clients[1:])]
        slowest = 0.0
        loop = asyncio.get_running_loop()
        for number in range(scaled(1000, 100)):
            started = loop.time()
            await server.broadcast(b"%d" % number)
            assert await peers[0].line() == b"%d\n" % number
            slowest = max(slowest, loop.time() - started)
            await asyncio.sleep(0.005)
        for task in (*loops, *reading):
            task.cancel()
        await asyncio.gather(*loops, *reading, return_exceptions=True)
    what = f"{joins} joins far back by {crowd}, on a disk that takes 20 ms for a read: live latency at worst"
    note(36, what, f"{slowest * 1e3:.0f} ms", "")
    note(36, "reads that waited at a time", most, f"<= {2 * crowd}")
    assert joins
    # One for a join, and one for what the client still reads of the room that it has left.
    assert most <= 2 * crowd
    assert slowest < 1


async def test_36_acknowledged_broadcasts_that_are_cancelled_are_said_and_stored_once(bench: SqliteBench) -> None:
    async with storing(bench, durable="ack") as (server, _):
        count = 100
        bench.stall()
        waiting = [asyncio.create_task(server.broadcast(b"%d" % number)) for number in range(count)]
        await eventually(lambda: server.root.head.seq == count)
        for task in waiting[::2]:
            task.cancel()
        bench.heal()
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert [isinstance(one, asyncio.CancelledError) for one in done] == [not number % 2 for number in range(count)]
    async with storing(bench) as (server, _):
        assert [int(entry.message) for entry in await entries_of(server.root)] == list(range(count))


async def test_36_a_server_that_closes_while_readers_catch_up_ends_in_its_time(bench: SqliteBench) -> None:
    async with storing(bench, listeners=places(), retention=64 * KIB) as (server, _):
        await fill(server, 8 * MIB)
    # Opened again, so that nothing is in memory.
    settings: dict[str, Any] = {"retention": 64 * KIB, "drain_time": 0.5, "cancel_time": 0.5}
    async with storing(bench, listeners=places(), **settings) as (server, record), AsyncExitStack() as stack:
        for _ in range(20):
            stack.enter_context(await dial(server, at=1, receive_buffer=4 * KIB))
        peer = await stack.enter_async_context(Peer.of(at(server, 1)))
        await record.wait_for_clients(21)
        started = asyncio.get_running_loop().time()
        closing = asyncio.create_task(server.close())
        # One that reads gets all there is, within that time.
        lines = [await peer.line() for _ in range(8 * KIB)]
        await closing
        took = asyncio.get_running_loop().time() - started
        endings = {ending.code for ending in await record.wait_for_endings(21)}
        note(36, "a server closes while 21 readers catch up, with 0.5 s for each step", f"{took:.1f} s", "<= 2 s")
        assert took <= (4 if FULL else 8)
        assert endings == {hubbub.EndingCode.SHUTDOWN}
        assert all(
            int(line) == number for number, line in enumerate(lines) if line.endswith(b"\n") and line[:1] == b"0"
        )
    async with storing(bench) as (server, _):
        assert len(await entries_of(server.root)) == 8 * KIB


# A store that raises what it should not.


class Broken:
    """A store, or a log of it, of which one method raises while the switch is set."""

    def __init__(self, real: Any, method: str, switch: asyncio.Event) -> None:
        self._real = real
        self._method = method
        self._switch = switch

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name == "open_log":
            return lambda *arguments: Broken(found(*arguments), self._method, self._switch)
        return self._fail if name == self._method and self._switch.is_set() else found

    def _fail(self, *_: object) -> Any:
        raise RuntimeError(f"{self._method} is broken")


METHODS = ["begin", "append", "chunk_at", "first", "wait_committed", "release", "close"]


@pytest.mark.parametrize("method", METHODS)
async def test_36_a_store_of_your_own_that_raises_harms_nobody_who_is_live(
    bench: SqliteBench, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    broken = asyncio.Event()
    record = Record()
    settings = hubbub.Settings(retention=64 * KIB, store_patience=1.0, **UNLIMITED)
    store: Any = Broken(bench.store(), method, broken)
    server: hubbub.Server[bytes] = hubbub.Server(
        idle, listeners=places(), framing=FRAMING, settings=settings, observer=record, store=store
    )
    await server.start()
    async with Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        await fill(server, 256 * KIB)
        for _ in range(256):
            await peer.line()
        if method == "begin":
            # It begins a term where it comes back.
            bench.fill()
            await server.broadcast(b"lost")
            assert await peer.line() == b"lost\n"
            await eventually(lambda: figures(server).out)
            bench.heal()
            await eventually(lambda: not figures(server).out)
        caplog.clear()
        broken.set()
        sure = server.room("sure", settings=hubbub.Settings(durable="ack")) if method == "wait_committed" else None
        for number in range(20):
            await server.broadcast(b"%d" % number)
            assert await peer.line() == b"%d\n" % number
        assert len(caplog.records) <= 1
        async with Peer.of(at(server, 1)) as late:
            if method == "chunk_at":
                # It cannot begin with what cannot be read.
                assert await late.rest() == b""
            else:
                await late.line()
        for since in (200, "1h"):
            with suppress(RuntimeError):
                async for _ in server.root.history(since=since):
                    pass
        if sure is not None:
            with pytest.raises(RuntimeError, match="wait_committed is broken"):
                await sure.broadcast(b"x")
        # A room is made, or it is said why not; and it is closed.
        with suppress(RuntimeError):
            server.room("one more").close()
        await server.broadcast(b"still")
        assert await peer.line() == b"still\n"
        with suppress(RuntimeError):
            await server.close()
        assert client.ending is not None
        assert client.ending.code is hubbub.EndingCode.SHUTDOWN
    broken.clear()
    await server.close()
    await store.close()
    async with storing(bench) as (server, _):
        await entries_of(server.root)
