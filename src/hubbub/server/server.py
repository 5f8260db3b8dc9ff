"""The server: its listeners, its clients and rooms, and its life from start to close."""

from __future__ import annotations

import asyncio
import inspect
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, overload

from ..door import kinds
from ..door.acceptor import Acceptor, Reserve
from ..door.credentials import Credentials
from ..door.kind import url_of
from ..door.listener import Listener
from ..framing import Lines, M, check_framing
from ..hub.hub import Hub, check_type
from ..hub.statistics import Statistics
from ..values.address import Address
from ..values.settings import DEFAULT_HOST, DEFAULT_PORT, Settings, check_settings
from ..wire.addresses import address_of
from ..wire.pulse import Pulse
from .observation import Observer, tell
from .reloading import reload
from .sessions import Sessions
from .speaking_http import conversations
from .watch import Watch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from ..framing import Framing
    from ..hub.client import Client, Handler
    from ..hub.publisher import Publish
    from ..log.store import Store


class _State(Enum):
    NEW = auto()
    STARTED = auto()
    CLOSING = auto()
    CLOSED = auto()


class Server(Hub[M]):
    """Accepts clients and runs a handler for each.

    As an async context manager it is started on entry and closed on exit.

    Args:
        handler: a coroutine function, or an object that can be called as one. It is called once for each client. When
            it returns, its client's connection is flushed and closed. When it raises, the traceback is logged, and that
            client alone ends.
        host: the address or name to listen on. A name may stand for several addresses; "" means all of this machine,
            "::" all of them through one dual-stack socket (all of IPv4, with a warning, where there is no IPv6).
        port: 0 lets the system choose one, the same for all addresses.
        listeners: where to listen, instead of at `host` and `port`, and the rules for the clients that connect there.
        framing: how messages are cut from the stream and put into it; `Lines()` if not given.
        settings: defaults and limits.
        observer: receives the events of the server.
        store: keeps the logs of its rooms on disk, as in `SqliteStore("log.db")`; None: they end with the server. It is
            closed with the server.
        publish: a coroutine function that publishes what comes over HTTP (`POST /ROOM`); see `Publish`. None: nothing
            may be published there.

    Raises:
        TypeError: the handler or `publish` is not a coroutine function; or a framing is none, or is not hashable.
        ValueError: the port is out of range; a framing cannot carry the notice of the settings; or a descriptor is
            named twice. Or the framing of a listener has another type of messages, or does not end them although there
            is a secret. Or the settings have `durable="ack"`, and the server has no store.
        ImportError: a listener speaks HTTP, and what that needs is not installed; the message has the command.
        RoomLimitReached: the listeners have more rooms than there may be.
        StoreError: a room was stored with another framing.

    Attributes:
        framing: how messages are cut from the stream and put into it.
        settings: defaults and limits.
        listeners: where it listens.
        root: the room of every listener that names none.
    """

    @overload
    def __init__(
        self: Server[str],
        handler: Handler[str],
        host: str = ...,
        port: int = ...,
        *,
        listeners: Sequence[Listener[str]] | None = ...,
        settings: Settings | None = ...,
        observer: Observer[str] | None = ...,
        store: Store | None = ...,
        publish: Publish[str] | None = ...,
    ) -> None: ...

    @overload
    def __init__(
        self,
        handler: Handler[M],
        host: str = ...,
        port: int = ...,
        *,
        listeners: Sequence[Listener[M]] | None = ...,
        framing: Framing[M],
        settings: Settings | None = ...,
        observer: Observer[M] | None = ...,
        store: Store | None = ...,
        publish: Publish[M] | None = ...,
    ) -> None: ...

    def __init__(  # type: ignore[misc] # mypy does not take M for the str of the first overload
        self,
        handler: Handler[M],
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        *,
        listeners: Sequence[Listener[M]] | None = None,
        framing: Framing[M] | None = None,
        settings: Settings | None = None,
        observer: Observer[M] | None = None,
        store: Store | None = None,
        publish: Publish[M] | None = None,
    ) -> None:
        for what, function in ("handler", handler), ("publish", publish):
            if function is not None and not _is_asynchronous(function):
                raise TypeError(f"the {what} {function!r} is not a coroutine function: define it with 'async def'")
        chosen: Any = framing if framing is not None else Lines()
        check_framing(chosen)
        settings = settings if settings is not None else Settings()
        check_settings(settings)
        if not all(isinstance(each, Listener) for each in listeners or ()):
            raise TypeError(f"the listeners are {listeners!r}; give a list of hubbub.Listener")
        if store is not None and not hasattr(store, "open_log"):
            raise TypeError(f"the store is {store!r}; make it as in hubbub.SqliteStore('log.db')")
        self.listeners: tuple[Listener[M], ...] = (
            (Listener(endpoint=Address(host, port)),) if listeners is None else tuple(listeners)
        )
        framings = [chosen if listener.framing is None else listener.framing for listener in self.listeners]
        for listener, own in zip(self.listeners, framings, strict=True):
            check_type(own, chosen)
            is_said = isinstance(listener.authenticate, Credentials) and listener.asks_first
            if is_said and not own.self_delimiting:
                raise ValueError(f"a secret needs a framing that ends messages, and {own} does not")
        super().__init__(chosen, settings, framings, store)
        for listener in self.listeners:
            self.place(listener.room)
        self._observer: Observer[M] = observer or Observer()
        descriptors = [listener.endpoint for listener in self.listeners if isinstance(listener.endpoint, int)]
        if len(set(descriptors)) < len(descriptors):
            raise ValueError(f"a descriptor is named twice: {descriptors}")
        times = [listener.settings_in(self.settings).patience for listener in self.listeners]
        patience = min(times, default=self.settings.patience)
        watch = Watch(self, lambda: self._sessions.readers, lambda: [each.listener.room for each in self._acceptors])
        speaks_http = any(each.http for each in self.listeners)
        converse = conversations(self, watch, publish) if speaks_http else None
        self._sessions: Sessions[M] = Sessions(self, self._pump, handler, self._observer, patience, converse=converse)
        self._reserve = Reserve()
        self._acceptors: list[Acceptor[M]] = []
        self._addresses: tuple[Address, ...] = ()
        self._urls: tuple[str, ...] = ()
        self._state = _State.NEW
        self._starting = asyncio.Lock()
        self._closing: asyncio.Task[None] | None = None
        self._closed = Pulse()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def observer(self) -> Observer[M]:
        """The observer."""
        return self._observer

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where it listens; nowhere before `start`."""
        return self._addresses

    @property
    def urls(self) -> tuple[str, ...]:
        """Where it listens, as the command line has it, in the order of `addresses`: tcp://127.0.0.1:5000."""
        return self._urls

    @property
    def clients(self) -> frozenset[Client[M]]:
        """The clients that are connected now."""
        return self._sessions.clients

    def statistics(self) -> Statistics:
        """The figures of this moment."""
        sessions, pump, said = self._sessions, self._pump, self._said()
        return Statistics(
            clients=len(sessions.clients),
            rooms=len(self._rooms),
            accepted=sessions.arrivals.accepted,
            endings=dict(sessions.endings),
            refused=dict(sessions.refused),
            slowed=sessions.slowed_count,
            tails=sessions.tail_count,
            muted=sessions.stalls.muted_count,
            unheard=sessions.unheard_count,
            messages=said.seq,
            bytes=said.offset,
            flushes=pump.flushes,
            flush_time=pump.flush_time,
            store=None if self._store is None else self._store.statistics(),
        )

    async def start(self) -> None:
        """Listen. On return, clients can connect, and `addresses` says where.

        Raises:
            ListenError: that is not possible; the error says why.
            RuntimeError: it was started before; make another server.
        """
        if self._state is not _State.NEW:
            raise RuntimeError("the server was started before; make another one")
        self._state = _State.STARTED
        self._pump.run_in(asyncio.get_running_loop())
        async with self._starting:
            if self._store is not None:
                self._store.start(self.settings)
            try:
                await self._listen()
            except BaseException:
                # It cannot listen, or was cancelled. Nobody will close a server that has not started.
                self._stop_listening()
                await self._close_store()
                raise
        self._sessions.start()
        tell(self._observer.started, self)

    async def serve_forever(self) -> None:
        """Serve until the server is closed; start it first, if need be. If it is cancelled, the server closes."""
        if self._state is _State.NEW:
            await self.start()
        try:
            if self._state is not _State.CLOSED:
                await self._closed.wait()
        finally:
            await self.close()

    async def close(self) -> None:
        """Stop accepting, deliver what was broadcast before, end all connections, and wait for all handlers.

        It takes at most `Settings.drain_time` and twice what handlers may take to end (`Settings.cancel_time`): once
        they are left to finish, then they are cancelled. With a store, it takes at most `Settings.store_patience` more
        to commit what waits. A second call waits for the first. If the first call is
        cancelled, the rest is ended at once; a handler that is cancelled because the server closes does not stop that.
        """
        if self._state is _State.CLOSED:
            return
        if self._closing is None:
            # In a task of its own: a handler may close its server, itself or through a task that it waits for, and is
            # cancelled with the others.
            self._state = _State.CLOSING
            self._closing = asyncio.create_task(self._close(asyncio.current_task()))
            try:
                await asyncio.shield(self._closing)
            except asyncio.CancelledError:
                self._sessions.hurry()
                raise
        else:
            await asyncio.shield(self._closing)

    def reload(self) -> list[str]:
        """Read again what listeners have from files: certificates, secrets, keys, networks.

        It ends the connections whose key is gone, or does not allow any more what they do. All others stay as they are.

        Returns:
            What has changed, and what could not be read: there the old holds. One line each.
        """
        changes, failures = self._reload()
        return changes + failures

    def _reload(self) -> tuple[list[str], list[str]]:
        """What `reload` does: what has changed, and what could not be read."""
        return reload(self.listeners, self._sessions)

    async def _listen(self) -> None:
        for listener in self.listeners:
            settings = listener.settings_in(self.settings)
            for listening in await kinds.serving(listener.endpoint).bind(listener, settings):
                acceptor = Acceptor(listening, listener, self._sessions.arrivals, self._reserve, settings)
                self._acceptors.append(acceptor)
        self._addresses = tuple(address_of(acceptor.listening.getsockname()) for acceptor in self._acceptors)
        self._urls = tuple(
            url_of(acceptor.listening, tls=acceptor.listener.tls is not None, http=acceptor.listener.http is not None)
            for acceptor in self._acceptors
        )
        for acceptor in self._acceptors:
            acceptor.start()

    def _stop_listening(self) -> None:
        for acceptor in self._acceptors:
            acceptor.stop()
            acceptor.close()
        self._reserve.give_up()

    async def _close_store(self) -> None:
        if self._store is not None:
            for room in self._rooms.values():
                room.finish()
            await self._store.close()

    async def _close(self, caller: asyncio.Task[Any] | None) -> None:
        try:
            # 1. Nobody new, not even from a start that is still under way.
            async with self._starting:
                pass
            self._stop_listening()
            tell(self._observer.closing, self)
            # 2. All clients have what was broadcast, and go; then the handlers that are left.
            await self._sessions.close(caller)
        finally:
            # 3. What was broadcast is stored.
            try:
                await self._close_store()
            finally:
                self._state = _State.CLOSED
                self._closed.fire()
        tell(self._observer.closed, self)


def _is_asynchronous(function: object) -> bool:
    """Whether it is a coroutine function, or an object that can be called as one."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
