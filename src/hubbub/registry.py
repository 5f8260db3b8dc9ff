"""Who is connected: every open connection, the handler that serves it, and how many have ended and why."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, Generic

from .address import Address
from .client import Client
from .endings import Ending, EndingCode
from .exceptions import ConnectionClosed
from .framing import M
from .observe import Observer, tell
from .pulse import Pulse
from .reader import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .server import Handler, Server

logger = logging.getLogger("hubbub")

_NOWHERE = ("unknown", 0)
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
    """

    def __init__(self, server: Server[M], handler: Handler[M]) -> None:
        self.paused: set[Reader[M]] = set()
        self.accepted = 0
        self.endings: Counter[EndingCode] = Counter()
        self._server = server
        self._settings = server.settings
        self._observer = server.observer
        self.hears_messages = getattr(self._observer.received, "__func__", None) is not Observer.received
        self._handler = handler
        # A reader is here until its task has ended, which may be after its connection has, and the other way round.
        self._readers: set[Reader[M]] = set()
        self._connections = 0
        self._changed = Pulse()
        self._graces: dict[Reader[M], asyncio.TimerHandle] = {}
        self._sweep_timer: asyncio.TimerHandle | None = None

    @property
    def clients(self) -> frozenset[Client[M]]:
        """The clients that have not ended."""
        return frozenset(reader.client for reader in self._readers if reader.ending is None)

    def protocol(self) -> Reader[M]:
        """A protocol for a new connection."""
        return Reader(self, self._server.framing, self._settings, asyncio.get_running_loop())

    # What a reader tells.

    def connected(self, reader: Reader[M], peername: Any) -> None:
        """A connection was made: enter its client, and start the handler."""
        # The peer may be gone already, and its name with it.
        client = reader.client = Client(self._server, reader, Address.of(peername or _NOWHERE))
        self.accepted += 1
        self._connections += 1
        self._readers.add(reader)
        reader.enter(self._server.root)
        tell(self._observer.connected, client)
        reader.task = reader.loop.create_task(self._serve(reader), name="hubbub handler")

    def received(self, client: Client[M], messages: Sequence[M]) -> None:
        """A client's messages are about to be given to its handler."""
        tell(self._observer.received, client, messages)

    def ended(self, reader: Reader[M], ending: Ending) -> None:
        """A client has ended: give its handler some time to end as well."""
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

    def start_sweeping(self) -> None:
        """Look again and again for clients that run out of patience."""
        interval = min(1.0, self._settings.patience / 4)
        self._sweep_timer = asyncio.get_running_loop().call_later(interval, self._sweep)

    async def close(self) -> None:
        """End every client, once it has what was broadcast before or the drain time is over; then every handler.

        If it is cancelled, connections and handlers are ended at once. A handler that calls it is left alone.
        """
        for reader in list(self._readers):
            reader.end(_SHUTDOWN, deliver=True)
        # All handlers have the same time now.
        while self._graces:
            self._graces.popitem()[1].cancel()
        caller = asyncio.current_task()
        try:
            await self._wait_until(lambda: not self._connections, self._settings.drain_time)
        finally:
            if self._sweep_timer is not None:
                self._sweep_timer.cancel()
            others = {reader for reader in self._readers if reader.task is not caller}
            for reader in self._readers:
                reader.abort()
            for reader in others:
                reader.task.cancel()
        await self._wait_until(lambda: not self._connections and not others & self._readers, self._settings.cancel_time)
        for reader in others & self._readers:
            logger.error("the handler of %s does not end: it swallows its cancellation", reader.client)

    async def _serve(self, reader: Reader[M]) -> None:
        """Run the handler, then end the connection."""
        client = reader.client
        ending = _CANCELLED
        try:
            reader.serving = True
            try:
                if reader.ending is None:
                    await self._handler(client)
                ending = _LEFT if reader.at_end else _FINISHED
            except Exception as error:
                ending = self._blame(error, client)
            finally:
                reader.serving = False
                if grace := self._graces.pop(reader, None):
                    grace.cancel()
                reader.end(ending, deliver=True)
            await reader.wait_closed()
        finally:
            self._readers.discard(reader)
            self._changed.fire()

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

    def _sweep(self) -> None:
        patience = self._settings.patience
        since = asyncio.get_running_loop().time() - patience
        for reader in [reader for reader in self.paused if reader.taken_at() < since]:
            reader.end_stalled(patience)
        self.start_sweeping()
