"""The bounded log of a room: append, flush, read from a mark, retain.

Messages are kept in the room's framing only, as the bytes that go to every reader, in chunks of bounded size; single
messages are found in them again by decoding. What is appended is *pending* until the next flush makes it readable.
"""

from __future__ import annotations

import secrets
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple

from .exceptions import PositionLost
from .framing import M

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .framing import Framing

Buffer = bytes | memoryview

BATCH_COST: Final = 256
"""What a batch counts beside its bytes: about what its bookkeeping takes."""

SMALL_CHUNK: Final = 32 * 1024
"""A chunk that stays no larger takes in the next one: a quiet room must not be a log of tiny chunks."""


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a room's log that keeps its meaning outside this process.

    Attributes:
        epoch: names this life of the log; a position of an earlier life is lost, never misread.
        seq: how many messages came before.
    """

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.seq}"


@dataclass(frozen=True, slots=True)
class Entry(Generic[M]):
    """One message of a log.

    Attributes:
        position: its place; the history *after* it starts at `position.seq + 1`.
        time: when it was broadcast, in seconds since 1970.
        sender: the name of the client it was excluded for, which is the one that said it; "" where there is none.
        message: the message.
    """

    position: Position
    time: float
    sender: str
    message: M


class Mark(NamedTuple):
    """A place in one log: messages, and counted bytes, since its birth."""

    seq: int
    offset: int


@dataclass(slots=True)
class Batch:
    """Messages that were broadcast together, or one after the other by the same sender; the unit of bookkeeping.

    Attributes:
        start: where it starts in the log.
        count: how many messages it has.
        wire_start: where its bytes start in those of its chunk.
        wire_end: where they end.
        time: when its first message was broadcast, in seconds since 1970.
        sender: see `Entry`.
        excluded: who does not read it.
    """

    start: Mark
    count: int
    wire_start: int
    wire_end: int
    time: float
    sender: str
    excluded: object

    @property
    def end(self) -> Mark:
        """Where the next batch starts."""
        size = BATCH_COST + self.wire_end - self.wire_start
        return Mark(self.start.seq + self.count, self.start.offset + size)


class Chunk:
    """A run of batches and their bytes: what is written at once, and dropped at once."""

    __slots__ = ("_pieces", "_renderings", "batches", "excluded", "wire_size")

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.wire_size = 0
        self.excluded: dict[object, list[Batch]] = {}
        self._pieces: list[bytes] = []
        self._renderings: dict[Renderer[Any], Chunk] = {}

    @property
    def start(self) -> Mark:
        return self.batches[0].start

    @property
    def end(self) -> Mark:
        return self.batches[-1].end

    @property
    def size(self) -> int:
        """Counted bytes."""
        return self.end.offset - self.start.offset

    @property
    def wire(self) -> bytes:
        """The bytes of all batches; joined at the first call, and kept in place of the pieces."""
        if len(self._pieces) != 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0]

    def add(self, wire: bytes) -> None:
        """Add bytes to the last batch."""
        self._pieces.append(wire)
        self.wire_size += len(wire)
        self.batches[-1].wire_end = self.wire_size

    def begin(self, start: Mark, time: float, sender: str, excluded: object) -> Batch:
        """Begin a new batch, which is empty so far."""
        batch = Batch(start, 0, self.wire_size, self.wire_size, time, sender, excluded)
        self.batches.append(batch)
        if excluded is not None:
            self.excluded.setdefault(excluded, []).append(batch)
        return batch

    def extend(self, later: Chunk) -> None:
        """Take in the chunk that follows this one in the log."""
        for batch in later.batches:
            batch.wire_start += self.wire_size
            batch.wire_end += self.wire_size
        self.batches += later.batches
        self._pieces.append(later.wire)
        self.wire_size += later.wire_size
        for reader, batches in later.excluded.items():
            self.excluded.setdefault(reader, []).extend(batches)
        self._renderings.clear()

    def rendered(self, renderer: Renderer[Any]) -> Chunk:
        """The same batches in another framing: made for the first reader that asks, and kept with the chunk.

        Only their bytes differ: where they are in the log, this chunk knows.
        """
        rendering = self._renderings.get(renderer)
        if rendering is None:
            rendering = self._renderings[renderer] = Chunk()
            wire = self.wire
            for batch in self.batches:
                rendering.begin(batch.start, batch.time, batch.sender, batch.excluded).count = batch.count
                rendering.add(renderer.render(wire[batch.wire_start : batch.wire_end]))
        return rendering

    def read(self, start: int, stop: int, reader: object) -> tuple[list[Buffer], Mark]:
        """The bytes of the batches from `start` up to `stop` without those `reader` is excluded from, and their end."""
        first = self.batches[bisect_left(self.batches, start, key=_start_seq)]
        last = self.batches[bisect_left(self.batches, stop, key=_start_seq) - 1]
        excluded = self.excluded.get(reader, [])
        if not excluded and last.wire_end - first.wire_start == self.wire_size:
            return [self.wire] if self.wire_size else [], last.end
        whole = memoryview(self.wire)
        buffers: list[Buffer] = []
        at = first.wire_start
        for batch in excluded[bisect_left(excluded, start, key=_start_seq) :]:
            if batch.wire_start >= last.wire_end:
                break
            if at < batch.wire_start:
                buffers.append(whole[at : batch.wire_start])
            at = batch.wire_end
        if at < last.wire_end:
            buffers.append(whole[at : last.wire_end])
        return buffers, last.end

    def count_for(self, start: int, stop: int, reader: object) -> int:
        """How many messages from `start` up to `stop` are in this chunk for `reader`; both are batch boundaries."""
        start = max(start, self.start.seq)
        stop = min(stop, self.end.seq)
        own = sum(batch.count for batch in self.excluded.get(reader, ()) if start <= batch.start.seq < stop)
        return max(0, stop - start) - own


class Renderer(Generic[M]):
    """Puts the messages of a log into another framing than its own.

    Args:
        source: the framing of the log.
        target: the other one.
        missed: the bytes that stand for a message which the other one cannot carry.
    """

    def __init__(self, source: Framing[M], target: Framing[M], missed: bytes) -> None:
        self._source = source
        self._target = target
        self._missed = missed

    def render(self, wire: bytes) -> bytes:
        """The messages of `wire` in the other framing."""
        return self.encode(self._source.decoder(len(wire)).feed(wire))

    def encode(self, messages: Sequence[M]) -> bytes:
        """`messages` in the other framing."""
        try:
            return self._target.encode(messages)
        except ValueError:
            if len(messages) == 1:
                return self._missed
            return b"".join([self.encode([message]) for message in messages])


class Log(Generic[M]):
    """The messages of a room, from the oldest retained one to the newest.

    Args:
        framing: how messages are kept, which is how most readers take them.
        retention: counted bytes that are kept, the newest chunk always.

    A batch counts with its bytes on the wire and `BATCH_COST` more.

    Attributes:
        epoch: see `Position`.
        flushed: what lies before it may be read.
        pending_size: counted bytes that wait for the next flush.
        pending_appends: in how many pieces they came.
    """

    def __init__(self, framing: Framing[M], retention: int) -> None:
        self.epoch = secrets.token_hex(4)
        self.flushed = Mark(0, 0)
        self.pending_size = 0
        self.pending_appends = 0
        self._framing = framing
        # Whether messages that come one after the other can share a batch, and be found in it again.
        self._joins = framing.self_delimiting
        self._retention = retention
        self._chunks: list[Chunk] = []
        self._pending = Chunk()
        # The last batch, as long as nobody has a mark at its end.
        self._running: Batch | None = None

    @property
    def head(self) -> Mark:
        """The end of the log, as things stand."""
        return self._pending.end if self._pending.batches else self.flushed

    def mark(self) -> Mark:
        """The end of the log as a place to start or stop at: what is appended next is another batch."""
        self._running = None
        return self.head

    @property
    def oldest(self) -> Mark:
        """Where the retained messages start."""
        return self._chunks[0].start if self._chunks else self.flushed

    def position(self, mark: Mark) -> Position:
        return Position(self.epoch, mark.seq)

    def append(self, wire: bytes, count: int, *, time: float, sender: str = "", exclude: object = None) -> None:
        """Add `count` messages, encoded as `wire`, which `exclude` will not read."""
        batch = self._running
        if batch is None or not self._joins or batch.excluded is not exclude or batch.sender != sender:
            batch = self._running = self._pending.begin(self.head, time, sender, exclude)
            self.pending_size += BATCH_COST
        batch.count += count
        self._pending.add(wire)
        self.pending_size += len(wire)
        self.pending_appends += 1

    def flush(self) -> Chunk:
        """Make what is pending readable, and return it; it stays a chunk of its own until `compact`."""
        chunk = self._pending
        if not chunk.batches:
            return chunk
        self.flushed = self.head
        self._running = None
        self._pending = Chunk()
        self.pending_size = 0
        self.pending_appends = 0
        self._chunks.append(chunk)
        return chunk

    def compact(self) -> None:
        """Join the newest chunk to the one before it, if both are small."""
        if len(self._chunks) > 1 and self._fits(*self._chunks[-2:]):
            last = self._chunks.pop()
            self._chunks[-1].extend(last)

    def overdue(self) -> Chunk | None:
        """The oldest chunk, if retention has passed it. `drop` it once no cursor is in it."""
        chunks = self._chunks
        if len(chunks) > 1 and self.flushed.offset - chunks[0].batches[0].start.offset > self._retention:
            return chunks[0]
        return None

    def drop(self) -> None:
        """Forget the oldest chunk."""
        del self._chunks[0]

    def chunk_at(self, mark: Mark) -> Chunk:
        """The chunk that holds the retained, flushed message at `mark`."""
        return self._chunks[bisect_right(self._chunks, mark.seq, key=_start_seq) - 1]

    def locate(self, position: Position) -> int:
        """The `seq` of a position that the log holds, its head included.

        Raises:
            PositionLost: the log does not hold it.
        """
        if position.epoch != self.epoch or not self.oldest.seq <= position.seq <= self.head.seq:
            raise PositionLost(position, oldest=self.position(self.oldest), head=self.position(self.head))
        return position.seq

    def mark_after(self, seq: int) -> tuple[Mark, Sequence[M]]:
        """The first mark from message `seq` on, and the messages between: the rest of a batch, if any."""
        head = self.mark()
        for batch, _ in self.batches_since(seq):
            if batch.start.seq == seq:
                return batch.start, []
            rest = islice(self.entries_since(seq), batch.end.seq - seq)
            return batch.end, [entry.message for entry in rest]
        return head, []

    def batches_since(self, seq: int) -> Iterator[tuple[Batch, bytes]]:
        """The batches from the one that holds message `seq` on, the pending ones too, each with its bytes."""
        for chunk in [*self._chunks, self._pending]:
            if chunk.batches and seq < chunk.end.seq:
                wire = chunk.wire
                for batch in chunk.batches:
                    if seq < batch.end.seq:
                        yield batch, wire[batch.wire_start : batch.wire_end]

    def entries_since(self, seq: int) -> Iterator[Entry[M]]:
        """The messages from `seq` on, with what is known of each."""
        for batch, wire in self.batches_since(seq):
            for at, message in enumerate(self._messages(batch, wire), start=batch.start.seq):
                if at >= seq:
                    yield Entry(Position(self.epoch, at), batch.time, batch.sender, message)

    def _fits(self, chunk: Chunk, later: Chunk) -> bool:
        if chunk.wire_size + later.wire_size > SMALL_CHUNK:
            return False
        # Chunks are dropped whole, so that one which counts much would take more with it than retention has passed.
        return later.end.offset - chunk.start.offset <= self._retention // 8

    def _messages(self, batch: Batch, wire: bytes) -> Sequence[M]:
        return self._framing.decoder(len(wire)).feed(wire)


def _start_seq(run: Batch | Chunk) -> int:
    return run.start.seq
