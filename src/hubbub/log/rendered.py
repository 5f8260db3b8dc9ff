"""How much the renderings of one log take: the newest are kept, and others are made again when they are needed."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any
from weakref import ref

from .chunk import BATCH_COST

if TYPE_CHECKING:
    from .chunk import Chunk, Wire


class Rendered:
    """The renderings of a log's chunks, up to a limit together.

    An object of JSON can be a hundred times as long as its message. So what a log retains does not bound what its
    renderings take. They count as its messages do: a batch with its bytes and `BATCH_COST` more.

    Args:
        limit: counted bytes. The newest rendering is kept, even if it alone counts more.

    Attributes:
        size: what they count; at least that, since a chunk that is dropped or grows drops its own before.
    """

    __slots__ = ("_kept", "_limit", "size")

    def __init__(self, limit: int) -> None:
        self.size = 0
        self._limit = limit
        # A chunk that the log drops is not to stay for this.
        self._kept: deque[tuple[ref[Chunk], Any, int]] = deque()

    def keep(self, chunk: Chunk, rendering: Any, wire: Wire) -> None:
        """Keep the bytes of a chunk in a rendering, and drop the oldest ones beyond the limit."""
        chunk.renderings[rendering] = wire
        size = len(wire.data) + BATCH_COST * len(wire.ends)
        self._kept.append((ref(chunk), rendering, size))
        self.size += size
        while self.size > self._limit and len(self._kept) > 1:
            oldest, of, size = self._kept.popleft()
            self.size -= size
            if (owner := oldest()) is not None:
                owner.renderings.pop(of, None)
