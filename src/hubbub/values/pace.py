"""Rates: how long senders to a room, or one client, wait so that they send no faster than agreed, and no slower."""

from __future__ import annotations

from math import ceil, inf
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from .settings import Settings

BURST_TIME: Final = 0.1
"""How much unused time, in seconds, a sender may make up for. It is more than a timer oversleeps."""

RESOLUTION: Final = 1e-6
"""The shortest delay, in seconds. Rounding could swallow a shorter one when it is added to a clock (floats near 1e9 s
are 1.2e-7 s apart), and then a sender would wait without end."""


class Pace:
    """A bucket of bytes that fills at `rate` per second. Senders take from it, and wait while it is empty.

    Args:
        rate: bytes per second, or messages per second. At 0, senders wait until they are no longer held.
        burst: the most that the bucket holds, in the same unit.
    """

    __slots__ = ("_burst_time", "_due", "_rate")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst_time = min(BURST_TIME, burst / rate) if rate else 0.0
        self._due = -inf

    def delay(self, now: float) -> float:
        """Seconds until a sender may go on: none, or at least `RESOLUTION`."""
        if not self._rate:
            return inf
        delay = self._due - now
        return delay if delay >= RESOLUTION else 0.0

    def spend(self, size: int, now: float) -> None:
        """Note that `size` bytes were sent."""
        if self._rate:
            self._due = max(self._due, now - self._burst_time) + size / self._rate


class Throttle:
    """Hands out the messages of one client, no faster than the client may send.

    Args:
        message_rate: messages per second; None: no limit.
        byte_rate: bytes per second; None: no limit.

    Attributes:
        held: the messages that were received and not handed out yet.
    """

    __slots__ = ("_byte_pace", "_message_pace", "_received", "_slice", "held")

    def __init__(self, message_rate: float | None, byte_rate: int | None) -> None:
        self._message_pace = Pace(message_rate or inf, inf)
        self._byte_pace = Pace(byte_rate or inf, inf)
        # As many as may be made up for at once are handed out at once.
        self._slice = ceil(message_rate * BURST_TIME) if message_rate else None
        self._received = 0
        self.held: Sequence[Any] = ()

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """The one of a client with these settings; None if they have no limit."""
        rates = settings.message_rate, settings.byte_rate
        return cls(*rates) if any(rates) else None

    def receive(self, messages: Sequence[Any], received: int, now: float) -> None:
        """Hold `messages`.

        Args:
            messages: what was received.
            received: the bytes received so far, from the start of the connection.
            now: the time, in seconds.
        """
        self.held = messages
        self._byte_pace.spend(received - self._received, now)
        self._received = received

    def delay(self, now: float) -> float:
        """Seconds until the next messages may be handed out."""
        return max(self._message_pace.delay(now), self._byte_pace.delay(now))

    def take(self, now: float) -> Sequence[Any]:
        """Hand out the next messages."""
        taken, self.held = self.held[: self._slice], self.held[self._slice :] if self._slice else ()
        self._message_pace.spend(len(taken), now)
        return taken
