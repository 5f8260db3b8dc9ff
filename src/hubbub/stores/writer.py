"""The thread that writes the store: it has the only connection that may, and commits whatever waits.

As soon as a commit is done, all jobs that came meanwhile are the next transaction. So commits grow as the load does.
Where little waits, and nobody waits for its commit, there is a pause between two. A transaction that fails is tried
again, until it succeeds or is given up.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .jobs import Add, Transaction
from .schema import PAGE, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..log.chunk import Mark
    from .jobs import Job
    from .retention import Retention

PACE: Final = 0.2
"""Seconds between two commits for which nobody waits: each writes a few pages, however little is new."""

RETRY_TIME: Final = 1.0
"""Seconds after which a transaction that failed is tried again."""


@dataclass(slots=True, frozen=True)
class Report:
    """What was committed.

    Attributes:
        epoch: that of its jobs.
        jobs: how many they were; none where it only deleted.
        ends: up to where rooms are stored now.
        starts: where rooms of which messages were deleted start now.
        written: counted bytes of the messages in its jobs.
        seconds: how long it took.
        size: bytes of the file and its WAL.
        short: whether the disk has less room than the settings allow.
    """

    epoch: int
    jobs: int
    ends: dict[int, Mark]
    starts: dict[int, Mark]
    written: int
    seconds: float
    size: int
    short: bool


@dataclass(slots=True)
class Writer:
    """The thread, and the jobs that wait for it.

    Args:
        connection: may write.
        retention: deletes what is overdue.
        done: is told in the thread of each commit.
        failed: is told in the thread of each failure.
        ended: is told in the thread when it ends.

    Attributes:
        epoch: jobs that were put before it was raised are given up.
    """

    connection: sqlite3.Connection
    retention: Retention
    done: Callable[[Report], None]
    failed: Callable[[Exception], None]
    ended: Callable[[], None]
    epoch: int = 0
    _jobs: queue.SimpleQueue[tuple[int, Job] | None] = field(default_factory=queue.SimpleQueue)
    _hurry: threading.Event = field(default_factory=threading.Event)
    _asked: threading.Event = field(default_factory=threading.Event)
    _committed_at: float = 0.0
    _written: int = 0

    def put(self, job: Job) -> None:
        """Write that too."""
        self._jobs.put((self.epoch, job))

    def ask(self) -> None:
        """Commit soon: somebody waits for it."""
        self._asked.set()

    def give_up(self) -> None:
        """Write nothing of what waits, except what is being written just now."""
        self.epoch += 1
        self._hurry.set()
        self._asked.set()

    def start(self) -> None:
        """Start the thread. It does not keep the program alive: a disk may never answer."""
        threading.Thread(target=self._run, name="hubbub store", daemon=True).start()

    def stop(self) -> None:
        """Let the thread end when all that waits is written, or given up."""
        self._jobs.put(None)
        self._asked.set()

    def _run(self) -> None:
        try:
            self.connection.execute(f"PRAGMA wal_autocheckpoint = {self.retention.wal_limit // PAGE}")
            self.retention.start()
            going = True
            while going:
                going, jobs = self._take()
                if going or jobs:
                    self._write_until_done(jobs)
        finally:
            # This may checkpoint, which takes time.
            self.connection.close()
            self.ended()

    def _take(self) -> tuple[bool, list[tuple[int, Job]]]:
        """All jobs that wait, at most as much as a transaction may have; and whether more may come."""
        jobs: list[tuple[int, Job]] = []
        size = 0
        try:
            pause = self.retention.pause
            job = self._jobs.get(timeout=pause) if pause else self._jobs.get(block=pause is None)
            # To wake for each message would keep the loop from the interpreter as often. Who has much to write goes on.
            if self._written < self.retention.transaction_limit // 2:
                self._asked.wait(max(0.0, self._committed_at + PACE - time.monotonic()))
            self._asked.clear()
            while job is not None:
                jobs.append(job)
                size += job[1].size
                if size >= self.retention.transaction_limit:
                    return True, jobs
                job = self._jobs.get_nowait()
        except queue.Empty:
            return True, jobs
        return False, jobs

    def _write_until_done(self, jobs: list[tuple[int, Job]]) -> None:
        while True:
            epoch = self.epoch
            wanted = [job for one, job in jobs if one == epoch]
            size = sum(job.size for job in wanted)
            if jobs and not wanted:
                return
            try:
                report = self._write(epoch, wanted, size)
            except Exception as error:
                # Whatever it was, the thread must go on: without it nothing is stored any more.
                self.failed(error)
                self._hurry.wait(RETRY_TIME)
                self._hurry.clear()
                # On a full disk the WAL cannot grow, but start again.
                self._checkpoint("RESTART")
                if not jobs:
                    return
                self._make_room(epoch, size)
            else:
                self._committed_at, self._written = time.monotonic(), size
                self.done(report)
                self._shorten_wal()
                return

    def _make_room(self, epoch: int, size: int) -> None:
        """Only delete what is overdue: a transaction that fails has deleted nothing either."""
        with suppress(Exception):
            self.done(self._write(epoch, [], size))

    def _write(self, epoch: int, jobs: list[Job], size: int) -> Report:
        """One transaction, with room for so many bytes."""
        start = time.perf_counter()
        transaction = Transaction(self.connection, self.retention)
        added = [job for job in jobs if isinstance(job, Add)]
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            self.retention.make_room(size)
            for job in jobs:
                job.write(transaction)
            transaction.flush()
            self.retention.trim({job.room for job in added})
            self.connection.execute("COMMIT")
        except BaseException:
            # After some errors SQLite has done that by itself.
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise
        return Report(
            epoch=epoch,
            jobs=len(jobs),
            ends=transaction.ends,
            starts=self.retention.moved,
            written=sum(job.size for job in added),
            seconds=time.perf_counter() - start,
            size=self.retention.size_on_disk(),
            short=self.retention.short,
        )

    def _shorten_wal(self) -> None:
        """Where readers have kept the WAL from starting again, wait for them, and do it."""
        # One transaction more than the limit is usual.
        if self.retention.wal_size() > 9 * self.retention.wal_limit // 4:
            self._checkpoint("TRUNCATE")

    def _checkpoint(self, mode: str) -> None:
        # Whatever is wrong, the next commit tells.
        with suppress(sqlite3.Error):
            self.connection.execute(f"PRAGMA wal_checkpoint({mode})")


def describe(error: Exception) -> str:
    """An error of the writer, in words."""
    if isinstance(error, sqlite3.Error):
        return reason_of(error)
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or repr(error)
