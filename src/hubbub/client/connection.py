"""The dialling side: a connection to a server."""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, overload

from ..framing import Lines, M, check_framing
from ..values.address import Address, check_endpoint
from ..values.ending import Ending, EndingCode
from ..values.errors import ConnectionClosed
from ..values.settings import DEFAULT_HOST, DEFAULT_PORT, Settings, check_settings
from ..wire.countdown import within
from .dial import Target, dial
from .retry import Backoff, dial_until_there
from .side import LEFT, Side

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Sequence
    from types import TracebackType
    from typing import Self

    from ..framing import Framing

logger = logging.getLogger("hubbub")

_CLOSED: Final = Ending(EndingCode.CLOSED, "closed on this side")

_QUIET: Final = {EndingCode.LEFT, EndingCode.CLOSED}
"""How a connection ends when nothing is wrong."""


class Connection(Generic[M]):
    """The dialling side of a connection; made by `connect`.

    Iterating over it gives the server's messages until the server ends the connection. With `retry`, a connection that
    has ended is made again, and the iteration goes on.

    Attributes:
        name: the server's host and port, as they were given; the path of a Unix socket.
    """

    def __init__(self, target: Target, framing: Framing[M], settings: Settings, *, retry: bool, say: M | None) -> None:
        self.name = str(target)
        self._target = target
        self._framing = framing
        self._settings = settings
        self._retry = retry
        self._greeting = b"" if say is None else _encode(framing, say)
        self._backoff = Backoff(settings)
        # The side that messages are received from. After a reconnect, what has arrived before comes first.
        self._heard: Side[M] | None = None
        self._side: Side[M] | None = None
        self._made_at = 0.0
        # Connecting again. It goes on if those who wait for it are cancelled.
        self._returning: asyncio.Task[None] | None = None
        self._sent_end = False
        self._closed = False

    async def __aenter__(self) -> Self:
        if self._side is None:
            # Otherwise it was awaited before.
            if self._retry:
                await dial_until_there(self._dial, self.name, self._backoff)
            else:
                await self._dial()
            self._heard = self._side
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
            if closed.ending is not None and closed.ending.code not in _QUIET:
                raise
            raise StopAsyncIteration from None

    async def receive(self) -> M:
        """The server's next message. It may be cancelled, and then loses nothing.

        Raises:
            ConnectionClosed: the server sends no more. If it has refused the connection, the ending says why.
            FramingError: the server's bytes are not a message in the framing.
            RuntimeError: another task is receiving from the same connection.
        """
        while (message := await self._hearing.link.receive()) is None:
            await self._hear_on()
        return message

    async def receive_many(self) -> Sequence[M]:
        """All messages that have arrived, at least one. It may be cancelled, and then loses nothing.

        Raises:
            ConnectionClosed: the server sends no more. If it has refused the connection, the ending says why.
            FramingError: the server's bytes are not a message in the framing.
            RuntimeError: another task is receiving from the same connection.
        """
        while not (messages := await self._hearing.link.receive_many()):
            await self._hear_on()
        return messages

    async def send(self, message: M) -> None:
        """Send a message.

        It waits while the server takes none, and while as many bytes wait to be written as `Settings.outbox_limit`
        says. With `retry`, it also waits for a new connection where the old one has ended. If it is cancelled, nothing
        is sent. What was sent just before a connection broke may be lost; nothing is sent twice.

        Raises:
            ConnectionClosed: the connection is gone.
            ValueError: the framing cannot carry the message.
            TypeError: the message is not of the framing's type.
            RuntimeError: `send_end` has been called.
        """
        await self.send_many((message,))

    async def send_many(self, messages: Sequence[M]) -> None:
        """Send messages as `send` does, at the price of one."""
        side = self._connected
        wire = self._framing.encode(messages)
        # A server that has ended its stream is leaving, and would lose what it is sent.
        while (self._retry and side.link.at_end) or not await side.send(wire):
            await self._go_on(side)
            side = self._connected

    def send_end(self) -> None:
        """Tell the server that nothing more is sent. What it still sends can be received.

        A connection is not made again after that.
        """
        self._connected.end_sending()
        self._sent_end = True

    async def close(self) -> None:
        """End the connection behind what was sent, and wait until it has ended.

        A server that does not end its side is given `Settings.linger_time`, one that takes nothing
        `Settings.patience`. If it is cancelled, the connection is ended at once.
        """
        self._closed = True
        try:
            async with within(self._settings.patience):
                if self._returning is not None:
                    self._returning.cancel()
                    await asyncio.wait([self._returning])
                self._connected.end(_CLOSED)
                self._connected.finish()
                await self._connected.link.wait_closed()
        except TimeoutError:
            pass
        finally:
            if not self._connected.link.lost:
                self._connected.link.abort()

    @property
    def _connected(self) -> Side[M]:
        if self._side is None:
            raise RuntimeError("there is no connection yet; write 'async with connect(...) as connection:'")
        return self._side

    @property
    def _hearing(self) -> Side[M]:
        return self._heard or self._connected

    async def _dial(self) -> None:
        """Make a connection, and say what is said first on each."""
        loop = asyncio.get_running_loop()
        side = Side(self._framing, self._settings, loop)
        address = await dial(self._target, side.link)
        self._side, self._made_at = side, loop.time()
        tls = f" with TLS, the certificate of {side.link.certificate_name}" if self._target.tls else ""
        logger.debug("%s: connected to %s%s", self.name, address, tls)
        if self._greeting:
            await side.send(self._greeting)
        if self._sent_end:
            # Meanwhile.
            side.end_sending()

    async def _hear_on(self) -> None:
        """Receive from the next connection; see `_go_on`."""
        await self._go_on(self._hearing)
        self._heard = self._side

    async def _go_on(self, side: Side[M]) -> None:
        """Wait until there is a connection that follows an ended one.

        Raises:
            ConnectionClosed: there will be none.
            FramingError: the server's bytes are not a message.
        """
        if side is self._side:
            if self._returning is None:
                ending = side.ending or LEFT
                again = self._retry and ending.code.worth_retrying and not (side.ended_sending or side.failure)
                if not again or self._closed:
                    self._raise_end(side)
                self._returning = asyncio.create_task(self._return(side, ending))
                # If all who wait for it are cancelled, nobody asks how it ended.
                self._returning.add_done_callback(lambda done: done.cancelled() or done.exception())
            returning = self._returning
            await asyncio.wait([returning])
            if returning.cancelled():
                raise ConnectionClosed(self.name, _CLOSED)
            returning.result()

    async def _return(self, side: Side[M], ending: Ending) -> None:
        """Connect again after `side` has ended."""
        side.end(ending)
        side.leave()
        self._backoff.lasted(side.link.loop.time() - self._made_at)
        await dial_until_there(self._dial, self.name, self._backoff, lost=f"the connection has ended ({ending})")
        self._returning = None

    def _raise_end(self, side: Side[M]) -> NoReturn:
        logger.debug("%s: the connection has ended (%s)", self.name, side.failure or side.ending or LEFT)
        if side.failure is not None:
            raise side.failure
        raise ConnectionClosed(self.name, side.ending)


def _encode(framing: Framing[M], said: M) -> bytes:
    try:
        return framing.encode((said,))
    except TypeError as error:
        raise TypeError(f"say: {error}") from error
    except ValueError as error:
        raise ValueError(f"say: {error}") from error


@overload
def connect(
    host: str | Path = ...,
    port: int = ...,
    *,
    tls: bool | ssl.SSLContext = ...,
    retry: bool = ...,
    say: str | None = ...,
    settings: Settings | None = ...,
) -> Connection[str]: ...


@overload
def connect(
    host: str | Path = ...,
    port: int = ...,
    *,
    tls: bool | ssl.SSLContext = ...,
    retry: bool = ...,
    say: M | None = ...,
    framing: Framing[M],
    settings: Settings | None = ...,
) -> Connection[M]: ...


def connect(
    host: str | Path = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    *,
    tls: bool | ssl.SSLContext = False,
    retry: bool = False,
    say: M | None = None,
    framing: Framing[M] | None = None,
    settings: Settings | None = None,
) -> Connection[M]:
    """A connection to a server, as an async context manager: it is made on entry and ended on exit.

    Args:
        host: an address or a name; or the absolute path of a Unix socket, which has no port.
        port: the server's port.
        tls: speak TLS, and verify that the server's certificate is for `host` and of an authority that the system
            trusts; or as this context says, such as `ssl.create_default_context(cafile="ca.pem")`.
        retry: make the connection until it succeeds, and again whenever it has ended, with pauses that grow from
            `Settings.retry_time` to `Settings.retry_limit`. Only an ending that is not `worth_retrying` is final. The
            log tells each time. What the server said meanwhile is missed.
        say: a message that is sent first on each connection, such as a secret.
        framing: how messages are cut from the stream and put into it; `Lines()` if not given.
        settings: defaults and limits; those on connections count.

    On entry it raises `OSError` if the server cannot be reached, `TimeoutError` if that takes longer than
    `Settings.connect_time`, and `ConnectionClosed` if the TLS handshake fails. With `retry`, only the last of these.

    Raises:
        TypeError: an argument is of another type.
        ValueError: the host or the port is not valid, TLS is asked for through a Unix socket, or the framing cannot
            carry `say`.
    """
    address = _address_of(host, port)
    if not isinstance(tls, bool | ssl.SSLContext):
        raise TypeError(f"tls is {tls!r}; it must be True, False or an ssl.SSLContext")
    if not isinstance(retry, bool):
        raise TypeError(f"retry is {retry!r}; it must be True or False")
    if tls and address.path is not None:
        raise ValueError(f"no TLS through the Unix socket {address}; leave out tls")
    context = tls if isinstance(tls, ssl.SSLContext) else ssl.create_default_context() if tls else None
    chosen: Any = framing if framing is not None else Lines()
    check_framing(chosen)
    settings = settings if settings is not None else Settings()
    check_settings(settings)
    return Connection(Target(address, context), chosen, settings, retry=retry, say=say)


def _address_of(host: Any, port: Any) -> Address:
    """The address of a server: of a host and port, or of a Unix socket."""
    address = Address(str(host.absolute()) if isinstance(host, Path) else host, port)
    if not isinstance(host, str | Path) or address.path is None:
        check_endpoint(address)
        if port == 0:
            raise ValueError("the port is 0; it must be 1 to 65535")
    return address
