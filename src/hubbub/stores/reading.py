"""Reading a store of SQLite from outside: beside the hubbub that writes it, or when there is none.

Each read is short, and of one moment. Between reads no lock is held for which a writer waits, and the WAL can start
again. Nothing is written, and nothing is made beside a file that nobody has open:

- With a WAL beside it, the file is being written, or its last writer was killed. SQLite reads both.
- Without one, all is in the file itself. It is read as it stands (`immutable`), so its folder need not be writable. If
  it was changed meanwhile, a writer has started, and the read is done again.
"""

from __future__ import annotations

import errno
import sqlite3
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from ..values.errors import StoreError
from .schema import advice_for, check_database, check_file, connect_to_read, reason_of, refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Self

T = TypeVar("T")

_NAMES: Final = "SELECT name FROM rooms WHERE name IS NOT NULL ORDER BY name"
_DAMAGED: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_CLOSED_FOLDER: Final = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)


class Damage(Exception):
    """What is stored does not fit together, or SQLite cannot read it. The text says what, and where."""


class NoSuchRoom(Exception):
    """The store has no room `name`, or not any more."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the store has no room {name}")
        self.name = name


class _State(NamedTuple):
    """What a file is, and as long as nobody has it open, what was written last."""

    device: int
    inode: int
    content: tuple[int, int] | None


def check_store(path: Path) -> None:
    """Check that a file is a store, also while a server has it, or that one could be made there.

    Raises:
        StoreError: it is none, and none could be made; or it is damaged.
    """
    try:
        check_file(path, writable=True)
        if path.exists() and path.stat().st_size:
            with StoreReader(path):
                pass
    except OSError as error:
        raise refusal_of(path, error) from error
    except Damage as error:
        raise StoreError(str(path), str(error), "restore a copy of it, or choose another path") from error


class StoreReader:
    """A store that is only read.

    Args:
        path: of its file.

    Raises:
        StoreError: it cannot be opened.
        Damage: it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._wal = path.with_name(path.name + "-wal")
        self._connection: sqlite3.Connection | None = None
        self._opened: _State | None = None
        self.read(lambda _: None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def names(self) -> list[str]:
        """The names of all rooms, in order.

        Raises:
            Damage, StoreError: they cannot be read.
        """
        return self.read(lambda connection: [str(name) for (name,) in connection.execute(_NAMES)])

    def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """What a function returns that is given a connection. It may be called again.

        While it runs, the WAL of a hubbub that writes the file cannot start again. So it must be quick.

        Raises:
            Damage, StoreError: it cannot be read.
        """
        while True:
            before = self._look()
            try:
                result = function(self._connect(before))
            except (Damage, StoreError, NoSuchRoom):
                self.release()
                if self._look() == before:
                    raise
            except sqlite3.Error as error:
                self.release()
                if self._look() == before:
                    raise self._failure_of(error) from error
            except Exception as error:
                # The bookkeeping is not what was written.
                self.release()
                if self._look() == before:
                    raise Damage(str(error) or repr(error)) from error
            else:
                if self._look() == before:
                    return result

    def size(self) -> int:
        """Bytes of the file.

        Raises:
            StoreError: it is not there any more.
        """
        try:
            return self.path.stat().st_size
        except OSError as error:
            raise self._refusal(error) from None

    def wal_size(self) -> int:
        """Bytes of the WAL, which grows while a read goes on."""
        with suppress(FileNotFoundError):
            return self._wal.stat().st_size
        return 0

    def release(self) -> None:
        """Close the connection; the next read makes another one. The last writer removes the WAL if it is alone."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _look(self) -> _State:
        try:
            status = self.path.stat()
            try:
                self._wal.stat()
            except FileNotFoundError:
                return _State(status.st_dev, status.st_ino, (status.st_size, status.st_mtime_ns))
            return _State(status.st_dev, status.st_ino, None)
        except OSError as error:
            raise self._refusal(error) from None

    def _connect(self, state: _State) -> sqlite3.Connection:
        if self._connection is not None and state == self._opened:
            return self._connection
        self.release()
        try:
            mode = self.path.stat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise StoreError(str(self.path), "it is not a file", "name the file of a store")
            check_file(self.path)
        except OSError as error:
            raise self._refusal(error) from None
        self._opened = state
        if state.content is None:
            self._connection = connect_to_read(self.path)
        else:
            uri = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
            self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
        if not check_database(self._connection, self.path):
            raise StoreError(str(self.path), "it is empty", "name the file that a hubbub has written")
        return self._connection

    def _refusal(self, error: OSError) -> StoreError:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return StoreError(str(self.path), "there is no such file", "name the file that a hubbub has written")
        advice = "give this user the permission to read it" if error.errno == errno.EACCES else "look at its disk"
        return StoreError(str(self.path), (error.strerror or str(error)).lower(), advice)

    def _failure_of(self, error: sqlite3.Error) -> Damage | StoreError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGED:
            return Damage(reason_of(error))
        advice = advice_for(error)
        if code in _CLOSED_FOLDER:
            advice = f"give this user the permission to write its folder, or copy it and {self._wal.name} elsewhere"
        return StoreError(str(self.path), reason_of(error), advice)


@contextmanager
def one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """What is read inside is of one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        # After some errors SQLite has ended it by itself.
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
