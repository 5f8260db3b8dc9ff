"""Waiting for the next time that something happens."""

from __future__ import annotations

import asyncio


class Pulse:
    """Wakes all who wait, and keeps nothing: who waits afterwards waits for the next one.

    Smaller than an `asyncio.Event`, of which every connection would need several.
    """

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def awaited(self) -> bool:
        return bool(self._waiters)

    def fire(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self) -> None:
        """Wait for the next `fire`. It may be cancelled."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
