"""The file that says up to where a room was printed, so that the next start goes on there.

It is replaced as a whole, and only behind what was printed. A program that is killed in between prints some messages
again, and misses none. So that this holds for a crash of the system too, an output that is a file is synced before the
position is, and the position before it gets its name. If the new name is lost with the power, an older position is
there, and some messages are printed again.
"""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..values.position import Position
from . import stdio
from .failure import Failure, Unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST: Final = 100
"""More bytes than a position has."""


class PositionFile:
    """A file with a position.

    Args:
        path: where it is, or is to be.

    Raises:
        Failure: it cannot be read or written, or has something else in it.
    """

    def __init__(self, path: Path) -> None:
        self._shown = path
        # A link stays one. (`Path.resolve` raises where links go round in a circle.)
        self._path = Path(os.path.realpath(path))
        self.position = self._read()
        try:
            # Before anything is printed that could not be noted.
            with self._new_file():
                pass
        except OSError as error:
            raise Failure(f"--resume: cannot write {path}: {error.strerror}") from None

    def write(self, position: Position) -> None:
        """Replace what is in it.

        Raises:
            Unreachable: it, or the output, cannot be written.
        """
        try:
            if stat.S_ISREG(os.fstat(stdio.STDOUT).st_mode):
                os.fsync(stdio.STDOUT)
        except OSError as error:
            raise Unreachable(f"cannot write standard output: {error.strerror}") from None
        try:
            with self._new_file() as (descriptor, new):
                stdio.write_now(descriptor, f"{position}\n".encode())
                os.fchmod(descriptor, self._mode())
                os.fsync(descriptor)
                new.replace(self._path)
        except OSError as error:
            raise Unreachable(f"cannot write {self._shown}: {error.strerror}") from None
        self.position = position

    @contextmanager
    def _new_file(self) -> Iterator[tuple[int, Path]]:
        """A file next to it that nobody else has: its descriptor and its path. What was not renamed is removed."""
        # With its own name cut, it is not too long.
        descriptor, name = tempfile.mkstemp(".new", f"{self._path.name[:50]}.", self._path.parent)
        try:
            yield descriptor, Path(name)
        finally:
            os.close(descriptor)
            Path(name).unlink(missing_ok=True)

    def _mode(self) -> int:
        """The permissions that it has, or that a new file gets."""
        try:
            return stat.S_IMODE(self._path.stat().st_mode)
        except FileNotFoundError:
            mask = os.umask(0o077)
            os.umask(mask)
            return 0o666 & ~mask

    def _read(self) -> Position | None:
        try:
            # Opening a FIFO would wait for a writer.
            if not stat.S_ISREG(self._path.stat().st_mode):
                raise Failure(f"--resume: {self._shown} is not a regular file; name another one")
            with self._path.open("rb") as file:
                text = file.read(_LONGEST).decode(errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Failure(f"--resume: cannot read {self._shown}: {error.strerror}") from None
        try:
            return Position.parse(text.strip())
        except ValueError:
            # It may be a file of secrets, so it is not shown.
            advice = "remove it to begin at --since, or name another one"
            raise Failure(f"--resume: {self._shown} has no position in it; {advice}") from None
