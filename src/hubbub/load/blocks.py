"""Lines of one length in blocks, made when they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Blocks:
    """Lines of one length in blocks, made when they are asked for; of these, the latest are remembered.

    Args:
        render: gives the lines from a place up to another one, which is not among them.
        size: of a line with its end, in bytes.
        lines: how many a block has.
        kept: how many blocks are remembered.

    Attributes:
        size: of a line with its end, in bytes.
    """

    def __init__(self, render: Callable[[int, int], bytes], *, size: int, lines: int, kept: int) -> None:
        self._render = render
        self.size = size
        self._lines = lines
        self._kept = kept
        self._blocks: dict[int, memoryview] = {}

    def lines(self, seq: int, count: int) -> memoryview:
        """At most so many lines from that one on: at least one, and none behind the end of its block."""
        number, first = divmod(seq, self._lines)
        block = self._blocks.get(number)
        if block is None:
            block = self._make(number)
        start = first * self.size
        return block[start : start + count * self.size]

    def _make(self, number: int) -> memoryview:
        first = number * self._lines
        block = memoryview(self._render(first, first + self._lines))
        if len(self._blocks) >= self._kept:
            del self._blocks[next(iter(self._blocks))]
        self._blocks[number] = block
        return block
