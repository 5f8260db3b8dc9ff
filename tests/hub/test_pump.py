"""One pump for rooms and readers: a slice of them in each turn of the loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.hub import pump as pump_module
from hubbub.hub.pump import LOOKS, Pump
from hubbub.log.clock import NEVER

TOKEN = 5


class Room:
    """A room with so many readers to write to, which cannot be flushed where `error` is given.

    In so many flushes as `broadcasts` says, something is broadcast to it.
    """

    def __init__(self, journal: list[object], readers: int = 1, *, error: Exception | None = None) -> None:
        self.journal = journal
        self.left = readers
        self.error = error
        self.limits: list[int] = []
        self.broadcasts = 0
        self.members: dict[int, Any] = {}

    @property
    def busy(self) -> bool:
        return self.left > 0

    def flush(self, limit: int) -> int:
        self.limits.append(limit)
        self.journal.append(self)
        if self.error is not None:
            self.left = 0
            raise self.error
        written = min(limit, self.left)
        self.left -= written
        if self.broadcasts:
            self.broadcasts -= 1
            self.left += 1
        return written

    def horizon(self, cursor: Any) -> int:
        return int(cursor.unflushed)


class Transport:
    """A transport that writes to the journal, or raises `error`."""

    def __init__(self, journal: list[object]) -> None:
        self.journal = journal
        self.error: Exception | None = None

    def write(self, data: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.journal.append(data)


class Reader:
    """A reader that reads its outbox so often in a pump, and cannot be pumped where `error` is given."""

    def __init__(
        self, journal: list[object], reads: int = 1, *, error: Exception | None = None, cursors: Sequence[Any] = ()
    ) -> None:
        self.journal = journal
        self.reads = reads
        self.error = error
        self.failures: list[Exception] = []
        self.token = TOKEN
        self.cursors = list(cursors)
        self.marked = False
        self.dropped = False
        self.transport: Any = Transport(journal)
        self.blocker: Any = None
        self.marks_again: Pump | None = None

    def pump(self) -> int:
        self.journal.append(self)
        if self.error is not None:
            raise self.error
        if self.marks_again is not None:
            pump, self.marks_again = self.marks_again, None
            pump.pump_soon(self)
        return self.reads

    def fail(self, error: Exception) -> None:
        self.failures.append(error)


class Journal(list[object]):
    """What was flushed and pumped, in order."""

    async def turn(self) -> list[object]:
        """What the loop's next turn adds."""
        before = len(self)
        await asyncio.sleep(0)
        return self[before:]

    async def turns(self) -> list[list[object]]:
        """What each turn adds, up to the first that adds nothing."""
        turns: list[list[object]] = []
        while turn := await self.turn():
            turns.append(turn)
        return turns


async def test_rooms_and_readers_have_one_turn_and_not_at_once_however_often_they_are_marked() -> None:
    journal, pump = Journal(), Pump(10)
    room, reader = Room(journal), Reader(journal)
    # Those that were served can be marked again.
    for _ in range(2):
        room.left = 1
        before = len(journal)
        for _ in range(3):
            pump.pump_soon(reader)
            pump.flush_soon(room)
        assert len(journal) == before
        assert await journal.turns() == [[room, reader]]


async def test_the_turns_with_flushes_and_their_times_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "perf_counter", iter([0.0, 1.0, 5.0, 7.0, 9.0, 9.5]).__next__)
    journal, pump = Journal(), Pump(10)
    for _ in range(2):
        for room in Room(journal), Room(journal):
            pump.flush_soon(room)
        pump.pump_soon(Reader(journal))
        await journal.turns()
    pump.pump_soon(Reader(journal))
    await journal.turns()
    assert (pump.flushes, pump.flush_time) == (2, 3.0)


async def test_a_room_is_busy_from_when_it_is_marked_until_its_flush_is_through() -> None:
    journal, pump = Journal(), Pump(2)
    room = Room(journal, readers=3)
    pump.flush_soon(room)
    assert set(pump.busy) == {room}
    assert await journal.turn() == [room]
    assert set(pump.busy) == {room}
    assert await journal.turn() == [room]
    assert not pump.busy


async def test_a_room_with_too_many_readers_for_a_slice_goes_on_in_the_next_turn_behind_the_others() -> None:
    journal, pump = Journal(), Pump(3)
    large, small = Room(journal, readers=7), Room(journal)
    pump.flush_soon(large)
    pump.flush_soon(small)
    assert await journal.turns() == [[large], [small, large], [large]]
    assert large.limits == [3, 1, 3]


async def test_a_room_that_is_broadcast_to_in_its_flush_is_flushed_again_in_the_next_turn() -> None:
    journal, pump = Journal(), Pump(10)
    room = Room(journal)
    room.broadcasts = 2
    pump.flush_soon(room)
    assert await journal.turns() == [[room], [room], [room]]


async def test_a_flush_counts_one_beside_what_it_writes_and_nothing_of_the_slice_of_the_readers() -> None:
    journal, pump = Journal(), Pump(4)
    rooms, reader = [Room(journal) for _ in range(3)], Reader(journal)
    for room in rooms:
        pump.flush_soon(room)
    pump.pump_soon(reader)
    # The slice of 4 is spent by two rooms of one reader each.
    assert await journal.turns() == [[*rooms[:2], reader], rooms[2:]]
    assert [room.limits for room in rooms] == [[4], [2], [4]]


async def test_readers_are_pumped_in_slices_in_the_order_in_which_they_were_marked() -> None:
    journal, pump = Journal(), Pump(4)
    readers = [Reader(journal, reads) for reads in (0, 2, 9, 0)]
    for reader in readers:
        pump.pump_soon(reader)
    assert await journal.turn() == readers[:2]
    # One that is marked while it waits for its slice is pumped once.
    pump.pump_soon(readers[3])
    assert await journal.turns() == [readers[2:3], readers[3:]]


async def test_a_reader_that_is_marked_while_it_is_pumped_has_its_turn_in_the_next_one() -> None:
    journal, pump = Journal(), Pump(10)
    reader, other = Reader(journal), Reader(journal)
    reader.marks_again = pump
    pump.pump_soon(reader)
    pump.pump_soon(other)
    assert await journal.turns() == [[reader, other], [reader]]


async def test_the_first_letter_of_a_turn_is_written_at_once_and_the_others_at_its_end_before_all_else() -> None:
    journal, pump = Journal(), Pump(1)
    room, first, second, third = Room(journal), Reader(journal), Reader(journal), Reader(journal)
    pump.write(first, b"1")
    assert journal == [b"1"]
    pump.flush_soon(room)
    pump.write(second, b"2")
    pump.write(third, b"3")
    assert journal == [b"1"]
    assert await journal.turns() == [[b"2", b"3", room]]
    pump.write(second, b"4")
    assert journal[-1] == b"4"


async def test_a_turn_in_which_a_letter_was_written_ends_though_nothing_is_delivered_in_the_next() -> None:
    journal, pump = Journal(), Pump(10)
    turn = pump.turn
    pump.write(Reader(journal), b"1")
    assert pump.turn == turn
    assert await journal.turn() == []
    assert pump.turn == turn + 1
    # Nobody asked for another.
    await journal.turn()
    assert pump.turn == turn + 1


async def test_a_reader_that_cannot_be_written_to_fails_and_one_that_has_gone_is_written_nothing() -> None:
    journal, pump = Journal(), Pump(10)
    broken, gone, well = Reader(journal), Reader(journal), Reader(journal)
    error = OSError("broken")
    broken.transport.error = error
    pump.write(broken, b"1")
    assert broken.failures == [error]
    for reader in (broken, gone, well):
        pump.write(reader, b"2")
    gone.dropped = True
    assert await journal.turns() == [[b"2"]]
    assert broken.failures == [error, error]


async def test_a_flush_that_raises_is_logged_and_stops_no_other_room_and_no_reader(
    caplog: pytest.LogCaptureFixture,
) -> None:
    journal, pump = Journal(), Pump(10)
    broken, room, reader = Room(journal, error=KeyError("broken")), Room(journal), Reader(journal)
    pump.flush_soon(broken)
    pump.flush_soon(room)
    pump.pump_soon(reader)
    assert await journal.turns() == [[broken, room, reader]]
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(logging.ERROR, "a flush failed")]
    caplog.clear()
    # It can be flushed again.
    broken.left, broken.error = 1, None
    pump.flush_soon(broken)
    assert await journal.turns() == [[broken]]


async def test_a_reader_that_raises_is_failed_with_what_it_raised_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(context["exception"]))
    journal, pump = Journal(), Pump(10)
    error = KeyError("broken")
    broken, reader = Reader(journal, error=error), Reader(journal)
    pump.pump_soon(broken)
    pump.pump_soon(reader)
    assert await journal.turns() == [[broken, reader]]
    assert broken.failures == [error]
    assert not reader.failures
    # One that cannot even be failed does not stop those behind it for good.
    monkeypatch.setattr(broken, "fail", None)
    pump.pump_soon(broken)
    pump.pump_soon(reader)
    assert await journal.turns() == [[broken], [reader]]
    # Neither do letters.
    broken.transport.error = error
    for each in (reader, broken, reader):
        pump.write(each, b"letter")
    assert await journal.turns() == [[b"letter"]]
    assert [record.message for record in caplog.records] == ["a letter failed"]
    assert [type(error) for error in told] == [TypeError]


class Seat:
    """A cursor in a room, of which nothing from the tick `unflushed` on was flushed."""

    def __init__(self, owner: Room, unflushed: int) -> None:
        self.owner = owner
        self.unflushed = unflushed
        owner.members[TOKEN] = self


class Untouched(dict[Any, Any]):
    """May be asked for a key, but not gone through."""

    def __iter__(self) -> Any:
        raise AssertionError


@given(st.dictionaries(st.integers(0, 5), st.integers(1, 9)), st.sets(st.integers(0, 5)), st.integers(1, 10))
def test_the_horizon_of_a_client_is_the_earliest_of_its_busy_rooms(
    joined: dict[int, int], busy: set[int], tick: int
) -> None:
    pump = Pump(1)
    rooms = [Room([]) for _ in range(6)]
    reader = Reader([], cursors=[Seat(rooms[index], unflushed) for index, unflushed in joined.items()])
    pump.busy = {rooms[index]: None for index in busy}
    horizons = [joined[index] for index in busy & joined.keys()]
    assert pump.horizon(reader, tick) == min(horizons, default=NEVER)
    # Of those that hold it up, the one that is flushed last is remembered.
    blocking = [horizon for horizon in horizons if horizon < tick]
    assert (reader.blocker and reader.blocker.unflushed) == max(blocking, default=None)


def test_the_horizon_looks_at_the_busy_rooms_or_at_those_of_the_client_if_they_are_fewer() -> None:
    pump = Pump(1)
    rooms = [Room([]) for _ in range(3)]
    seats = [Seat(room, tick) for tick, room in enumerate(rooms, start=1)]
    pump.busy = Untouched.fromkeys(rooms)
    assert pump.horizon(Reader([], cursors=seats[1:]), 9) == 2
    pump.busy = dict.fromkeys(rooms[2:])
    untouched: list[Any] = [None, None]
    assert pump.horizon(Reader([], cursors=untouched), 9) == 3


def test_a_client_is_held_up_until_the_last_of_its_busy_rooms_was_flushed_and_no_other_is_looked_at() -> None:
    pump = Pump(1)
    rooms = [Room([]) for _ in range(3)]
    seats = [Seat(room, 4) for room in rooms]
    reader = Reader([], cursors=[*seats])
    pump.busy = dict.fromkeys(rooms)
    assert pump.horizon(reader, 5) == 4
    assert reader.blocker is seats[2]
    pump.busy = Untouched.fromkeys(rooms[1:])
    assert pump.horizon(reader, 5) == 4
    # Its next message comes behind what the room has said meanwhile, and the one before it does not.
    seats[2].unflushed = 7
    pump.busy = dict.fromkeys(rooms[2:])
    assert pump.horizon(reader, 5) == 7
    assert reader.blocker is None
    assert pump.horizon(reader, 8) == 7
    assert reader.blocker is seats[2]
    pump.busy = {}
    assert pump.horizon(reader, 8) == NEVER


async def test_looking_at_many_rooms_is_paid_for_by_the_slice_of_the_turn() -> None:
    """Otherwise a crowd of clients with thousands of rooms each would look at all of them in one turn."""

    class Looking(Reader):
        def pump(self) -> int:
            pump.horizon(self, 1)
            return super().pump()

    pump = Pump(10)
    rooms = [Room([]) for _ in range(5 * LOOKS)]
    pump.busy = dict.fromkeys(rooms)
    journal: list[object] = []
    readers = [Looking(journal, cursors=[Seat(room, 1) for room in rooms]) for _ in range(5)]
    for reader in readers:
        pump.pump_soon(reader)
    for count in (2, 4, 5):
        await asyncio.sleep(0)
        assert journal == readers[:count]


async def test_turns_that_flush_are_counted_and_timed_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([1.0, 1.5, 7.0, 9.0])
    monkeypatch.setattr(pump_module, "perf_counter", lambda: next(times))
    journal, pump = Journal(), Pump(10)
    pump.pump_soon(Reader(journal))
    await journal.turns()
    assert (pump.flushes, pump.flush_time) == (0, 0)
    pump.flush_soon(Room(journal))
    pump.flush_soon(Room(journal))
    await journal.turns()
    assert (pump.flushes, pump.flush_time) == (1, 0.5)
    pump.flush_soon(Room(journal, error=ValueError("x")))
    await journal.turns()
    assert (pump.flushes, pump.flush_time) == (2, 2.5)
