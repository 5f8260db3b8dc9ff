"""The loop's side of recording: what waits for its commit, and what happens while the store takes nothing.

    recording ──(nothing committed for `store_patience`)──▶ out ──(a probe was written)──▶ recording, in new terms

A thread that waits for a disk cannot tell that it waits too long, so the loop does.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from typing import TYPE_CHECKING, Final

from ..values.settings import Settings
from ..wire.countdown import Countdown
from ..wire.pulse import Pulse
from .jobs import Add, Probe
from .schema import advice_for, is_full
from .writer import describe

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path

    from ..log.chunk import Chunk, Mark
    from .jobs import Job
    from .writer import Report, Writer

logger = logging.getLogger("hubbub")

LOOKS: Final = 4
"""How often in `store_patience` it is checked that something was committed."""

TIMES: Final = 1000
"""Commits of which the times are kept."""


class Recorder:
    """What waits for the writer, of all logs.

    Args:
        path: of the database, for messages.
        settle: is called for each room of a report with its number, where it is stored up to, and where it starts now.
        give_up: is called when the store is out, with the reason: what waits is not stored any more.

    Attributes:
        epoch: how often it was out. What was appended in an earlier one is not stored any more.
        out: whether it takes nothing, until a probe has been written.
        reason: what was wrong the last time.
        disk_full: whether that was a full disk.
        pending: counted bytes that wait.
        not_full: fires when senders need not wait any more.
        times: how long the last commits took, in seconds.
        commits: how many there were.
        commit_time: how many seconds all of them took.
        size: bytes of the file and its WAL after the last one.
    """

    def __init__(
        self, path: Path, settle: Callable[[int, Mark | None, Mark | None], None], give_up: Callable[[str], None]
    ) -> None:
        self.epoch = 0
        self.out = False
        self.reason = ""
        self.disk_full = False
        self.pending = 0
        self.not_full = Pulse()
        self.times: deque[float] = deque(maxlen=TIMES)
        self.commits = 0
        self.commit_time = 0.0
        self.size = 0
        self._path = path
        self._settle = settle
        self._give_up = give_up
        self._settings = Settings()
        self._jobs: list[Job] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer: Writer | None = None
        self._failing = False
        self._short = False
        self._countdown: Countdown | None = None
        self._seen = 0
        self._idle = 0
        self._out_since = 0.0

    @property
    def full(self) -> bool:
        """Whether so much waits that senders must wait."""
        return self.pending >= self._settings.store_pending

    def start(self, writer: Writer, loop: asyncio.AbstractEventLoop, settings: Settings) -> None:
        """Hand on what was put so far, and all that comes."""
        self._loop, self._settings, self._writer = loop, settings, writer
        for job in self._jobs:
            writer.put(job)
        self._jobs.clear()
        if self.pending:
            self._watch()

    def put(self, job: Job) -> None:
        """Write that."""
        if self._writer is None:
            self._jobs.append(job)
        else:
            self._writer.put(job)

    def add(self, room: int, chunk: Chunk) -> None:
        """Write the messages of a chunk, which must not change."""
        self.pending += chunk.end.offset - chunk.start.offset
        self.put(Add(room, chunk))
        if self._countdown is None and self._loop is not None:
            self._watch()

    def ask(self) -> None:
        """Commit soon: somebody waits for it."""
        if self._writer is not None:
            self._writer.ask()

    def committed(self, report: Report) -> None:
        """The writer has committed something."""
        self.size = report.size
        self._note_shortage(report)
        if report.jobs:
            self.commits += 1
            self.commit_time += report.seconds
            self.times.append(report.seconds)
            if self._failing and not self.out:
                logger.warning("the store %s can be written again", self._path)
            self._failing = False
        was_full = self.full
        if report.epoch == self.epoch:
            self.pending -= report.written
        for room in report.ends.keys() | report.starts.keys():
            self._settle(room, report.ends.get(room), report.starts.get(room))
        if was_full and not self.full:
            self.not_full.fire()
        if self.out and report.jobs and report.epoch == self.epoch:
            self.out = False
            time = self._now() - self._out_since
            logger.warning("the store %s is back after %.0f s; what is said now is stored again", self._path, time)

    def failed(self, error: Exception) -> None:
        """The writer has failed, and will try again."""
        self.reason, self.disk_full = describe(error), is_full(error)
        if not self._failing and not self.out:
            advice = advice_for(error) if isinstance(error, sqlite3.Error) else "look at its disk"
            logger.error("the store %s cannot be written: %s; %s", self._path, self.reason, advice)
        self._failing = True

    def stop(self) -> None:
        """Watch no more."""
        if self._countdown is not None:
            self._countdown.cancel()
            self._countdown = None

    def _watch(self) -> None:
        self._seen, self._idle = self.commits, 0
        self._look_later()

    def _look_later(self) -> None:
        assert self._loop is not None
        self._countdown = Countdown(self._loop, self._settings.store_patience / LOOKS, self._look)

    def _look(self) -> None:
        """Whether what waits has waited for too long."""
        self._countdown = None
        if not self.pending:
            return
        if self.commits != self._seen:
            self._watch()
            return
        self._idle += 1
        # The writer may just pause between two commits.
        self.ask()
        if self._idle < LOOKS:
            self._look_later()
        else:
            self._leave()

    def _leave(self) -> None:
        """Give up what waits, and go on without the store."""
        if not self._failing:
            self.reason, self.disk_full = f"its disk has not answered for {self._settings.store_patience:g} s", False
        logger.error(
            "the store %s is out: %s; the server goes on in memory, and nothing is stored until the store is back",
            self._path,
            self.reason,
        )
        self.abandon(self.reason)
        self._out_since = self._now()
        self.put(Probe())

    def abandon(self, reason: str) -> None:
        """Give up what waits."""
        self.out = True
        self.epoch += 1
        self.pending = 0
        assert self._writer is not None
        self._writer.give_up()
        self._give_up(reason)
        self.not_full.fire()

    def _note_shortage(self, report: Report) -> None:
        if report.short and not self._short:
            self._short = True
            logger.warning("the disk of the store %s is nearly full: less is kept than the settings allow", self._path)

    def _now(self) -> float:
        return 0.0 if self._loop is None else self._loop.time()
