"""What a connection has to do before it is a client: its PROXY header, its TLS handshake, its secret.

Each is a step: a coroutine function that is given the arrival, changes what is known of it, and raises `Refused` if it
may not come in.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from ..values.ending import Ending, EndingCode
from ..values.errors import ConnectionClosed
from ..values.fixed_limits import FIRST_READ_SIZE, READ_SIZE
from ..wire.countdown import within
from ..wire.link import describe
from ..wire.pulse import Pulse
from ..wire.scratch import scratch
from ..wire.tls import describe_tls
from ..wire.tls_handshake import NothingCame
from ..wire.tls_transport import TlsTransport
from .acceptor import turn_away
from .arrival import Refused
from .proxy import ProxyHeader, ProxyHeaderError

if TYPE_CHECKING:
    from ..wire.link import Link
    from .arrival import Arrival
    from .listener import Listener

logger = logging.getLogger("hubbub")

_SILENT = Ending(EndingCode.PROBE, "the connection ended before anything came")
_CHECK = Ending(EndingCode.PROBE, "a check of the proxy's own")

Step = Callable[["Arrival[Any]"], Coroutine[Any, Any, object]]


def steps_of(listener: Listener[Any]) -> list[Step]:
    """What a connection to `listener` has to do, in order."""
    steps: list[Step] = []
    if listener.proxies:
        steps.append(identify)
    if listener.asks_first:
        steps.append(authenticate)
    else:
        steps.append(open_tls if listener.tls is not None else open_plain)
    return steps


async def introduce(arrival: Arrival[Any]) -> None:
    """Let a connection do all that its listener asks for, within `Settings.handshake_time`.

    Raises:
        Refused: it may not come in. If its link is open by then, it is still to be told.
    """
    time = arrival.settings.handshake_time
    try:
        async with within(time):
            for step in steps_of(arrival.listener):
                await step(arrival)
    except TimeoutError:
        raise Refused(Ending(EndingCode.LATE, f"not let in within {time:g} s")) from None


async def identify(arrival: Arrival[Any]) -> None:
    """Learn from a trusted proxy whose connection this is, and whether that may come in."""
    if arrival.counted or (arrival.relayed and arrival.origin.host not in arrival.listener.proxies):
        # It is not from a proxy that sends such headers.
        return
    connection = arrival.connection
    try:
        header = await _read_proxy_header(connection)
        if header.local:
            raise Refused(_CHECK)
        if header.source is not None:
            arrival.origin = header.source
        if not arrival.relayed:
            arrival.admit()
    except Refused as refused:
        mute = arrival.listener.tls is not None or refused.ending is _CHECK
        turn_away(connection, b"" if mute else arrival.listener.refusal(refused.ending, arrival.framing))
        raise
    except BaseException:
        connection.close()
        raise


async def open_plain(arrival: Arrival[Any]) -> None:
    """Let the link speak over the socket."""
    await _hand_over(arrival, arrival.link)


async def open_tls(arrival: Arrival[Any], allowance: int | None = None) -> TlsTransport:
    """Let the link speak TLS over the socket, and read no more than is allowed behind the handshake."""
    tls = arrival.listener.tls
    assert tls is not None
    transport = TlsTransport(arrival.link, tls.context, allowance, arrival.loop)
    await _hand_over(arrival, transport)
    try:
        await transport.handshaken
    except NothingCame:
        raise Refused(_SILENT) from None
    except OSError as error:
        raise Refused(Ending(EndingCode.BAD_TLS, f"the TLS handshake failed: {describe_tls(error)}")) from error
    except asyncio.CancelledError:
        transport.abort()
        raise
    return transport


async def authenticate(arrival: Arrival[Any]) -> None:
    """Open the link, read no more than is allowed, and ask `authenticate` of the listener."""
    allowance = arrival.settings.unauthenticated_limit
    gate: TlsTransport | _Gate
    if arrival.listener.tls is not None:
        gate = await open_tls(arrival, allowance)
    else:
        gate = _Gate(arrival.link, allowance)
        await _hand_over(arrival, gate)
    try:
        await _ask(arrival)
    finally:
        # What a rejected client still says is read too, and discarded. Closing with unread data sends a reset, and the
        # client would lose the reason.
        gate.open()


async def _ask(arrival: Arrival[Any]) -> None:
    check = arrival.listener.authenticate
    try:
        authentic = check is None or await check(arrival)
    except ConnectionClosed:
        authentic = False
    except Exception:
        logger.exception("%s cannot be authenticated", arrival)
        authentic = False
    link = arrival.link
    if (link.at_end or link.lost) and link.silent and arrival.listener.tls is None:
        raise Refused(_SILENT)
    if arrival.ending is not None:
        raise Refused(arrival.ending)
    if not authentic:
        raise Refused(Ending(EndingCode.UNAUTHENTICATED, "not authenticated"))
    if reason := arrival.claim(arrival.listener.room, arrival.role):
        raise Refused(Ending(EndingCode.UNAUTHENTICATED, reason))


async def _hand_over(arrival: Arrival[Any], protocol: asyncio.BaseProtocol) -> None:
    """Let `protocol` speak over the socket."""
    try:
        await arrival.loop.connect_accepted_socket(lambda: protocol, arrival.connection)
    except OSError as error:
        arrival.connection.close()
        raise Refused(Ending(EndingCode.LOST, describe(error))) from error


async def _read_proxy_header(connection: socket.socket) -> ProxyHeader:
    """Read the PROXY header of a connection, and nothing behind it."""
    header = ProxyHeader()
    readable = Pulse()
    loop = asyncio.get_running_loop()
    loop.add_reader(connection, readable.fire)
    try:
        while not header.complete:
            await readable.wait()
            # Waking up does not always mean that there is something (select(2), BUGS).
            with suppress(BlockingIOError):
                # What is not of the header stays for what reads next, which may be OpenSSL.
                data = connection.recv(READ_SIZE, socket.MSG_PEEK)
                if not data:
                    raise Refused(
                        _SILENT
                        if not header.begun
                        else Ending(EndingCode.BAD_PROXY, "the connection ended before its PROXY header")
                    )
                connection.recv(header.feed(data))
    except ProxyHeaderError as error:
        raise Refused(Ending(EndingCode.BAD_PROXY, str(error))) from error
    except OSError as error:
        raise Refused(Ending(EndingCode.LOST, describe(error)) if header.begun else _SILENT) from error
    finally:
        loop.remove_reader(connection)
    return header


class _Gate(asyncio.BufferedProtocol):
    """Reads only so many bytes for a link, until it is open; a plain protocol is given what the transport likes."""

    def __init__(self, link: Link[Any], allowance: int) -> None:
        self._link = link
        self._allowance = allowance
        self._transport: asyncio.Transport

    def open(self) -> None:
        """Hand the transport over to the link."""
        if self._transport.is_closing():
            return
        # uvloop looks at the kind of a protocol when reading starts.
        self._transport.pause_reading()
        self._transport.set_protocol(self._link)
        # The end of the stream is found as often as it is read.
        if not self._link.at_end:
            self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._link.connection_made(transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return scratch.view[: max(1, min(FIRST_READ_SIZE, self._allowance))]

    def buffer_updated(self, nbytes: int) -> None:
        self._link.data_received(bytes(scratch.view[:nbytes]))
        self._allowance -= nbytes
        if self._allowance <= 0:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        return self._link.eof_received()

    def pause_writing(self) -> None:
        self._link.pause_writing()

    def resume_writing(self) -> None:
        self._link.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.connection_lost(exc)
