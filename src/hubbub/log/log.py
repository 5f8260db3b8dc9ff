"""The bounded log of a room: append, flush, read from a mark, retain.

Messages are kept in the room's framing only, as the bytes that go to most readers, in chunks of bounded size; single
messages are found in them again by decoding. What is appended is *pending* until the next flush makes it readable.
"""

from __future__ import annotations

import logging
from bisect import bisect_left, bisect_right
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Generic

from ..framing import M
from ..values.errors import PositionLost
from ..values.position import Position, new_term
from .chunk import BATCH_COST, Batch, Chunk, Mark
from .clock import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..framing import Framing
    from .clock import Clock
    from .older import OlderEnd

logger = logging.getLogger("hubbub")

SMALL_CHUNK: Final = 32 * 1024
"""A chunk that stays no larger takes in the next one: a quiet room must not be a log of tiny chunks."""


class Log(Generic[M]):
    """The messages of a room, from the oldest retained one to the newest.

    Args:
        framing: how messages are kept, which is how most readers take them.
        retention: counted bytes that are kept, the newest chunk always.
        clock: orders the messages of all rooms of a server.
        older: holds what memory has dropped; None: it is lost.

    A batch counts with its bytes on the wire and `BATCH_COST` more.

    Attributes:
        framing: as above.
        clock: as above.
        older: as above.
        readable: the mark before which messages may be read.
        pending_size: counted bytes that wait for the next flush.
        pending_appends: in how many pieces they came.
    """

    def __init__(self, framing: Framing[M], retention: int, clock: Clock, older: OlderEnd | None = None) -> None:
        self.framing = framing
        self.clock = clock
        self.older = older
        self.readable = Mark(0, 0)
        self.pending_size = 0
        self.pending_appends = 0
        self._term = new_term()
        # Every term of this log, with the seq it began at. In memory there is one.
        self._terms = {self._term: 0}
        # Whether messages that come one after the other can share a batch, and be found in it again.
        self._joins = framing.self_delimiting
        self._retention = retention
        self._chunks: list[Chunk] = []
        self._pending = Chunk()

    @property
    def head(self) -> Mark:
        """The end of the log, as things stand."""
        return self._pending.end if self._pending.batches else self.readable

    def mark(self) -> Mark:
        """The end of the log as a place to start or stop at: what is appended next is another batch."""
        self.clock.place()
        return self.head

    @property
    def chunks(self) -> list[Chunk]:
        """All chunks that memory holds, the pending one too."""
        return [*self._chunks, self._pending]

    @property
    def oldest(self) -> Mark:
        """Where the messages start that memory retains."""
        return self._chunks[0].start if self._chunks else self.readable

    @property
    def start(self) -> int:
        """The `seq` from which on messages are held, in memory or in the older end."""
        start = None if self.older is None else self.older.start
        return self.oldest.seq if start is None else start

    def position(self, seq: int) -> Position:
        """The position of the place after `seq` messages."""
        return Position(self._term, seq)

    @property
    def pending_tick(self) -> int:
        """The tick of the first batch that waits for a flush; NEVER where nothing waits."""
        return self._pending.batches[0].tick if self._pending.batches else NEVER

    def append(
        self, wire: bytes, count: int, *, time: float, sender: str = "", token: int = 0, excluded: int = 0
    ) -> int:
        """Add `count` messages, encoded as `wire`; how many messages the log has then had.

        Args:
            wire: the bytes.
            count: how many messages they carry.
            time: in seconds since 1970.
            sender: see `Batch`.
            token: likewise.
            excluded: likewise.
        """
        pending, clock = self._pending, self.clock
        batch = pending.batches[-1] if pending.batches else None
        if (
            batch is None
            or batch.tick != clock.now
            or batch.excluded != excluded
            or batch.token != token
            or batch.sender != sender
            or not self._joins
        ):
            start = self.readable if batch is None else batch.end
            batch = Batch(start, clock.now, time, sender, token, excluded, born=clock.seconds)
            clock.stamped = True
            pending.begin(batch)
            self.pending_size += BATCH_COST
        pending.add(wire, count)
        self.pending_size += len(wire)
        self.pending_appends += 1
        return batch.start.seq + batch.count

    def flush(self) -> Chunk:
        """Make what is pending readable, and return it; it stays a chunk of its own until `compact`."""
        chunk = self._pending
        if not chunk.batches:
            return chunk
        self.readable = self.head
        self._pending = Chunk()
        self.pending_size = 0
        self.pending_appends = 0
        self._chunks.append(chunk)
        return chunk

    def compact(self) -> tuple[Chunk, Chunk] | None:
        """Join the newest chunk to the one before it, if both are small; the two, of which the first is left."""
        if len(self._chunks) < 2 or not self._fits(*self._chunks[-2:]):
            return None
        last = self._chunks.pop()
        self._chunks[-1].extend(last)
        return self._chunks[-1], last

    def drop_overdue(self) -> Chunk | None:
        """Forget the oldest chunk, if retention has passed it; the chunk."""
        chunks = self._chunks
        if len(chunks) > 1 and self.readable.offset - chunks[0].start.offset > self._retention:
            chunk = chunks.pop(0)
            self._hand_on(chunk)
            return chunk
        return None

    def _hand_on(self, chunk: Chunk) -> None:
        try:
            if self.older is not None:
                self.older.add(chunk)
        except Exception:
            logger.exception("the older end of a log takes no chunk")

    def chunk_at(self, mark: Mark) -> Chunk:
        """The chunk that holds the readable message at `mark`; the oldest one if retention has passed that."""
        return self._chunks[max(0, bisect_right(self._chunks, mark.seq, key=_start_seq) - 1)]

    def between(self, start: int, stop: int) -> list[Chunk]:
        """The readable chunks that memory holds with messages from `start` up to `stop`."""
        first = max(0, bisect_right(self._chunks, start, key=_start_seq) - 1)
        return self._chunks[first : bisect_left(self._chunks, stop, key=_start_seq)]

    def batch_at(self, mark: Mark) -> Batch:
        """The batch that holds the retained, readable message at `mark`."""
        return self.chunk_at(mark).batch_at(mark.seq)

    def first(self, key: Callable[[Batch], float], least: float) -> Mark:
        """The start of the first readable batch whose `key` is at least `least`, or the end; keys never fall."""
        chunks = self._chunks
        index = bisect_left(chunks, least, key=lambda chunk: key(chunk.batches[-1]))
        if index == len(chunks):
            return self.readable
        batches = chunks[index].batches
        return batches[bisect_left(batches, least, key=key)].start

    def seq_of(self, position: Position) -> int:
        """How many messages come before a position that the log holds, its head included.

        Raises:
            PositionLost: the log does not hold it.
        """
        if position.term not in self._terms or not self.start <= position.seq <= self.head.seq:
            raise self._lost(position)
        return position.seq

    def locate(self, position: Position) -> Mark:
        """The mark of a position that memory holds, the log's head included.

        Within a batch its bytes are those of the batch's start.

        Raises:
            PositionLost: memory does not hold it.
        """
        seq = self.seq_of(position)
        if seq < self.oldest.seq:
            raise self._lost(position)
        if seq == self.head.seq:
            return self.mark()
        chunk = self._pending if seq >= self.readable.seq else self.chunk_at(Mark(seq, 0))
        return Mark(seq, chunk.batch_at(seq).start.offset)

    async def find(self, position: Position) -> Mark:
        """The mark of a position that the log holds, in memory or in the older end. It may be cancelled.

        Raises:
            PositionLost: the log does not hold it.
        """
        seq = self.seq_of(position)
        if seq < self.oldest.seq:
            return Mark(seq, (await self.older_chunk(seq)).batch_at(seq).start.offset)
        return self.locate(position)

    async def older_chunk(self, seq: int) -> Chunk:
        """The chunk of the older end that holds the message after the first `seq`. It may be cancelled.

        Raises:
            PositionLost: the older end does not hold it.
        """
        with suppress(LookupError):
            if self.older is not None:
                chunk = await self.older.chunk_at(seq)
                if chunk.batches and chunk.start.seq <= seq < chunk.end.seq:
                    return chunk
        raise self._lost(self.position(seq))

    def _lost(self, position: Position) -> PositionLost:
        return PositionLost(position, oldest=self.position(self.start), head=self.position(self.head.seq))

    def _fits(self, chunk: Chunk, later: Chunk) -> bool:
        if chunk.size + later.size > SMALL_CHUNK:
            return False
        # Chunks are dropped whole, so that one which counts much would take more with it than retention has passed.
        return later.end.offset - chunk.start.offset <= self._retention // 8


def _start_seq(run: Batch | Chunk) -> int:
    return run.start.seq
