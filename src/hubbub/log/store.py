"""The store's contract: what keeps the logs of a server's rooms beyond memory, and beyond the life of the process.

A log appends each chunk as soon as its flush has made it readable, and the store commits whatever waits: a message is
first delivered and then stored, also where its sender waits for the commit. What memory drops is read from the store,
which is the *older end* of the log. To read it takes time, so that is awaited.

Every store keeps this contract, and passes the tests of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..framing import Framing
    from ..values.settings import Settings
    from .chunk import Chunk, Mark
    from .terms import Term

Key = Literal["seq", "offset", "time"]
"""What never falls along a log: how many messages and how many counted bytes come before a batch, and its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatistics:
    """The figures of a store at one moment.

    Attributes:
        committed: the `seq` up to which each room is stored, by its name.
        reads: how often a chunk of a room was read, where it was.
        pending: counted bytes that wait for their commit.
        size: bytes on the disk after the last commit; 0 before the first one.
        commits: how many there were since the start.
        commit_p50: seconds that half of the last 1,000 commits took at most.
        commit_p99: seconds that 99 % of them took at most.
        commit_time: seconds that all of them took together.
        out: whether it takes nothing, because it has failed for too long.
    """

    committed: Mapping[str, int]
    reads: Mapping[str, int]
    pending: int
    size: int
    commits: int
    commit_p50: float
    commit_p99: float
    commit_time: float
    out: bool


class StoredLog(Protocol):
    """The log of one room in a store. Its methods are called in the event loop, and only those that are awaited wait.

    Attributes:
        head: where it ended when it was opened; the log in memory goes on there.
        time: the time of the newest message then, in seconds since 1970; 0.0 where there was none.
        terms: the terms that it knew then, oldest first. The last one ends at `head`.
    """

    @property
    def head(self) -> Mark:
        """See above."""

    @property
    def time(self) -> float:
        """See above."""

    @property
    def terms(self) -> Sequence[Term]:
        """See above."""

    @property
    def start(self) -> int:
        """The `seq` from which on it holds every message up to `end`."""

    @property
    def end(self) -> int:
        """The `seq` up to which it has taken messages, whether they are committed or not."""

    @property
    def taking(self) -> bool:
        """Whether it takes what is appended. It does from `begin` on, until it has failed for too long.

        A failure is told once, in the log. What was appended and not committed by then is not stored any more.
        """

    @property
    def ready(self) -> bool:
        """Whether it would take messages again, once a new term has begun. Never while it is `taking`."""

    @property
    def full(self) -> bool:
        """Whether so much waits for its commit that senders must wait (`Settings.store_pending`)."""

    def begin(self, term: str, at: Mark) -> None:
        """Begin a term at a mark: at `head` when it was opened, or later while it is `ready`.

        What is appended from now on follows `at`. Where that is behind `end`, messages are missing in between, and
        `start` is there from now on. A term in which nothing is appended may be forgotten.
        """

    def append(self, chunk: Chunk) -> None:
        """Take a chunk that follows `end`, as it is now: the log may extend it later. Nothing while it is not `taking`.

        Raises:
            Exception: the chunk cannot be kept.
        """

    async def wait_committed(self, seq: int) -> None:
        """Wait until the messages before `seq` are committed. It may be cancelled.

        Raises:
            NotStored: they are not and will not be, or the store was closed.
        """

    async def wait_until_not_full(self) -> None:
        """Wait until it is not `full`, or takes nothing any more. It may be cancelled."""

    def cached(self, seq: int) -> Chunk | None:
        """The chunk that `chunk_at` would return, if it is in memory; None: it must be read, or is not held.

        It waits for nothing.
        """

    async def chunk_at(self, seq: int) -> Chunk:
        """The chunk that holds the message after the first `seq`, committed or not. It may be cancelled.

        Ticks of batches that an earlier process has stored are 0.

        Raises:
            LookupError: it does not hold that message, or not any more; `start` tells it by then.
            OSError: it cannot be read.
        """

    async def first(self, key: Key, least: float) -> Mark:
        """The start of the first batch whose `key` is at least `least`, or the end. It may be cancelled.

        Raises:
            OSError: it cannot be read.
        """

    def release(self) -> None:
        """The room was closed. What is stored stays, and what waits is committed; the log may be opened again."""


class Store(Protocol):
    """Keeps the logs of the rooms of one server."""

    def open_log(self, room: str, framing: Framing[Any], settings: Settings) -> StoredLog:
        """Open the log of a room, or begin one, also before `start`. This must be quick, and waits for no disk.

        Args:
            room: its name.
            framing: how it keeps its messages.
            settings: of which those count that concern stores.

        Raises:
            StoreError: it was stored with another framing, or is open; or the store was closed.
            ValueError: the store cannot keep a room of that name.
        """

    def start(self, settings: Settings) -> None:
        """Begin to commit, with the settings of the server. It is used in the running event loop and in no other."""

    @property
    def out(self) -> bool:
        """Whether it takes nothing, because it has failed for too long."""

    def statistics(self) -> StoreStatistics:
        """Its figures at this moment."""

    async def close(self) -> None:
        """Commit what waits, for at most `Settings.store_patience`, and give everything back. May be called twice."""
