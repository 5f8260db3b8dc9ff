"""The ends of waiting: clients that take nothing, do not end a message, or say nothing for too long."""

from __future__ import annotations

import select
from math import inf
from typing import TYPE_CHECKING, Any, Final, Generic

from ..framing import M
from ..values.ending import Ending, EndingCode
from ..wire.periodic import Periodic
from .unchanged import Unchanged

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from ..hub.session import Session
    from ..values.settings import Settings
    from .stalls import Stalls


HEARTBEAT_TIME: Final = 15.0
"""Seconds between two heartbeats of a stream. Proxies end what is silent for a minute, and some for half of one."""

HEARTBEAT_PARTS: Final = 60
"""In so many parts, one after the other, all streams have theirs."""

GONE_INTERVAL: Final = 1.0
"""Seconds between two looks for readers that are gone."""

GONE_SLICE: Final = 1024
"""How many readers one of these looks asks the system about."""


class Deadlines(Generic[M]):
    """Ends clients that have run out of time. Time in which the server was not run does not count.

    Args:
        settings: the times.
        patience: the shortest of all listeners, in seconds.
        readers: everybody, as it changes.
        stalls: those of them whose transport has not taken all it was given.
        beating: whether some of them may need heartbeats.
    """

    def __init__(
        self,
        settings: Settings,
        patience: float,
        readers: AbstractSet[Session[M]],
        stalls: Stalls[M],
        *,
        beating: bool,
    ) -> None:
        self._readers = readers
        # How many of those that have ended their stream were asked about in this round.
        self._asked = 0
        # The part of the streams that had its heartbeat last.
        self._beaten = 0
        self._unfinished: Unchanged[Session[M]] = Unchanged(settings.message_time)
        self._idle: Unchanged[Session[M]] = Unchanged(settings.idle_time or inf)
        self._periodics = [
            Periodic(min(1.0, patience / 4), stalls.look),
            # These look at everybody, and so not as often.
            Periodic(self._unfinished.time / 8, self._end_unfinished),
            Periodic(GONE_INTERVAL, self._end_gone),
        ]
        if beating:
            self._periodics.append(Periodic(HEARTBEAT_TIME / HEARTBEAT_PARTS, self._beat))
        if settings.idle_time is not None:
            self._periodics.append(Periodic(settings.idle_time / 8, self._end_idle))

    def start(self) -> None:
        """Look from now on."""
        for repeat in self._periodics:
            repeat.start()

    def stop(self) -> None:
        """Look no more."""
        for repeat in self._periodics:
            repeat.stop()

    def _end_unfinished(self, now: float) -> None:
        awaited = [reader for reader in self._readers if reader.link.awaited]
        begun = [(reader, reader.link.messages_received) for reader in awaited if _in_message(reader)]
        for reader in self._unfinished.look(begun, now):
            reader.dismiss(Ending(EndingCode.UNFINISHED, f"message not complete within {self._unfinished.time:g} s"))

    def _end_gone(self, now: float) -> None:
        """End the readers that have ended their stream and are gone since: the event loop watches them no more."""
        ended = [reader.link for reader in self._readers if not reader.role.speaks and reader.link.at_end]
        if self._asked >= len(ended):
            self._asked = 0
        links = {link.descriptor: link for link in ended[self._asked : self._asked + GONE_SLICE] if not link.lost}
        self._asked += GONE_SLICE
        poll = select.poll()
        for descriptor in links:
            poll.register(descriptor, 0)
        # What is gone is told without being asked for (poll(2)).
        for descriptor, _ in poll.poll(0):
            links[descriptor].abort()

    def _beat(self, now: float) -> None:
        """Show to the next part of those that read over HTTP that their connection lives."""
        self._beaten = (self._beaten + 1) % HEARTBEAT_PARTS
        for reader in [reader for reader in self._readers if reader.token % HEARTBEAT_PARTS == self._beaten]:
            reader.beat()

    def _end_idle(self, now: float) -> None:
        heard = [(reader, reader.link.bytes_received) for reader in self._readers if reader.link.awaited]
        for reader in self._idle.look(heard, now):
            reader.dismiss(Ending(EndingCode.IDLE, f"nothing said for {self._idle.time:g} s"))


def _in_message(reader: Session[Any]) -> bool:
    try:
        return reader.link.in_message
    except Exception as error:
        # A decoder of the user's own.
        reader.fail(error)
        return False
