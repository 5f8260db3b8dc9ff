"""Reading the older end of a room's log: for joins and histories, and for readers that are catching up."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, Generic

from ..framing import M
from ..log.history import entries_in, entries_since
from ..log.seeking import cached_chunk, find, older_chunk, seek
from ..values.errors import PositionLost
from ..wire.countdown import within
from .pump import JUDGED_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from ..log.chunk import Chunk, Mark
    from ..log.cursor import Cursor
    from ..log.history import Entry
    from ..log.log import Log
    from ..values.since import Since
    from .ports import Member, Place
    from .pump import Pump


HISTORY_SLICE: Final = 512
"""Messages of a history that are given out before the event loop turns."""


class Fetches(Generic[M]):
    """What is read of the older end of a room's log, each time for at most `Settings.fetch_time`.

    Args:
        room: the room.
        log: its log.
        pump: runs what takes time.
        placed: is told of a cursor that has its chunk.
    """

    def __init__(self, room: Place, log: Log[M], pump: Pump, placed: Callable[[Any], None]) -> None:
        self._room = room
        self._log = log
        self._pump = pump
        self._placed = placed
        # The cursors that wait for a chunk, by the `seq` of the message that it must hold.
        self._waiting: dict[int, list[Cursor[Any, Member]]] = {}

    def seek(self, since: Since) -> Mark | None:
        """The mark of a place in the log, if memory tells it.

        Raises:
            PositionLost: it is a position that the log does not hold.
        """
        return seek(self._log, since, time.time())

    async def find(self, since: Since) -> Mark:
        """The mark of a place in the log.

        Raises:
            PositionLost: it is a position that the log does not hold.
            TimeoutError: it took too long.
        """
        async with within(self._room.settings.fetch_time):
            return await find(self._log, since, time.time())

    def history(self, since: Since) -> AsyncIterator[Entry[M]]:
        """The messages from a place on, up to the head as it is at the call; see `Room.history`.

        Raises:
            PositionLost: it is a position that the log does not hold.
        """
        mark = self.seek(since)
        recent = self._log.oldest.seq if mark is None else mark.seq
        return _in_slices(self._parts(since if mark is None else None, recent, entries_since(self._log, recent)))

    async def fetch(self, seq: int) -> Chunk:
        """The chunk of the log's older end that holds the message after the first `seq`.

        Raises:
            PositionLost: the older end does not hold it.
            TimeoutError: it took too long.
        """
        async with within(self._room.settings.fetch_time):
            return await older_chunk(self._log, seq)

    def fetch_for(self, cursor: Cursor[Any, Member]) -> bool:
        """Get the next chunk of the older end for a cursor, if it needs one; whether its reader waits for that."""
        if not cursor.catching_up or cursor.chunk is not None:
            return False
        seq = cursor.at.seq
        cursor.chunk = cached_chunk(self._log, seq)
        if cursor.chunk is not None:
            return False
        cursor.reader.unsettled += 1
        if seq in self._waiting:
            self._waiting[seq].append(cursor)
        else:
            cursors = self._waiting[seq] = [cursor]
            self._pump.start(self._catch_up(seq, cursors), lambda: self._lose(seq, cursors))
        return True

    async def _catch_up(self, seq: int, cursors: list[Cursor[Any, Member]]) -> None:
        """Fetch a chunk for all cursors that wait for it."""
        try:
            chunk = await self.fetch(seq)
        except Exception as error:
            del self._waiting[seq]
            await self._end_readers(cursors, error)
        else:
            del self._waiting[seq]
            self._place(cursors, chunk)

    def _place(self, cursors: list[Cursor[Any, Member]], chunk: Chunk) -> None:
        ready = cursors.copy()
        cursors.clear()
        for cursor in ready:
            cursor.chunk = chunk
            try:
                if not cursor.reader.dropped:
                    self._placed(cursor)
            except Exception as error:
                cursor.reader.fail(error)

    async def _end_readers(self, cursors: list[Cursor[Any, Member]], error: Exception) -> None:
        """End the readers of cursors that cannot read on, some in each turn of the loop."""
        if isinstance(error, TimeoutError):
            name, limit = self._room.name, self._room.settings.fetch_time
            error = TimeoutError(f"a piece of the older messages of room {name} took longer than {limit:g} s")
        while cursors:
            for _ in range(min(len(cursors), JUDGED_AT_ONCE)):
                cursor = cursors[-1]
                if isinstance(error, PositionLost):
                    cursor.reader.lose(cursor)
                elif not cursor.reader.dropped:
                    cursor.reader.fail(error)
                # Only now: where the error cannot be told, `_lose` ends this reader too.
                cursors.pop()
            await asyncio.sleep(0)

    def _lose(self, seq: int, cursors: list[Cursor[Any, Member]]) -> None:
        """End the readers that still wait after a fetch was cancelled: nobody else would."""
        if self._waiting.get(seq) is cursors:
            del self._waiting[seq]
        while cursors:
            cursor = cursors.pop()
            cursor.reader.lose(cursor)

    async def _parts(
        self, since: Since | None, recent: int, entries: Iterator[Entry[M]]
    ) -> AsyncIterator[Iterator[Entry[M]]]:
        """The messages of the older end from a place up to `recent`, chunk by chunk, if any; then `entries`."""
        seq = recent if since is None else (await self.find(since)).seq
        while seq < recent:
            chunk = await self.fetch(seq)
            yield entries_in(self._log, chunk, seq, recent)
            seq = chunk.end.seq
        yield entries


async def _in_slices(parts: AsyncIterator[Iterator[Entry[M]]]) -> AsyncIterator[Entry[M]]:
    given = 0
    async for part in parts:
        for entry in part:
            yield entry
            given += 1
            if given % HISTORY_SLICE == 0:
                await asyncio.sleep(0)
