"""Abuse 36: floods of rooms, joins and replays at a server with a store, and what breaks off, while its disk is slow.

The server is in the program of the test, so that its disk can be stalled, and its store asked what waits.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import hubbub

from support.abuse_stores import FRAMING, entries_of, size_on_disk
from support.abuse_tools import KIB, MIB, UNLIMITED, mib, resident_memory
from support.figures import note, scaled
from support.helpers import Peer, Record, eventually, idle
from support.stores import SqliteBench


@pytest.fixture
def bench(tmp_path: Path) -> SqliteBench:
    return SqliteBench(tmp_path)


@asynccontextmanager
async def storing(
    bench: SqliteBench, handler: Any = idle, *, listeners: Any = None, **settings: Any
) -> AsyncIterator[tuple[hubbub.Server[bytes], Record]]:
    record = Record()
    server: hubbub.Server[bytes] = hubbub.Server(
        handler,
        port=0,
        listeners=listeners,
        framing=FRAMING,
        settings=hubbub.Settings(**{**UNLIMITED, **settings}),
        observer=record,
        store=bench.store(),
    )
    async with server:
        yield server, record


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
    rooms = scaled(100_000, 4_000)
    largest = 0
    async with storing(bench, rooms_limit=limit, store_size=MIB) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        reading = asyncio.create_task(read_on(peer))
        for _ in range(10):
            await flood_of_rooms(client, rooms // 10)
            largest = max(largest, size_on_disk(bench.path))
        await eventually(lambda: figures(server).pending == 0)
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
