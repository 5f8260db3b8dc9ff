"""Writing lines to a file descriptor without ever waiting for it."""

from __future__ import annotations

import os
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


class LineWriter:
    """Writes lines in a thread of its own: a terminal that stands still (Ctrl-S) must not stop a server.

    Args:
        descriptor: where to write. It stays open. Once it is broken, like a closed pipe, lines are dropped.
        report_dropped: makes the line that reports how many lines were dropped because too many were waiting.
    """

    def __init__(self, descriptor: int, report_dropped: Callable[[int], str]) -> None:
        self._descriptor = descriptor
        self._report_dropped = report_dropped
        self._queue: Queue[str | None] = Queue(QUEUE_LIMIT)
        self._dropped = 0
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
                self._queue.put_nowait(self._report_dropped(self._dropped))
                self._dropped = 0
            self._queue.put_nowait(line)
        except Full:
            self._dropped += 1

    def _run(self) -> None:
        while (line := self._queue.get()) is not None:
            try:
                self._write_all(f"{line}\n".encode(errors="backslashreplace"))
            except OSError:
                # Nobody reads any more, and the server goes on without output.
                self._descriptor = os.open(os.devnull, os.O_WRONLY)

    def _write_all(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]
