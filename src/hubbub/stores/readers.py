"""The threads that read the store, and what they have read, shared by all who want the same."""

from __future__ import annotations

import errno
import queue
import sqlite3
import threading
from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakValueDictionary

from .schema import connect_to_read, reason_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Hashable
    from pathlib import Path

    from .rows import StoredChunk

THREADS: Final = 2
"""How many reads run at a time; the others wait in the order in which they came."""

CACHE_SIZE: Final = 2 * 1024 * 1024
"""Counted bytes of chunks that are kept after they were read, for the next reader."""


class Cache:
    """The chunks that were read: those that somebody still has, and the last ones."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[tuple[int, int], StoredChunk] = WeakValueDictionary()
        self._kept: OrderedDict[tuple[int, int], StoredChunk] = OrderedDict()
        self._size = 0

    def get(self, room: int, seq: int) -> StoredChunk | None:
        """The chunk of a room that starts with the message after the first `seq`, if it is known."""
        chunk = self._known.get((room, seq))
        if chunk is not None and (room, seq) in self._kept:
            self._kept.move_to_end((room, seq))
        return chunk

    def add(self, room: int, chunk: StoredChunk) -> StoredChunk:
        """Keep a chunk; the one to use, which may be known already."""
        key = room, chunk.start.seq
        known = self._known.get(key)
        # What was just written may follow what was read together before.
        if known is not None and known.end >= chunk.end:
            return known
        if key in self._kept:
            self._size -= _size(self._kept.pop(key))
        self._known[key] = self._kept[key] = chunk
        self._size += _size(chunk)
        while self._size > CACHE_SIZE and len(self._kept) > 1:
            self._size -= _size(self._kept.popitem(last=False)[1])
        return chunk


class _Read:
    """One read, and all who wait for it."""

    __slots__ = ("function", "key", "waiters")

    def __init__(self, key: Hashable, function: Callable[[sqlite3.Connection, bool], Any]) -> None:
        self.key = key
        self.function = function
        self.waiters: list[asyncio.Future[Any]] = []

    @property
    def wanted(self) -> bool:
        return not all(waiter.done() for waiter in self.waiters)


class Readers:
    """The threads, each with a connection that only reads.

    Args:
        path: of the database.
        loop: in which is waited.
        ended: is called in the loop when all threads have ended.
    """

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop, ended: Callable[[], None]) -> None:
        self._path = path
        self._loop = loop
        self._ended = ended
        self._queue: queue.SimpleQueue[_Read | None] = queue.SimpleQueue()
        self._reads: dict[Hashable, _Read] = {}
        self._running = THREADS
        self._stopped = False
        for _ in range(THREADS):
            threading.Thread(target=self._serve, name="hubbub store reads", daemon=True).start()

    async def read(self, key: Hashable, function: Callable[[sqlite3.Connection, bool], Any]) -> Any:
        """What `function` returns in one of the threads. It may be cancelled.

        Args:
            key: reads with the same key, at the same time, are one.
            function: is given a connection, and whether nobody else waits. It must be quick.

        Raises:
            LookupError: as the function does.
            OSError: it cannot be read, or the store is closed.
        """
        if self._stopped:
            raise closed()
        read = self._reads.get(key)
        if read is None:
            read = self._reads[key] = _Read(key, function)
            self._queue.put(read)
        waiter = self._loop.create_future()
        read.waiters.append(waiter)
        return await waiter

    def stop(self) -> None:
        """Let the threads end after the read that each is at. Whoever waits for another one is told."""
        if not self._stopped:
            self._stopped = True
            for read in list(self._reads.values()):
                self._deliver(read, None, closed())
            for _ in range(THREADS):
                self._queue.put(None)

    def _serve(self) -> None:
        """What each thread does."""
        connection: sqlite3.Connection | None = None
        while (read := self._queue.get()) is not None:
            result: Any = None
            error: Exception | None = None
            if not read.wanted:
                self._call(self._skip, read)
                continue
            try:
                connection = connection or connect_to_read(self._path)
                result = read.function(connection, self._queue.empty())
            except LookupError as lookup:
                error = lookup
            except sqlite3.Error as failure:
                error = OSError(errno.EIO, f"{self._path} cannot be read: {reason_of(failure)}")
                _close(connection)
                connection = None
            except Exception as failure:
                error = OSError(errno.EIO, f"{self._path} is damaged: {failure}")
            self._call(self._deliver, read, result, error)
        _close(connection)
        self._call(self._end)

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        # Where the loop was closed before the store, nobody waits any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function, *arguments)

    def _skip(self, read: _Read) -> None:
        """Forget a read that nobody waited for, unless somebody does now."""
        if read.wanted:
            self._queue.put(read)
        else:
            self._reads.pop(read.key, None)

    def _deliver(self, read: _Read, result: Any, error: Exception | None) -> None:
        self._reads.pop(read.key, None)
        for waiter in read.waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(result)
            else:
                waiter.set_exception(error)

    def _end(self) -> None:
        self._running -= 1
        if not self._running:
            self._ended()


def closed() -> OSError:
    """The error of reading a store that was closed."""
    return OSError(errno.EBADF, "the store was closed")


def _close(connection: sqlite3.Connection | None) -> None:
    """Close a connection, if there is one."""
    if connection is not None:
        connection.close()


def _size(chunk: StoredChunk) -> int:
    return chunk.end.offset - chunk.start.offset
