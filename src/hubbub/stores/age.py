"""The clock by which messages get old: the wall clock, which may be wrong for a while."""

from __future__ import annotations

import time
from typing import Final

STEP: Final = 60.0
"""Seconds by which the wall clock may get ahead at once without being suspected."""

JUMP_TIME: Final = 600.0
"""Seconds that it must stay there after a larger step, before it is believed."""


class AgeClock:
    """Tells the time as the wall clock does, except for a while after that has jumped ahead.

    What was deleted is gone, and a clock that is set right meanwhile would not bring it back. What is kept for too long
    is deleted later.
    """

    def __init__(self) -> None:
        self._ahead = time.time() - _steady_time()
        self._jumped: float | None = None

    def now(self) -> float:
        """The time, in seconds since 1970."""
        steady = _steady_time()
        ahead = time.time() - steady
        if ahead <= self._ahead + STEP:
            self._ahead, self._jumped = ahead, None
        elif self._jumped is None:
            self._jumped = steady
        elif steady >= self._jumped + JUMP_TIME:
            self._ahead, self._jumped = ahead, None
        return steady + self._ahead


def _steady_time() -> float:
    """A clock that never jumps; on Linux it goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
