"""Who is connected: every open connection, the handler that serves it, and how many have ended and why."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Generic

from .acceptor import turn_away
from .address import Address
from .admission import Admission, Source
from .client import Client
from .deadlines import Deadlines
from .endings import Ending, EndingCode
from .entrance import Refused, hand_over, introduce
from .exceptions import ConnectionClosed
from .framing import M
from .observe import Observer, tell
from .pace import Throttle
from .pulse import Pulse
from .reader import Reader
from .repeat import Repeat

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from .listener import Listener
    from .server import Handler, Server

logger = logging.getLogger("hubbub")

HANDLER_TASK: Final = "hubbub handler"

OPENING_TURNS: Final = 4
"""Turns of the event loop until an accepted connection is open, of which nothing is asked."""

FORGET_INTERVAL: Final = 1.0
"""Seconds between two looks for addresses whose burst of connections is whole again."""

_LEFT = Ending(EndingCode.LEFT, "the client closed the connection")
_FINISHED = Ending(EndingCode.FINISHED, "the handler returned")
_SHUTDOWN = Ending(EndingCode.SHUTDOWN, "the server closed")
_CANCELLED = Ending(EndingCode.FAILED, "the handler was cancelled")


class Registry(Generic[M]):
    """The connections of one server, each from its start to the end of its handler.

    Attributes:
        paused: those whose transport has not taken all it was given.
        hears_messages: whether the observer wants to know of each message; what nobody hears costs nothing.
        accepted: how many there have been.
        endings: how many have ended, by code.
        slowed: how often one was held to its rate.
    """

    def __init__(self, server: Server[M], handler: Handler[M]) -> None:
        self.paused: set[Reader[M]] = set()
        self.accepted = 0
        self.endings: Counter[EndingCode] = Counter()
        self.slowed = 0
        self._server = server
        self._settings = server.settings
        self._observer = server.observer
        self.hears_messages = getattr(self._observer.received, "__func__", None) is not Observer.received
        self._handler = handler
        # A reader is here until its task has ended, which may be after its connection has, and the other way round.
        self._readers: set[Reader[M]] = set()
        # Those that were not let in yet, and those of them that were turned away and are being told so.
        self._entering: dict[Reader[M], Listener[M]] = {}
        self._admission = Admission(self._settings)
        self._connections = 0
        self._changed = Pulse()
        self._graces: dict[Reader[M], asyncio.TimerHandle] = {}
        self._deadlines = Deadlines(self._settings, self._readers, self.paused)
        self._forget_bursts = Repeat(FORGET_INTERVAL, self._admission.forget)

    @property
    def clients(self) -> frozenset[Client[M]]:
        """The clients that have not ended."""
        return frozenset(reader.client for reader in self._readers if reader.ending is None)

    def take(self, connection: socket.socket, peername: Any, listener: Listener[M]) -> None:
        """Serve a connection that was just accepted, or refuse it."""
        self.accepted += 1
        address = self._address_of(peername)
        if ending := self._admission.refusal_to_all():
            self._turn_away(connection, address, listener, ending)
            return
        reader = Reader(self, listener.framing or self._server.framing, self._settings, asyncio.get_running_loop())
        reader.client = Client(self._server, reader, address)
        if address.host not in listener.proxies and (ending := self._admit(reader, listener)):
            self._turn_away(connection, address, listener, ending)
            return
        self._admission.total += 1
        self._entering[reader] = listener
        reader.task = reader.loop.create_task(self._serve(reader, connection, listener), name=HANDLER_TASK)

    def refuse(self, connection: socket.socket, peername: Any, listener: Listener[M], ending: Ending) -> None:
        """Close a connection that was just accepted, and say why."""
        self.accepted += 1
        self._turn_away(connection, self._address_of(peername), listener, ending)

    # What a reader tells.

    def opened(self, reader: Reader[M]) -> None:
        """A connection was made."""
        self._connections += 1
        if not self._entering[reader].introduces:
            self._let_in(reader)

    def received(self, reader: Reader[M], messages: Sequence[M]) -> None:
        """A client's messages are about to be given to its handler."""
        if reader not in self._entering:
            # What somebody says who is not in yet may be a secret.
            tell(self._observer.received, reader.client, messages)

    def ended(self, reader: Reader[M], ending: Ending) -> None:
        """A client has ended: give its handler some time to end as well."""
        if reader not in self._readers:
            # It was never let in, which is told elsewhere.
            return
        self.endings[ending.code] += 1
        if reader.serving:
            self._graces[reader] = reader.loop.call_later(self._settings.cancel_time, self._cancel_handler, reader)
        slow = ending.code in (EndingCode.SLOW, EndingCode.STALLED)
        logger.log(logging.WARNING if slow else logging.DEBUG, "%s ended: %s", reader.client, ending)
        tell(self._observer.ended, reader.client)

    def closed(self, reader: Reader[M]) -> None:
        """A connection is gone."""
        self._connections -= 1
        self.paused.discard(reader)
        self._changed.fire()

    # What the server does.

    def start(self) -> None:
        """Look from now on who runs out of time."""
        self._deadlines.start()
        self._forget_bursts.start()

    async def close(self) -> None:
        """End every client, once it has what was broadcast before or the drain time is over; then every handler.

        If it is cancelled, connections and handlers are ended at once. A handler that calls it is left alone.
        """
        start = asyncio.get_running_loop().time()
        caller = asyncio.current_task()
        try:
            # Those who were accepted by then, and of whom nothing is asked, are clients a few turns later.
            for _ in range(OPENING_TURNS):
                await asyncio.sleep(0)
            for reader in self._entering:
                reader.task.cancel()
            await self._part()
            # All handlers have the same time now.
            while self._graces:
                self._graces.popitem()[1].cancel()
            left = start + self._settings.drain_time - asyncio.get_running_loop().time()
            await self._wait_until(lambda: not self._connections, max(0.0, left))
        finally:
            self._deadlines.stop()
            self._forget_bursts.stop()
            others = {reader for reader in self._readers | self._entering.keys() if reader.task is not caller}
            for reader in self._readers:
                reader.abort()
            for reader in others:
                reader.task.cancel()
        await self._wait_until(
            lambda: not self._connections and others.isdisjoint(self._readers | self._entering.keys()),
            self._settings.cancel_time,
        )
        for reader in others & (self._readers | self._entering.keys()):
            logger.error("the handler of %s does not end: it swallows its cancellation", reader.client)

    async def _part(self) -> None:
        """End every client, one after the other over the time for that, so that not all come back at once."""
        farewell, time = self._settings.farewell, self._settings.spread_time
        readers = list(self._readers)
        random.shuffle(readers)
        start = asyncio.get_running_loop().time()
        for index, reader in enumerate(readers):
            due = start + time * index / len(readers)
            if (delay := due - asyncio.get_running_loop().time()) > 0:
                await asyncio.sleep(delay)
            if farewell is None:
                reader.end(_SHUTDOWN, deliver=True)
            else:
                reader.dismiss(_SHUTDOWN, farewell)

    async def _serve(self, reader: Reader[M], connection: socket.socket, listener: Listener[M]) -> None:
        """Open the connection, run the handler, then end the connection."""
        ending = _CANCELLED
        try:
            if listener.introduces:
                await introduce(reader, connection, listener, self._admit)
                self._let_in(reader)
            else:
                await hand_over(connection, reader)
            # They would be kept for as long as the client stays.
            del connection, listener
            try:
                reader.serving = True
                if reader.ending is None:
                    await self._handler(reader.client)
                ending = _LEFT if reader.at_end else _FINISHED
            except Exception as error:
                ending = self._blame(error, reader.client)
            finally:
                reader.serving = False
                if grace := self._graces.pop(reader, None):
                    grace.cancel()
                reader.end(ending, deliver=True)
            await reader.wait_closed()
        except asyncio.CancelledError:
            if reader in self._entering:
                self._refused(Address.parse(reader.client.name), _SHUTDOWN)
            else:
                reader.end(_SHUTDOWN, deliver=False)
            raise
        except Refused as refused:
            await self._see_off(reader, refused.ending)
        finally:
            self._forget(reader)

    async def _see_off(self, reader: Reader[M], ending: Ending) -> None:
        """Tell somebody who may not come in, if there is still a way to."""
        self._refused(Address.parse(reader.client.name), ending)
        if not (reader.lost or reader.closing):
            reader.dismiss(ending)
        await reader.wait_closed()

    def _let_in(self, reader: Reader[M]) -> None:
        del self._entering[reader]
        settings = self._settings
        if settings.message_rate or settings.byte_rate:
            reader.throttle = Throttle(settings.message_rate, settings.byte_rate)
        self._readers.add(reader)
        reader.enter(self._server.root)
        tell(self._observer.connected, reader.client)
        if rest := reader.decoded():
            # They came together with the secret.
            tell(self._observer.received, reader.client, rest)

    def _admit(self, reader: Reader[M], listener: Listener[M]) -> Ending | None:
        """Why a connection may not come in from its address; None if it may, and then it counts."""
        host = reader.client.address
        if ending := listener.access.refusal(host):
            return ending
        if (source := Source.of(host)) and (ending := self._admission.refusal(source, reader.loop.time())):
            return ending
        reader.counted = True
        return None

    def _turn_away(self, connection: socket.socket, address: Address, listener: Listener[M], ending: Ending) -> None:
        framing = listener.framing or self._server.framing
        turn_away(connection, b"" if listener.tls else framing.encode_text(ending.reason))
        self._refused(address, ending)

    def _refused(self, address: Address, ending: Ending) -> None:
        self.endings[ending.code] += 1
        logger.debug("%s was not let in: %s", address, ending)
        tell(self._observer.refused, address, ending)

    def _forget(self, reader: Reader[M]) -> None:
        self._readers.discard(reader)
        self._entering.pop(reader, None)
        self._admission.total -= 1
        if reader.counted and (source := Source.of(reader.client.address)):
            self._admission.release(source)
        if not reader.lost:
            reader.abort()
        self._changed.fire()

    def _address_of(self, peername: Any) -> Address:
        # The other end of a Unix socket has no name.
        return Address.of(peername) if isinstance(peername, tuple) else Address("unix", self.accepted)

    def _blame(self, error: Exception, client: Client[M]) -> Ending:
        # A handler need not catch that its own client has gone, nor need its task groups.
        rest: Exception | None
        if isinstance(error, ExceptionGroup):
            _, rest = error.split(lambda one: isinstance(one, ConnectionClosed) and one.peer == client.name)
        else:
            rest = None if isinstance(error, ConnectionClosed) and error.peer == client.name else error
        if rest is None:
            return _LEFT
        logger.error("the handler of %s raised", client, exc_info=error)
        return Ending(EndingCode.FAILED, f"the handler raised {type(error).__name__}: {error}")

    def _cancel_handler(self, reader: Reader[M]) -> None:
        del self._graces[reader]
        time = self._settings.cancel_time
        logger.warning("the handler of %s is cancelled: its client ended %g s ago", reader.client, time)
        reader.task.cancel()

    async def _wait_until(self, condition: Callable[[], bool], time: float) -> None:
        expired = False

        def expire() -> None:
            nonlocal expired
            expired = True
            self._changed.fire()

        timer = asyncio.get_running_loop().call_later(time, expire)
        try:
            while not (condition() or expired):
                await self._changed.wait()
        finally:
            timer.cancel()
