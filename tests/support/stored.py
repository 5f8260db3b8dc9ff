"""Stored logs that are kept in memory, and stores of them."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from typing import Any

from hubbub.framing import Framing
from hubbub.log.chunk import Batch, Chunk, Mark, first_batch
from hubbub.log.store import Key, StoredLog, StoreStatistics
from hubbub.log.terms import Term
from hubbub.values.errors import NotStored
from hubbub.values.settings import Settings


class StoredInMemory:
    """A stored log that is kept in memory: it ends with the process, and takes all there is at once.

    Args:
        retention: counted bytes that are kept.
    """

    def __init__(self, retention: int) -> None:
        self.time = 0.0
        self.terms: list[Term] = []
        self.taking = True
        self.ready = False
        self.full = False
        self._retention = retention
        self._empty = Mark(0, 0)
        self._chunks: list[Chunk] = []

    @property
    def head(self) -> Mark:
        return self._chunks[-1].end if self._chunks else self._empty

    @property
    def start(self) -> int:
        return (self._chunks[0].start if self._chunks else self._empty).seq

    @property
    def end(self) -> int:
        return self.head.seq

    def begin(self, term: str, at: Mark) -> None:
        self.taking, self.ready = True, False
        if self.terms:
            self.terms[-1] = self.terms[-1]._replace(last=self.end)
        self.terms.append(Term(term, at.seq, at.seq))
        if at.seq > self.end:
            self._chunks.clear()
            self._empty = at

    def append(self, chunk: Chunk) -> None:
        if not self.taking:
            return
        taken = Chunk()
        # The log extends its own.
        taken.extend(chunk)
        self._chunks.append(taken)
        self.time = taken.batches[-1].time
        while self._chunks and taken.end.offset - self._chunks[0].start.offset > self._retention:
            self._empty = self._chunks.pop(0).end

    async def wait_committed(self, seq: int) -> None:
        if not self.taking:
            raise NotStored("this room", "it takes nothing")

    async def wait_until_not_full(self) -> None:
        return

    def cached(self, seq: int) -> Chunk | None:
        return None

    async def chunk_at(self, seq: int) -> Chunk:
        chunk = self._chunk_at(seq)
        if chunk is None:
            raise LookupError(f"no chunk holds the message after the first {seq}")
        return chunk

    def _chunk_at(self, seq: int) -> Chunk | None:
        index = bisect_right(self._chunks, seq, key=lambda chunk: chunk.start.seq) - 1
        return self._chunks[index] if index >= 0 and seq < self._chunks[index].end.seq else None

    async def first(self, key: Key, least: float) -> Mark:
        keys: dict[Key, Callable[[Batch], float]] = {
            "seq": lambda batch: batch.start.seq,
            "offset": lambda batch: batch.start.offset,
            "time": lambda batch: batch.time,
        }
        batch = first_batch(self._chunks, keys[key], least)
        return batch.start if batch else self.head

    def release(self) -> None:
        return


class SlowOlderEnd(StoredInMemory):
    """An older end that takes some turns of the loop to be read, or fails.

    Attributes:
        turns: how many.
        failure: what the next read raises.
        reads: from where it was read.
        caching: chunks whose `seq` is a multiple of this are cached; 0: none.
    """

    def __init__(self, retention: int, turns: int = 0, caching: int = 0) -> None:
        super().__init__(retention)
        self.turns = turns
        self.failure: Exception | None = None
        self.reads: list[int] = []
        self.caching = caching

    def cached(self, seq: int) -> Chunk | None:
        chunk = self._chunk_at(seq)
        return chunk if chunk is not None and self.caching and chunk.start.seq % self.caching == 0 else None

    async def chunk_at(self, seq: int) -> Chunk:
        self.reads.append(seq)
        for _ in range(self.turns):
            await asyncio.sleep(0)
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        return await super().chunk_at(seq)


class StoreOf:
    """A store of logs that `make` makes. What is opened again goes on, unless each room is to begin `afresh`."""

    def __init__(self, make: Callable[[], Any], *, afresh: bool = False) -> None:
        self._make = make
        self._afresh = afresh
        self.logs: dict[str, Any] = {}

    def open_log(self, room: str, framing: Framing[Any], settings: Settings) -> StoredLog:
        if room not in self.logs or self._afresh:
            self.logs[room] = self._make()
        log: StoredLog = self.logs[room]
        return log

    def start(self, settings: Settings) -> None:
        return

    @property
    def out(self) -> bool:
        return False

    def statistics(self) -> StoreStatistics:
        committed = {name: log.end for name, log in self.logs.items()}
        return StoreStatistics(
            committed=committed,
            reads={},
            pending=0,
            size=0,
            commits=0,
            commit_p50=0.0,
            commit_p99=0.0,
            commit_time=0.0,
            out=False,
        )

    async def close(self) -> None:
        return
