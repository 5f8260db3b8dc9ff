"""The log of one room in a store of SQLite: a `StoredLog`."""

from __future__ import annotations

import asyncio
from bisect import bisect_right, insort
from collections import deque
from typing import TYPE_CHECKING, Final

from ..log.chunk import Chunk, first_batch
from ..log.terms import TERMS_LIMIT, Term
from ..values.errors import NotStored
from .jobs import Begin
from .readers import Cache
from .rows import AHEAD, KEYS, NO_LIFE, find_first, read_chunks, row_after

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..log.chunk import Mark
    from ..log.store import Key
    from .readers import Readers
    from .recorder import Recorder
    from .schema import StoredRoom

LARGEST: Final = 500_000_000
"""Bytes of the largest chunk: SQLite takes a row of 1,000,000,000 bytes."""


class Shared:
    """What the logs of a store share.

    Attributes:
        recorder: what waits for the writer.
        released: is told of a log whose room was closed.
        readers: reads for them; None before the store was started.
        cache: what was read.
        closed: whether the store was closed.
    """

    def __init__(self, recorder: Recorder, released: Callable[[SqliteLog], None]) -> None:
        self.recorder = recorder
        self.released = released
        self.readers: Readers | None = None
        self.cache = Cache()
        self.closed = False


class SqliteLog:
    """What the store knows of a room, whether that is open or not.

    Args:
        room: what the file has of it.
        shared: what all logs share.
        written: see below.

    Attributes:
        id: the number of the room in the file.
        name: its name.
        framing: how its messages are kept, as text.
        written: whether the file has it, or will have.
        opened: whether the room is open.
        reads: how often a chunk of it was read.
        committed: the `seq` up to which everything is committed that was not given up.
        head: see `StoredLog`.
        time: likewise.
        terms: likewise.
    """

    __slots__ = (
        "_begun",
        "_committed",
        "_end",
        "_life",
        "_lost",
        "_shared",
        "_start",
        "_terms",
        "_time",
        "_unwritten",
        "_waiters",
        "_waiting",
        "framing",
        "head",
        "id",
        "name",
        "opened",
        "reads",
        "terms",
        "time",
        "written",
    )

    def __init__(self, room: StoredRoom, shared: Shared, *, written: bool) -> None:
        self.id = room.id
        self.name = room.name
        self.framing = room.framing
        self.written = written
        self.opened = False
        self.reads = 0
        self.head = room.end
        self.time = room.time
        self.terms: tuple[Term, ...] = ()
        self._shared = shared
        self._start = room.start
        self._end = self._committed = room.end
        self._time = room.time
        self._terms = room.terms
        # The epoch in which its last term was begun; none yet.
        self._begun = -1
        # That term, if nothing was appended in it yet.
        self._unwritten: Begin | None = None
        # Where this process began to write.
        self._life = NO_LIFE
        # Messages after the first up to the second were not stored.
        self._lost = (0, 0)
        self._waiting: deque[Chunk] = deque()
        self._waiters: deque[tuple[int, int, asyncio.Future[None]]] = deque()

    # What the store calls.

    def open(self) -> None:
        """Open it, perhaps again."""
        self.opened = True
        self._begun = -1
        self.head = self._end
        self.time = self._time
        if self._terms:
            self._terms[-1] = self._terms[-1]._replace(last=self._end.seq)
        self.terms = tuple(self._terms)

    @property
    def committed(self) -> int:
        return self._committed.seq

    @property
    def empty(self) -> bool:
        """Whether nothing of it is left."""
        return self._start.seq >= self._end.seq

    @property
    def waits(self) -> bool:
        """Whether something of it waits for its commit."""
        return bool(self._waiting)

    def settle(self, end: Mark | None, start: Mark | None) -> None:
        """Note up to where it is committed, and where it starts."""
        if start is not None:
            self._start = max(self._start, start)
        if end is not None and end > self._committed:
            self._committed = end
            # What was given up may have been committed after all.
            self._end = max(self._end, end)
            while self._waiting and self._waiting[0].end <= end:
                self._waiting.popleft()
            while self._waiters and self._waiters[0][0] <= end.seq:
                waiter = self._waiters.popleft()[2]
                if not waiter.done():
                    waiter.set_result(None)

    def give_up(self, reason: str) -> None:
        """What waits is not stored any more."""
        self._waiting.clear()
        self._end = self._committed
        waiters = [waiter for *_, waiter in self._waiters]
        self._waiters.clear()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(NotStored(self.name, reason, full=self._shared.recorder.disk_full))

    # The contract.

    @property
    def start(self) -> int:
        return self._start.seq

    @property
    def end(self) -> int:
        return self._end.seq

    @property
    def taking(self) -> bool:
        recorder = self._shared.recorder
        return self._begun == recorder.epoch and not recorder.out and self.opened and not self._shared.closed

    @property
    def ready(self) -> bool:
        shared = self._shared
        return self._begun != shared.recorder.epoch and not shared.recorder.out and self.opened and not shared.closed

    @property
    def full(self) -> bool:
        return self.taking and self._shared.recorder.full

    def begin(self, term: str, at: Mark) -> None:
        if not self.ready:
            return
        if at < self._end:
            raise ValueError(f"a term cannot begin at {at.seq}: room {self.name} has {self._end.seq} messages")
        recorder = self._shared.recorder
        previous = None
        hole = at > self._end
        if self._unwritten is not None:
            # Of that one nobody has a position.
            hole = hole or self._unwritten.hole
            del self._terms[-1]
        if self._terms:
            self._terms[-1] = previous = self._terms[-1]._replace(last=self._end.seq)
        if at > self._end:
            self._lost = self._end.seq, at.seq
            self._start = self._end = self._committed = at
        self._terms.append(Term(term, at.seq, at.seq))
        del self._terms[:-TERMS_LIMIT]
        self._life = min(self._life, at.seq)
        self._begun = recorder.epoch
        # It is written with the first of its messages: rooms come and go, and nobody has a position of an empty term.
        self._unwritten = Begin(self.id, self.name, self.framing, term, at, previous, hole)

    def append(self, chunk: Chunk) -> None:
        if not self.taking:
            return
        if chunk.start != self._end or chunk.size > LARGEST:
            # Without it nothing can follow, except in a new term.
            self._begun = -1
            if chunk.start != self._end:
                raise ValueError(f"a chunk starts at {chunk.start.seq}, and {self.name} ends at {self._end.seq}")
            raise ValueError(f"a chunk of {chunk.size} bytes is larger than {LARGEST}")
        copy = Chunk()
        copy.extend(chunk)
        self._waiting.append(copy)
        self._end = copy.end
        self._time = copy.batches[-1].time
        if self._unwritten is not None:
            self._shared.recorder.put(self._unwritten)
            self._unwritten = None
            self.written = True
        self._shared.recorder.add(self.id, copy)
        if self._waiters:
            self._shared.recorder.ask()

    async def wait_committed(self, seq: int) -> None:
        lost = self._lost[0] < seq <= self._lost[1]
        if seq <= self._committed.seq and not lost:
            return
        if lost or not (self.taking or seq <= self._end.seq):
            recorder = self._shared.recorder
            raise NotStored(self.name, recorder.reason or "the store takes nothing", full=recorder.disk_full)
        waiter = asyncio.get_running_loop().create_future()
        entry = seq, id(waiter), waiter
        if self._waiters and self._waiters[-1][0] > seq:
            # Rare: they come in the order of what was said.
            insort(self._waiters, entry)
        else:
            self._waiters.append(entry)
        self._shared.recorder.ask()
        await waiter

    async def wait_until_not_full(self) -> None:
        while self.full:
            self._shared.recorder.ask()
            await self._shared.recorder.not_full.wait()

    def cached(self, seq: int) -> Chunk | None:
        if not self._start.seq <= seq < self._end.seq:
            return None
        waiting = self._waiting
        chunk: Chunk | None
        if waiting and waiting[0].start.seq <= seq:
            chunk = waiting[bisect_right(waiting, seq, key=_start) - 1]
        else:
            chunk = self._shared.cache.get(self.id, seq)
        self.reads += chunk is not None
        return chunk

    async def chunk_at(self, seq: int) -> Chunk:
        if not self._start.seq <= seq < self._end.seq:
            raise LookupError(f"the store holds {self.name} from {self.start} to {self.end}, not {seq}")
        if (chunk := self.cached(seq)) is not None:
            return chunk
        self.reads += 1
        room, life = self.id, self._life
        try:
            chunks = await self._readers().read(
                (room, seq), lambda connection, alone: read_chunks(connection, room, seq, life, AHEAD if alone else 1)
            )
        except LookupError:
            # Retention has passed it, and the report of that is still under way.
            after = await self._readers().read(object(), lambda connection, _: row_after(connection, room, seq))
            self._start = max(self._start, after or self._committed)
            raise
        # The first one is what was asked for, and the newest in the cache.
        return [self._shared.cache.add(room, chunk) for chunk in reversed(chunks)][-1]

    async def first(self, key: Key, least: float) -> Mark:
        # What waits may be committed, and more may come, while the rows are read.
        waiting, start, end = list(self._waiting), self._start.seq, self._end
        stored = waiting[0].start.seq if waiting else end.seq
        if start < stored:
            room = self.id
            found: Mark | None = await self._readers().read(
                object(), lambda connection, _: find_first(connection, room, key, least, (start, stored))
            )
            if found is not None:
                return found
        batch = first_batch(waiting, KEYS[key], least)
        return end if batch is None else batch.start

    def release(self) -> None:
        if self.opened:
            self.opened = False
            self._shared.released(self)

    def _readers(self) -> Readers:
        readers = self._shared.readers
        if readers is None:
            raise OSError("the store was not started")
        return readers


def _start(chunk: Chunk) -> int:
    return chunk.start.seq
