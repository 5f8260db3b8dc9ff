"""Deadlines, which count only the time in which this program is run.

A program that is stopped (SIGSTOP, a paused container, a virtual machine that moves) finds all its timers over when it
goes on, while what its peers said meanwhile is still unread. So a deadline is counted down in steps. A step that ends
late shows that the program was not run, and is taken again: that also leaves time to read.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

STEP: Final = 1.0
"""Seconds that a step lasts at most."""

LATE: Final = 0.1
"""Seconds after its time from which on the end of a step is late."""


class Countdown:
    """Calls a function when a time is over in which the program was run.

    It starts when it is made. An event loop that is overloaded makes steps late too. So of two late steps in a row the
    second one counts, and every countdown ends.

    Args:
        loop: the event loop.
        seconds: the time.
        function: is called without arguments.

    Attributes:
        over: whether the time is over.
    """

    __slots__ = ("_due", "_function", "_late", "_left", "_loop", "_timer", "over")

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, function: Callable[[], Any]) -> None:
        self.over = False
        self._loop = loop
        self._left = seconds
        self._function = function
        self._late = False
        self._take_step()

    def cancel(self) -> None:
        """Do not call it. To cancel a countdown that is over, or twice, is no error."""
        self._timer.cancel()

    def _take_step(self) -> None:
        step = min(STEP, self._left)
        self._due = self._loop.time() + step
        self._timer = self._loop.call_later(step, self._end_step, step)

    def _end_step(self, step: float) -> None:
        self._late = not self._late and self._loop.time() - self._due > LATE
        if not self._late:
            self._left -= step
        if self._late or self._left > 0:
            self._take_step()
        else:
            self.over = True
            self._function()


class within:  # noqa: N801 - it stands where `asyncio.timeout` would, and is written like that
    """A context that has so much time, of which only that counts in which the program is run.

    It is a class, since each connection in a handshake has one: a generator would take a kilobyte more.

    Args:
        seconds: the time.

    Raises:
        TimeoutError: on leaving it, if the time is over.
    """

    __slots__ = ("_countdown", "_seconds", "_timeout")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timeout = asyncio.timeout(None)
        self._countdown: Countdown

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._countdown = Countdown(asyncio.get_running_loop(), self._seconds, self._end)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._countdown.cancel()
        # It calls this object, which otherwise only the collector of cycles would free.
        del self._countdown
        await self._timeout.__aexit__(kind, error, trace)

    def _end(self) -> None:
        self._timeout.reschedule(asyncio.get_running_loop().time())
