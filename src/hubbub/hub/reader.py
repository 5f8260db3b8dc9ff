"""A client's connection as the rooms see it: what waits for the client, and the link that takes it."""

from __future__ import annotations

import logging
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic

from ..framing import M
from ..log.chunk import CannotTell
from ..log.cursor import Lag
from ..log.outbox import IDLE, SPLICE_COST, Outbox
from ..log.rendering import Rendering
from ..values.ending import Ending, EndingCode
from ..values.position import new_token
from ..wire.space import Space
from . import policies
from .policies import disconnect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..log.chunk import Buffer, Mark
    from ..log.cursor import Cursor
    from ..log.max_lag import MaxLag
    from ..log.rendering import Style
    from ..wire.link import Link
    from .fan_out import FanOut
    from .ports import Place, Supervisor
    from .pump import Pump

logger = logging.getLogger("hubbub")

PUMP_READS: Final = 256
"""How often a reader reads its outbox in one turn of the loop."""

PUMP_SIZE: Final = 256 * 1024
"""About how many bytes a reader is written in one turn of the loop, beside what a flush writes."""

FRESH_SIZE: Final = 4 * 1024
"""The same for a reader whose lag has a limit: what it is written is too late to be skipped."""

READ_SIZE: Final = 16 * 1024
"""So many bytes take about as long to write as a read of an outbox takes."""

JOIN_SIZE: Final = 64 * 1024
"""Pieces that are smaller together are joined: a copy then costs less than to write them one by one."""

# Shared, and never appended to.
_EMPTY: Final[list[Any]] = []


class Reader(Generic[M]):
    """Writes a client's outbox to its link, as fast as that takes it, and ends the connection when it must.

    Args:
        client: the handle that the user has.
        link: its connection, which tells this reader from now on.
        pump: pumps it.
        supervisor: is told what happens.

    Attributes:
        client, link: as above.
        announced: whether it is a client, of which observers are told, or only reads.
        token: the token of the connection: 64 random bits.
        transport: the transport of the link.
        direct: whether a flush may write to it at once: its transport takes data, and nothing else is to come before.
        dropped: whether nothing is to be delivered to it any more.
        ending: why the connection ended; None as long as it has not.
        outbox: what the client is still to be sent; the shared `IDLE` if nothing waits for it.
        pumped_by: as `pump` above.
        cursors: its cursor in each room it is in.
        leaving: how many rooms it has left and still reads.
        unsettled: how many of its cursors wait for a flush or a fetch, and are placed then.
        marked, blocker: see `Pumped`.
        when_slow: the name of its policy; None: that of the room.
        max_lag: the limit on its lag in each room, where its listener has one.
        muted: whether nothing is sent to it in private: it only writes, or takes nothing and stays because it speaks.
    """

    announced: ClassVar[bool] = True

    # `_sent_in` is the turn in which something was sent at once; `_space` is made when somebody first waits.
    __slots__ = (
        "_sent_in",
        "_space",
        "_supervisor",
        "blocker",
        "client",
        "cursors",
        "direct",
        "dropped",
        "ending",
        "leaving",
        "link",
        "marked",
        "max_lag",
        "muted",
        "outbox",
        "pumped_by",
        "token",
        "transport",
        "unsettled",
        "when_slow",
    )

    def __init__(self, client: Any, link: Link[M], pump: Pump, supervisor: Supervisor) -> None:
        self.client = client
        self.link = link
        self.token = new_token()
        self.transport = link.transport
        self.direct = link.writable
        self.ending: Ending | None = None
        self.outbox = IDLE
        self.cursors: list[Cursor[Any, Any]] = _EMPTY
        self.leaving = self.unsettled = 0
        self.marked = False
        self.blocker: Cursor[Any, Any] | None = None
        self.when_slow: str | None = None
        self.pumped_by = pump
        self._supervisor = supervisor
        self.dropped = self.muted = False
        self.max_lag: MaxLag | None = None
        self._sent_in = 0
        self._space: tuple[Space, Space] | None = None

    @property
    def style(self) -> Style:
        """How it reads."""
        return Rendering, self.link.framing

    @property
    def moved_at(self) -> float:
        """When its socket was last seen to take something, on the loop's clock; -inf while it is muted for that."""
        return self.link.moved_at

    @property
    def exhausted(self) -> bool:
        """Whether nothing waits and no room is read any more."""
        return self.outbox.idle and not (self.cursors or self.leaving or self.unsettled)

    @property
    def lag(self) -> Lag:
        """The lag of all cursors together, those in rooms that it has left too."""
        left = (cursor for cursor in self.outbox.cursors if cursor.end is not None)
        lags = [cursor.lag for cursor in chain(self.cursors, left)]
        return Lag(sum(lag.messages for lag in lags), sum(lag.bytes for lag in lags))

    @property
    def full(self) -> bool:
        """Whether those who send to it, or have it join rooms, must wait; not once the connection has ended."""
        waiting = self.outbox.private_size + SPLICE_COST * self.leaving
        return waiting >= self.link.settings.outbox_limit and self.ending is None

    async def wait_for_space(self, *, to_send: bool) -> None:
        """Wait while it is `full`, but not to send to one that is muted. Those who wait for the same go on in order."""
        self._space = self._space or (Space(), Space())
        await self._space[to_send].wait(lambda: self.full and not (to_send and self.muted))

    def send(self, wire: bytes) -> None:
        """Send private bytes behind all that the rooms have now.

        Where nothing is before them the pump writes them. What else is sent in the same turn of the loop leaves
        together in the next: a system call costs more than many short messages, and so does a peer that wakes for each.
        """
        pump = self.pumped_by
        if self.direct and self._sent_in != pump.turn and not pump.busy:
            self._sent_in = pump.turn
            pump.write(self, wire)
        else:
            self._place(wire)

    def join(self, fan_out: FanOut[M], at: Mark | None = None) -> None:
        """Read a room, from the mark `at` or from now on."""
        cursor = fan_out.join(self, at)
        cursor.index = len(self.cursors)
        if self.cursors:
            self.cursors.append(cursor)
        else:
            self.cursors = [cursor]

    def leave(self, cursor: Cursor[Any, Any]) -> None:
        """Leave the room of a cursor, having read what it has now."""
        last = self.cursors.pop()
        if last is not cursor:
            self.cursors[cursor.index] = last
            last.index = cursor.index
        cursor.owner.leave(cursor)
        if not (cursor.finished or self.ending):
            # What it hears from now on, as from a room of the same name, comes behind what this one still has for it.
            self._place(b"")

    def pump(self) -> int:
        """Write until the transport is full, nothing is left, or a turn has enough; how much, in reads of the outbox.

        Raises:
            CannotTell: the client missed messages, and its framing cannot say so.
        """
        link, outbox = self.link, self.outbox
        most = PUMP_SIZE if self.max_lag is None else FRESH_SIZE
        buffers: list[Buffer] = []
        reads = size = 0
        while link.writable and reads < PUMP_READS and size < most:
            passed = 0
            if (cursor := outbox.take_cursor()) is not None:
                start = cursor.at.offset
                more = self._read(cursor, most - size)
                if self.dropped:
                    return reads
                # It may be excluded from most of what it reads.
                passed = cursor.at.offset - start if cursor.catching_up else 0
            elif not (outbox.has_private and (more := outbox.take_private(self._horizon))):
                break
            reads += 1
            buffers += more
            size += max(passed, sum(map(len, more)))
            if passed and buffers:
                # The next chunk of the older end is read once the socket has taken the one before.
                link.write(buffers)
                buffers = []
        if buffers:
            if size <= JOIN_SIZE:
                link.transport.write(b"".join(buffers))
            else:
                link.write(buffers)
        if self.outbox.idle:
            self.outbox = IDLE
        self.direct = link.writable and self.outbox is IDLE and not self.unsettled
        if reads == PUMP_READS or size >= most:
            self.pumped_by.pump_soon(self)
        if not self.full:
            self._tell_of_space()
        if self.ending is not None and self.exhausted:
            link.finish()
        return reads + size // READ_SIZE

    def _read(self, cursor: Cursor[Any, Any], size: int) -> list[Buffer]:
        """What is next at a cursor that was behind, about `size` bytes; nothing while it must be fetched."""
        fan_out = cursor.owner
        self.pumped_by.judge(cursor)
        fan_out.displace(cursor)
        if self.dropped or fan_out.fetches.fetch_for(cursor):
            return []
        buffers = cursor.read(self.outbox.tick, size)
        if fan_out.place(cursor):
            self.outbox.add(cursor)
        self.link.moved_at = self.link.loop.time()
        return buffers

    def write(self, buffers: Sequence[Buffer]) -> None:
        """Write pieces; only while the transport takes data."""
        self.link.write(buffers)

    def fall_behind(self, cursor: Cursor[Any, Any]) -> None:
        """There is something to read at `cursor`, which no flush has written."""
        self._own_outbox().add(cursor)
        if self.link.writable:
            self.pumped_by.pump_soon(self)

    def settle(self) -> None:
        """One of its cursors was placed; what waited for it goes on."""
        self.pumped_by.pump_soon(self)

    def policy_in(self, room: Place) -> str:
        """The name of its policy in a room."""
        if self.ending is not None:
            return policies.DISCONNECT
        return policies.SKIP if self.muted else self.when_slow or room.settings.when_slow

    def overrun(self, cursor: Cursor[Any, Any]) -> None:
        """Retention has passed `cursor`: the policy decides."""
        room = cursor.owner.room
        ending = policies.find(self.policy_in(room))(cursor, room.name)
        if ending is not None:
            self.end(ending, deliver=False)

    def lose(self, cursor: Cursor[Any, Any]) -> None:
        """The older end has lost what is next at `cursor`: end it, since nobody can tell how much of that it missed."""
        self.end(disconnect.too_slow(cursor, cursor.owner.room.name), deliver=False)

    def fail(self, error: Exception) -> None:
        """It cannot be written to: end it."""
        if not isinstance(error, CannotTell):
            logger.error("%s cannot be written to", self.client, exc_info=error)
        self.end(Ending(EndingCode.UNDELIVERABLE, str(error) or type(error).__name__), deliver=False)

    def end(self, ending: Ending, *, deliver: bool) -> None:
        """End the connection; the first ending is the one that is recorded.

        Args:
            ending: why.
            deliver: whether what was broadcast and sent before is still delivered. Otherwise only what the transport
                already has is, so that the client gets no part of a message.
        """
        first = self.ending is None
        if first:
            self.ending = ending
            if not self.link.lost:
                # From a lost connection all is received that had arrived.
                self.link.stop_receiving()
            # It is told of while its lag is known.
            self._supervisor.ended(self, ending)
        while self.cursors:
            self.leave(self.cursors[-1])
        if not deliver and not self.dropped:
            self._drop()
        if not self.link.lost:
            self.pumped_by.pump_soon(self)
        self._tell_of_space()

    @property
    def _horizon(self) -> int:
        """The tick up to which everything was flushed for it."""
        return 0 if self.unsettled else self.pumped_by.horizon(self, self.outbox.tick)

    def _place(self, wire: bytes) -> None:
        self._own_outbox().send(self.pumped_by.clock.place(), wire)
        self.pumped_by.pump_soon(self)

    def _own_outbox(self) -> Outbox:
        """Its outbox, to place something in it."""
        self.direct = False
        if self.outbox is IDLE:
            self.outbox = Outbox()
        return self.outbox

    def _tell_of_space(self) -> None:
        for space in self._space or ():
            space.tell()

    def _drop(self) -> None:
        self.dropped = True
        for cursor in self.outbox.cursors:
            cursor.owner.displace(cursor)
        self.outbox = IDLE
        self.leaving = self.unsettled = 0
