"""All connections of a server that are not clients yet, and how many there may be of both."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic

from ..framing import M
from ..values.address import Address
from ..values.ending import Ending, EndingCode
from ..wire.addresses import address_of
from ..wire.countdown import within
from ..wire.state import State
from .acceptor import turn_away
from .arrival import Arrival, Refused
from .limits import Limits, Source
from .networks import UNIX
from .steps import Step, introduce, open_plain

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Iterator

    from ..framing import Framing
    from ..values.settings import Settings
    from .listener import Listener

logger = logging.getLogger("hubbub")

_FAILED = Ending(EndingCode.FAILED, "letting it in has failed")
_SHUTDOWN = Ending(EndingCode.SHUTDOWN, "the server closed")


class Arrivals(Generic[M]):
    """Takes what acceptors give it, or refuses it.

    Args:
        framing: that of listeners which have none of their own.
        settings: the limits.
        serve: serves a connection, in a task of its own; see `open`.
        refused: is told who was not let in, and why.
        forgotten: is called when one of these is gone.

    Attributes:
        accepted: how many connections there have been.
    """

    def __init__(
        self,
        framing: Framing[M],
        settings: Settings,
        serve: Callable[[Arrival[M]], Coroutine[Any, Any, None]],
        refused: Callable[[Address, Ending], None],
        forgotten: Callable[[], None],
    ) -> None:
        self.accepted = 0
        self._framing = framing
        self._settings = settings
        self._serve = serve
        self._refused = refused
        self._forgotten = forgotten
        self._limits = Limits(settings)
        self._tasks: dict[Arrival[M], asyncio.Task[None]] = {}
        # Those whose connection is gone, and when that was seen.
        self._gone: dict[Arrival[M], float] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[Arrival[M]]:
        return iter(list(self._tasks))

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """The tasks that serve them."""
        return list(self._tasks.values())

    def take(self, connection: socket.socket, peername: Any, listener: Listener[M], settings: Settings) -> None:
        """Serve a connection that was just accepted, or refuse it."""
        self.accepted += 1
        origin = self._address_of(peername)
        if ending := self._limits.refusal_to_all():
            self._turn_away(connection, origin, listener, ending)
            return
        loop = asyncio.get_running_loop()
        framing = listener.spoken(self._framing)
        arrival = Arrival(
            listener,
            connection,
            origin,
            framing=framing,
            settings=settings,
            loop=loop,
            admit=self._admit,
            discharge=self._discharge,
        )
        is_known = not (origin.host in listener.proxies or arrival.relayed)
        if is_known and (ending := self._admit(arrival)):
            self._turn_away(connection, origin, listener, ending)
            return
        self._limits.total += 1
        self._tasks[arrival] = loop.create_task(self._serve(arrival), name="hubbub client")

    def refuse(self, connection: socket.socket, peername: Any, listener: Listener[M], ending: Ending) -> None:
        """Close a connection that was just accepted, and say why."""
        self.accepted += 1
        self._turn_away(connection, self._address_of(peername), listener, ending)

    async def open(self, arrival: Arrival[M], last_step: Step | None = None) -> bool:
        """Have a connection do what its listener asks for; whether it may be a client. Otherwise it has ended."""
        try:
            if arrival.listener.introduces:
                await introduce(arrival)
            else:
                await open_plain(arrival)
            if last_step is not None:
                await last_step(arrival)
        except Refused as refused:
            self._refused(arrival.origin, refused.ending)
            try:
                arrival.see_off(refused.ending)
                # A peer that reads nothing may have much unread.
                settings = arrival.settings
                with suppress(TimeoutError):
                    async with within(settings.linger_time + settings.handshake_time):
                        await arrival.link.wait_closed()
            finally:
                self._forget(arrival)
            return False
        except Exception:
            # Whatever it was, it concerns this connection alone.
            logger.exception("%s cannot be let in", arrival)
            self._refused(arrival.origin, _FAILED)
            self._forget(arrival)
            return False
        except asyncio.CancelledError:
            self._refused(arrival.origin, arrival.ending or _SHUTDOWN)
            self._forget(arrival)
            raise
        return True

    def leave(self, arrival: Arrival[M]) -> asyncio.Task[None]:
        """An arrival has become a client, for which `release` is called at its end; its task."""
        return self._tasks.pop(arrival)

    def release(self, host: str, *, counted: bool = True) -> None:
        """A connection from there has ended; `counted` says whether it counted for its address."""
        self._limits.total -= 1
        if counted:
            self._uncount(host)

    def look(self) -> None:
        """Forget the addresses whose burst of connections is whole again, and end what waits for nobody any more.

        What is under way for a connection may go on for `Settings.cancel_time` once that is gone.
        """
        now = asyncio.get_running_loop().time()
        self._limits.forget(now)
        gone = [arrival for arrival in self._tasks if arrival.link.state is State.CLOSED]
        self._gone = {arrival: self._gone.get(arrival, now) for arrival in gone}
        for arrival, since in self._gone.items():
            if now - since >= self._settings.cancel_time:
                self._tasks[arrival].cancel()

    def cancel(self, caller: asyncio.Task[Any] | None) -> int:
        """Let nobody in any more; how many are left alone.

        The task `caller` may be that of one that publishes: it goes on, and hears nothing more.
        """
        own = 0
        for arrival, task in self._tasks.items():
            if task is caller:
                own = 1
                arrival.link.stop_receiving()
            else:
                task.cancel()
        return own

    def _admit(self, arrival: Arrival[M]) -> Ending | None:
        """Why a connection may not come in from its address; None if it may, and then it counts."""
        host = arrival.origin.host
        if ending := arrival.listener.access.refusal(host):
            return ending
        if (source := Source.of(host)) and (ending := self._limits.refusal(source, arrival.loop.time())):
            return ending
        arrival.counted = True
        return None

    def _discharge(self, arrival: Arrival[M]) -> None:
        """Count an arrival no more that is still there."""
        arrival.counted = False
        self._uncount(arrival.origin.host)

    def _uncount(self, host: str) -> None:
        if source := Source.of(host):
            self._limits.release(source)

    def _turn_away(self, connection: socket.socket, origin: Address, listener: Listener[M], ending: Ending) -> None:
        framing = listener.spoken(self._framing)
        turn_away(connection, b"" if listener.tls else listener.refusal(ending, framing))
        self._refused(origin, ending)

    def _forget(self, arrival: Arrival[M]) -> None:
        self._tasks.pop(arrival, None)
        if not arrival.link.lost:
            arrival.link.abort()
        self.release(arrival.origin.host, counted=arrival.counted)
        self._forgotten()

    def _address_of(self, peername: Any) -> Address:
        # The other end of a Unix socket has no name.
        return address_of(peername) if isinstance(peername, tuple) else Address(UNIX, self.accepted)
