"""Holding senders to a rate, and no further than that."""

from __future__ import annotations

from math import inf
from typing import Final

BURST_TIME: Final = 0.1
"""How much unused time, in seconds, a held sender may make up for; more than a timer oversleeps."""


class Pace:
    """A bucket of bytes that fills at `rate` per second; senders that take from it wait while it is empty.

    Args:
        rate: bytes per second; 0 makes senders wait for as long as they are held.
        burst: the most it holds, in bytes.
    """

    __slots__ = ("_burst_time", "_due", "_rate")

    def __init__(self, rate: int, burst: int) -> None:
        self._rate = rate
        self._burst_time = min(BURST_TIME, burst / rate) if rate else 0.0
        self._due = -inf

    def delay(self, now: float) -> float:
        """Seconds until a sender may go on."""
        return max(0.0, self._due - now) if self._rate else inf

    def spend(self, size: int, now: float) -> None:
        """Note that `size` bytes were sent."""
        if self._rate:
            self._due = max(self._due, now - self._burst_time) + size / self._rate
