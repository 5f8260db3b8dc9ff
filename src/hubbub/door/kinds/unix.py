"""A Unix socket at a path."""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import unquote

from ..kind import Kind, prepare, refused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

    from ...values.settings import Settings
    from ..kind import Place

_MODE: Final = re.compile("[0-7]{3}")


class _Unix(Kind):
    forms: ClassVar[tuple[str, ...]] = ("unix:///PATH",)
    endpoint: ClassVar[type] = Path
    keys: ClassVar[Mapping[str, str]] = {"mode": "mode is for unix:// only"}

    def parse(self, url: SplitResult, query: Mapping[str, str]) -> dict[str, Any]:
        path = unquote(url.netloc + url.path)
        if not path:
            raise ValueError("write it as unix:///run/hubbub.sock")
        attributes: dict[str, Any] = {"endpoint": Path(path)}
        if "mode" in query:
            if not _MODE.fullmatch(query["mode"]):
                raise ValueError(f"mode is {query['mode']!r}; write three digits of 0 to 7, as in ?mode=660")
            attributes["mode"] = int(query["mode"], 8)
        return attributes

    async def bind(self, place: Place, settings: Settings) -> list[socket.socket]:
        path: Path = place.endpoint
        listening = _PathSocket(socket.AF_UNIX)
        try:
            _remove_stale(path)
            # Changed afterwards, the permissions would be too wide for a moment.
            mask = os.umask(0o777 & ~place.mode)
            try:
                listening.bind(str(path))
            finally:
                os.umask(mask)
            listening.listen(settings.backlog)
        except OSError as error:
            listening.close()
            raise refused(str(path), error, _advice(path)) from error
        listening.own(path)
        return [prepare(listening, settings)]


def _advice(path: Path) -> dict[int | None, str]:
    return {
        errno.EADDRINUSE: "stop the program that listens there, or choose another path",
        errno.EEXIST: "it is not a socket; remove it, or choose another path",
        errno.ENOENT: f"make the directory {path.parent}, or choose another path",
        errno.EACCES: f"let this user write into the directory {path.parent}, or choose another path",
        # The path is too long, which Python says without a number.
        None: "choose a shorter path",
    }


class _PathSocket(socket.socket):
    """A Unix socket that removes its file when it is closed, unless the file is another socket's by then."""

    _file: tuple[Path, tuple[int, int] | None] | None = None

    def own(self, path: Path) -> None:
        """Remove the file at `path` on closing."""
        self._file = path, _identity(path)

    def close(self) -> None:
        super().close()
        # Whatever has become of the file, the server closes.
        with suppress(OSError):
            if self._file is not None and self._file[1] is not None and _identity(self._file[0]) == self._file[1]:
                self._file[0].unlink()


def _remove_stale(path: Path) -> None:
    """Remove the socket of a program that has ended.

    Raises:
        OSError: a program listens there, or the file is not a socket.
    """
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError(errno.EEXIST, "the file is not a socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        # A socket whose backlog is full answers EAGAIN. Its program is alive.
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except (BlockingIOError, PermissionError):
            # It may be another user's.
            pass
        raise OSError(errno.EADDRINUSE, "a program listens there")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


KIND: Final = _Unix()
