"""What the writer of a store writes: jobs, and the rows of a transaction that they become."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from ..log.chunk import Chunk, Mark
from ..log.terms import TERMS_LIMIT
from .rows import INSERT, ROW_SIZE, rows_of

if TYPE_CHECKING:
    import sqlite3

    from .retention import Retention

SMALL_ROOM: Final = 10
"""A room that has less rows is deleted at once when it is forgotten."""


class Job(Protocol):
    """Something to write.

    Attributes:
        size: about how many bytes.
    """

    @property
    def size(self) -> int:
        """See above."""

    def write(self, transaction: Transaction) -> None:
        """Write it."""


@dataclass(slots=True, frozen=True)
class Add:
    """Messages of a room."""

    room: int
    chunk: Chunk

    @property
    def size(self) -> int:
        return self.chunk.end.offset - self.chunk.start.offset

    def write(self, transaction: Transaction) -> None:
        transaction.add(self.room, self.chunk)


@dataclass(slots=True, frozen=True)
class Begin:
    """A new term of a room, which may be new itself.

    Attributes:
        room: its number.
        name: its name.
        framing: how its messages are kept, as text.
        term: the name of the term.
        at: where it begins.
        previous: the term before it and where that began and ended.
        hole: whether messages before it were not stored.
    """

    room: int
    name: str
    framing: str
    term: str
    at: Mark
    previous: tuple[str, int, int] | None
    hole: bool
    size: int = 256

    def write(self, transaction: Transaction) -> None:
        transaction.flush()
        room, execute = self.room, transaction.connection.execute
        # A room of that name may be there still, if forgetting it was given up.
        execute("UPDATE rooms SET name = NULL WHERE name = ? AND id <> ?", (self.name, room))
        execute("INSERT OR IGNORE INTO rooms VALUES (?, ?, ?, 0, 0, 0.0)", (room, self.name, self.framing))
        if self.hole:
            execute("UPDATE rooms SET start_seq = ?, start_offset = ? WHERE id = ?", (*self.at, room))
        if self.previous is not None:
            term, first, last = self.previous
            known = execute("UPDATE terms SET last = ? WHERE room = ? AND term = ?", (last, room, term)).rowcount
            if not known:
                # All of that term was given up.
                execute("INSERT INTO terms (room, term, first, last) VALUES (?, ?, ?, ?)", (room, term, first, last))
        execute(
            "INSERT INTO terms (room, term, first, last) VALUES (?, ?, ?, ?)", (room, self.term, *2 * (self.at.seq,))
        )
        execute(
            "DELETE FROM terms WHERE room = ?1 "
            "AND id <= (SELECT id FROM terms WHERE room = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            (room, TERMS_LIMIT),
        )


@dataclass(slots=True, frozen=True)
class Forget:
    """A room is to be deleted, with what is stored of it."""

    room: int
    size: int = 0

    def write(self, transaction: Transaction) -> None:
        transaction.flush()
        transaction.connection.execute("UPDATE rooms SET name = NULL WHERE id = ?", (self.room,))
        # A small one at once: rooms that come and go must not pile up.
        transaction.retention.delete_room(self.room, SMALL_ROOM)


@dataclass(slots=True, frozen=True)
class Probe:
    """A write, to see whether the store takes something again: more than what the WAL has room for anyway."""

    size: int = 2 * ROW_SIZE

    def write(self, transaction: Transaction) -> None:
        transaction.connection.execute(f"CREATE TABLE probe AS SELECT zeroblob({self.size})")
        transaction.connection.execute("DROP TABLE probe")


class Transaction:
    """The rows of one transaction: consecutive small chunks of a room become one.

    Attributes:
        connection: that of the writer.
        retention: what is deleted.
        ends: up to where rooms are stored when it is committed.
    """

    def __init__(self, connection: sqlite3.Connection, retention: Retention) -> None:
        self.connection = connection
        self.retention = retention
        self.ends: dict[int, Mark] = {}
        self._small: dict[int, Chunk] = {}

    def add(self, room: int, chunk: Chunk) -> None:
        """Write a chunk, soon."""
        self.ends[room] = chunk.end
        small = self._small.get(room)
        if small is not None and (small.end != chunk.start or chunk.end.offset - small.start.offset > ROW_SIZE):
            self._insert(room, self._small.pop(room))
            small = None
        if small is not None:
            small.extend(chunk)
        elif chunk.end.offset - chunk.start.offset < ROW_SIZE:
            # A copy, as chunks are read while they wait.
            copy = self._small[room] = Chunk()
            copy.extend(chunk)
        else:
            self._insert(room, chunk)

    def flush(self) -> None:
        """Write what was to be written soon."""
        for room, chunk in self._small.items():
            self._insert(room, chunk)
        self._small.clear()

    def _insert(self, room: int, chunk: Chunk) -> None:
        self.connection.executemany(INSERT, rows_of(room, chunk))
