"""Stores for tests: one in memory that does nothing by itself, and one of SQLite on a disk that can fail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from hubbub.framing import Framing
from hubbub.log.chunk import Batch, Chunk, Mark
from hubbub.log.store import Key, StoredLog, StoreStatistics
from hubbub.log.terms import Term
from hubbub.values.errors import StoreError
from hubbub.values.settings import Settings

KEYS: dict[Key, Callable[[Batch], float]] = {
    "seq": lambda batch: batch.start.seq,
    "offset": lambda batch: batch.start.offset,
    "time": lambda batch: batch.time,
}


def chunk_after(
    at: Mark, *batches: bytes, time: float = 0.0, tick: int = 1, sender: str = "", token: int = 0, excluded: int = 0
) -> Chunk:
    """A chunk that starts at a mark. Each batch is lines."""
    chunk = Chunk()
    for data in batches:
        start = chunk.end if chunk.batches else at
        chunk.begin(Batch(start, tick, time, sender, token, excluded))
        chunk.add(data, data.count(b"\n"))
    return chunk


class Speaker:
    """Appends to a log what is said, as a log in memory would, and remembers it.

    Attributes:
        log: the log.
        said: all chunks.
        at: the mark after the last one.
    """

    def __init__(self, log: StoredLog) -> None:
        self.log = log
        self.said: list[Chunk] = []
        self.at = log.head

    def say(self, *batches: bytes, **of: Any) -> Chunk:
        chunk = chunk_after(self.at, *batches, **of)
        self.at = chunk.end
        self.said.append(chunk)
        self.log.append(chunk)
        return chunk

    def fill(self, count: int, size: int = 1000, **of: Any) -> None:
        """Say so many chunks of a line each."""
        for _ in range(count):
            self.say(b"%0*d\n" % (size - 1, self.at.seq), **of)

    async def committed(self) -> None:
        """Wait until all that was said is committed."""
        await self.log.wait_committed(self.at.seq)


async def read_all(log: StoredLog, start: int | None = None) -> list[Batch]:
    """All batches from a `seq` on, or from the first one that is held. Their bytes fit them."""
    at = log.start if start is None else start
    batches: list[Batch] = []
    while at < log.end:
        chunk = await log.chunk_at(at)
        assert chunk.start.seq <= at < chunk.end.seq
        assert len(chunk.data) == sum(batch.size for batch in chunk.batches) == chunk.size
        batches += [batch for batch in chunk.batches if batch.end.seq > at]
        at = chunk.end.seq
    return batches


async def bytes_from(log: StoredLog, start: int | None = None) -> bytes:
    """The bytes of all batches from the one on that holds the message after the first `start`."""
    at = log.start if start is None else start
    pieces: list[bytes] = []
    while at < log.end:
        chunk = await log.chunk_at(at)
        first = chunk.batches.index(chunk.batch_at(at))
        pieces += [chunk.bytes_of(index) for index in range(first, len(chunk.batches))]
        at = chunk.end.seq
    return b"".join(pieces)


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until it is so. What a store does in its threads has no event of its own here."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)


# The store in memory.


class Disk:
    """What outlives a `MemoryStore`.

    Attributes:
        rooms: the logs, by name.
        full: whether commits fail.
        stalled: whether they do not return.
    """

    def __init__(self) -> None:
        self.rooms: dict[str, Kept] = {}
        self.full = False
        self.stalled = False
        self.in_use = False


class Kept:
    """A log on a `Disk`."""

    def __init__(self, framing: Framing[Any]) -> None:
        self.framing = framing
        self.start = self.end = Mark(0, 0)
        self.time = 0.0
        self.terms: list[Term] = []
        self.chunks: list[Chunk] = []

    def drop(self) -> None:
        """Forget the oldest chunk."""
        self.start = max(self.start, self.chunks.pop(0).end)


class MemoryStore:
    """A store in memory without threads: it commits, fails and answers in the turns of the loop that a test says.

    Args:
        disk: what is there already.
        turns: how many turns of the loop a commit and a read take.

    Attributes:
        failure: what the next read raises.
        reads: the room and `seq` of each read.
    """

    def __init__(self, disk: Disk | None = None, *, turns: int = 0) -> None:
        self.disk = disk or Disk()
        if self.disk.in_use:
            raise StoreError("memory", "in use", "close the other one")
        self.disk.in_use = True
        self.turns = turns
        self.failure: Exception | None = None
        self.reads: list[tuple[str, int]] = []
        self.settings = Settings()
        self.epoch = 0
        self.out = False
        self.closed = False
        self.commits = 0
        self.logs: dict[str, MemoryLog] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._committing = False
        self._timer: asyncio.TimerHandle | None = None

    def open_log(self, room: str, framing: Framing[Any], settings: Settings) -> MemoryLog:
        kept = self.disk.rooms.get(room)
        if kept is not None and kept.framing != framing:
            raise StoreError("memory", f"room {room} was stored as {kept.framing}", "use that framing")
        waiting = self.logs[room].waiting if room in self.logs else []
        self.logs[room] = MemoryLog(self, room, kept or Kept(framing), settings, waiting)
        return self.logs[room]

    def start(self, settings: Settings) -> None:
        self._loop = asyncio.get_running_loop()
        self.settings = settings
        self.wake()

    async def close(self) -> None:
        if not self.closed:
            self.closed = True
            if self._loop is not None and not (self.disk.full or self.disk.stalled):
                self._commit()
            if self._timer is not None:
                self._timer.cancel()
            self.give_up("the store was closed")
            self.disk.in_use = False

    def statistics(self) -> StoreStatistics:
        return StoreStatistics(
            committed={name: log.kept.end.seq for name, log in self.logs.items()},
            reads={},
            pending=self.pending,
            size=0,
            commits=self.commits,
            commit_p50=0.0,
            commit_p99=0.0,
            out=self.out,
        )

    @property
    def pending(self) -> int:
        chunks = chain.from_iterable(log.waiting for log in self.logs.values())
        return sum(chunk.end.offset - chunk.start.offset for chunk in chunks)

    def wake(self) -> None:
        """Commit what waits, in some turns. A test calls it, too, when it has changed the disk."""
        if self._loop is None or self.closed:
            return
        if not self._committing:
            self._committing = True
            self._loop.call_soon(self._step, self.turns)
        if self.pending and self._timer is None:
            self._timer = self._loop.call_later(self.settings.store_patience, self._leave)

    def give_up(self, reason: str) -> None:
        self.epoch += 1
        self.out = True
        for log in self.logs.values():
            log.give_up(reason)

    def _step(self, turns: int) -> None:
        assert self._loop is not None
        if turns:
            self._loop.call_soon(self._step, turns - 1)
            return
        self._committing = False
        if not self.closed and not self.disk.full and not self.disk.stalled:
            self._commit()

    def _leave(self) -> None:
        self._timer = None
        self.give_up("it has committed nothing for too long")

    def _commit(self) -> None:
        self.out = False
        self.commits += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for log in self.logs.values():
            log.commit()
        self._retain()
        for name, log in list(self.logs.items()):
            if not log.opened and not log.waiting and log.kept.start >= log.kept.end:
                del self.logs[name]
                self.disk.rooms.pop(name, None)

    def _retain(self) -> None:
        for name, kept in self.disk.rooms.items():
            own = self.logs[name].settings if name in self.logs else self.settings
            while kept.chunks and (
                (own.store_count is not None and kept.chunks[0].end.seq <= kept.end.seq - own.store_count)
                or (own.store_age is not None and kept.chunks[0].batches[-1].time < time.time() - own.store_age)
                or (
                    own.store_size < self.settings.store_size
                    and kept.chunks[0].end.offset <= kept.end.offset - own.store_size
                )
            ):
                kept.drop()
        while sum(kept.end.offset - kept.start.offset for kept in self.disk.rooms.values()) > self.settings.store_size:
            max(self.disk.rooms.values(), key=lambda kept: kept.end.offset - kept.start.offset).drop()


class MemoryLog:
    """The log of a room in a `MemoryStore`."""

    def __init__(
        self, store: MemoryStore, name: str, kept: Kept, settings: Settings, waiting: list[Chunk | Term | Mark]
    ) -> None:
        self.store = store
        self.name = name
        self.kept = kept
        self.settings = settings
        self.opened = True
        self.jobs: list[Chunk | Term | Mark] = waiting
        self.head = self._end = self.waiting[-1].end if self.waiting else kept.end
        self.time = self.waiting[-1].batches[-1].time if self.waiting else kept.time
        if kept.terms:
            kept.terms[-1] = kept.terms[-1]._replace(last=self.head.seq)
        self.terms: Sequence[Term] = tuple(kept.terms)
        self._start = kept.start
        self._epoch = -1
        self._life = 2**62
        self._lost = (0, 0)
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def waiting(self) -> list[Chunk]:
        return [job for job in self.jobs if isinstance(job, Chunk)]

    @property
    def start(self) -> int:
        return max(self._start, self.kept.start).seq

    @property
    def end(self) -> int:
        return self._end.seq

    @property
    def taking(self) -> bool:
        store = self.store
        return self.opened and self._epoch == store.epoch and not store.out and not store.closed

    @property
    def ready(self) -> bool:
        store = self.store
        return self.opened and self._epoch != store.epoch and not store.out and not store.closed

    @property
    def full(self) -> bool:
        return self.taking and self.store.pending >= self.store.settings.store_pending
