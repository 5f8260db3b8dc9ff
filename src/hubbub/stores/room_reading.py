"""Reading one room of a store from outside: what it has, where a place in it is, and its messages."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, cast

from ..log.chunk import Mark
from ..log.seeking import find
from ..log.terms import Term, Terms
from .reading import Damage, NoSuchRoom, StoreReader, one_moment
from .rows import chunk_of, find_first

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from ..log.chunk import Chunk
    from ..log.log import Log
    from ..log.store import Key
    from ..values.position import Position
    from ..values.since import Since

AHEAD: Final = 256 * 1024
"""Bytes after which no further row is read at once."""

_ROOM: Final = "SELECT id, framing, start_seq, start_offset, time FROM rooms WHERE name = ?"
_END: Final = "SELECT end_seq, end_offset, time FROM chunks WHERE room = ? ORDER BY seq DESC LIMIT 1"
_ROWS: Final = (
    "SELECT seq, end_seq, offset, checksum, batches, data FROM chunks "
    "WHERE room = ?1 AND seq >= (SELECT max(seq) FROM chunks WHERE room = ?1 AND seq <= ?2) ORDER BY seq LIMIT ?3"
)
ALL: Final = -1
"""The limit of a query that has none."""

_TERMS: Final = "SELECT term, first, last FROM terms WHERE room = ? ORDER BY id"
_LAST_TERM: Final = "SELECT max(id) FROM terms WHERE room = ?"


class RoomReader:
    """One room of a store, as it was at the last look.

    Args:
        store: the store.
        name: the name of the room.

    Attributes:
        name: see above.
        id: its number in the file.
        framing: how its messages are kept, as text.
        start: where its stored messages start.
        head: where they end.
        time: the time of the newest one; 0.0 where there was none.
        terms: its terms, oldest first. The last one ends at `head`.

    Raises:
        NoSuchRoom: the store has none of that name.
        Damage, StoreError: it cannot be read.
    """

    def __init__(self, store: StoreReader, name: str) -> None:
        self.name = name
        self.id = 0
        self.framing = ""
        self.start = self.head = Mark(0, 0)
        self.time = 0.0
        self.terms: list[Term] = []
        self._store = store
        self._last_term: int | None = None
        self._positions = Terms(())
        store.read(self._look)

    def position(self, seq: int) -> Position:
        """The position of the place after `seq` messages."""
        return self._positions.position(seq)

    def find(self, since: Since, now: float) -> int:
        """How many messages come before a place, as a replay from there has it.

        Args:
            since: the place.
            now: the time, in seconds since 1970.

        Raises:
            PositionLost: it is a position that the room does not hold.
            Damage, StoreError: it cannot be read.
        """
        return asyncio.run(find(cast("Log[Any]", _AsLog(self)), since, now)).seq

    def read(self, at: int) -> Sequence[Chunk]:
        """Some chunks: the first one holds the message after the first `at`, or after `start` where that is later.

        Returns:
            None at all at the end.

        Raises:
            NoSuchRoom: it was deleted.
            Damage, StoreError: the first one cannot be read.
        """
        try:
            return self._store.read(lambda connection: self._read(connection, at, ALL))
        except Damage:
            # Of rows that are read together, the first ones may be good.
            return self._store.read(lambda connection: self._read(connection, at, 1))

    def first_time(self) -> float | None:
        """When its first message was said, in seconds since 1970; None: it has none.

        Raises:
            NoSuchRoom: it was deleted.
            Damage, StoreError: it cannot be read.
        """
        chunks = self._store.read(lambda connection: self._read(connection, 0, 1))
        return chunks[0].batches[0].time if chunks else None

    def first(self, key: Key, least: float) -> Mark:
        """As a `StoredLog` has it."""
        within = self.start.seq, self.head.seq
        found = self._store.read(lambda connection: find_first(connection, self.id, key, least, within))
        return found or self.head

    def _look(self, connection: sqlite3.Connection) -> None:
        with one_moment(connection):
            self._look_in(connection)

    def _look_in(self, connection: sqlite3.Connection) -> None:
        room = connection.execute(_ROOM, (self.name,)).fetchone()
        if room is None or self.id not in (0, room[0]):
            raise NoSuchRoom(self.name)
        _check_types(room, int, str, int, int, float)
        self.id, self.framing, seq, offset, time = room
        self.start = self.head = Mark(seq, offset)
        end = connection.execute(_END, (self.id,)).fetchone()
        if end is not None:
            self.head = max(self.start, Mark(*end[:2]))
        self.time = max(time, end[2] if end else 0.0)
        (last_term,) = connection.execute(_LAST_TERM, (self.id,)).fetchone()
        if last_term != self._last_term:
            self._last_term = last_term
            self.terms = [Term(*term) for term in connection.execute(_TERMS, (self.id,))]
            for term in self.terms:
                _check_types(term, str, int, int)
            self._positions = Terms(self.terms[:-1])
            self._positions.begin(self.terms[-1].name, self.terms[-1].first)
        if not self.terms:
            raise Damage(f"room {self.name} has no term")
        self.terms[-1] = self.terms[-1]._replace(last=self.head.seq)

    def _read(self, connection: sqlite3.Connection, at: int, limit: int) -> Sequence[Chunk]:
        """The chunks of so many rows, or all."""
        chunks: list[Chunk] = []
        size = 0
        with one_moment(connection), closing(connection.cursor()) as rows:
            self._look_in(connection)
            at = max(at, self.start.seq)
            if at >= self.head.seq:
                return chunks
            for start, end, offset, *rest in rows.execute(_ROWS, (self.id, at, limit)):
                if not start <= at < end:
                    raise Damage("messages are missing")
                chunk = chunk_of(Mark(start, offset), *rest)
                if chunk.end.seq != end or sum(batch.size for batch in chunk.batches) != chunk.size:
                    raise Damage("batches and their bytes do not fit")
                chunks.append(chunk)
                at, size = end, size + chunk.size
                if size >= AHEAD:
                    break
        return chunks


def _check_types(row: tuple[Any, ...], *types: type) -> None:
    """See that a row has what was written: SQLite keeps values of any type in any column."""
    if tuple(map(type, row)) != types:
        raise Damage("a column has a wrong type")


class _AsLog:
    """A room as `find` takes a log of which memory holds nothing."""

    chunks: Sequence[Chunk] = ()

    def __init__(self, room: RoomReader) -> None:
        self.head = self.oldest = room.head
        self.terms = room._positions
        self.position = room.position
        self.older = self
        self._room = room

    @property
    def start(self) -> int:
        """Retention may move it."""
        return self._room.start.seq

    def mark(self) -> Mark:
        return self.head

    def mark_of(self, seq: int) -> Mark:
        """Only that of the head is asked for."""
        return self.head

    async def chunk_at(self, seq: int) -> Chunk:
        return self._room.read(seq)[0]

    async def first(self, key: Key, least: float) -> Mark:
        return self._room.first(key, least)
