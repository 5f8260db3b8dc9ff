"""The file of a store: its tables, what it must be to be used, and its connections.

The one connection that writes also checkpoints. All others are read-only: two that write could corrupt the database,
and a reader that stays for long would let its WAL grow without bound.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from ..log.chunk import Mark
from ..log.terms import Term
from ..values.errors import StoreError
from .lock import InUse, Lock

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION: Final = 0x68756262
"""`PRAGMA application_id` of a store: "hubb"."""

VERSION: Final = 1
"""`PRAGMA user_version` of the tables below."""

PAGE: Final = 16 * 1024
"""Bytes of a page."""

BUSY_TIME: Final = 0.1
"""Seconds that the writer waits for readers, before it lets the WAL grow a bit further."""

# A room without a name is being deleted. Its stored messages are from `start` on: rows before that are left from before
# messages that were not stored. `time` is that of the newest message that was deleted.
_TABLES: Final = """
CREATE TABLE rooms (
    id INTEGER PRIMARY KEY, name TEXT UNIQUE, framing TEXT NOT NULL,
    start_seq INTEGER NOT NULL, start_offset INTEGER NOT NULL, time REAL NOT NULL
);
CREATE TABLE terms (
    id INTEGER PRIMARY KEY, room INTEGER NOT NULL, term TEXT NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL
);
CREATE INDEX terms_of_room ON terms (room);
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY, room INTEGER NOT NULL, seq INTEGER NOT NULL, end_seq INTEGER NOT NULL,
    offset INTEGER NOT NULL, end_offset INTEGER NOT NULL, time REAL NOT NULL, checksum INTEGER NOT NULL,
    batches BLOB NOT NULL, data BLOB NOT NULL
);
CREATE UNIQUE INDEX chunks_of_room ON chunks (room, seq);
"""

_ROOMS: Final = """
SELECT rooms.id, name, framing, start_seq, start_offset, rooms.time, end_seq, end_offset, newest.time
FROM rooms LEFT JOIN chunks AS newest
ON newest.id = (SELECT id FROM chunks WHERE room = rooms.id ORDER BY seq DESC LIMIT 1)
WHERE name IS NOT NULL ORDER BY rooms.id
"""

MOVE: Final = "move it away, or choose another path"


class StoredRoom(NamedTuple):
    """What the file has of a room.

    Attributes:
        id: its number in the file.
        name: its name.
        framing: how its messages are kept, as text.
        start: where its stored messages start.
        end: where they end.
        time: the time of the newest one; 0.0 where there was none.
        terms: its terms, of which the last one ends at `end`.
    """

    id: int
    name: str
    framing: str
    start: Mark
    end: Mark
    time: float
    terms: list[Term]


class StoreFile:
    """The file of a store, opened, checked and locked, with the connection that writes.

    Args:
        path: of the database.

    Raises:
        StoreError: it cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            check_file(path)
            # By whatever name the file goes, its lock is one.
            real = path.resolve()
            self._lock = Lock(real.with_name(real.name + "-lock"))
        except InUse as error:
            who = f"process {error.process}" if error.process else "another process"
            raise StoreError(str(path), f"in use by {who}", "close that hubbub, or choose another path") from error
        except OSError as error:
            raise refusal_of(path, error) from error
        try:
            check_file(path, writable=True)
            # Nobody else may read what is said. SQLite makes the files beside it as this one is.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self.connection = _connect(path, "rw")
            try:
                self._prepare()
            except BaseException:
                self.connection.close()
                raise
        except BaseException as error:
            self._lock.release()
            if isinstance(error, OSError | sqlite3.Error):
                raise refusal_of(path, error) from error
            raise

    def rooms(self) -> list[StoredRoom]:
        """All rooms that the file has.

        Raises:
            StoreError: it is damaged.
        """
        try:
            return rooms_of(self.connection)
        except sqlite3.Error as error:
            raise refusal_of(self.path, error) from error

    @property
    def last_room(self) -> int:
        """The highest number of a room so far."""
        (number,) = self.connection.execute("SELECT max(id) FROM rooms").fetchone()
        return int(number or 0)

    def close(self) -> None:
        """Close the connection and let go of the file."""
        with suppress(sqlite3.Error):
            self.connection.close()
        self._lock.release()

    def _prepare(self) -> None:
        connection = self.connection
        if not check_database(connection, self.path):
            connection.execute(f"PRAGMA page_size = {PAGE}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIME * 1000)}")
        if not check_database(connection, self.path):
            connection.executescript(
                f"BEGIN; {_TABLES} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT;"
            )
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that only reads. Each read must be short: meanwhile the WAL cannot start again.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    connection = _connect(path, "ro")
    try:
        # Most of what is read is read once.
        connection.execute("PRAGMA cache_size = -256")
    except BaseException:
        connection.close()
        raise
    return connection


def rooms_of(connection: sqlite3.Connection) -> list[StoredRoom]:
    """All rooms of a database.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    rooms: dict[int, StoredRoom] = {}
    for number, name, framing, start, offset, time, end, end_offset, newest in connection.execute(_ROOMS):
        first = Mark(start, offset)
        # Before a start that was moved, there may be rows.
        last = first if end is None else max(first, Mark(end, end_offset))
        rooms[number] = StoredRoom(number, name, framing, first, last, max(time, newest or 0.0), [])
    for number, *term in connection.execute("SELECT room, term, first, last FROM terms ORDER BY id"):
        if number in rooms:
            rooms[number].terms.append(Term(*term))
    for room in rooms.values():
        room.terms[-1:] = [term._replace(last=room.end.seq) for term in room.terms[-1:]]
    return list(rooms.values())


def check_file(path: Path, *, writable: bool = False) -> None:
    """Check what can be told of a file before it is opened as a database. It may be missing.

    Raises:
        StoreError: it is of another kind.
        OSError: it cannot be opened.
    """
    if path.is_dir():
        raise StoreError(str(path), "it is a folder", "name a file in it")
    if path.exists() and not path.is_file():
        raise StoreError(str(path), "it is not a regular file", "choose another path")
    if not path.parent.is_dir():
        raise StoreError(str(path), f"there is no folder {path.parent}", "make the folder, or choose another path")
    flags = os.O_RDWR if writable else os.O_RDONLY
    try:
        descriptor = os.open(path, flags | os.O_NONBLOCK)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "rb") as file:
        header = file.read(100)
        size = file.seek(0, os.SEEK_END)
    if header and not header.startswith(b"SQLite format 3\0"):
        raise StoreError(str(path), "it is not a store of hubbub", MOVE)
    missing = _size_of(header) - size
    wal = path.with_name(path.name + "-wal")
    # What is missing may still be in the WAL. SQLite itself finds out, and says that the file is damaged.
    if missing > 0 and not (wal.exists() and wal.stat().st_size):
        raise StoreError(str(path), f"it is truncated: {missing} bytes are missing", f"restore a copy of it, or {MOVE}")


def _size_of(header: bytes) -> int:
    """Bytes that a database has by its header (https://www.sqlite.org/fileformat.html); 0 where that does not say."""
    fields = header.ljust(100, b"\0")
    page, pages = (int.from_bytes(fields[start:stop], "big") for start, stop in ((16, 18), (28, 32)))
    return page * pages if fields[24:28] == fields[92:96] else 0


def check_database(connection: sqlite3.Connection, path: Path) -> bool:
    """Check whose database it is; whether it has the tables already.

    Raises:
        StoreError: it is another program's, or newer than this hubbub.
        sqlite3.Error: it cannot be read.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not (application or version or tables):
        return False
    if application != APPLICATION:
        raise StoreError(str(path), "it is a database of another program", MOVE)
    if version > VERSION:
        raise StoreError(
            str(path),
            f"a newer hubbub made it (version {version}; this one knows {VERSION})",
            "update hubbub, or choose another path",
        )
    return True


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
    )


_OS_ADVICE: Final = {
    errno.EACCES: "give this user the permission to write it and its folder",
    errno.EPERM: "give this user the permission to write it and its folder",
    errno.EROFS: "choose a path on a file system that can be written",
    errno.ENOSPC: "make room on its disk",
}


def refusal_of(path: Path, error: OSError | sqlite3.Error) -> StoreError:
    """Why a file cannot be used, as the system or SQLite says."""
    if isinstance(error, OSError):
        reason = (error.strerror or str(error)).lower()
        return StoreError(str(path), reason, _OS_ADVICE.get(error.errno or 0, "choose another path"))
    return StoreError(str(path), reason_of(error), advice_for(error))


def reason_of(error: sqlite3.Error) -> str:
    """What SQLite says, with the name of its code."""
    name = getattr(error, "sqlite_errorname", None)
    return f"{error} ({name})" if name else str(error)


def is_full(error: Exception) -> bool:
    """Whether SQLite says that the disk is full."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL


def advice_for(error: sqlite3.Error) -> str:
    """What to do about an error of SQLite."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return next((advice for codes, advice in _SQLITE_ADVICE if code in codes), "look at its disk")


_SQLITE_ADVICE: Final = (
    ((sqlite3.SQLITE_FULL,), "make room on its disk"),
    ((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB), "it is damaged: " + MOVE),
    ((sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM), "make it and its folder writable"),
    ((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED), "let no other program write it"),
)
