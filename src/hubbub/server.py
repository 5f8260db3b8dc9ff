"""The server: its listeners, its clients and rooms, and its life from start to close."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Generic, overload

from .address import Address
from .client import Client
from .exceptions import RoomLimitReached
from .framing import Lines, M
from .listen import bind
from .observe import Observer, Statistics, tell
from .pulse import Pulse
from .registry import Registry
from .room import Room
from .settings import DEFAULT_HOST, DEFAULT_PORT, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

    from .framing import Framing

Handler = Callable[[Client[M]], Coroutine[Any, Any, None]]

ROOT_ROOM = "root"


class _State(Enum):
    NEW = auto()
    STARTED = auto()
    CLOSING = auto()
    CLOSED = auto()


class Server(Generic[M]):
    """Accepts clients and runs a handler for each.

    As an async context manager it is started on entry and closed on exit.

    Args:
        handler: a coroutine function that is called once for each client. When it returns, its client's connection is
            flushed and closed. When it raises, the traceback is logged, and that client alone ends.
        host: the address or name to listen on. A name may stand for several addresses; "" means all of this machine,
            "::" all of them through one dual-stack socket.
        port: 0 lets the system choose one, the same for all addresses.
        framing: how messages are cut from the stream and put into it; `Lines()` if not given.
        settings: defaults and limits.
        observer: is told what happens.

    Raises:
        TypeError: the handler is not a coroutine function.
        ValueError: the port is out of range, or the framing cannot carry the notice of the settings.

    Attributes:
        framing: how messages are cut from the stream and put into it.
        settings: defaults and limits.
        root: the room that every client is in.
    """

    @overload
    def __init__(
        self: Server[str],
        handler: Handler[str],
        host: str = ...,
        port: int = ...,
        *,
        settings: Settings | None = ...,
        observer: Observer[str] | None = ...,
    ) -> None: ...

    @overload
    def __init__(
        self,
        handler: Handler[M],
        host: str = ...,
        port: int = ...,
        *,
        framing: Framing[M],
        settings: Settings | None = ...,
        observer: Observer[M] | None = ...,
    ) -> None: ...

    def __init__(
        self,
        handler: Any,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        *,
        framing: Any = None,
        settings: Settings | None = None,
        observer: Any = None,
    ) -> None:
        if not inspect.iscoroutinefunction(handler):
            raise TypeError(f"the handler {handler!r} is not a coroutine function: define it with 'async def'")
        if not 0 <= port <= 65535:
            raise ValueError(f"the port is {port}; it must be 0 to 65535")
        chosen: Any = framing if framing is not None else Lines()
        self.framing: Framing[M] = chosen
        self.settings = settings or Settings()
        self._observer: Observer[M] = observer or Observer()
        self._host = host
        self._port = port
        self._rooms: dict[str, Room[M]] = {}
        self._registry: Registry[M] = Registry(self, handler)
        self._listeners: list[asyncio.Server] = []
        self._addresses: tuple[Address, ...] = ()
        self._state = _State.NEW
        self._starting = asyncio.Lock()
        self._closed = Pulse()
        self.root = self.room(ROOT_ROOM)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def observer(self) -> Observer[M]:
        """What is told what happens."""
        return self._observer

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Where it listens; nowhere before `start`."""
        return self._addresses

    @property
    def clients(self) -> frozenset[Client[M]]:
        """Who is connected now."""
        return self._registry.clients

    @property
    def rooms(self) -> dict[str, Room[M]]:
        """The rooms there are now, by name."""
        return dict(self._rooms)

    def room(self, name: str, *, settings: Settings | None = None) -> Room[M]:
        """The room of that name; it is made if there is none.

        Args:
            name: any text.
            settings: those of a room that is made now, if they are not to be the server's.

        Raises:
            RoomLimitReached: it would be one room too many.
            ValueError: the room exists, with other settings.
        """
        room = self._rooms.get(name)
        if room is None:
            if len(self._rooms) >= self.settings.rooms_limit:
                raise RoomLimitReached(name, self.settings.rooms_limit)
            room = self._rooms[name] = Room(name, self.framing, settings or self.settings, self._forget_room)
        elif settings not in (None, room.settings):
            raise ValueError(f"room {name!r} exists, with other settings")
        return room

    def broadcast(self, message: M, *, exclude: Client[M] | None = None) -> Coroutine[Any, Any, None]:
        """Send `message` to every client but `exclude`; see `Room.broadcast`."""
        return self.root.broadcast(message, exclude=exclude)

    def broadcast_many(self, messages: Sequence[M], *, exclude: Client[M] | None = None) -> Coroutine[Any, Any, None]:
        """Send `messages` to every client but `exclude`; see `Room.broadcast_many`."""
        return self.root.broadcast_many(messages, exclude=exclude)

    def statistics(self) -> Statistics:
        """The figures of this moment."""
        registry = self._registry
        return Statistics(len(registry.clients), len(self._rooms), registry.accepted, dict(registry.endings))

    async def start(self) -> None:
        """Listen. On return, clients can connect, and `addresses` says where.

        Raises:
            ListenError: that is not possible; the error says why.
            RuntimeError: it was started before; make another server.
        """
        if self._state is not _State.NEW:
            raise RuntimeError("the server was started before; make another one")
        self._state = _State.STARTED
        async with self._starting:
            await self._listen()
        self._registry.start_sweeping()
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

        It takes at most `Settings.drain_time` and what handlers need to end (`Settings.cancel_time`). To close a
        server twice is no error: the second call waits for the first.
        """
        if self._state is _State.CLOSING:
            await self._closed.wait()
        elif self._state is not _State.CLOSED:
            self._state = _State.CLOSING
            try:
                await self._close()
            finally:
                self._state = _State.CLOSED
                self._closed.fire()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        backlog = self.settings.backlog
        sockets = await bind(self._host, self._port, self.settings)
        try:
            for listening in sockets:
                self._listeners.append(
                    await loop.create_server(
                        self._registry.protocol, sock=listening, backlog=backlog, start_serving=False
                    )
                )
            self._addresses = tuple(Address.of(listening.getsockname()) for listening in sockets)
            for listener in self._listeners:
                await listener.start_serving()
        except BaseException:
            # A cancellation, most likely. Nobody will close a server that has not started.
            for listener in self._listeners:
                listener.close()
            for listening in sockets:
                listening.close()
            raise

    async def _close(self) -> None:
        # 1. Nobody new, not even from a start that is still under way.
        async with self._starting:
            pass
        self._stop_accepting()
        # 2. Those who were accepted by then are connected two turns later. Until then asyncio needs the listeners.
        for _ in range(2):
            await asyncio.sleep(0)
        for listener in self._listeners:
            listener.close()
        # 3. Everybody has what was broadcast, and goes; then the handlers that are left.
        await self._registry.close()
        # 4. The listening sockets are gone too.
        for listener in self._listeners:
            await listener.wait_closed()
        tell(self._observer.closed, self)

    def _stop_accepting(self) -> None:
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            for listening in listener.sockets:
                loop.remove_reader(listening)

    def _forget_room(self, room: Room[M]) -> None:
        if room is self.root:
            raise ValueError("the root room lasts as long as the server; close the server instead")
        if self._rooms.get(room.name) is room:
            del self._rooms[room.name]
