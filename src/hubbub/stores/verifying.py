"""Whether what a store has fits together: rows, batches, bytes, times and terms; and SQLite's own check of its file.

Rows are read in slices, because every read of a store must be short. A row that cannot be read is passed over.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..framing.texts import framing_of
from ..log.chunk import Mark
from ..log.terms import TERMS_LIMIT
from ..values.errors import StoreError
from .reading import Damage, NoSuchRoom, one_moment
from .retention import WAL_SIZE
from .room_reading import ALL, RoomReader
from .rows import chunk_of
from .schema import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..log.terms import Term
    from .reading import StoreReader

SLICE: Final = 1024 * 1024
"""Bytes of rows that are read at once."""

LOOK_TIME: Final = 0.1
"""How often that is looked at, in seconds."""

_ROWS: Final = (
    "SELECT seq, end_seq, offset, end_offset, time, checksum, batches, data FROM chunks "
    "WHERE room = ? AND seq > ? ORDER BY seq LIMIT ?"
)
_NEXT: Final = "SELECT min(seq) FROM chunks WHERE room = ? AND seq > ?"
_START: Final = "SELECT start_seq, start_offset FROM rooms WHERE id = ?"
_ORPHANS: Final = "SELECT count(*) FROM chunks WHERE room NOT IN (SELECT id FROM rooms)"
_TYPES: Final = [int, int, int, int, float, int, bytes, bytes]
_TERM: Final = re.compile("[0-9a-f]{16}")


class Verification:
    """Looks at all messages of a store.

    Args:
        store: the store.
        progress: is told of counted bytes that were looked at.

    Attributes:
        rooms: how many were looked at.
        messages: how many there were in them.
    """

    def __init__(self, store: StoreReader, progress: Callable[[int], None]) -> None:
        self.rooms = 0
        self.messages = 0
        self._store = store
        self._progress = progress

    def faults(self) -> Iterator[str]:
        """What is wrong, each in a line.

        Raises:
            Damage, StoreError: not even the names of the rooms can be read.
        """
        for name in self._store.names():
            try:
                for fault in self._faults_of(RoomReader(self._store, name)):
                    yield f"room {name}: {fault}"
            except NoSuchRoom:
                # It was deleted meanwhile.
                continue
            except Damage as damage:
                yield f"room {name}: {damage}"
            self.rooms += 1
        try:
            (orphans,) = self._store.read(lambda connection: connection.execute(_ORPHANS).fetchone())
        except Damage as damage:
            yield f"the rows of all rooms: {damage}"
        else:
            if orphans:
                yield f"rows that belong to no room: {orphans}"

    def _faults_of(self, room: RoomReader) -> Iterator[str]:
        yield from _faults_of_terms(room)
        rows = _Rows(room)
        while rows.at.seq < room.head.seq:
            before = rows.at
            slice_ = self._store.read(partial(_read_slice, room.id, rows.last))
            rows.begin(slice_.start)
            for row in slice_.rows:
                yield from rows.faults_of(row)
            if slice_.unreadable is not None:
                yield f"after {room.position(rows.at.seq)}, a row cannot be read: {slice_.unreadable}"
                rows.skip(*self._store.read(partial(_read_next, room.id, rows.last)))
            elif not slice_.rows:
                yield from rows.faults_of_end(room.head)
                return
            self.messages += rows.at.seq - before.seq
            self._progress(rows.at.offset - before.offset)


class _Unreadable(Exception):
    """A row is not what was written."""


class _Slice(NamedTuple):
    """Some rows of a room.

    Attributes:
        start: where its stored messages start now.
        rows: the rows.
        unreadable: why the next one cannot be read.
    """

    start: Mark
    rows: list[tuple[Any, ...]]
    unreadable: str | None


def _read_slice(room: int, last: int, connection: sqlite3.Connection) -> _Slice:
    """The next rows of a room after the one that starts at `last`."""
    with one_moment(connection):
        found = connection.execute(_START, (room,)).fetchone()
        if found is None:
            raise NoSuchRoom(str(room))
        try:
            rows = _rows_after(connection, room, last, ALL)
        except (_Unreadable, sqlite3.DatabaseError):
            # Python steps to the next row before it gives one. So a single one tells whether it is that.
            try:
                rows = _rows_after(connection, room, last, 1)
            except (_Unreadable, sqlite3.DatabaseError) as error:
                return _Slice(Mark(*found), [], _reason_of(error))
    return _Slice(Mark(*found), rows, None)


def _rows_after(connection: sqlite3.Connection, room: int, last: int, limit: int) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    size = 0
    for row in connection.execute(_ROWS, (room, last, limit)):
        if [type(value) for value in row] != _TYPES:
            raise _Unreadable("a column has a wrong type")
        rows.append(row)
        size += len(row[-1])
        if size > SLICE:
            break
    return rows


def _reason_of(error: Exception) -> str:
    """Why a row cannot be read."""
    return reason_of(error) if isinstance(error, sqlite3.Error) else str(error)


def _read_next(room: int, last: int, connection: sqlite3.Connection) -> tuple[int | None]:
    """Where the next row after that starts, which the index knows."""
    found: tuple[int | None] = connection.execute(_NEXT, (room, last)).fetchone()
    return found


class _Rows:
    """The rows of a room, one after the other.

    Attributes:
        at: where the next one is to start.
        last: where the last one started.
    """

    def __init__(self, room: RoomReader) -> None:
        self.at = room.start
        self.last = room.start.seq - 1
        self._room = room
        self._framing = framing_of(room.framing)
        self._time = 0.0
        # Whether the end of the last row is known.
        self._follows = True

    def begin(self, start: Mark) -> None:
        """Pass over what retention has deleted meanwhile."""
        self.at = max(self.at, start)

    def skip(self, seq: int | None) -> None:
        """Pass over a row that starts there and cannot be read; None: nothing is left."""
        self.last = self._room.head.seq if seq is None else seq
        self.at = Mark(max(self.at.seq, self.last), self.at.offset)
        self._follows = False

    def faults_of_end(self, end: Mark) -> Iterator[str]:
        """What is wrong where no more rows come, or the next one starts there."""
        if self._follows and end.seq > self.at.seq:
            yield f"after {self._room.position(self.at.seq)}, messages are missing: {end.seq - self.at.seq}"

    def faults_of(self, row: tuple[Any, ...]) -> Iterator[str]:
        """What is wrong with the next row."""
        start, end = Mark(row[0], row[2]), Mark(row[1], row[3])
        yield from self.faults_of_end(start)
        if self._follows and start.seq <= self.at.seq and start != self.at:
            yield f"after {self._room.position(start.seq)}, a row does not begin where the one before it ends"
        try:
            faults = list(self._faults_in(row, start, end))
        except Exception as error:
            faults = [f"a row is damaged: {error}"]
        for fault in faults:
            yield f"after {self._room.position(start.seq)}, {fault}"
        self.at, self.last, self._follows = end, start.seq, True

    def _faults_in(self, row: tuple[Any, ...], start: Mark, end: Mark) -> Iterator[str]:
        time, *rest = row[4:]
        chunk = chunk_of(start, *rest)
        if chunk.end != end:
            yield "batches do not fit their row"
        if time != chunk.batches[-1].time:
            yield "the time of a row is not that of its last batch"
        if sum(batch.size for batch in chunk.batches) != chunk.size:
            yield "batches and their bytes do not fit"
        elif self._framing is not None:
            for index, batch in enumerate(chunk.batches):
                count = self._framing.count(chunk.bytes_of(index))
                if count != batch.count:
                    yield f"a batch has {batch.count} messages, and {count} are in its bytes"
        for batch in chunk.batches:
            if not batch.time >= self._time:
                yield "a time is earlier than the one before it"
            self._time = batch.time


def _faults_of_terms(room: RoomReader) -> Iterator[str]:
    """What is wrong with the terms of a room."""
    terms: list[Term] = room.terms
    if terms[0].first > room.start.seq and len(terms) < TERMS_LIMIT:
        yield f"the term of the messages before {terms[0].first} is missing"
    reached = 0
    for term in terms:
        if not _TERM.fullmatch(term.name):
            yield f"{term.name!r} is not the name of a term"
        if term.first < reached or term.last < term.first:
            yield f"the term {term.name} does not follow the one before it"
        reached = term.last


def check_structure(store: StoreReader, progress: Callable[[], None]) -> list[str]:
    """What SQLite itself finds wrong with the file, each in a line.

    It is one long read. A thread does it, which is left alone where it would hurt a hubbub that writes the file.

    Args:
        store: the store. Nothing else may read it meanwhile, or afterwards where this fails.
        progress: is called again and again.

    Raises:
        StoreError: it cannot be read, or not without hurting that hubbub.
    """
    # So much a hubbub lets it grow between two checkpoints; beyond that it would begin to forget messages.
    limit = store.wal_size() + min(WAL_SIZE, store.size() // 8)
    result: list[list[str] | Exception] = []
    ended = threading.Event()

    def check() -> None:
        try:
            result.append(store.read(_integrity))
        except Exception as error:
            result.append(error)
        ended.set()

    threading.Thread(target=check, name="hubbub store check", daemon=True).start()
    while not ended.wait(LOOK_TIME):
        progress()
        if store.wal_size() > limit:
            reason = "the hubbub that writes it would have to wait for SQLite's check"
            raise StoreError(str(store.path), reason, "verify a copy of it")
    (found,) = result
    if isinstance(found, Damage):
        return [str(found)]
    if isinstance(found, Exception):
        raise found
    return found


def _integrity(connection: sqlite3.Connection) -> list[str]:
    texts = [str(text) for (text,) in connection.execute("PRAGMA integrity_check")]
    lines = [line for text in texts for line in text.splitlines() if not line.startswith("***")]
    return [] if lines == ["ok"] else lines
