"""Making one connection: to a port or a Unix socket, in plain text or with TLS."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..values.address import Address
from ..values.ending import Ending, EndingCode
from ..values.errors import ConnectionClosed
from ..wire.addresses import resolve
from ..wire.countdown import within
from ..wire.tcp import set_options
from ..wire.tls_client import ClientTlsTransport, TlsFailed

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from ..wire.link import Link


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and how.

    Attributes:
        address: a host and port, or the path of a Unix socket.
        tls: how to speak TLS; None: in plain text.
    """

    address: Address
    tls: ssl.SSLContext | None = None

    def __str__(self) -> str:
        return str(self.address)


async def dial(target: Target, link: Link[Any]) -> Address:
    """Connect `link`, within `Settings.connect_time`; to where. If it is cancelled, there is no connection.

    Raises:
        OSError: the server cannot be reached; `TimeoutError` if it does not answer in time.
        ConnectionClosed: it cannot be spoken to with TLS.
    """
    async with within(link.settings.connect_time):
        if target.tls is None:
            return await _open(target.address, lambda: link, link)
        tls = ClientTlsTransport(link, target.tls, target.address.host, link.loop)
        address = await _open(target.address, lambda: tls, link)
        try:
            await tls.handshaken
        except TlsFailed as error:
            ending = Ending(EndingCode.BAD_TLS, f"the TLS handshake failed: {error}")
            raise ConnectionClosed(str(target), ending) from error
        except asyncio.CancelledError:
            tls.abort()
            raise
        return address


async def _open(address: Address, protocol: Callable[[], asyncio.BaseProtocol], link: Link[Any]) -> Address:
    """Connect to an address, or to the first one of a name that answers; which one that was."""
    try:
        if address.path is not None:
            await _open_path(address.path, protocol, link.loop)
            return address
        *others, last = await resolve(address.host, address.port)
        for place in others:
            with suppress(OSError):
                return await _open_at(place, protocol, link)
        return await _open_at(last, protocol, link)
    except OSError as error:
        # Its message is to name the server.
        error.filename = str(address)
        raise


async def _open_path(path: str, protocol: Callable[[], asyncio.BaseProtocol], loop: asyncio.AbstractEventLoop) -> None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.setblocking(False)
        # It waits for nothing: a socket whose backlog is full answers EAGAIN (unix(7)). uvloop takes no abstract path.
        connection.connect(path)
        await loop.create_unix_connection(protocol, sock=connection)
    except BaseException:
        connection.close()
        raise


async def _open_at(place: tuple[int, Any], protocol: Callable[[], asyncio.BaseProtocol], link: Link[Any]) -> Address:
    family, end = place
    connection = socket.socket(family)
    try:
        set_options(connection, link.settings)
        await _reach(connection, end)
        await link.loop.create_connection(protocol, sock=connection)
        # The socket has no peer any more if it was reset at once.
        return Address.of(end)
    except BaseException:
        connection.close()
        raise


async def _reach(connection: socket.socket, end: Any) -> None:
    # uvloop's `sock_connect` forgets the interface of an address such as fe80::1%eth0.
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    connection.setblocking(False)
    with suppress(BlockingIOError):
        connection.connect(end)
    loop.add_writer(connection, done.set)
    try:
        await done.wait()
    finally:
        loop.remove_writer(connection)
    if error := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(error, os.strerror(error))


def reason_of(error: OSError) -> str:
    """Why the connection to a server failed, in words."""
    if isinstance(error, TimeoutError):
        return "the server does not answer"
    # asyncio puts the address into strerror, and the message has it already.
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
