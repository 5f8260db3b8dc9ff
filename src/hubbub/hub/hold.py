"""What makes the senders of a room wait: a full chunk, a lagging reader, a slow store, and those who wait already."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from ..values.pace import Pace

if TYPE_CHECKING:
    from ..log.log import Log
    from ..values.settings import Settings
    from .fan_out import FanOut

HOLD_TIME: Final = 0.01
"""How long a held sender waits, in seconds, before it checks whether it may go on. It then sends what it may in one go:
many tiny batches would count more in a reader's lag than the same bytes in one."""

APPENDS_LIMIT: Final = 4096
"""Broadcasts before a flush lets the event loop turn, however short they are."""


MESSAGES_LIMIT: Final = 16 * 1024
"""About how many messages a chunk has, however short they are: it is rendered in one go, and some renderings write a
hundred bytes for each."""


class Hold:
    """Holds the senders of a room to its pace for a lagging reader, and while its next chunk or its store is full."""

    def __init__(self, log: Log[Any], fan_out: FanOut[Any], settings: Settings) -> None:
        self._log = log
        self._fan_out = fan_out
        self._stored = log.older
        self._chunk_size = settings.chunk_size
        self._large = settings.retention // 8
        self._pace = Pace(settings.pace or 0, burst=settings.retention // 8)
        self._turnstile = asyncio.Lock()
        self._open = True

    def must_wait(self, size: int) -> bool:
        """Whether a sender of so many bytes must `wait`. None may pass those who do."""
        if size > self._large:
            # It may take a reader from before half of the retention to behind all of it.
            self._fan_out.check_hold(size)
        return (
            (self._log.pending_size > 0 and self._is_full(size))
            or self._turnstile.locked()
            or (self._fan_out.holding and self._is_held())
            or (self._stored is not None and self._stored.full)
        )

    async def wait(self, size: int) -> None:
        """Wait until so many bytes may be sent, in the order of those who wait, or until `release`."""
        async with self._turnstile:
            while self._open:
                if self._is_full(size):
                    await self._fan_out.flushed.wait()
                elif self._stored is not None and self._stored.full:
                    await self._stored.wait_until_not_full()
                elif self._is_held():
                    await asyncio.sleep(HOLD_TIME)
                    self._fan_out.check_hold(size)
                else:
                    return

    def spend(self, size: int) -> None:
        """So many bytes were sent."""
        if self._fan_out.holding:
            self._pace.spend(size, asyncio.get_running_loop().time())

    def release(self) -> None:
        """Hold nobody any more."""
        self._open = False
        self._fan_out.flushed.fire()

    def _is_full(self, size: int) -> bool:
        log = self._log
        if 0 < log.pending_size > self._chunk_size - size or log.pending_appends >= APPENDS_LIMIT:
            return True
        # None is shorter than a byte.
        return log.pending_size > MESSAGES_LIMIT and log.head.seq - log.readable.seq >= MESSAGES_LIMIT

    def _is_held(self) -> bool:
        return self._fan_out.holding and self._pace.delay(asyncio.get_running_loop().time()) > 0
