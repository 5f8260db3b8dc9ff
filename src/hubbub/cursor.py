"""One reader's place in a log, and all that one client is still to be sent, in order.

A cursor moves over the batches of a log. An `Outbox` merges the cursors of one client with its private messages: each
of those is a splice, which has its place behind what the rooms had when it was sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from .log import Buffer, Chunk, Log, Mark, Renderer

SPLICE_COST: Final = 256
"""What a private message counts beside its bytes: about what its bookkeeping takes."""

Owner = TypeVar("Owner")


class Lag(NamedTuple):
    """How far a reader is behind: the head of the log minus its cursor."""

    messages: int
    bytes: int


class Cursor(Generic[Owner]):
    """One reader's place in one log.

    Args:
        log: the log it reads.
        at: where it starts; the start of a batch.
        owner: whatever keeps the log, for the caller's use.
        notice: makes the bytes that tell the reader how many messages it missed; none for no notice.
        renderer: puts what it reads into the reader's framing; None: that is the log's own.

    Attributes:
        at: the next message it will read.
        renderer: as above.
        end: the `seq` before which it will stop, once the reader is leaving.
    """

    __slots__ = ("_missed", "_notice", "at", "end", "log", "owner", "renderer")

    def __init__(
        self,
        log: Log[Any],
        at: Mark,
        owner: Owner,
        notice: Callable[[int], bytes],
        renderer: Renderer[Any] | None = None,
    ) -> None:
        self.log = log
        self.at = at
        self.owner = owner
        self.end: int | None = None
        self.renderer = renderer
        self._notice = notice
        self._missed = 0

    @property
    def lag(self) -> Lag:
        head = self.log.head
        return Lag(head.seq - self.at.seq, head.offset - self.at.offset)

    @property
    def target(self) -> int:
        """The `seq` before which its reading will stop, as things stand."""
        return self.log.head.seq if self.end is None else self.end

    def stop_here(self) -> int:
        """The same as a place for a splice: what its room says next comes behind it."""
        self.log.mark()
        return self.target

    @property
    def waiting(self) -> bool:
        """Whether there is something for it to read, if only a notice, or once it is flushed."""
        log, seq = self.log, self.at.seq
        if self.end is not None:
            return self._missed > 0 or seq < self.end
        # The head takes longer to find out than all the rest.
        return self._missed > 0 or seq < log.flushed.seq or (log.pending_size > 0 and seq < log.head.seq)

    @property
    def finished(self) -> bool:
        """Whether it is leaving and has read all that it was to read."""
        return self.end is not None and not self.waiting

    def read(self, stop: int) -> list[Buffer]:
        """The next bytes before `stop`, at most a chunk of them; none when there is nothing to read before it."""
        if self._missed:
            notice = self._notice(self._missed)
            self._missed = 0
            if notice:
                return [notice]
        while self.at.seq < (stop := min(stop, self.target, self.log.flushed.seq)):
            chunk, seq = self.log.chunk_at(self.at), self.at.seq
            buffers, self.at = chunk.read(seq, stop, self)
            if self.renderer is not None:
                buffers, _ = chunk.rendered(self.renderer).read(seq, stop, self)
            if buffers:
                return buffers
        return []

    def skip(self, chunk: Chunk) -> None:
        """Move behind `chunk`, which the log is about to drop, and remember what was missed."""
        self._missed += chunk.count_for(self.at.seq, self.target, self)
        self.at = chunk.end


class _Splice:
    __slots__ = ("marks", "wires")

    def __init__(self, marks: dict[Cursor[Any], int], wire: bytes) -> None:
        self.marks = marks
        self.wires: list[Buffer] = [wire]


class Outbox(Generic[Owner]):
    """What one client is still to be sent: its cursors, with its private messages between what they read.

    Attributes:
        cursors: one for each room it reads; the next to read from comes first.
        private_size: what the private messages that wait count, in bytes.
    """

    __slots__ = ("_splices", "cursors", "private_size")

    def __init__(self) -> None:
        # Tuples: they are short, and empty ones cost an idle connection nothing.
        self.cursors: tuple[Cursor[Owner], ...] = ()
        self.private_size = 0
        self._splices: tuple[_Splice, ...] = ()

    @property
    def has_private(self) -> bool:
        return bool(self._splices)

    @property
    def idle(self) -> bool:
        """Whether nothing waits, not even for a flush."""
        if self._splices:
            return False
        for cursor in self.cursors:  # noqa: SIM110 - a generator would take longer than all it looks at
            if cursor.waiting:
                return False
        return True

    @property
    def exhausted(self) -> bool:
        """Whether nothing waits and no room is read any more."""
        return not self._splices and not self.cursors

    @property
    def lag(self) -> Lag:
        """The lag of all cursors together."""
        lags = [cursor.lag for cursor in self.cursors]
        return Lag(sum(lag.messages for lag in lags), sum(lag.bytes for lag in lags))

    def add(self, cursor: Cursor[Owner], before: bytes = b"") -> None:
        """Read from one more log, after sending what comes `before` that."""
        if before or (self.cursors and any(other.log is cursor.log for other in self.cursors)):
            # Even an empty splice keeps the new cursor behind one that is still leaving the same log.
            self.send(before)
        self.cursors += (cursor,)

    def remove(self, cursor: Cursor[Owner]) -> None:
        """Read no more from a log."""
        self.cursors = tuple([other for other in self.cursors if other is not cursor])

    def send(self, wire: bytes) -> None:
        """Place a private message behind all that the rooms have now."""
        marks = {cursor: cursor.stop_here() for cursor in self.cursors if cursor.waiting}
        if self._splices and self._splices[-1].marks == marks:
            self._splices[-1].wires.append(wire)
        else:
            self._splices += (_Splice(marks, wire),)
        self.private_size += len(wire) + SPLICE_COST

    def read(self) -> list[Buffer]:
        """The bytes to write next; none while there is nothing that may be read."""
        splice = self._splices[0] if self._splices else None
        for index, cursor in enumerate(self.cursors):
            if splice is not None and cursor not in splice.marks:
                # It had nothing to read when the splice was placed: its next, be it a notice, comes after it.
                continue
            if buffers := cursor.read(cursor.target if splice is None else splice.marks[cursor]):
                # The rooms take turns, so that a busy one cannot hide the others.
                self.cursors = (*self.cursors[:index], *self.cursors[index + 1 :], cursor)
                return buffers
        if splice is None or any(cursor.at.seq < mark for cursor, mark in splice.marks.items()):
            return []
        self._splices = self._splices[1:]
        self.private_size -= sum(len(wire) + SPLICE_COST for wire in splice.wires)
        # An empty one only keeps its place. asyncio's writelines never gets rid of an empty buffer at the end.
        return [wire for wire in splice.wires if wire] or self.read()

    def clear(self) -> None:
        """Drop everything."""
        self.cursors = ()
        self._splices = ()
        self.private_size = 0
