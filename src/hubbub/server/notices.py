"""Which clients are worth a notice: probes (`nc -z`, health checks) come and go without a word."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Generic

from ..framing import M
from ..values.ending import Ending, EndingCode
from ..wire.countdown import Countdown
from .observation import Observer, overrides, tell

if TYPE_CHECKING:
    import asyncio

    from ..hub.client import Client

# A probe ends its connection itself.
_ITS_OWN: Final = {EndingCode.LEFT, EndingCode.LOST}


class Notices(Generic[M]):
    """Tells an observer of each client once that is known to be no probe.

    Args:
        observer: is told.
        time: seconds; a client that leaves sooner, and without a word, was a probe.

    Attributes:
        wanted: whether the observer wants to know. Otherwise no client costs a timer.
    """

    def __init__(self, observer: Observer[M], time: float) -> None:
        self.wanted = overrides(observer.noticed, Observer.noticed)
        self._observer = observer
        self._time = time
        self._waiting: dict[Client[M], Countdown] = {}

    def connected(self, client: Client[M], loop: asyncio.AbstractEventLoop) -> None:
        """A client has connected: tell of it when the time is over."""
        if self.wanted:
            self._waiting[client] = Countdown(loop, self._time, partial(self.notice, client))

    def notice(self, client: Client[M]) -> None:
        """A client is no probe: tell of it, if nobody has yet."""
        if (countdown := self._waiting.pop(client, None)) is not None:
            countdown.cancel()
            tell(self._observer.noticed, client)

    def ended(self, client: Client[M], ending: Ending) -> bool:
        """A client has ended; whether it was a probe, of which the observer is not told."""
        # An event loop may call a little before the time is over.
        early = client in self._waiting if self.wanted else client.age < self._time
        probe = early and ending.code in _ITS_OWN and client._reader.link.silent
        if not probe:
            self.notice(client)
        elif (countdown := self._waiting.pop(client, None)) is not None:
            countdown.cancel()
        return probe
