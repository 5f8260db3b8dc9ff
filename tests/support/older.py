"""Older ends of logs that take their time."""

from __future__ import annotations

import asyncio

from hubbub.log.chunk import Chunk
from hubbub.log.older import OlderInMemory


class SlowOlderEnd(OlderInMemory):
    """An older end that takes some turns of the loop to be read, or fails.

    Attributes:
        turns: how many.
        failure: what the next read raises.
        reads: from where it was read.
    """

    def __init__(self, retention: int, turns: int = 0) -> None:
        super().__init__(retention)
        self.turns = turns
        self.failure: Exception | None = None
        self.reads: list[int] = []

    async def chunk_at(self, seq: int) -> Chunk:
        self.reads.append(seq)
        for _ in range(self.turns):
            await asyncio.sleep(0)
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        return await super().chunk_at(seq)
