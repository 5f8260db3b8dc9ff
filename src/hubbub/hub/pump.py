"""The one place where rooms and readers are served: a slice in each turn of the loop, however much there is to do."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from ..log.clock import NEVER, Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ..log.cursor import Cursor
    from .ports import Flushing, Pumped

    Seat = Cursor[Any, Any]

logger = logging.getLogger("hubbub")

LOOKS: Final = 8
"""As many looks at a room count as one read of an outbox: about as long as that they take."""


JUDGED_AT_ONCE: Final = 64
"""How many readers may be ended in a turn because they cannot read on: each takes a tenth of a millisecond."""


class Pump:
    """Flushes rooms that have something to flush, and pumps readers that have something to read, in the next turn.

    All that is broadcast in a turn, and all that is said to one client in private, leaves together in the next: a
    system call costs more than many short messages. Rooms take turns where one has too many readers for a slice. A
    reader is pumped at most once a turn, whatever the number of its rooms.

    Args:
        slice_size: how many writes make a slice.

    Attributes:
        clock: orders the messages of all rooms.
        busy: the rooms that have something to flush.
        moves: how often a client has joined or left a room.
        turn: the number of this turn of the loop, as far as anything was delivered in it.
        tasks: what is under way that takes time: reads for cursors that are catching up.
        overrun: the cursors that retention has passed, and of which it is still to be decided what becomes.
        flushes: in how many turns rooms were flushed.
        flush_time: how many seconds that took.
    """

    def __init__(self, slice_size: int) -> None:
        self.clock = Clock()
        self.busy: dict[Flushing, None] = {}
        self.moves = 0
        self.turn = 1
        self.tasks: set[asyncio.Task[None]] = set()
        self.overrun: dict[Seat, None] = {}
        self.flushes = 0
        self.flush_time = 0.0
        self._judged = 0
        self._slice_size = slice_size
        self._left = slice_size
        self._rooms: deque[Flushing] = deque()
        self._readers: deque[Pumped] = deque()
        # At most one for each reader: what else is sent to it in the turn comes behind.
        self._letters: deque[tuple[Pumped, bytes]] = deque()
        self._scheduled = False
        self._loop: asyncio.AbstractEventLoop | None = None

    def run_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """Be used in this event loop and in no other, from now on."""
        self._loop = loop

    def flush_soon(self, room: Flushing) -> None:
        """Flush a room in the next turn, with all that is broadcast until then.

        Raises:
            RuntimeError: another event loop is running than that of `run_in`.
        """
        if room in self.busy:
            self._check_loop()
        else:
            self._schedule()
            self.busy[room] = None
            self._rooms.append(room)

    def pump_soon(self, reader: Pumped) -> None:
        """Pump a reader in the next turn, behind the rooms."""
        if not reader.marked:
            self._schedule()
            reader.marked = True
            self._readers.append(reader)

    def write(self, reader: Pumped, wire: bytes) -> None:
        """Write bytes to a reader for whom nothing waits: at once, or at the turn's end if the pump runs then anyway.

        One system call after the other costs less than one after each handler. And the first answer of a turn, which
        may be the only one, waits for nothing.
        """
        if self._scheduled:
            self._letters.append((reader, wire))
        else:
            self._schedule()
            self._write(reader, wire)

    def judge_soon(self, cursor: Seat) -> None:
        """Decide what becomes of a cursor that retention has passed: at once, or later where there are many."""
        self.overrun[cursor] = None
        if self._judged < JUDGED_AT_ONCE:
            self.judge(cursor)
        else:
            self._schedule()

    def judge(self, cursor: Seat) -> None:
        """Decide that now, if it is still to be decided. A reader may have several such, and the first may end it."""
        if cursor in self.overrun:
            del self.overrun[cursor]
            if not cursor.reader.dropped:
                self._judged += 1
                cursor.owner.overrun(cursor)

    def start(self, work: Coroutine[Any, Any, None], ended: Callable[[], None]) -> None:
        """Do something that takes time in a task of its own; `ended` is called behind it, however it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        # Not in the task: one that is cancelled early does not even begin.
        task.add_done_callback(lambda _: ended())

    def horizon(self, reader: Pumped, tick: int) -> int:
        """The tick up to which everything was flushed for a reader that waits for `tick`.

        To look at many rooms takes a while, and the slice of the turn pays for it. So of those that hold the reader up
        the last one is remembered: it is held up until that was flushed.
        """
        busy, blocker = self.busy, reader.blocker
        if not busy:
            return NEVER
        if blocker is not None and blocker.owner in busy:
            horizon: int = blocker.owner.horizon(blocker)
            if horizon < tick:
                return horizon
        cursors = reader.cursors
        if len(busy) < len(cursors):
            cursors = [room.members[reader.token] for room in busy if reader.token in room.members]
        self._left -= len(cursors) // LOOKS
        first, last, reader.blocker = NEVER, 0, None
        for cursor in cursors:
            if cursor.owner in busy:
                horizon = cursor.owner.horizon(cursor)
                first = min(first, horizon)
                if last <= horizon < tick:
                    last, reader.blocker = horizon, cursor
        return first

    def _schedule(self) -> None:
        self._check_loop()
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._run)

    def _check_loop(self) -> None:
        # Another loop may end before it has called anything, and then nobody would hear anything any more.
        if self._loop is not None and asyncio.get_running_loop() is not self._loop:
            raise RuntimeError(
                "this is not the event loop of the server; from another thread, "
                "use asyncio.run_coroutine_threadsafe with the loop of the server"
            )

    def _run(self) -> None:
        while self._letters:
            try:
                self._write(*self._letters.popleft())
            except Exception:
                logger.exception("a letter failed")
        self._scheduled = False
        self.turn += 1
        self._judged = 0
        try:
            while self.overrun and self._judged < JUDGED_AT_ONCE:
                self.judge(next(iter(self.overrun)))
            if self._rooms:
                start = perf_counter()
                self._flush_rooms()
                self.flush_time += perf_counter() - start
                self.flushes += 1
            self._pump_readers()
        finally:
            # Whatever went wrong, those that wait for their turn have it.
            if self._rooms or self._readers or self.overrun:
                self._schedule()

    def _write(self, reader: Pumped, wire: bytes) -> None:
        if reader.dropped:
            return
        try:
            reader.transport.write(wire)
        except Exception as error:
            reader.fail(error)

    def _flush_rooms(self) -> None:
        left = self._slice_size
        for _ in range(len(self._rooms)):
            room = self._rooms.popleft()
            try:
                left -= 1 + room.flush(left)
            except Exception:
                # A fan-out contains what its readers do, so this is a fault of its own; other rooms go on.
                logger.exception("a flush failed")
            if room.busy:
                self._rooms.append(room)
            else:
                del self.busy[room]
            if left <= 0:
                return

    def _pump_readers(self) -> None:
        self._left = self._slice_size
        # Those that are marked meanwhile have their turn in the next.
        for _ in range(len(self._readers)):
            reader = self._readers.popleft()
            reader.marked = False
            try:
                # In a statement of its own, for `horizon` takes from the slice meanwhile.
                reads = reader.pump()
                self._left -= 1 + reads
            except Exception as error:
                reader.fail(error)
            if self._left <= 0:
                return
