"""A store that is one file, a database of SQLite."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..log.chunk import Mark
from ..log.store import StoreStatistics
from ..values.errors import StoreError
from ..values.settings import Settings
from ..wire.countdown import within
from .jobs import Forget
from .readers import Readers
from .recorder import Recorder
from .retention import Retention
from .schema import StoredRoom, StoreFile
from .sqlite_log import Shared, SqliteLog
from .writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from ..framing import Framing

logger = logging.getLogger("hubbub")

GIVE_UP_TIME: Final = 1.0
"""Seconds that closing waits for the writer, once that is to write nothing of what waits."""


class SqliteStore:
    """Keeps the logs of all rooms of one server in a file.

    The file is opened and checked at once. Only one store at a time can have it, in whatever process.

    Args:
        path: of the file, which is made if it is missing. SQLite has two more files beside it, and the store a lock.

    Raises:
        StoreError: the file cannot be used.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self._file = StoreFile(self.path)
        self._recorder = Recorder(self.path, self._settle, self._give_up)
        self._shared = Shared(self._recorder, self._released_log)
        try:
            rooms = self._file.rooms()
        except BaseException:
            self._file.close()
            raise
        self._logs = {room.name: SqliteLog(room, self._shared, written=True) for room in rooms}
        self._by_id = {log.id: log for log in self._logs.values()}
        self._last_id = self._file.last_room
        self._settings = Settings()
        # Those that are not open, first the one that was silent longest.
        self._silent = {log.name: log for log in sorted(self._logs.values(), key=lambda log: log.time)}
        self._limits: dict[int, Settings] = {}
        self._retention: Retention | None = None
        self._writer: Writer | None = None
        self._writer_ended = asyncio.Event()
        self._readers_ended = asyncio.Event()
        self._let_go_of = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    def open_log(self, room: str, framing: Framing[Any], settings: Settings) -> SqliteLog:
        """Open the log of a room; for hubbub's own use."""
        try:
            room.encode()
        except UnicodeEncodeError:
            # Surrogates, which stand for bytes that are no text.
            raise ValueError(f"{room!r} cannot be the name of a room that is stored: it is not text") from None
        if self._shared.closed:
            raise StoreError(str(self.path), "it was closed", "make another SqliteStore")
        kept = _text_of(framing)
        log = self._logs.get(room)
        if log is None:
            if len(self._logs) >= settings.rooms_limit and self._silent:
                self._forget(next(iter(self._silent.values())))
            self._last_id += 1
            log = SqliteLog(
                StoredRoom(self._last_id, room, kept, Mark(0, 0), Mark(0, 0), 0.0, []), self._shared, written=False
            )
            self._logs[room] = self._by_id[log.id] = log
        elif log.framing != kept:
            raise StoreError(
                str(self.path),
                f"room {room} was stored as {log.framing}, and is {kept} now",
                "run the same app with the same framing as before, or choose another file",
            )
        elif log.opened:
            raise StoreError(str(self.path), f"room {room} is open already", "give each server a store of its own")
        self._silent.pop(room, None)
        self._limits[log.id] = settings
        if self._retention is not None:
            self._retention.limit(log.id, settings)
        log.open()
        return log

    def start(self, settings: Settings) -> None:
        """Begin to commit; the server does it when it starts."""
        loop = asyncio.get_running_loop()
        self._settings = settings
        self._retention = Retention(self._file.connection, self.path, settings)
        for room, own in self._limits.items():
            self._retention.limit(room, own)
        self._writer = Writer(
            self._file.connection,
            self._retention,
            done=_in(loop, self._recorder.committed),
            failed=_in(loop, self._recorder.failed),
            ended=_in(loop, self._writer_ended.set),
        )
        self._recorder.start(self._writer, loop, settings)
        self._shared.readers = Readers(self.path, loop, self._readers_ended.set)
        self._writer.start()
        for log in [log for log in self._silent.values() if log.empty]:
            self._forget(log)
        size = self.path.stat().st_size
        logger.debug("the store %s is open; rooms: %d, bytes: %d", self.path, len(self._logs), size)

    async def close(self) -> None:
        """Commit what waits, for at most `Settings.store_patience`, and close the file; its server does it, too.

        It may be called twice.
        """
        self._shared.closed = True
        if self._writer is None or self._shared.readers is None:
            self._let_go()
            return
        self._recorder.stop()
        self._shared.readers.stop()
        try:
            async with within(self._settings.store_patience):
                # The connection that writes is closed last: then nothing is left of the WAL.
                await self._readers_ended.wait()
                self._writer.stop()
                await self._writer_ended.wait()
        except TimeoutError:
            reason = self._recorder.reason or "its disk does not answer"
            logger.error("the store %s is closed late: %s; what was not committed yet may be lost", self.path, reason)
            # One that could not write gives up now, and lets go of the file. One that waits for its disk cannot.
            self._recorder.abandon(reason)
            self._writer.stop()
            with suppress(TimeoutError):
                async with within(GIVE_UP_TIME):
                    await self._writer_ended.wait()
        finally:
            self._writer.stop()
            self._recorder.abandon("the store was closed")
        if self._writer_ended.is_set():
            self._let_go()

    @property
    def out(self) -> bool:
        """Whether it takes nothing, because its disk has failed for too long."""
        return self._recorder.out

    def statistics(self) -> StoreStatistics:
        """Its figures at this moment, as `Statistics.store` has them."""
        recorder = self._recorder
        times = sorted(recorder.times)
        return StoreStatistics(
            committed={log.name: log.committed for log in self._logs.values()},
            reads={log.name: log.reads for log in self._logs.values() if log.reads},
            pending=recorder.pending,
            size=recorder.size,
            commits=recorder.commits,
            commit_p50=times[len(times) // 2] if times else 0.0,
            commit_p99=times[len(times) * 99 // 100] if times else 0.0,
            commit_time=recorder.commit_time,
            out=recorder.out,
        )

    def _settle(self, room: int, end: Mark | None, start: Mark | None) -> None:
        log = self._by_id.get(room)
        if log is None:
            return
        log.settle(end, start)
        if self._logs.get(log.name) is not log:
            self._let_go_of_log(log)
        elif start is not None and log.empty and not log.opened:
            self._forget(log)

    def _give_up(self, reason: str) -> None:
        for log in list(self._by_id.values()):
            log.give_up(reason)
            if self._logs.get(log.name) is not log:
                self._let_go_of_log(log)

    def _released_log(self, log: SqliteLog) -> None:
        self._silent[log.name] = log
        if log.empty:
            self._forget(log)

    def _forget(self, log: SqliteLog) -> None:
        """Delete a room that is not open, and what is stored of it."""
        del self._logs[log.name], self._silent[log.name]
        self._limits.pop(log.id, None)
        if log.written:
            self._recorder.put(Forget(log.id))
        elif self._retention is not None:
            self._retention.unlimit(log.id)
        self._let_go_of_log(log)

    def _let_go_of_log(self, log: SqliteLog) -> None:
        """Let go of a log that was deleted, once nothing of it waits for a commit: that is counted, and awaited."""
        if not log.waits:
            del self._by_id[log.id]

    def _let_go(self) -> None:
        if not self._let_go_of:
            self._let_go_of = True
            self._file.close()


def _in(loop: asyncio.AbstractEventLoop, function: Callable[..., None]) -> Callable[..., None]:
    """The function, to be called in another thread. A loop that was closed calls nothing any more."""

    def call(*arguments: Any) -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(function, *arguments)

    return call


def _text_of(framing: Framing[Any]) -> str:
    """A framing as text that is the same in every process: its class, where it has no text of its own."""
    if type(framing).__repr__ is object.__repr__:
        return f"{type(framing).__module__}.{type(framing).__qualname__}"
    return repr(framing)
