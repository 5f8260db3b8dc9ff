"""The readers of one room: the flush, retention, and what holds senders back.

A cursor is in one of four places:

- *ready*: it has read all that is readable. The flush writes the same bytes to every ready reader of a rendering,
  without what each is excluded from. A reader that takes nothing just then, or has something else to be sent first,
  falls behind.
- *behind*: its reader's outbox reads it, in the reader's own time; see `Stragglers`.
- *catching up*: memory has passed it, and it reads the older end of the log, a chunk at a time.
- *unsettled*: it joined, or left, while something waited for a flush, after which it is placed.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeAlias

from ..framing import M
from ..log.cursor import Cursor
from ..wire.pulse import Pulse
from . import policies
from .fetches import Fetches
from .stragglers import Stragglers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..log.chunk import Chunk, Mark
    from ..log.log import Log
    from ..log.rendering import Rendering, Style
    from .ports import Member, Place
    from .pump import Pump

    Seat: TypeAlias = "Cursor[FanOut[Any], Member]"


class FanOut(Generic[M]):
    """All cursors on one room's log.

    Args:
        room: the room.
        log: its log.
        pump: flushes it.

    Attributes:
        room, log, pump: as above.
        members: the cursors of those who are in the room, by the token of their connection. One that has left may
            still have a cursor here, until it has read up to there.
        flushed: fires after each flush.
        fetches: what is read of the log's older end.
        holding: whether, at the last check, a reader that makes progress lagged by more than half of the retention.
    """

    def __init__(self, room: Place, log: Log[M], pump: Pump) -> None:
        self.room, self.log, self.pump = room, log, pump
        self.members: dict[int, Seat] = {}
        self.flushed = Pulse()
        self.holding = False
        self.fetches = Fetches(room, log, pump, self._place_again)
        self._renderings: dict[Style, Rendering[M]] = {}
        self._stragglers: Stragglers[Seat] = Stragglers()
        self._unsettled: list[Seat] = []
        # The flush that is under way: its chunk, and what is still to be written.
        self._chunk: Chunk | None = None
        self._todo: list[tuple[Rendering[M], Iterator[Seat]]] = []

    @property
    def busy(self) -> bool:
        """Whether there is something to flush, or a flush is under way."""
        return self._chunk is not None or self.log.pending_size > 0

    def join(self, reader: Member, at: Mark | None) -> Seat:
        """Make a reader a member, from the mark `at` or from now on; its cursor."""
        log, clock = self.log, self.pump.clock
        rendering = self.rendering_in(reader.style)
        cursor: Seat = Cursor(rendering, reader, at=at or log.mark(), joined=clock.place(), owner=self)
        if at is not None:
            # What is sent to it in private from now on comes behind what it is to read first.
            clock.stamped = True
            cursor.catching_up = at.seq < log.oldest.seq
        self.members[reader.token] = cursor
        if self.place(cursor):
            reader.fall_behind(cursor)
        return cursor

    def leave(self, cursor: Seat) -> None:
        """End a membership: the cursor reads what the log has now, and no more."""
        del self.members[cursor.token]
        cursor.end = self.log.mark().seq
        cursor.reader.leaving += 1
        if cursor.ready:
            self._unready(cursor)
            if self.place(cursor):
                cursor.reader.fall_behind(cursor)
        self.room.close_if_unused()

    def place(self, cursor: Seat) -> bool:
        """Note where a cursor stands that is in no place; whether it waits to be read."""
        log = self.log
        if cursor.finished:
            cursor.reader.leaving -= 1
        elif cursor.catching_up and cursor.at.seq < log.oldest.seq:
            return True
        elif cursor.waiting:
            cursor.catching_up = False
            # Nobody waits for one that will catch up from the store.
            stores = log.older is not None and log.older.taking
            holds = not (stores and cursor.reader.policy_in(self.room) == policies.DISCONNECT)
            self._stragglers.add(cursor, log.chunk_at(cursor.at), holds=holds)
            return True
        elif cursor.end is not None or cursor.at.seq > log.readable.seq:
            self._unsettled.append(cursor)
            cursor.reader.unsettled += 1
        else:
            cursor.at = log.readable
            cursor.ready = True
            cursor.rendering.ready[cursor] = None
        return False

    def displace(self, cursor: Seat) -> None:
        """Take a cursor that is behind or adrift from its place: it is read, or its reader has gone."""
        if not cursor.catching_up:
            self._stragglers.remove(cursor)

    def rendering_in(self, style: Style) -> Rendering[M]:
        """How the log looks in a style."""
        rendering = self._renderings.get(style)
        if rendering is None:
            kind, framing = style
            rendering = self._renderings[style] = kind(self.log, framing, self.room.settings.notice)
        return rendering

    def horizon(self, cursor: Seat) -> int:
        """The tick up to which everything was flushed for the reader at `cursor`, and not that of before it joined."""
        log = self.log
        is_written = not (cursor.ready and cursor.at.seq < log.readable.seq)
        return max(cursor.joined, log.pending_tick if is_written else log.batch_at(cursor.at).tick)

    # The flush.

    def flush_soon(self) -> None:
        """Flush in the loop's next turn, with all that is broadcast until then."""
        self.pump.flush_soon(self)

    def flush(self, limit: int) -> int:
        """Make what is pending readable and write it to at most `limit` ready readers; to how many. Only while `busy`.

        Where more are ready, the next call goes on. Nothing that a reader does can stop it.
        """
        if self._chunk is None:
            self._chunk = self.log.flush()
            self._todo = [
                (rendering, iter(list(rendering.ready))) for rendering in self._renderings.values() if rendering.ready
            ]
        written = 0
        while self._todo and written < limit:
            rendering, cursors = self._todo[-1]
            some = list(islice(cursors, limit - written))
            if len(some) < limit - written:
                self._todo.pop()
            written += len(some)
            self._write(self._chunk, rendering, some)
        if not self._todo:
            self._finish()
        return written

    def _write(self, chunk: Chunk, rendering: Rendering[M], cursors: list[Seat]) -> None:
        data: bytes | None
        try:
            data = rendering.data_of(chunk)
        except Exception:
            # It does not concern those who are excluded from what is missing. The pump reads for each, and sees.
            data = None
        end, excluded = self.log.readable, chunk.excluded
        for cursor in cursors:
            # Between two slices a reader may have left.
            if not cursor.ready:
                continue
            reader = cursor.reader
            if data is None or not reader.direct:
                self._unready(cursor)
                self.place(cursor)
                reader.fall_behind(cursor)
                continue
            try:
                if excluded and cursor.token in excluded:
                    cursor.at = end
                    if buffers := chunk.without(rendering.wire_of(chunk), cursor.token):
                        reader.write(buffers)
                else:
                    cursor.at = end
                    if data:
                        reader.transport.write(data)
            except Exception as error:
                reader.fail(error)

    def _finish(self) -> None:
        self._chunk = None
        try:
            self._retain()
        finally:
            # Whatever went wrong, those that wait for the flush go on.
            self._settle()
            self.check_hold()
            self.flushed.fire()

    def _settle(self) -> None:
        unsettled, self._unsettled = self._unsettled, []
        for cursor in unsettled:
            if not cursor.reader.dropped:
                self._place_again(cursor)

    def _place_again(self, cursor: Seat) -> None:
        """A cursor has what it waited for; its reader goes on."""
        reader = cursor.reader
        reader.unsettled -= 1
        if self.place(cursor):
            reader.fall_behind(cursor)
        reader.settle()

    def _unready(self, cursor: Seat) -> None:
        cursor.ready = False
        del cursor.rendering.ready[cursor]

    # Retention, and the hold on senders.

    def check_hold(self, size: int = 0) -> None:
        """Recompute whether a lagging reader holds back senders that are about to broadcast `size` bytes."""
        settings = self.room.settings
        self.holding = False
        if settings.pace is not None and self._stragglers:
            head = self.log.head.offset
            limit = min(head, head + size - settings.retention // 2)
            since = asyncio.get_running_loop().time() - settings.hold_time
            self.holding = self._stragglers.hold(limit, since)

    def _retain(self) -> None:
        if merged := self.log.compact():
            self._stragglers.merge(*merged)
        while (chunk := self.log.drop_overdue()) is not None:
            for cursor in self._stragglers.set_adrift(chunk):
                self.pump.judge_soon(cursor)

    def overrun(self, cursor: Seat) -> None:
        """Retention has passed a straggler, or its lag a limit: its reader decides."""
        try:
            cursor.reader.overrun(cursor)
        except Exception as error:
            cursor.reader.fail(error)
        if cursor.catching_up:
            self._stragglers.remove(cursor)
            cursor.passed = 0
