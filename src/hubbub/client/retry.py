"""Trying again: a connection that cannot be made, or has ended, is made after a pause."""

from __future__ import annotations

import asyncio
import logging
import random
from typing import TYPE_CHECKING, TypeVar

from ..values.fixed_limits import RETRY_AFTER_LIMIT
from .dial import reason_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..values.settings import Settings

logger = logging.getLogger("hubbub")

T = TypeVar("T")


class NotNow(OSError):
    """The server does not answer now, and may do so later.

    Attributes:
        retry_after: seconds after which it wants to be asked again; 0 where it did not say.
    """

    def __init__(self, reason: str, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Backoff:
    """How long the pauses between tries are.

    Each is twice as long as the one before, up to `Settings.retry_limit`, and shortened at random: the clients of a
    server that comes back are not to come all at once.
    """

    def __init__(self, settings: Settings) -> None:
        self._first = min(settings.retry_time, settings.retry_limit)
        self._limit = settings.retry_limit
        self._next = self._first
        self._least = 0.0
        # When the pause that has begun is over.
        self._due: float | None = None

    @property
    def pausing(self) -> bool:
        """Whether a pause has begun and was not slept to its end."""
        return self._due is not None

    async def sleep(self) -> None:
        """Sleep until the pause that has begun is over. If it is cancelled, the next call sleeps the rest."""
        if self._due is not None:
            await asyncio.sleep(self._due - asyncio.get_running_loop().time())
        self._due = None

    def begin(self) -> float:
        """Begin a pause; how many seconds it takes."""
        pause = self.pause()
        self._due = asyncio.get_running_loop().time() + pause
        return pause

    def pause(self) -> float:
        """Seconds before the next try."""
        longest, self._next = self._next, min(2 * self._next, self._limit)
        least, self._least = self._least, 0.0
        return max(least, longest * random.uniform(0.5, 1.0))  # noqa: S311 - nobody gains anything by guessing it

    def at_least(self, seconds: float) -> None:
        """Make the next pause at least so long, within reason: the server asked for it."""
        self._least = min(seconds, RETRY_AFTER_LIMIT)

    def lasted(self, time: float) -> None:
        """Begin with short pauses again, if the last connection lasted long enough."""
        if time >= self._limit:
            self._next = self._first


async def dial_until_there(
    dial: Callable[[], Awaitable[T]], name: str, backoff: Backoff, *, lost: str | None = None
) -> T:
    """Dial until there is a connection. It may be cancelled, and then there is none. The next call ends the pause.

    Args:
        dial: makes a connection, or raises `OSError` if it cannot. Another exception ends this.
        name: the server, for the log.
        backoff: the pauses.
        lost: how the last connection ended; None: there was none, so the first try is made at once.
    """
    reason = lost
    while True:
        if reason is not None and not backoff.pausing:
            logger.warning("%s: %s; trying again in %.1f s", name, reason, backoff.begin())
        await backoff.sleep()
        try:
            connection = await dial()
        except OSError as error:
            reason = f"cannot connect: {reason_of(error)}"
            if isinstance(error, NotNow):
                backoff.at_least(error.retry_after)
        else:
            if reason is not None:
                logger.warning("%s: connected%s", name, " again" if lost else "")
            return connection
