"""Every connection of a server and the task that serves it, from its start to the end of its handler."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic

from ..door.arrivals import Arrivals
from ..framing import M
from ..hub.client import Client, Handler
from ..values.ending import Ending, EndingCode
from ..values.errors import PositionLost
from ..values.pace import Throttle
from ..wire.countdown import Countdown
from ..wire.periodic import Periodic
from .changes import Changes, wait_for
from .deadlines import Deadlines
from .failures import LEFT, ending_of
from .notices import Notices
from .observation import Observer, overrides, tell
from .stalls import Stalls

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..door.arrival import Arrival
    from ..hub.hub import Hub
    from ..hub.pump import Pump
    from ..hub.session import Session
    from ..values.address import Address
    from ..values.since import Since
    from ..web.conversation import Conversation

logger = logging.getLogger("hubbub")

OPENING_TURNS: Final = 4
"""Turns of the event loop until an accepted connection is open, of which nothing is asked."""

LOOK_INTERVAL: Final = 1.0
"""Seconds between two looks at those that are not clients."""

_FINISHED = Ending(EndingCode.FINISHED, "the handler returned")
_SHUTDOWN = Ending(EndingCode.SHUTDOWN, "the server closed")
_CANCELLED = Ending(EndingCode.FAILED, "the handler was cancelled")


class Sessions(Generic[M]):
    """The connections of one server.

    Args:
        server: the server.
        pump: delivers to its clients.
        handler: serves a client.
        observer: is told what happens.
        patience: the shortest of all listeners, in seconds.
        converse: begins a conversation over HTTP, where a listener speaks that.

    Attributes:
        hears_messages: whether the observer wants to know of each message; what nobody hears costs nothing.
        arrivals: those that are not clients yet.
        readers: the others, each with its task, which may end after its connection has, and the other way round.
        endings, refused: how many have ended, by code; how many of them were not let in.
        slowed_count: how often a client was held to its rate.
        tail_count: how many last messages had no end and were dropped.
        unheard_count: how many private messages were dropped, to clients that hear none.
        stalls: those whose transport has not taken all it was given.
        left_over: the tasks of handlers that swallowed their cancellation when the server closed.
    """

    def __init__(
        self,
        server: Hub[M],
        pump: Pump,
        handler: Handler[M],
        observer: Observer[M],
        patience: float,
        *,
        converse: Callable[[], Conversation] | None = None,
    ) -> None:
        self.endings: Counter[EndingCode] = Counter()
        self.refused: Counter[EndingCode] = Counter()
        self.slowed_count = self.tail_count = self.unheard_count = 0
        self.left_over: set[asyncio.Task[None]] = set()
        self._notices = Notices(observer, server.settings.probe_time)
        self.hears_messages = overrides(observer.received, Observer.received) or self._notices.wanted
        self._server = server
        self._pump = pump
        self._handler = handler
        self._converse = converse
        self._observer = observer
        self._settings = server.settings
        self.readers: dict[Session[M], asyncio.Task[None]] = {}
        self.stalls: Stalls[M] = Stalls(self._settings.mute_limit)
        # Those whose handler has ended, and whose connection has not.
        self._handled: set[Session[M]] = set()
        # The end of the time of each handler whose client has ended.
        self._graces: dict[Session[M], Countdown] = {}
        self._closing = False
        self._hurried = False
        self._connections = 0
        self._changes = Changes()
        self.arrivals = Arrivals(server.framing, self._settings, self._serve, self._refused, self._changes.tell)
        self._deadlines = Deadlines(
            self._settings, patience, self.readers.keys(), self.stalls, beating=converse is not None
        )
        self._looks = Periodic(LOOK_INTERVAL, lambda _ran: self.arrivals.look())

    @property
    def clients(self) -> frozenset[Client[M]]:
        """The clients that have not ended."""
        return frozenset(reader.client for reader in self.readers if reader.ending is None and reader.announced)

    # What a reader tells.

    def received(self, client: Client[M], messages: Sequence[M]) -> None:
        """A client's messages were decoded, for its handler; a rate may hold them back."""
        self._notices.notice(client)
        tell(self._observer.received, client, messages)

    def slowed(self) -> None:
        """A client is held to its rate."""
        self.slowed_count += 1

    def unheard(self, count: int) -> None:
        """So many private messages were dropped, to a client that hears none."""
        self.unheard_count += count

    def paused(self, reader: Session[M]) -> None:
        """A client's transport has not taken all it was given."""
        self.stalls.pause(reader)

    def resumed(self, reader: Session[M]) -> None:
        """A client's transport has taken all it was given."""
        self.stalls.resume(reader)

    def ended(self, reader: Session[M], ending: Ending) -> None:
        """A client has ended: give its handler some time to end as well."""
        probe = reader.announced and self._notices.ended(reader.client, ending)
        self.endings[EndingCode.PROBE if probe else ending.code] += 1
        if reader not in self._handled and not self._closing:
            loop, time = reader.link.loop, self._settings.cancel_time
            self._graces[reader] = Countdown(loop, time, partial(self._cancel_handler, reader))
        slow = ending.code in (EndingCode.SLOW, EndingCode.STALLED)
        logger.log(logging.WARNING if slow else logging.DEBUG, "%s ended: %s", reader, ending)
        if reader.announced:
            tell(self._observer.ended, reader.client)

    def closed(self, reader: Session[M]) -> None:
        """A client's connection is gone."""
        self._connections -= 1
        self.stalls.forget(reader)
        self._changes.tell()

    # What the server does.

    def start(self) -> None:
        """Look from now on who runs out of time."""
        self._deadlines.start()
        self._looks.start()

    async def close(self, caller: asyncio.Task[Any] | None) -> None:
        """End every client, once it has what was broadcast before or the drain time is over; then every handler.

        Args:
            caller: a task that waits for this, and is left alone.
        """
        time, wait = self._settings.cancel_time, self._changes.wait_until
        drain = self._changes.count_down(self._settings.drain_time)
        try:
            # Those who were accepted by then, and of whom nothing is asked, are clients a few turns later.
            for _ in range(OPENING_TURNS):
                await asyncio.sleep(0)
            left = self.arrivals.cancel(caller)
            # From now on all handlers have the same time.
            self._closing = True
            while self._graces:
                self._graces.popitem()[1].cancel()
            await self._part()
            # Their last words leave at the end of the turn.
            await asyncio.sleep(0)
            # Those that publish are arrivals, and are told why they end.
            await wait(lambda: self._hurried or self._connections + len(self.arrivals) <= left, drain)
            for reader in self.readers:
                reader.link.abort()
            # Their clients have been served: handlers may now finish what they have to do.
            handling = self._changes.count_down(time)
            await wait(lambda: self._hurried or self._handled_but(caller), handling)
        finally:
            drain.cancel()
            self._deadlines.stop()
            self._looks.stop()
            for reader in self.readers:
                reader.link.abort()
            others = {*self.readers.values(), *self.arrivals.tasks} - {caller}
            for task in others:
                task.cancel()
        if others:
            await wait_for(others, time)
        await wait(lambda: not self._connections, self._changes.count_down(time))
        # What was under way for them.
        if tasks := set(self._pump.tasks):
            for task in tasks:
                task.cancel()
            await wait_for(tasks, time)
        for reader, task in self.readers.items():
            if task in others:
                self.left_over.add(task)
                logger.error("the handler of %s does not end: it swallows its cancellation", reader.client)

    def hurry(self) -> None:
        """Let a close wait neither for clients nor for handlers to finish."""
        self._hurried = True
        self._changes.tell()

    def _handled_but(self, caller: asyncio.Task[Any] | None) -> bool:
        """Whether all handlers have ended but the one that runs in the task `caller`."""
        return all(task is caller for reader, task in self.readers.items() if reader not in self._handled)

    async def _part(self) -> None:
        """End every client, one after the other over the time for that, so that not all come back at once."""
        farewell, time = self._settings.farewell, self._settings.spread_time
        readers = list(self.readers)
        random.shuffle(readers)
        start = asyncio.get_running_loop().time()
        for index, reader in enumerate(readers):
            due = start + time * index / len(readers)
            if (delay := due - asyncio.get_running_loop().time()) > 0:
                await self._changes.wait_until(lambda: self._hurried, self._changes.count_down(delay))
            if farewell is None:
                reader.end(_SHUTDOWN, deliver=True)
            else:
                reader.dismiss(_SHUTDOWN, farewell)

    async def _serve(self, arrival: Arrival[M]) -> None:
        """Open the connection, run the handler, then end the connection."""
        conversation = self._converse() if self._converse and arrival.listener.http else None
        if not await self.arrivals.open(arrival, conversation.hold if conversation else None):
            return
        since = conversation.wanted.since if conversation and conversation.wanted else arrival.replayed
        reader = self._let_in(arrival, conversation)
        if reader.announced:
            self._introduce(reader, since)
        if arrival.ending is not None:
            # It broke while it was let in.
            reader.end(arrival.ending, deliver=False)
            self.closed(reader)
        # They would be kept for as long as the client stays.
        del arrival, conversation
        ending = _CANCELLED
        try:
            if not reader.announced:
                await reader.run()
            else:
                await self._prepare(reader, since)
                if reader.ending is None:
                    await self._handler(reader.client)
            ending = LEFT if reader.link.at_end else _FINISHED
        except Exception as error:
            ending = ending_of(error, reader)
        finally:
            self._handled.add(reader)
            # Nobody decodes it any more.
            self.tail_count += reader.link.tail_dropped
            if grace := self._graces.pop(reader, None):
                grace.cancel()
            self._changes.tell()
            if ending is _CANCELLED and self._closing:
                ending = _SHUTDOWN
            reader.end(ending, deliver=ending not in (_CANCELLED, _SHUTDOWN))
            try:
                await reader.link.wait_closed()
            finally:
                self._forget(reader)

    async def _prepare(self, reader: Session[M], since: Since | None) -> None:
        """Let a client join its room, if only the older end of that knows what is to be replayed."""
        # Before that, an observer may end the client, which takes a task of its own.
        await asyncio.sleep(0)
        # Its key may have been taken away meanwhile.
        reader.check_key()
        if reader.ending is None and since is not None and reader.client not in reader.client.room:
            await reader.replay(reader.client.room, since)

    def _let_in(self, arrival: Arrival[M], conversation: Conversation | None) -> Session[M]:
        """Make the reader of an arrival, which is that of a client unless its conversation wants something else."""
        listener = arrival.listener
        reader: Session[M]
        if conversation is not None:
            reader = conversation.open(arrival, self._pump, self)
        else:
            reader = Client(
                self._server,
                self._server.place(listener.room),
                arrival.link,
                arrival.origin,
                pump=self._pump,
                supervisor=self,
                role=arrival.role,
                max_lag=listener.lag_limit,
                key=arrival.held_key,
            )._reader
        arrival.link.hand_to(reader, Throttle.of(self._settings))
        self.readers[reader] = self.arrivals.leave(arrival)
        self._connections += 1
        if not arrival.link.writable:
            self.stalls.pause(reader)
        return reader

    def _introduce(self, reader: Session[M], since: Since | None) -> None:
        """Have a client read its room from now on, or from `since` if memory knows that place, and tell of it."""
        client, at = reader.client, None
        fan_out = client.room.fan_out
        if since is not None:
            with suppress(PositionLost):
                at = fan_out.fetches.seek(since)
        if client.role.hears and (at or since is None):
            reader.join(fan_out, at)
        tell(self._observer.connected, client)
        if reader.ending is None:
            self._notices.connected(client, reader.link.loop)
        if self.hears_messages and (rest := reader.link.decoded()):
            # They came together with the secret.
            self.received(client, rest)

    def _refused(self, origin: Address, ending: Ending) -> None:
        self.endings[ending.code] += 1
        logger.debug("%s was not let in: %s", origin, ending)
        if ending.code is not EndingCode.FINISHED:
            # What was answered over HTTP has had what it came for.
            self.refused[ending.code] += 1
            tell(self._observer.refused, origin, ending)

    def _forget(self, reader: Session[M]) -> None:
        self.readers.pop(reader, None)
        self._handled.discard(reader)
        if not reader.link.lost:
            reader.link.abort()
        self.arrivals.release(reader.client.address)
        self._changes.tell()

    def _cancel_handler(self, reader: Session[M]) -> None:
        del self._graces[reader]
        time = self._settings.cancel_time
        logger.warning("the handler of %s is cancelled: its client ended %g s ago", reader.client, time)
        self.readers[reader].cancel()
