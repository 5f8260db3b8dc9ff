"""Waiting for something to become true, for so long at most."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..wire.countdown import Countdown, within
from ..wire.pulse import Pulse

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet


class Changes:
    """Says that something has changed, to those who wait for a condition."""

    def __init__(self) -> None:
        self._pulse = Pulse()

    def tell(self) -> None:
        """Something has changed."""
        self._pulse.fire()

    def count_down(self, time: float) -> Countdown:
        """So many seconds that `wait_until` may take."""
        return Countdown(asyncio.get_running_loop(), time, self._pulse.fire)

    async def wait_until(self, condition: Callable[[], bool], countdown: Countdown) -> None:
        """Wait until the condition holds, or the time is over. It may be cancelled."""
        try:
            while not (condition() or countdown.over):
                await self._pulse.wait()
        finally:
            countdown.cancel()


async def wait_for(tasks: AbstractSet[asyncio.Task[Any]], time: float) -> None:
    """Wait until these tasks have ended, or so many seconds are over."""
    with suppress(TimeoutError):
        async with within(time):
            await asyncio.wait(tasks)
