"""Calling a function again and again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Periodic:
    """Calls a function every so often, while it is started.

    Args:
        interval: seconds between two calls.
        function: is given the time on the loop's clock. It may stop the repeat.
    """

    def __init__(self, interval: float, function: Callable[[float], None]) -> None:
        self._interval = interval
        self._function = function
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Call it from now on, first when the interval is over."""
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._run)

    def stop(self) -> None:
        """Call it no more. To stop it twice is no error."""
        if self._timer is not None:
            self._timer.cancel()

    def _run(self) -> None:
        # The next one is sure, even if this one raises.
        self.start()
        self._function(asyncio.get_running_loop().time())
