"""The file that says up to where a room was printed, so that the next start goes on there.

It is replaced as a whole, and only behind what was printed. A program that is killed in between prints some messages
again, and misses none. So that this holds for a crash of the system too, an output that is a file is synced before the
position is, and the position before it gets its name. If the new name is lost with the power, an older position is
there, and some messages are printed again.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Final

from ..values.position import Position
from . import stdio
from .failure import Failure, Unreachable

if TYPE_CHECKING:
    from pathlib import Path

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
        # A link stays one.
        self._path = path.resolve()
        self._new = self._path.with_name(f"{self._path.name}.new")
        self.position = self._read()
        try:
            # Before anything is printed that could not be noted.
            with self._new.open("wb"):
                pass
            self._new.unlink()
        except OSError as error:
            raise Failure(f"--resume: cannot write {path}: {error.strerror}") from None

    def write(self, position: Position) -> None:
        """Replace what is in it.

        Raises:
            Unreachable: it cannot be written.
        """
        try:
            if stat.S_ISREG(os.fstat(stdio.STDOUT).st_mode):
                os.fsync(stdio.STDOUT)
            with self._new.open("wb") as file:
                file.write(f"{position}\n".encode())
                file.flush()
                os.fsync(file.fileno())
            self._new.replace(self._path)
        except OSError as error:
            raise Unreachable(f"cannot write {self._shown}: {error.strerror}") from None
        self.position = position

    def _read(self) -> Position | None:
        try:
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
