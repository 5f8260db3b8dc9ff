"""The bounded log of a room: append, flush, read from a mark, retain.

Messages are kept in the room's framing only, as the bytes that go to most readers, in chunks of bounded size; single
messages are found in them again by decoding. What is appended is *pending* until the next flush makes it readable.
"""

from __future__ import annotations

import logging
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, Final, Generic

from ..framing import M
from ..values.position import new_term
from .chunk import BATCH_COST, Batch, Chunk, Mark, first_batch
from .clock import NEVER
from .rendered import Rendered
from .terms import Terms

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..framing import Framing
    from ..values.position import Position
    from .clock import Clock
    from .store import StoredLog

logger = logging.getLogger("hubbub")

SMALL_CHUNK: Final = 32 * 1024
"""A chunk that stays no larger takes in the next one: a quiet room must not be a log of tiny chunks."""

BATCH_SIZE: Final = 64 * 1024
"""Counted bytes up to which a batch takes in more: a reader that is behind reads whole batches, and holds them."""


class Log(Generic[M]):
    """The messages of a room, from the oldest retained one to the newest.

    Args:
        framing: how messages are kept, which is how most readers take them.
        retention: counted bytes that are kept, the newest chunk always.
        clock: orders the messages of all rooms of a server.
        older: keeps what is appended, and is read where memory has dropped that; None: it is lost then. The log goes on
            where this one ended.

    A batch counts with its bytes on the wire and `BATCH_COST` more.

    Attributes:
        framing, clock, older: as above.
        terms: its terms, of which the last one is current.
        rendered: the bytes of its chunks in other renderings than its own: they count no more than the retention.
        begun, readable: its end when it was made; the mark before which messages may be read.
        pending_size: counted bytes that wait for the next flush.
        pending_appends: in how many pieces they came.
        ended: whether nothing is appended any more.
    """

    def __init__(self, framing: Framing[M], retention: int, clock: Clock, older: StoredLog | None = None) -> None:
        self.framing = framing
        self.clock = clock
        self.older = older
        self.begun = self.readable = Mark(0, 0) if older is None else older.head
        self.pending_size = self.pending_appends = 0
        self.ended = False
        # Of the newest batch: times never fall along a log, even if the wall clock jumps back.
        self._time = 0.0 if older is None else older.time
        self.terms = Terms(() if older is None else older.terms)
        self._begin_term()
        # Whether messages that come one after the other can share a batch, and be found in it again.
        self._joins = framing.self_delimiting
        self._retention = retention
        self.rendered = Rendered(retention)
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
        older, oldest = self.older, self.oldest.seq
        # What an older end has taken may end before memory begins, while it takes nothing.
        return older.start if older is not None and older.start <= oldest <= older.end else oldest

    def position(self, seq: int) -> Position:
        """The position of the place after `seq` messages."""
        return self.terms.position(seq)

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
        if batch is None and self.older is not None and self.older.ready:
            self._attempt(self._begin_term)
        if (
            batch is None
            or batch.tick != clock.now
            or batch.excluded != excluded
            or batch.token != token
            or batch.sender != sender
            or batch.size + len(wire) > BATCH_SIZE - BATCH_COST
            or not self._joins
        ):
            start = self.readable if batch is None else batch.end
            self._time = time = max(time, self._time)
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
        self.pending_size = self.pending_appends = 0
        self._chunks.append(chunk)
        if self.older is not None and not self.ended:
            self._store(chunk)
        return chunk

    def end(self) -> None:
        """Nothing is appended any more: store what is pending. Another log may go on where this one has ended."""
        self._store(self._pending)
        self.ended = True
        if self.older is not None:
            self._attempt(self.older.release)

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
            return chunks.pop(0)
        return None

    def _begin_term(self) -> None:
        """Begin a new term at the head, while nothing is pending: at the start, or when the older end is back."""
        name = new_term()
        if self.older is not None:
            self.older.begin(name, self.readable)
        self.terms.begin(name, self.readable.seq)
        self._failed = False

    def _store(self, chunk: Chunk) -> None:
        if self.older is not None and chunk.batches:
            self._attempt(self.older.append, chunk)

    def _attempt(self, ask: Callable[..., None], *arguments: Any) -> None:
        """Ask something of the older end. If it raises, which is told once in a term, the log goes on in memory."""
        try:
            ask(*arguments)
        except Exception:
            if not self._failed:
                logger.exception("the older end of a log takes no chunk")
            self._failed = True

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
        batch = first_batch(self._chunks, key, least)
        return self.readable if batch is None else batch.start

    def mark_of(self, seq: int) -> Mark:
        """The mark of a message that memory holds, or of the head. Within a batch its bytes are those of the start."""
        if seq == self.head.seq:
            return self.mark()
        chunk = self._pending if seq >= self.readable.seq else self.chunk_at(Mark(seq, 0))
        return Mark(seq, chunk.batch_at(seq).start.offset)

    def _fits(self, chunk: Chunk, later: Chunk) -> bool:
        if chunk.size + later.size > SMALL_CHUNK:
            return False
        # Chunks are dropped whole, so that one which counts much would take more with it than retention has passed.
        return later.end.offset - chunk.start.offset <= self._retention // 8


def _start_seq(run: Batch | Chunk) -> int:
    return run.start.seq
