"""Stores for tests: one in memory that does nothing by itself, and one of SQLite on a disk that can fail."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, cast

import hubbub
from hubbub.framing import ByteLines, Framing
from hubbub.log.chunk import Batch, Chunk, Mark
from hubbub.log.store import Key, Store, StoredLog, StoreStatistics
from hubbub.log.terms import Term
from hubbub.stores.rows import StoredChunk
from hubbub.stores.sqlite import SqliteStore
from hubbub.values.errors import NotStored, StoreError
from hubbub.values.settings import Settings

from support.abuse_tools import UNLIMITED
from support.helpers import Record, idle

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


def line(number: int) -> bytes:
    """A line of which the number tells the whole."""
    return b"%d %s\n" % (number, b"x" * (number * 7919 % 3000))


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
        while not condition():  # noqa: ASYNC110 - see above
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
        self.serial = 0


class Kept:
    """A log on a `Disk`."""

    def __init__(self, framing: Framing[Any]) -> None:
        self.framing = framing
        self.start = self.end = Mark(0, 0)
        self.time = 0.0
        self.terms: list[Term] = []
        self.chunks: list[Chunk] = []
        self.serials: list[int] = []

    def keep(self, serial: int, chunk: Chunk) -> None:
        """Keep a chunk, the one with that number in all logs."""
        self.serials.append(serial)
        self.chunks.append(chunk)
        self.end = chunk.end
        self.time = chunk.batches[-1].time

    def drop(self) -> None:
        """Forget the oldest chunk."""
        del self.serials[0]
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
        before = self.logs.get(room)
        if self.closed or (before is not None and before.opened):
            raise StoreError("memory", "closed, or the room is open", "make another one")
        log = MemoryLog(self, room, kept or Kept(framing), settings, before.jobs if before else [])
        if before is not None:
            log.kept, log._life = before.kept, before._life
        self.logs[room] = log
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
            commit_time=0.0,
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
                    and kept.chunks[0].start.offset < kept.end.offset - own.store_size
                )
            ):
                kept.drop()
        while sum(kept.end.offset - kept.start.offset for kept in self.disk.rooms.values()) > self.settings.store_size:
            min((kept for kept in self.disk.rooms.values() if kept.chunks), key=lambda kept: kept.serials[0]).drop()


class Beginning(NamedTuple):
    """A term that is to begin."""

    term: str
    at: Mark
    hole: bool


class MemoryLog:
    """The log of a room in a `MemoryStore`."""

    def __init__(
        self, store: MemoryStore, name: str, kept: Kept, settings: Settings, jobs: list[Chunk | Beginning]
    ) -> None:
        self.store = store
        self.name = name
        self.kept = kept
        self.settings = settings
        self.opened = True
        self.jobs = jobs
        waiting = self.waiting
        self.head = self._end = waiting[-1].end if waiting else kept.end
        self.time = waiting[-1].batches[-1].time if waiting else kept.time
        terms = [*kept.terms, *(Term(job.term, job.at.seq, 0) for job in jobs if isinstance(job, Beginning))]
        if terms:
            terms[-1] = terms[-1]._replace(last=self.head.seq)
        self.terms: Sequence[Term] = tuple(terms)
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

    def begin(self, term: str, at: Mark) -> None:
        if not self.ready:
            return
        if at < self._end:
            raise ValueError("a term cannot begin in the past")
        self._epoch = self.store.epoch
        self._life = min(self._life, at.seq)
        hole = at > self._end
        if hole:
            self._lost = self._end.seq, at.seq
            self._start = self._end = at
        self.jobs.append(Beginning(term, at, hole))
        self.store.wake()

    def append(self, chunk: Chunk) -> None:
        if not self.taking:
            return
        if chunk.start != self._end:
            self._epoch = -1
            raise ValueError("the chunk does not follow")
        copy = Chunk()
        copy.extend(chunk)
        self.jobs.append(copy)
        self._end = chunk.end
        self.store.wake()

    async def wait_committed(self, seq: int) -> None:
        lost = self._lost[0] < seq <= self._lost[1]
        if seq <= self.kept.end.seq and not lost:
            return
        if lost or not (self.taking or seq <= self._end.seq):
            raise NotStored(self.name, "it takes nothing")
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append((seq, waiter))
        await waiter

    async def wait_until_not_full(self) -> None:
        while self.full:  # noqa: ASYNC110 - a turn is all that it waits for
            await asyncio.sleep(0)

    def cached(self, seq: int) -> Chunk | None:
        chunks = self.waiting if seq >= self.start else []
        return next((chunk for chunk in chunks if chunk.start.seq <= seq < chunk.end.seq), None)

    async def chunk_at(self, seq: int) -> Chunk:
        self.store.reads.append((self.name, seq))
        await self._take_turns()
        chunks = [*self.kept.chunks, *self.waiting]
        index = bisect_right(chunks, seq, key=lambda chunk: chunk.start.seq) - 1
        if not self.start <= seq < self._end.seq or index < 0:
            raise LookupError(f"the store does not hold {seq}")
        chunk = chunks[index]
        if chunk.start.seq >= self._life or index >= len(self.kept.chunks):
            return chunk
        return StoredChunk([replace(batch, tick=0) for batch in chunk.batches], chunk.data)

    async def first(self, key: Key, least: float) -> Mark:
        await self._take_turns()
        batches = [batch for chunk in (*self.kept.chunks, *self.waiting) for batch in chunk.batches]
        batches = [batch for batch in batches if batch.start.seq >= self.start]
        index = bisect_left(batches, least, key=KEYS[key])
        return batches[index].start if index < len(batches) else self._end

    def release(self) -> None:
        self.opened = False
        self.store.wake()

    def give_up(self, reason: str) -> None:
        self.jobs.clear()
        self._end = max(self.kept.end, self._start)
        waiters, self._waiters = self._waiters, []
        for _, waiter in waiters:
            if not waiter.done():
                waiter.set_exception(NotStored(self.name, reason))

    def commit(self) -> None:
        """Keep what waits."""
        kept = self.kept
        for job in self.jobs:
            if isinstance(job, Beginning):
                self.store.disk.rooms[self.name] = kept
                if kept.terms:
                    kept.terms[-1] = kept.terms[-1]._replace(last=kept.end.seq)
                if job.hole:
                    # Unlike SQLite, nothing stays from before the hole.
                    kept.chunks.clear()
                    kept.serials.clear()
                    kept.start = job.at
                kept.end = job.at
                kept.terms.append(Term(job.term, job.at.seq, job.at.seq))
                kept.terms = [term for term in kept.terms if term.last >= kept.start.seq]
            else:
                self.store.disk.serial += 1
                kept.keep(self.store.disk.serial, job)
        self.jobs.clear()
        done = [waiter for seq, waiter in self._waiters if seq <= kept.end.seq]
        self._waiters = [(seq, waiter) for seq, waiter in self._waiters if seq > kept.end.seq]
        for waiter in done:
            if not waiter.done():
                waiter.set_result(None)

    async def _take_turns(self) -> None:
        for _ in range(self.store.turns):
            await asyncio.sleep(0)
        if self.store.closed:
            raise OSError("the store was closed")
        if self.store.failure is not None:
            failure, self.store.failure = self.store.failure, None
            raise failure


# What a test of the contract can do to a store of each kind.


class Bench(ABC):
    """Where stores of one kind are made, all on one disk, which a test can break."""

    @abstractmethod
    def store(self) -> Store:
        """Open a store, or that store again."""

    @abstractmethod
    def fill(self) -> None:
        """From now on the disk is full."""

    @abstractmethod
    def stall(self) -> None:
        """From now on the disk does not answer when something is to be committed."""

    @abstractmethod
    def heal(self) -> None:
        """The disk is well again."""

    @abstractmethod
    def crash(self) -> Bench:
        """A bench with what is on the disk now, as if the process of the store had been killed."""


class MemoryBench(Bench):
    def __init__(self, disk: Disk | None = None) -> None:
        self.disk = disk or Disk()
        self.made: MemoryStore | None = None

    def store(self) -> MemoryStore:
        self.made = MemoryStore(self.disk, turns=1)
        return self.made

    def fill(self) -> None:
        self.disk.full = True

    def stall(self) -> None:
        self.disk.stalled = True

    def heal(self) -> None:
        self.disk.full = self.disk.stalled = False
        if self.made is not None:
            self.made.wake()

    def crash(self) -> MemoryBench:
        disk = Disk()
        for name, kept in self.disk.rooms.items():
            copy = disk.rooms[name] = Kept(kept.framing)
            copy.start, copy.end, copy.time = kept.start, kept.end, kept.time
            copy.terms, copy.chunks, copy.serials = kept.terms.copy(), kept.chunks.copy(), kept.serials.copy()
        return MemoryBench(disk)


class FaultyConnection:
    """The connection of a writer, on a disk that can be full or not answer when something is committed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.full = False
        self.answering = threading.Event()
        self.answering.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            if self.full:
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_FULL, "SQLITE_FULL"
                raise error
            assert self.answering.wait(100), "a test has to heal the disk that it has stalled"
        return self._connection.execute(sql, *parameters)


class SqliteBench(Bench):
    def __init__(self, folder: Path) -> None:
        self.path = folder / "log.db"
        self.connection: FaultyConnection | None = None

    def store(self) -> SqliteStore:
        store = SqliteStore(self.path)
        self.connection = FaultyConnection(store._file.connection)
        store._file.connection = cast(sqlite3.Connection, self.connection)
        return store

    def fill(self) -> None:
        assert self.connection is not None
        self.connection.full = True

    def stall(self) -> None:
        assert self.connection is not None
        self.connection.answering.clear()

    def heal(self) -> None:
        assert self.connection is not None
        self.connection.full = False
        self.connection.answering.set()

    def crash(self) -> SqliteBench:
        folder = self.path.with_name(self.path.name + "-crash")
        folder.mkdir()
        for path in self.path.parent.glob(self.path.name + "*"):
            if path.is_file() and not path.name.endswith(("-lock", "-shm")):
                shutil.copy(path, folder / path.name)
        return SqliteBench(folder)


BENCHES: dict[str, Callable[[Path], Bench]] = {"memory": lambda _: MemoryBench(), "sqlite": SqliteBench}
"""A bench for stores of each kind, which may use a folder."""

LINES = ByteLines()


@asynccontextmanager
async def storing(
    bench: SqliteBench, handler: Any = idle, *, listeners: Any = None, publish: Any = None, **settings: Any
) -> AsyncIterator[tuple[hubbub.Server[Any], Record]]:
    """A server with the store of a bench, which any number of clients may use."""
    record = Record()
    server: hubbub.Server[Any] = hubbub.Server(
        handler,
        port=0,
        listeners=listeners,
        framing=hubbub.ByteLines(),
        settings=hubbub.Settings(**{**UNLIMITED, **settings}),
        observer=record,
        store=bench.store(),
        publish=publish,
    )
    async with server:
        yield server, record
