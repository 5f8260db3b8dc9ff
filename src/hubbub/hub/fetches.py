"""Reading the older end of a room's log: for joins and histories, and for readers that are catching up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic

from ..framing import M
from ..values.errors import PositionLost
from ..wire.countdown import within

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..log.chunk import Chunk, Mark
    from ..log.cursor import Cursor
    from ..log.log import Log
    from ..values.position import Position
    from .ports import Member, Place
    from .pump import Pump


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

    async def find(self, since: Position | int) -> Mark:
        """The mark of a position that the log holds, or of the place before its last messages, at most so many.

        Raises:
            PositionLost: the log does not hold it.
            TimeoutError: it took too long.
            ValueError: the number is negative.
        """
        log = self._log
        if isinstance(since, int):
            if since < 0:
                raise ValueError(f"since is {since}; it must be a position, or 0 or more messages")
            since = log.position(max(log.head.seq - since, log.start))
        async with within(self._room.settings.fetch_time):
            return await log.find(since)

    async def fetch(self, seq: int) -> Chunk:
        """The chunk of the log's older end that holds the message after the first `seq`.

        Raises:
            PositionLost: the older end does not hold it.
            TimeoutError: it took too long.
        """
        async with within(self._room.settings.fetch_time):
            return await self._log.older_chunk(seq)

    def fetch_for(self, cursor: Cursor[Any, Member]) -> bool:
        """Get the next chunk of the older end for a cursor, if it needs one; whether it does, and its reader waits."""
        if not cursor.catching_up or cursor.chunk is not None:
            return False
        cursor.reader.unsettled += 1
        self._pump.start(self._catch_up(cursor))
        return True

    async def _catch_up(self, cursor: Cursor[Any, Member]) -> None:
        reader = cursor.reader
        try:
            cursor.chunk = await self.fetch(cursor.at.seq)
            if not reader.dropped:
                self._placed(cursor)
        except TimeoutError:
            name, time = self._room.name, self._room.settings.fetch_time
            reader.fail(TimeoutError(f"a piece of the older messages of room {name} took longer than {time:g} s"))
        except PositionLost:
            reader.lose(cursor)
        except Exception as error:
            reader.fail(error)
        except asyncio.CancelledError:
            # Nobody else would end the reader, which waits for this chunk.
            reader.lose(cursor)
            raise
