"""Only one process at a time writes a store: a lock of the operating system, which ends with the process."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class InUse(Exception):
    """Another process, or another store of this one, has the lock.

    Attributes:
        process: its number, as text; "" where it has not said so yet.
    """

    def __init__(self, process: str) -> None:
        super().__init__(process)
        self.process = process


class Lock:
    """A lock on a file beside the store, which is there while the lock is held.

    Not on the database itself: SQLite's own locks end when anybody in the process closes that file.

    Args:
        path: of the file.

    Raises:
        InUse: somebody else has it.
        OSError: the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        while True:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                process = os.read(self._descriptor, 32).decode("ascii", "replace").strip()
                os.close(self._descriptor)
                raise InUse(process if process.isdecimal() else "") from error
            if self._is_the_file():
                break
            os.close(self._descriptor)
        os.ftruncate(self._descriptor, 0)
        # A full disk takes no number, and the lock holds without it.
        with suppress(OSError):
            os.write(self._descriptor, b"%d\n" % os.getpid())

    def release(self) -> None:
        """Remove the file, and let go."""
        with suppress(OSError):
            self._path.unlink()
        os.close(self._descriptor)

    def _is_the_file(self) -> bool:
        """Whether the file is still there: its last holder may have removed it before it let go."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._descriptor))
