"""Senders that wait until a connection takes more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .pulse import Pulse

if TYPE_CHECKING:
    from collections.abc import Callable


class Space:
    """Lets senders wait while something is full. They go on in the order in which they came."""

    __slots__ = ("_changed", "_turnstile")

    def __init__(self) -> None:
        self._changed = Pulse()
        self._turnstile = asyncio.Lock()

    @property
    def awaited(self) -> bool:
        """Whether somebody waits."""
        return self._turnstile.locked()

    async def wait(self, full: Callable[[], bool]) -> None:
        """Wait while `full` says so, which is asked after each `tell`. It may be cancelled."""
        async with self._turnstile:
            while full():
                await self._changed.wait()

    def tell(self) -> None:
        """There may be space now."""
        self._changed.fire()
