"""A chunk of a log: a run of batches, the bytes that carry them, and those bytes in other renderings."""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Buffer = bytes | memoryview

ALL: Final = sys.maxsize
"""More bytes than there are."""

BATCH_COST: Final = 256
"""What a batch counts beside its bytes: about what its bookkeeping takes."""


class CannotTell(Exception):
    """Messages are missing from a rendering, and its framing cannot say so."""


class Mark(NamedTuple):
    """A place in one log: messages, and counted bytes, since the log began."""

    seq: int
    offset: int


@dataclass(slots=True)
class Batch:
    """Messages that were broadcast together, or one after the other by the same sender; the unit of bookkeeping.

    Attributes:
        start: where it starts in the log.
        tick: when it began; see `Clock`.
        time: when its first message was broadcast, in seconds since 1970.
        sender: the name of its sender; "" for none.
        token: the token of the connection that sent it; 0 for none.
        excluded: the token of the connection that does not read it; 0 for none.
        count: how many messages it has.
        size: how many bytes carry them in the framing of the log.
        born: when it began, on a clock that never jumps; see `Clock.seconds`.
    """

    start: Mark
    tick: int
    time: float
    sender: str
    token: int
    excluded: int
    count: int = 0
    size: int = 0
    born: float = 0.0

    @property
    def end(self) -> Mark:
        """Where the next batch starts."""
        return Mark(self.start.seq + self.count, self.start.offset + BATCH_COST + self.size)


class Wire(NamedTuple):
    """The bytes of a chunk in one rendering.

    Attributes:
        data: the bytes of all batches.
        ends: where those of each batch end.
        gaps: the batches of which messages are missing without a notice, as indexes, each with the words for that.
    """

    data: bytes
    ends: list[int]
    gaps: Mapping[int, str] = MappingProxyType({})

    def start(self, index: int) -> int:
        """Where the bytes of a batch start."""
        return self.ends[index - 1] if index else 0


class Renders(Protocol):
    """What a chunk needs of a rendering."""

    def wire_of(self, chunk: Chunk) -> Wire:
        """The bytes of a chunk."""

    def rest(self, chunk: Chunk, index: int, start: int) -> bytes:
        """The bytes of a batch from its message number `start` on."""


class Chunk:
    """A run of batches and their bytes: what is written at once, and dropped at once.

    Attributes:
        batches: its batches.
        size: how many bytes carry them in the framing of the log.
        excluded: the batches that a connection does not read, as indexes, by its token.
        renderings: the bytes in other renderings than the log's own, as long as `Rendered` keeps them.
    """

    __slots__ = ("__weakref__", "_pieces", "_wire", "batches", "excluded", "renderings", "size")

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.size = 0
        self.excluded: dict[int, list[int]] = {}
        self.renderings: dict[Any, Wire] = {}
        self._pieces: list[bytes] = []
        self._wire: Wire | None = None

    @property
    def start(self) -> Mark:
        return self.batches[0].start

    @property
    def end(self) -> Mark:
        return self.batches[-1].end

    @property
    def data(self) -> bytes:
        """The bytes of all batches in the log's own framing; joined at the first call after an addition."""
        if len(self._pieces) != 1:
            self._pieces = [b"".join(self._pieces)]
        return self._pieces[0]

    @property
    def wire(self) -> Wire:
        """The same, with the end of each batch."""
        if self._wire is None:
            self._wire = Wire(self.data, list(accumulate(batch.size for batch in self.batches)))
        return self._wire

    def batch_at(self, seq: int) -> Batch:
        """The batch that holds the message after the first `seq` of the log."""
        return self.batches[bisect_right(self.batches, seq, key=_start_seq) - 1]

    def begin(self, batch: Batch) -> None:
        """Begin a new batch, which has no message yet."""
        if batch.excluded:
            self.excluded.setdefault(batch.excluded, []).append(len(self.batches))
        self.batches.append(batch)

    def add(self, wire: bytes, count: int) -> None:
        """Add messages to the last batch."""
        batch = self.batches[-1]
        batch.count += count
        batch.size += len(wire)
        self.size += len(wire)
        self._pieces.append(wire)
        self._wire = None

    def extend(self, later: Chunk) -> None:
        """Take in the chunk that follows this one in the log."""
        shift = len(self.batches)
        self.batches += later.batches
        self._pieces += later._pieces
        self._wire = None
        self.size += later.size
        for token, indexes in later.excluded.items():
            self.excluded.setdefault(token, []).extend(index + shift for index in indexes)
        self.renderings.clear()

    def read(
        self, rendering: Renders, at: Mark, stop: int, tick: int, token: int, *, size: int = ALL
    ) -> tuple[list[Buffer], Mark]:
        """What a reader is to be written next of this chunk.

        Args:
            rendering: how it reads.
            at: where it is.
            stop: the `seq` before which it stops; the end of a batch.
            tick: the tick before which it stops.
            token: its own token: batches that exclude it are cut out.
            size: about how many counted bytes it is given, at least a batch.

        Returns:
            The bytes, and where the reader is then.

        Raises:
            CannotTell: messages are missing that are for this reader.
        """
        batches = self.batches
        first = bisect_right(batches, at.seq, key=_start_seq) - 1
        last = len(batches) if stop >= self.end.seq else bisect_left(batches, stop, key=_start_seq)
        if tick <= batches[-1].tick:
            last = min(last, bisect_left(batches, tick, key=_tick))
        if first >= last:
            return [], at
        if self.size > size:
            last = min(last, bisect_left(batches, at.offset + size, first + 1, last, key=_start_offset))
        if at.seq > batches[first].start.seq:
            # It joined in the middle of a batch: the rest of that is made for it alone.
            batch = batches[first]
            rest = b"" if batch.excluded == token else rendering.rest(self, first, at.seq - batch.start.seq)
            return [rest] if rest else [], batch.end
        return self._cut(rendering.wire_of(self), first, last, self.excluded.get(token, ())), batches[last - 1].end

    def without(self, wire: Wire, token: int) -> list[Buffer]:
        """The bytes of all batches but those that exclude the connection with that token."""
        return self._cut(wire, 0, len(self.batches), self.excluded.get(token, ()))

    def count_excluded(self, token: int, start: int, stop: int) -> int:
        """How many messages from `start` up to `stop` exclude the connection with that token."""
        batches = [self.batches[index] for index in self.excluded.get(token, ())]
        return sum(max(0, min(batch.end.seq, stop) - max(batch.start.seq, start)) for batch in batches)

    def bytes_of(self, index: int) -> bytes:
        """The bytes of one batch in the log's own framing."""
        wire = self.wire
        return wire.data[wire.start(index) : wire.ends[index]]

    def _cut(self, wire: Wire, first: int, last: int, excluded: list[int] | tuple[()]) -> list[Buffer]:
        """The bytes of some batches, without copies: all of them in one piece unless some are excluded."""
        for index, reason in wire.gaps.items():
            if first <= index < last and index not in excluded:
                raise CannotTell(reason)
        if not excluded and first == 0 and last == len(self.batches):
            return [wire.data] if wire.data else []
        whole = memoryview(wire.data)
        buffers: list[Buffer] = []
        at = wire.start(first)
        for index in excluded[bisect_left(excluded, first) :]:
            if index >= last:
                break
            if at < wire.start(index):
                buffers.append(whole[at : wire.start(index)])
            at = wire.ends[index]
        if at < wire.ends[last - 1]:
            buffers.append(whole[at : wire.ends[last - 1]])
        return buffers


def first_batch(chunks: Sequence[Chunk], key: Callable[[Batch], float], least: float) -> Batch | None:
    """The first batch of chunks that follow each other whose `key`, which never falls, is at least `least`."""
    index = bisect_left(chunks, least, key=lambda chunk: key(chunk.batches[-1]))
    if index == len(chunks):
        return None
    batches = chunks[index].batches
    return batches[bisect_left(batches, least, key=key)]


def _start_seq(batch: Batch) -> int:
    return batch.start.seq


def _start_offset(batch: Batch) -> int:
    return batch.start.offset


def _tick(batch: Batch) -> int:
    return batch.tick
