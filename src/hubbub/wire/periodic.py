"""Calling a function again and again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .countdown import Countdown

if TYPE_CHECKING:
    from collections.abc import Callable


class Periodic:
    """Calls a function every so often, while it is started.

    Args:
        interval: seconds between two calls, in which the program is run.
        function: is given the seconds for which the program was run so far. It may stop the repeat.
    """

    def __init__(self, interval: float, function: Callable[[float], None]) -> None:
        self._interval = interval
        self._function = function
        self._ran = 0.0
        self._countdown: Countdown | None = None

    def start(self) -> None:
        """Call it from now on, first when the interval is over."""
        self._countdown = Countdown(asyncio.get_running_loop(), self._interval, self._run)

    def stop(self) -> None:
        """Call it no more. To stop it twice is no error."""
        if self._countdown is not None:
            self._countdown.cancel()

    def _run(self) -> None:
        # The next one is sure, even if this one raises.
        self.start()
        self._ran += self._interval
        self._function(self._ran)
