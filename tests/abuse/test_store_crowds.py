"""Abuse 34 and 35: readers far behind that catch up from a store, beside live ones; the turns of the loop meanwhile.

The server is in the program of the test, so that the turns of its loop can be measured.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import hubbub

from support.abuse_stores import FRAMING, all_committed
from support.abuse_tools import KIB, MIB, UNLIMITED, Crowd, Watch, mib, resident_memory
from support.crowd import PERIOD, stream
from support.figures import FULL, note, scaled
from support.helpers import eventually, idle
from support.turns import Turns

pytestmark = [pytest.mark.long, pytest.mark.quiet]

LONGEST = 0.02
"""The longest turn that is wanted, in seconds."""

SLACK = 1.0 if FULL else 4.0
"""How many times as long it may be on a machine that does other things as well, which have its caches meanwhile."""

RATE = 1_000_000
"""Bytes a second that are said while others catch up."""

PIECE = 10 * KIB


@asynccontextmanager
async def storing(path: Path) -> AsyncIterator[hubbub.Server[bytes]]:
    """A server with three places: whoever connects begins now, or with all that is stored, or is in another room."""
    here = hubbub.Address("127.0.0.1", 0)
    listeners: list[hubbub.Listener[bytes]] = [
        hubbub.Listener(endpoint=here),
        hubbub.Listener(endpoint=here, replay="all"),
        hubbub.Listener(endpoint=here, room="clock"),
    ]
    settings = hubbub.Settings(retention=4 * MIB, store_size=4096 * MIB, farewell=None, **UNLIMITED)
    server = hubbub.Server(
        idle, listeners=listeners, framing=FRAMING, settings=settings, store=hubbub.SqliteStore(path)
    )
    async with server:
        yield server


class Stream:
    """Says the stream of `crowd.py` in the root room; `said` is how many bytes of it."""

    def __init__(self, server: hubbub.Server[bytes]) -> None:
        self.said = 0
        self._server = server
        self._data = stream()

    async def say(self, size: int) -> None:
        while size > 0:
            start = self.said % PERIOD
            piece = self._data[start : start + min(size, 64 * KIB)]
            await self._server.broadcast_many(piece.splitlines())
            self.said += len(piece)
            size -= len(piece)

    async def say_on(self) -> None:
        """Say it at the rate, until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self.say(PIECE)
            due += PIECE / RATE
            await asyncio.sleep(max(0.0, due - loop.time()))


async def tick(server: hubbub.Server[bytes]) -> None:
    """Say in the other room when it is said, again and again, until cancelled."""
    while True:
        await server.rooms["clock"].broadcast(b"%d" % time.monotonic_ns())
        await asyncio.sleep(0.005)


async def catch_up(path: Path, *, live: int, late: int, size: int) -> dict[str, Any]:
    """Let so many readers catch up with so many bytes at once, while so many are live and one speaks on."""
    with ExitStack() as stack:
        async with storing(path) as server:
            talk = Stream(server)
            await talk.say(size)
            await all_committed(server)
            plain, replaying, clock = server.addresses
            others = stack.enter_context(
                await asyncio.to_thread(Crowd, "read", plain, readers=live, position=talk.said)
            )
            # They read whatever comes, until the server closes.
            living = asyncio.create_task(asyncio.to_thread(others.ask, "end"))
            followers = stack.enter_context(await asyncio.to_thread(Crowd, "follow", clock, readers=10))
            await eventually(lambda: len(server.clients) == live + 10)
            speaking = [asyncio.create_task(talk.say_on()), asyncio.create_task(tick(server))]
            await asyncio.sleep(scaled(10, 3) / 10)
            await asyncio.to_thread(followers.ask)
            # To measure turns takes all the time that the loop has left.
            with Watch(lambda: resident_memory(os.getpid())) as alone, Turns():
                await asyncio.sleep(scaled(5, 1))
            quiet = await asyncio.to_thread(followers.ask)
            with Watch(lambda: resident_memory(os.getpid())) as watch, Turns() as turns:
                crowd = stack.enter_context(await asyncio.to_thread(Crowd, "read", replaying, readers=late))
                started = time.monotonic()
                read = await asyncio.to_thread(crowd.ask, size)
                seconds = time.monotonic() - started
            busy = await asyncio.to_thread(followers.ask)
            for task in speaking:
                task.cancel()
            await asyncio.gather(*speaking, return_exceptions=True)
            # All have all of it in the end.
            rest = await asyncio.to_thread(crowd.ask, talk.said - size)
            assert rest["positions"] == [talk.said]
            assert not rest["ended"]
        lived = await living
        assert lived["positions"] == [talk.said]
        assert not read["wrong"] + rest["wrong"] + lived["wrong"]
        return {
            "seconds": seconds,
            "longest": turns.longest,
            "quiet": quiet["p99"],
            "busy": busy["p99"],
            "memory": watch.peak - alone.peak,
        }


def tell(number: int, what: str, found: dict[str, Any], size: int) -> None:
    note(number, f"{what}: MB/s in all", f"{size / found['seconds'] / 1e6:.0f} ({found['seconds']:.1f} s)", "")
    note(number, f"{what}: longest turn", f"{found['longest'] * 1e3:.1f} ms", f"{LONGEST * 1e3:g} ms")
    latencies = f"{found['quiet'] * 1e3:.1f} ms, {found['busy'] * 1e3:.1f} ms"
    note(number, f"{what}: live p99 before, and meanwhile", latencies, "3 x")
    note(number, f"{what}: memory above that of before", mib(found["memory"]), "<= 64 MiB")


def test_34_many_that_catch_up_at_once_beside_many_that_are_live(tmp_path: Path) -> None:
    live, late, size = scaled(1000, 50), scaled(500, 100), scaled(100, 2) * MIB
    found = asyncio.run(catch_up(tmp_path / "log.db", live=live, late=late, size=size))
    tell(34, f"{late} readers {size // MIB} MiB behind, {live} live", found, late * size)
    assert found["seconds"] <= 120
    # Beside other programs, some milliseconds are the machine's.
    assert found["busy"] <= max(3 * found["quiet"], (SLACK - 1) * LONGEST)
    assert found["longest"] <= SLACK * LONGEST
    assert found["memory"] <= 64 * MIB


def test_35_a_large_store_is_replayed_to_one_late_reader(tmp_path: Path) -> None:
    size = scaled(1024, 16) * MIB
    found = asyncio.run(catch_up(tmp_path / "log.db", live=50, late=1, size=size))
    tell(35, f"one reader {size // MIB} MiB behind", found, size)
    assert found["longest"] <= SLACK * LONGEST
    assert found["memory"] <= 64 * MIB
