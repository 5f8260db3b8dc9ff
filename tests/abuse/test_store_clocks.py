"""Abuse 37: the wall clock jumps back and forth, while a server with a store runs and between two runs."""

from __future__ import annotations

import asyncio
import random
import time
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import hubbub

from support.abuse_stores import all_committed, entries_of, opened
from support.figures import note, scaled
from support.helpers import eventually

pytestmark = pytest.mark.long

KIB = 1024
DAY = 86_400.0


class WallClock:
    """The wall clock of this program, which a test can set; the others go on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._real = time.time
        self.ahead = 0.0
        monkeypatch.setattr(time, "time", lambda: self._real() + self.ahead)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    return WallClock(monkeypatch)


async def test_37_stored_times_never_decrease_and_a_time_is_found_however_the_clock_jumps(
    tmp_path: Path, clock: WallClock
) -> None:
    chance = random.Random(37)
    runs, jumps = scaled(20, 4), scaled(50, 20)
    said = 0
    for _ in range(runs):
        # From 1970 to far ahead, as on a machine without a battery.
        clock.ahead = chance.choice((0.0, -50 * 365 * DAY, chance.uniform(-30, 30) * DAY))
        async with opened(tmp_path / "log.db", retention=4 * KIB) as server:
            for _ in range(jumps):
                clock.ahead += chance.choice((0.0, chance.uniform(-1, 1) * 3600, chance.uniform(-1, 1) * DAY))
                for _ in range(5):
                    await server.broadcast(b"%d" % said)
                    said += 1
                await asyncio.sleep(0)
            entries = await entries_of(server.root)
            check_times(entries, said)
            for entry in chance.sample(entries, 20):
                since = datetime.fromtimestamp(entry.time, UTC)
                found = await entries_of(server.root, since=since)
                # A datetime has microseconds, so it may be a little later.
                assert found == [other for other in entries if other.time >= since.timestamp()]
    async with opened(tmp_path / "log.db") as server:
        check_times(await entries_of(server.root), said)
    note(37, f"{runs * jumps} jumps of the clock in {runs} runs: times that decrease", 0, 0)


def check_times(entries: list[hubbub.Entry[bytes]], said: int) -> None:
    assert [int(entry.message) for entry in entries] == list(range(said))
    assert all(one.time <= other.time for one, other in pairwise(entries))


async def test_37_a_clock_that_is_far_ahead_for_a_while_deletes_nothing(tmp_path: Path, clock: WallClock) -> None:
    """`store_age` means the age of a message, and one that was said a second ago is a second old."""
    async with opened(tmp_path / "log.db", store_age=7 * DAY, retention=4 * KIB) as server:
        for number in range(20):
            await server.broadcast(b"%01000d" % number)
        await all_committed(server)
        clock.ahead = 30 * DAY
        # Each is a transaction, and the store looks for old messages every second.
        looks: set[float] = set()
        number = 20
        while len(looks - {0.0}) < 3:
            await server.broadcast(b"%01000d" % number)
            await all_committed(server)
            looks.add(looked_at(server))
            number += 1
        clock.ahead = 0.0
        await all_committed(server)
        assert [int(entry.message) for entry in await entries_of(server.root)] == list(range(number))
    note(37, "messages that a clock 30 days ahead for two looks deletes, with a store_age of 7 days", 0, 0)


def looked_at(server: Any) -> float:
    """When the store has last looked for messages that are too old."""
    looked: float = server._store._retention._looked
    return looked


async def test_37_a_clock_that_was_set_right_deletes_what_is_old_in_the_end(
    tmp_path: Path, clock: WallClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hubbub.stores.age.JUMP_TIME", 1.0)
    async with opened(tmp_path / "log.db", store_age=7 * DAY, retention=4 * KIB) as server:
        for number in range(20):
            await server.broadcast(b"%01000d" % number)
        await all_committed(server)
        # It was wrong before, and stays as it is now.
        clock.ahead = 30 * DAY
        await server.broadcast(b"new")
        await eventually(lambda: server.root.oldest.seq > 0)
        assert [entry.message for entry in await entries_of(server.root)][-1] == b"new"
