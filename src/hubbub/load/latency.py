"""How long lines took, kept as counts: a run of any length takes the same memory."""

from __future__ import annotations

from collections import Counter
from itertools import accumulate
from math import ceil, log2
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STEPS: Final = 64
"""Counts are kept for so many steps between a time and its double: a figure is at most 0.6 % beside the true one."""

SLICES: Final = 100
"""For how many parts of the run counts are kept."""

SHORTEST: Final = 1e-6
"""Times below it, in seconds, count as it: nothing between two sockets is faster."""


class Latencies:
    """How long lines took, of a run that is cut into slices.

    Args:
        time: how long lines are due, in seconds.

    Attributes:
        latest: the last one, in seconds; 0 before the first.
        longest: the longest one, in seconds; 0 before the first.
    """

    def __init__(self, time: float) -> None:
        self._scale = SLICES / time
        self._slices: list[Counter[int]] = [Counter() for _ in range(SLICES)]
        self.latest = 0.0
        self.longest = 0.0

    def add(self, due: float, latency: float) -> None:
        """Count a line.

        Args:
            due: when it was due, in seconds from the start.
            latency: how long it took from then on, in seconds.
        """
        latency = max(latency, SHORTEST)
        self._slices[min(int(due * self._scale), SLICES - 1)][round(log2(latency) * STEPS)] += 1
        self.latest = latency
        self.longest = max(self.longest, latency)

    def __len__(self) -> int:
        return sum(map(Counter.total, self._slices))

    def percentiles(self, shares: Sequence[float]) -> list[float]:
        """For each of these shares of the lines (0.5 for the half), how long they took at the most, in seconds."""
        whole: Counter[int] = Counter()
        for part in self._slices:
            whole.update(part)
        # The longest is known better than by its step.
        return [min(latency, self.longest) for latency in _percentiles(whole, shares)]

    def over_time(self, shares: Sequence[float]) -> list[tuple[float, list[float]]]:
        """The middle of each slice in which lines were due, in seconds from the start, and its percentiles."""
        return [
            ((number + 0.5) / self._scale, _percentiles(part, shares))
            for number, part in enumerate(self._slices)
            if part
        ]


def _percentiles(counts: Counter[int], shares: Iterable[float]) -> list[float]:
    if not counts:
        return [0.0 for _ in shares]
    steps = sorted(counts)
    reached = list(accumulate(counts[step] for step in steps))
    found = []
    for share in shares:
        rank = max(1, ceil(share * reached[-1]))
        found.append(2 ** (next(step for step, count in zip(steps, reached, strict=True) if count >= rank) / STEPS))
    return found
