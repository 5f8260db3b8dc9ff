"""The older end of a log: the chunks that its memory has dropped. To read it takes time, so it is awaited."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .chunk import Chunk


class OlderEnd(Protocol):
    """What a log needs of its older end. The chunks of one follow each other without a gap."""

    @property
    def start(self) -> int | None:
        """The `seq` from which on it holds messages; None as long as it holds none."""

    def add(self, chunk: Chunk) -> None:
        """Take the chunk that memory has just dropped. This must not wait."""

    async def chunk_at(self, seq: int) -> Chunk:
        """The chunk that holds the message after the first `seq`. It may be cancelled.

        Raises:
            LookupError: it no longer holds that message.
        """


class OlderInMemory:
    """An older end that is kept in memory, too.

    Args:
        retention: counted bytes that are kept.
    """

    def __init__(self, retention: int) -> None:
        self._retention = retention
        self._chunks: list[Chunk] = []

    @property
    def start(self) -> int | None:
        return self._chunks[0].start.seq if self._chunks else None

    def add(self, chunk: Chunk) -> None:
        # They can be made again, for the few readers that are here; those do not count in the retention.
        chunk.renderings.clear()
        self._chunks.append(chunk)
        while chunk.end.offset - self._chunks[0].start.offset > self._retention:
            del self._chunks[0]
            if not self._chunks:
                return

    async def chunk_at(self, seq: int) -> Chunk:
        index = bisect_right(self._chunks, seq, key=_start_seq) - 1
        if index < 0 or seq >= self._chunks[index].end.seq:
            raise LookupError(f"no chunk holds the message after the first {seq}")
        return self._chunks[index]


def _start_seq(chunk: Chunk) -> int:
    return chunk.start.seq
