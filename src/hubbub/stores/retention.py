"""What the store forgets: the oldest messages, by bytes on the disk, and of each room by age, count and counted bytes.

It deletes within the transactions of the writer, a slice in each, and early enough: on a full disk no `DELETE` succeeds
either. The file never gets smaller. Its free pages are used again.
"""

from __future__ import annotations

import os
import time
from contextlib import closing
from typing import TYPE_CHECKING, Final

from ..log.chunk import Mark
from .age import AgeClock
from .schema import PAGE

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

    from ..values.settings import Settings

KIB: Final = 1024

SLICE: Final = 500
"""Rows that one transaction deletes for one reason."""

DELETED_ROOMS: Final = 10
"""Rooms of which one transaction deletes what is left."""

ROOMS_SLICE: Final = 250
"""Rooms that are looked at every `PERIOD`, of which nothing new was stored."""

PERIOD: Final = 1.0
"""Seconds between two looks at them."""

WAL_SIZE: Final = 8 * KIB * KIB
"""Bytes that the WAL has before a checkpoint; less in a small store."""

TRANSACTION_SIZE: Final = 4 * KIB * KIB
"""About the most bytes that one transaction writes."""

_OLDEST: Final = "SELECT id, room, end_seq, end_offset, time, length(batches) + length(data) FROM chunks ORDER BY id"
_OLDEST_OF_ROOM: Final = "SELECT end_seq, offset, end_offset, time FROM chunks WHERE room = ? ORDER BY seq"
_NEWEST_OF_ROOM: Final = "SELECT end_seq, end_offset FROM chunks WHERE room = ? ORDER BY seq DESC LIMIT 1"
_MOVE: Final = (
    "UPDATE rooms SET start_seq = max(start_seq, ?), start_offset = max(start_offset, ?), time = max(time, ?) "
    "WHERE id = ?"
)


class Retention:
    """Deletes what is overdue.

    Args:
        connection: that of the writer.
        path: of the database.
        settings: those of the server.

    Attributes:
        wal_limit: bytes of the WAL at which there is a checkpoint.
        wal_room: bytes that the WAL has at most.
        transaction_limit: bytes after which a transaction takes no more.
        backlog: whether more is overdue than the last transaction deleted.
        moved: where rooms start of which this transaction has deleted messages.
        short: whether the disk had less room than the settings allow.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, settings: Settings) -> None:
        self._connection = connection
        self._path = path
        self._wal = path.with_name(path.name + "-wal")
        self._settings = settings
        self.wal_limit = min(WAL_SIZE, settings.store_size // 16)
        self.transaction_limit = min(TRANSACTION_SIZE, self.wal_limit)
        # The rest of `store_size` is for the WAL. Readers can keep that from starting again, up to twice its limit, and
        # the transaction that reaches this is over it.
        self.wal_room = 3 * self.wal_limit
        spare = self.wal_room + min(384 * KIB, settings.store_size // 4)
        self._pages_limit = (settings.store_size - spare) // PAGE
        self._limits: dict[int, Settings] = {}
        self._some_limits = _limited(settings)
        self._clock = AgeClock()
        self.short = False
        self.moved: dict[int, Mark] = {}
        # Rooms may have been left half deleted.
        self.backlog = True
        self._next_room = 0
        self._looked = 0.0

    def start(self) -> None:
        """Set the floor below all of this: SQLite itself lets the file grow no further."""
        self._connection.execute(f"PRAGMA max_page_count = {self._pages_limit}")

    def limit(self, room: int, settings: Settings) -> None:
        """Note that a room has settings of its own. It may be called in any thread."""
        self._limits[room] = settings
        self._some_limits = self._some_limits or _limited(settings)

    def unlimit(self, room: int) -> None:
        """Forget the settings of a room. It may be called in any thread."""
        self._limits.pop(room, None)

    @property
    def pause(self) -> float | None:
        """Seconds after which it has something to do, even if nothing is stored; None: it has not."""
        if self.backlog:
            return 0.0
        return max(0.001, self._looked + PERIOD - time.monotonic()) if self._some_limits else None

    def make_room(self, size: int) -> None:
        """Begin a transaction that will write so many bytes: delete the oldest messages, if there is no room."""
        self.moved = {}
        self.backlog = False
        self._delete_for_size(size)

    def trim(self, rooms: Iterable[int]) -> None:
        """End a transaction that has written messages of these rooms: delete what is overdue."""
        self._delete_rooms()
        for room in rooms:
            settings = self._limits.get(room, self._settings)
            if settings.store_count is not None or settings.store_size < self._settings.store_size:
                self._look_at(room, settings)
        if time.monotonic() >= self._looked + PERIOD:
            self._looked = time.monotonic()
            self._look_around()

    def _pages(self, pragma: str) -> int:
        (pages,) = self._connection.execute(f"PRAGMA {pragma}").fetchone()
        return int(pages)

    def size_on_disk(self) -> int:
        """Bytes of the database and its WAL."""
        return self._path.stat().st_size + self.wal_size()

    def wal_size(self) -> int:
        """Bytes of the WAL."""
        return self._wal.stat().st_size

    def _delete_for_size(self, size: int) -> None:
        """Delete the oldest rows of all rooms until there is room for `size` bytes on the disk."""
        pages, wal = self._pages("page_count"), self.wal_size()
        limit = self._pages_limit - max(0, wal - self.wal_room) // PAGE
        on_disk = pages + self._free_on_disk(pages, wal) // PAGE
        if on_disk < limit:
            limit = on_disk
            self.short = self.short or pages >= limit
        # Besides its bytes, a row takes the rest of its last page, and its part of the index.
        needed = (size * 9 // 8) // PAGE + 8
        overdue = (pages - self._pages("freelist_count") + needed - limit) * PAGE
        if overdue <= 0:
            return
        # Twice of what comes: so it gets less, and no transaction takes long.
        enough = min(overdue, 2 * size + 256 * KIB)
        last = None
        starts: dict[int, tuple[int, int, float]] = {}
        with closing(self._connection.execute(_OLDEST)) as rows:
            for count, (row, room, seq, offset, newest, length) in enumerate(rows):
                if enough <= 0 or count == SLICE:
                    break
                last = row
                starts[room] = seq, offset, newest
                enough -= length
                overdue -= length
        if last is not None:
            self._connection.execute("DELETE FROM chunks WHERE id <= ?", (last,))
            self._move(starts)
            self.backlog = overdue > 0

    def _free_on_disk(self, pages: int, wal: int) -> int:
        """Bytes by which the database may grow on its disk: the WAL must have room to grow to its limit, too."""
        disk = os.statvfs(self._path.parent)
        unwritten = max(0, pages * PAGE - self._path.stat().st_size)
        return disk.f_bavail * disk.f_frsize - max(0, self.wal_room - wal) - unwritten

    def _look_around(self) -> None:
        """Look at some rooms, whether messages of them are overdue; the next time at others."""
        query = "SELECT id FROM rooms WHERE id >= ? AND name IS NOT NULL ORDER BY id LIMIT ?"
        rooms = [room for (room,) in self._connection.execute(query, (self._next_room, ROOMS_SLICE))]
        self._next_room = rooms[-1] + 1 if len(rooms) == ROOMS_SLICE else 0
        for room in rooms:
            settings = self._limits.get(room, self._settings)
            if _limited(settings) or settings.store_size < self._settings.store_size:
                self._look_at(room, settings)

    def _look_at(self, room: int, settings: Settings) -> None:
        """Delete the oldest rows of a room that are overdue by its own settings, at most a slice."""
        newest = self._connection.execute(_NEWEST_OF_ROOM, (room,)).fetchone()
        if newest is None:
            return
        seq_limit = 0 if settings.store_count is None else newest[0] - settings.store_count
        offset_limit = newest[1] - settings.store_size if settings.store_size < self._settings.store_size else 0
        time_limit = 0.0 if settings.store_age is None else self._clock.now() - settings.store_age
        last = None
        with closing(self._connection.execute(_OLDEST_OF_ROOM, (room,))) as rows:
            for count, (seq, begin, offset, stored) in enumerate(rows):
                if seq > seq_limit and begin >= offset_limit and stored >= time_limit:
                    break
                if count == SLICE:
                    # The next transaction looks around at once, and goes on.
                    self.backlog = True
                    self._looked = 0.0
                    break
                last = seq, offset, stored
        if last is not None:
            self._connection.execute("DELETE FROM chunks WHERE room = ? AND seq < ?", (room, last[0]))
            self._move({room: last})

    def delete_room(self, room: int, rows: int) -> int:
        """Delete a room that has no name any more, if it has fewer rows than so many; else only these. How many."""
        query = "SELECT max(seq) FROM (SELECT seq FROM chunks WHERE room = ? ORDER BY seq LIMIT ?)"
        (last,) = self._connection.execute(query, (room, rows)).fetchone()
        deleted = self._connection.execute("DELETE FROM chunks WHERE room = ? AND seq <= ?", (room, last)).rowcount
        if deleted < rows:
            self._connection.execute("DELETE FROM terms WHERE room = ?", (room,))
            self._connection.execute("DELETE FROM rooms WHERE id = ?", (room,))
            self.unlimit(room)
        else:
            self.backlog = True
        return deleted

    def _delete_rooms(self) -> None:
        """Delete a slice of what is left of some rooms that have no name any more."""
        left = SLICE
        found = self._connection.execute("SELECT id FROM rooms WHERE name IS NULL LIMIT ?", (DELETED_ROOMS,)).fetchall()
        for (room,) in found:
            left -= self.delete_room(room, left)
            if not left:
                return
        self.backlog = self.backlog or len(found) == DELETED_ROOMS

    def _move(self, starts: dict[int, tuple[int, int, float]]) -> None:
        """Note where rooms start after their first rows were deleted."""
        self._connection.executemany(_MOVE, ((*start, room) for room, start in starts.items()))
        for room, (seq, offset, _) in starts.items():
            self.moved[room] = max(self.moved.get(room, Mark(0, 0)), Mark(seq, offset))


def _limited(settings: Settings) -> bool:
    return settings.store_age is not None or settings.store_count is not None
