"""The dialling side: a connection to a server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, overload

from ..framing import Lines, M
from ..values.address import Address
from ..values.ending import Ending, EndingCode
from ..values.errors import ConnectionClosed
from ..values.settings import DEFAULT_HOST, DEFAULT_PORT, Settings
from ..wire.link import Link, describe
from ..wire.space import Space
from ..wire.tcp import set_options

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Sequence
    from types import TracebackType
    from typing import Self

    from ..framing import Framing
    from ..values.errors import FramingError


SEND_COST: Final = 256
"""What a send counts beside its bytes: many tiny ones are not to keep the event loop from turning."""

_CLOSED = Ending(EndingCode.CLOSED, "closed on this side")
_LEFT = Ending(EndingCode.LEFT, "the server closed the connection")


class _Dialled(Generic[M]):
    """The owner of a connection's link: it waits where a client's reader would fall behind.

    What is sent in one turn of the loop is written in the next, in one piece.
    """

    def __init__(self, framing: Framing[M], settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self.link = Link(self, framing, settings, loop)
        self.failure: FramingError | None = None
        self.ending: Ending | None = None
        self._limit = settings.outbox_limit
        self._gathered: list[bytes] = []
        self._gathered_size = 0
        self._space = Space()

    async def send(self, wire: bytes) -> None:
        """Write in the loop's next turn; wait while too much waits, in the order of those who do."""
        if self._full or self._space.awaited:
            await self._space.wait(lambda: self._full)
        if self.ending is None:
            if not self._gathered:
                self.link.loop.call_soon(self._write)
            self._gathered.append(wire)
            self._gathered_size += len(wire) + SEND_COST

    def end(self, ending: Ending) -> None:
        """Note why the connection ended; the first ending counts. Those who wait to send wait no longer."""
        if self.ending is None:
            self.ending = ending
        self._space.tell()

    def finish(self) -> None:
        """End the stream behind what was sent."""
        self._write()
        self.link.finish()

    @property
    def _full(self) -> bool:
        return self.ending is None and not (self.link.writable and self._gathered_size < self._limit)

    def _write(self) -> None:
        if self._gathered and not self.link.lost:
            self.link.transport.write(b"".join(self._gathered))
        self._gathered.clear()
        self._gathered_size = 0
        self._space.tell()

    # What the link tells.

    def on_paused(self) -> None:
        """`send` looks at `writable`."""

    def on_resumed(self) -> None:
        self._space.tell()

    def on_received(self, messages: Sequence[M]) -> None:
        """Nothing is to be done."""

    def on_slowed(self) -> None:
        """A connection has no throttle."""

    def on_replies(self, replies: bytes) -> None:
        # A peer that answers nothing it is asked, and asks on, is owed nothing.
        if self.link.writable:
            self.link.transport.write(replies)

    def on_failed(self, error: FramingError) -> None:
        self.failure = error

    def on_ignored(self) -> None:
        """What a peer says that was told the end is of no interest."""

    def on_closed(self, error: Exception | None) -> None:
        if error is None or self.link.at_end:
            self.end(_LEFT)
        else:
            self.end(Ending(EndingCode.LOST, describe(error)))


class Connection(Generic[M]):
    """The dialling side of a connection; made by `connect`.

    Iterating over it gives the server's messages until the server ends the connection.

    Attributes:
        name: the server's host and port, as they were given.
    """

    def __init__(self, host: str, port: int, framing: Framing[M], settings: Settings) -> None:
        self.name = str(Address(host, port))
        self._host = host
        self._port = port
        self._framing = framing
        self._settings = settings
        self._side: _Dialled[M] | None = None

    async def __aenter__(self) -> Self:
        if self._side is None:
            # Otherwise it was awaited before.
            loop = asyncio.get_running_loop()
            side = _Dialled(self._framing, self._settings, loop)
            async with asyncio.timeout(self._settings.connect_time):
                transport, _ = await loop.create_connection(lambda: side.link, self._host, self._port)
            set_options(transport.get_extra_info("socket"), self._settings)
            self._side = side
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        """`await connect(...)` gives a connection that its user must `close`."""
        return self.__aenter__().__await__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __str__(self) -> str:
        return self.name

    def __aiter__(self) -> AsyncIterator[M]:
        return self

    async def __anext__(self) -> M:
        try:
            return await self.receive()
        except ConnectionClosed as closed:
            if closed.ending is not None and closed.ending.code is EndingCode.LOST:
                raise
            raise StopAsyncIteration from None

    async def receive(self) -> M:
        """The server's next message. It may be cancelled, and then loses nothing.

        Raises:
            ConnectionClosed: the server sends no more.
            FramingError: the server sent what is no message in the framing.
            RuntimeError: another task is receiving from the same connection.
        """
        message = await self._connected.link.receive()
        if message is None:
            self._raise_end()
        return message

    async def receive_many(self) -> Sequence[M]:
        """All messages that have arrived, at least one. It may be cancelled, and then loses nothing.

        Raises:
            ConnectionClosed: the server sends no more.
            FramingError: the server sent what is no message in the framing.
            RuntimeError: another task is receiving from the same connection.
        """
        messages = await self._connected.link.receive_many()
        if not messages:
            self._raise_end()
        return messages

    async def send(self, message: M) -> None:
        """Send a message.

        It waits while the server takes none, and while as many bytes wait to be written as `Settings.outbox_limit`
        says. If it is cancelled, nothing is sent.

        Raises:
            ConnectionClosed: the connection is gone.
            ValueError: the framing cannot carry the message.
            TypeError: the message is not of the framing's type.
        """
        await self.send_many((message,))

    async def send_many(self, messages: Sequence[M]) -> None:
        """Send messages as `send` does, at the price of one."""
        side = self._connected
        await side.send(self._framing.encode(messages))
        if side.ending is not None:
            raise ConnectionClosed(self.name, side.ending)

    async def close(self) -> None:
        """End the connection behind what was sent, and wait until it has ended.

        A server that does not end its side is given `Settings.linger_time`, one that takes nothing
        `Settings.patience`. If it is cancelled, the connection is ended at once.
        """
        side = self._connected
        side.end(_CLOSED)
        side.finish()
        try:
            async with asyncio.timeout(self._settings.patience):
                await side.link.wait_closed()
        except TimeoutError:
            pass
        finally:
            if not side.link.lost:
                side.link.abort()

    @property
    def _connected(self) -> _Dialled[M]:
        if self._side is None:
            raise RuntimeError("there is no connection yet; write 'async with connect(...) as connection:'")
        return self._side

    def _raise_end(self) -> NoReturn:
        side = self._connected
        if side.failure is not None:
            raise side.failure
        raise ConnectionClosed(self.name, side.ending)


@overload
def connect(host: str = ..., port: int = ..., *, settings: Settings | None = ...) -> Connection[str]: ...


@overload
def connect(
    host: str = ..., port: int = ..., *, framing: Framing[M], settings: Settings | None = ...
) -> Connection[M]: ...


def connect(
    host: str = DEFAULT_HOST, port: int = DEFAULT_PORT, *, framing: Any = None, settings: Settings | None = None
) -> Any:
    """A connection to a server, as an async context manager: it is made on entry and ended on exit.

    Args:
        host: an address or a name.
        port: the server's port.
        framing: how messages are cut from the stream and put into it; `Lines()` if not given.
        settings: defaults and limits; those on connections count.

    On entry it raises `OSError` if the server cannot be reached, and `TimeoutError` if that takes longer than
    `Settings.connect_time`.
    """
    return Connection(host, port, framing if framing is not None else Lines(), settings or Settings())
