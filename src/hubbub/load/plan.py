"""What a run asks of a server."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final

from ..values.settings import KIB, MIB
from .lines import MIN_SIZE

TICKS: Final = 1_000
"""Lines at a given rate are due on the ticks of a clock, so many a second: about what a program can keep."""

BLOCK_SIZE: Final = 64 * KIB
"""The most that a sender says at once, in bytes, if it is not a single line."""

WINDOW_LIMIT: Final = 4 * MIB
"""How far senders at full speed may be ahead of the slowest reader, in bytes, all together."""

BACKLOG_LIMIT: Final = 256 * MIB
"""The same, for each reader counted: what a server without bounds would have to hold."""

WINDOW_LINES: Final = 48
"""How many lines each sender may be ahead at the least, so that a server can make batches of them."""


MAX_SIZE: Final = MIB
"""The longest line, in bytes."""

MAX_TIME: Final = 86_400
"""The longest run, in seconds: a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run asks of a server.

    Attributes:
        readers: connections that hear everything.
        senders: connections that speak.
        size: of a line with its end, in bytes.
        rate: messages per second of all senders together; None: as fast as the server takes them.
        time: how long the senders speak, in seconds.
        patience: how long nothing may be heard of what should be, in seconds.

    Raises:
        ValueError: a value is out of range; the message names it.
    """

    readers: int = 10
    senders: int = 1
    size: int = 100
    rate: int | None = None
    time: float = 5.0
    patience: float = 10.0

    def __post_init__(self) -> None:
        if not MIN_SIZE <= self.size <= MAX_SIZE:
            raise ValueError(f"size is {self.size}; it must be {MIN_SIZE} to {MAX_SIZE} bytes")
        # Written so that NaN fails too.
        if not 0 < self.time <= MAX_TIME:
            raise ValueError(f"time is {self.time:g}; it must be more than 0 and at most {MAX_TIME} seconds")

    @property
    def window(self) -> int:
        """How many lines a sender at full speed may be ahead of the slowest reader."""
        size = min(WINDOW_LIMIT, BACKLOG_LIMIT // self.readers)
        return max(WINDOW_LINES, size // (self.size * self.senders))

    @property
    def block_lines(self) -> int:
        """How many lines a sender says at once at the most."""
        return max(1, min(BLOCK_SIZE // self.size, self.window // 4))

    # With a rate: lines are numbered over all senders, who take turns.

    def due(self, number: int) -> float:
        """When a line is due, in seconds from the start."""
        return number * TICKS // (self.rate or 1) / TICKS

    def count_due(self, elapsed: float) -> int:
        """How many lines are due by then."""
        # Products of fractions are not exact: 2.015 * 1000 is more than 2015.
        ticks = min(int(elapsed * TICKS), ceil(round(self.time * TICKS, 6)) - 1) + 1
        return -(-ticks * (self.rate or 1) // TICKS)

    def count_of(self, sender: int, lines: int) -> int:
        """How many of the first so many lines are the sender's."""
        return -((sender - lines) // self.senders) if lines > sender else 0

    def __str__(self) -> str:
        connections = f"{_count(self.readers, 'reader')}, {_count(self.senders, 'sender')}"
        flow = "as fast as the server takes them" if self.rate is None else f"{self.rate:,} a second"
        return f"{connections}, lines of {self.size:,} bytes, {flow}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
