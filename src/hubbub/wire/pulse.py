"""Waiting for the next time that something happens."""

from __future__ import annotations

import asyncio


class Pulse:
    """Wakes all who wait, and keeps nothing: who waits afterwards waits for the next one.

    Smaller than an `asyncio.Event`, of which every connection would need several.
    """

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        # A tuple, because most pulses of an idle connection are never waited for, and the empty tuple costs nothing.
        self._waiters: tuple[asyncio.Future[None], ...] = ()

    def fire(self) -> None:
        """Wake all who wait now."""
        waiters, self._waiters = self._waiters, ()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self) -> None:
        """Wait for the next `fire`. It may be cancelled."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters += (waiter,)
        try:
            await waiter
        finally:
            if self._waiters:
                self._waiters = tuple([other for other in self._waiters if other is not waiter])
