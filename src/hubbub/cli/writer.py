"""Writing lines to a file descriptor without ever waiting for it."""

from __future__ import annotations

import errno
import os
import select
import threading
from queue import Full, Queue
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

QUEUE_LIMIT: Final = 10_000
"""Lines that may wait. Further lines are dropped, and their number is reported."""

CLOSE_TIME: Final = 1.0
"""Seconds that the last lines may take."""

UNREAD: Final = "the output was not read fast enough"

_GONE: Final = {errno.EPIPE, errno.EBADF}
"""What says that nobody will read any more. After all else, such as a full disk, writing may succeed again."""


class LineWriter:
    """Writes lines in a thread of its own: a terminal that stands still (Ctrl-S) must not stop a server.

    Args:
        descriptor: where to write. It stays open. Once nobody can read what is written, lines are dropped silently.
        report_dropped: makes the line that reports how many lines were dropped, and why: too many were waiting, or they
            could not be written.
    """

    def __init__(self, descriptor: int, report_dropped: Callable[[int, str], str]) -> None:
        self._descriptor = descriptor
        self._report_dropped = report_dropped
        self._queue: Queue[str | None] = Queue(QUEUE_LIMIT)
        # How many lines were dropped before the queue, and behind it.
        self._dropped = 0
        self._lost = 0
        self._why = ""
        # Whether the last line was cut off.
        self._torn = False
        self._thread = threading.Thread(target=self._run, name=f"lines to {descriptor}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._queue.put(None, timeout=CLOSE_TIME)
        except Full:
            return
        self._thread.join(CLOSE_TIME)

    def write(self, line: str) -> None:
        """Write a line soon, or drop it if too many are waiting."""
        try:
            if self._dropped:
                self._queue.put_nowait(self._report_dropped(self._dropped, UNREAD))
                self._dropped = 0
            self._queue.put_nowait(line)
        except Full:
            self._dropped += 1

    def _run(self) -> None:
        while (line := self._queue.get()) is not None:
            self._report_lost()
            if self._lost or not self._try(line):
                self._lost += 1
        self._report_lost()

    def _report_lost(self) -> None:
        if self._lost and self._try(self._report_dropped(self._lost, self._why)):
            self._lost = 0

    def _try(self, line: str) -> bool:
        """Write a line; whether that worked, or can never work again."""
        try:
            self._write_all(f"{line}\n".encode(errors="backslashreplace"))
        except OSError as error:
            if error.errno not in _GONE:
                self._why = os.strerror(error.errno or 0)
                return False
            # The server goes on without output.
            self._descriptor = os.open(os.devnull, os.O_WRONLY)
        return True

    def _write_all(self, data: bytes) -> None:
        if self._torn:
            data = b"\n" + data
        while data:
            try:
                data = data[os.write(self._descriptor, data) :]
            except BlockingIOError:
                # Another program made the pipe or terminal one that does not block; they share that.
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()
            except OSError:
                # A line that lacks only its end is not lost: the next one begins with that.
                if not (self._torn and data == b"\n"):
                    raise
                return
            else:
                self._torn = bool(data)
