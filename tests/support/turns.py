"""How long the turns of an event loop take."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from typing import Self


class Turns:
    """Measures the longest turn of the loop meanwhile.

    A turn is measured in the time of the processor that it takes, because other programs share the machine, and
    without the collector of cycles, whose pauses grow with the objects of the whole process. `longest` is in seconds.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self._measuring = True
        self._start = 0.0

    def __enter__(self) -> Self:
        gc.collect()
        gc.disable()
        self._start = time.thread_time()
        asyncio.get_running_loop().call_soon(self._turn)
        return self

    def __exit__(self, *failure: object) -> None:
        self._look()
        self._measuring = False
        gc.enable()

    def _turn(self) -> None:
        self._look()
        if self._measuring:
            asyncio.get_running_loop().call_soon(self._turn)

    def _look(self) -> None:
        now = time.thread_time()
        if self._measuring:
            self.longest = max(self.longest, now - self._start)
        self._start = now


async def shortest_of(count: int, measure: Callable[[], Awaitable[float]]) -> float:
    """The best of several measurements: a busy machine only makes them longer."""
    return min([await measure() for _ in range(count)])
