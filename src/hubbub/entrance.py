"""What a connection has to do before it is a client: its PROXY header, its TLS handshake, its secret."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from .acceptor import turn_away
from .client import Client
from .endings import Ending, EndingCode
from .exceptions import ConnectionClosed
from .link import describe
from .proxy import ProxyHeader, ProxyHeaderError
from .pulse import Pulse
from .scratch import scratch
from .settings import FIRST_READ_SIZE, READ_SIZE
from .tls import describe_tls
from .tls_transport import TlsTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from .address import Address
    from .listener import Authenticate, Listener
    from .reader import Reader
    from .tls import Tls

logger = logging.getLogger("hubbub")


class Refused(Exception):
    """A connection may not come in.

    Attributes:
        ending: why.
    """

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending)
        self.ending = ending


async def hand_over(connection: socket.socket, protocol: asyncio.BaseProtocol) -> None:
    """Let `protocol` speak over a connection.

    Raises:
        Refused: the connection is broken.
    """
    try:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: protocol, connection)
    except OSError as error:
        connection.close()
        raise Refused(Ending(EndingCode.LOST, describe(error))) from error


async def introduce(
    reader: Reader[Any],
    connection: socket.socket,
    listener: Listener[Any],
    admit: Callable[[Reader[Any], Listener[Any]], Ending | None],
) -> None:
    """Let `reader` speak over a connection, once that has done what its listener asks for.

    Args:
        reader: of the client, whose name changes if a proxy says so.
        connection: what was accepted.
        listener: where.
        admit: says why it may not come in; it is asked where a PROXY header has told its address.

    Raises:
        Refused: the connection may not come in. If `reader` is connected by then, it is still to be told.
    """
    time = reader.settings.handshake_time
    try:
        async with asyncio.timeout(time):
            if not reader.counted:
                # A proxy has to say whose it is.
                await _identify(reader, connection, listener, admit)
            await _open(reader, connection, listener)
    except TimeoutError:
        raise Refused(Ending(EndingCode.LATE, f"not let in within {time:g} s")) from None


async def _identify(
    reader: Reader[Any],
    connection: socket.socket,
    listener: Listener[Any],
    admit: Callable[[Reader[Any], Listener[Any]], Ending | None],
) -> None:
    """Learn from a proxy whose connection this is, and whether that may come in."""
    try:
        source = await _read_proxy_header(connection)
        if source is not None:
            reader.client = Client(reader.client.server, reader, source)
        if ending := admit(reader, listener):
            raise Refused(ending)
    except Refused as refused:
        turn_away(connection, b"" if listener.tls else reader.framing.encode_text(refused.ending.reason))
        raise
    except BaseException:
        connection.close()
        raise


async def _open(reader: Reader[Any], connection: socket.socket, listener: Listener[Any]) -> None:
    allowance = reader.settings.unauthenticated_limit if listener.authenticate is not None else None
    gate: TlsTransport | _Gate | None = None
    if listener.tls is not None:
        gate = await _open_tls(reader, connection, listener.tls, allowance)
    elif allowance is not None:
        gate = _Gate(reader, allowance)
        await hand_over(connection, gate)
    else:
        await hand_over(connection, reader)
    if listener.authenticate is not None and gate is not None:
        try:
            await _authenticate(reader, listener.authenticate)
        finally:
            # Of whoever is turned away it is read, too, and dropped: unread, it would cost it the words.
            gate.open()


async def _authenticate(reader: Reader[Any], authenticate: Authenticate[Any]) -> None:
    try:
        authentic = await authenticate(reader.client)
    except ConnectionClosed:
        authentic = False
    except Exception:
        logger.exception("%s cannot be authenticated", reader.client)
        authentic = False
    if reader.ending is not None:
        raise Refused(reader.ending)
    if not authentic:
        raise Refused(Ending(EndingCode.UNAUTHENTICATED, "not authenticated"))


async def _open_tls(reader: Reader[Any], connection: socket.socket, tls: Tls, allowance: int | None) -> TlsTransport:
    transport = TlsTransport(reader, tls.context, allowance, reader.loop)
    # If the connection ends before it is handed over, nobody asks how.
    transport.handshaken.add_done_callback(lambda done: done.cancelled() or done.exception())
    await hand_over(connection, transport)
    try:
        await transport.handshaken
    except OSError as error:
        raise Refused(Ending(EndingCode.BAD_TLS, f"the TLS handshake failed: {describe_tls(error)}")) from error
    except asyncio.CancelledError:
        transport.abort()
        raise
    return transport


async def _read_proxy_header(connection: socket.socket) -> Address | None:
    """Read the PROXY header of a connection, and nothing behind it: whose the connection is, where that is said."""
    header = ProxyHeader()
    readable = Pulse()
    loop = asyncio.get_running_loop()
    loop.add_reader(connection, readable.fire)
    try:
        while not header.complete:
            await readable.wait()
            # Waking up does not always mean that there is something (select(2), BUGS).
            with suppress(BlockingIOError):
                # What is not of the header stays for whoever reads next, who may be OpenSSL.
                data = connection.recv(READ_SIZE, socket.MSG_PEEK)
                if not data:
                    raise Refused(Ending(EndingCode.BAD_PROXY, "the connection ended before its PROXY header"))
                connection.recv(header.feed(data))
    except ProxyHeaderError as error:
        raise Refused(Ending(EndingCode.BAD_PROXY, str(error))) from error
    except OSError as error:
        raise Refused(Ending(EndingCode.LOST, describe(error))) from error
    finally:
        loop.remove_reader(connection)
    return header.source


class _Gate(asyncio.BufferedProtocol):
    """Reads only so many bytes for a reader, until it is open; a plain protocol is given what the transport likes."""

    def __init__(self, reader: Reader[Any], allowance: int) -> None:
        self._reader = reader
        self._allowance = allowance
        self._transport: asyncio.Transport

    def open(self) -> None:
        """Hand the transport over to the reader."""
        if not self._transport.is_closing():
            # uvloop looks at the kind of a protocol when reading starts.
            self._transport.pause_reading()
            self._transport.set_protocol(self._reader)
            self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._reader.connection_made(transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return scratch.view[: max(1, min(FIRST_READ_SIZE, self._allowance))]

    def buffer_updated(self, nbytes: int) -> None:
        self._reader.data_received(bytes(scratch.view[:nbytes]))
        self._allowance -= nbytes
        if self._allowance <= 0:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        return self._reader.eof_received()

    def pause_writing(self) -> None:
        self._reader.pause_writing()

    def resume_writing(self) -> None:
        self._reader.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._reader.connection_lost(exc)
