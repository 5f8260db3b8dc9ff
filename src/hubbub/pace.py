"""Holding senders, or one client, to a rate, and no further than that."""

from __future__ import annotations

from math import ceil, inf
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

BURST_TIME: Final = 0.1
"""How much unused time, in seconds, a held sender may make up for; more than a timer oversleeps."""


class Pace:
    """A bucket of bytes that fills at `rate` per second; senders that take from it wait while it is empty.

    Args:
        rate: bytes per second, or messages; 0 makes senders wait for as long as they are held.
        burst: the most it holds, in the same unit.
    """

    __slots__ = ("_burst_time", "_due", "_rate")

    def __init__(self, rate: float, burst: float) -> None:
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


class Throttle:
    """Gives out a client's messages at the rates it is held to.

    Args:
        message_rate: messages per second; None: any number.
        byte_rate: bytes per second; None: any number.

    Attributes:
        held: what has been received and not given out.
    """

    __slots__ = ("_byte_pace", "_message_pace", "_received", "_slice", "held")

    def __init__(self, message_rate: float | None, byte_rate: int | None) -> None:
        self._message_pace = Pace(message_rate or inf, inf)
        self._byte_pace = Pace(byte_rate or inf, inf)
        # What may be made up for at once is given out at once.
        self._slice = ceil(message_rate * BURST_TIME) if message_rate else None
        self._received = 0
        self.held: Sequence[Any] = ()

    def receive(self, messages: Sequence[Any], received: int, now: float) -> None:
        """Hold `messages`; with them, `received` bytes have come in all."""
        self.held = messages
        self._byte_pace.spend(received - self._received, now)
        self._received = received

    def delay(self, now: float) -> float:
        """Seconds until the next of those held may be given out."""
        return max(self._message_pace.delay(now), self._byte_pace.delay(now))

    def take(self, now: float) -> Sequence[Any]:
        """Give out some of those held."""
        taken, self.held = self.held[: self._slice], self.held[self._slice :] if self._slice else ()
        self._message_pace.spend(len(taken), now)
        return taken
