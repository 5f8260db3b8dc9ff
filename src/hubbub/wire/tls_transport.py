"""TLS between a link and its transport.

OpenSSL works on memory here, and no more is encrypted than the socket takes. So a stalled client costs no more than it
does without TLS, `patience` sees what its socket takes, and no read is larger than the link allows. The TLS transports
of asyncio and uvloop have buffers of their own.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from ..values.fixed_limits import FIRST_READ_SIZE, READ_SIZE, TLS_PIECE_SIZE
from .scratch import scratch
from .tls import describe_tls, name_in
from .tls_handshake import Handshake, NothingCame, plain_words
from .tls_records import RECORD_LIMIT, Records, TlsError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .link import Link


class TlsTransport(asyncio.BufferedProtocol, asyncio.Transport):
    """Two things at once: the protocol of a TCP transport, and the transport of a link.

    The link is given it (`connection_made`) once the handshake is done.

    Args:
        link: the user of the connection.
        context: the certificate and the rules of the server.
        allowance: how many bytes behind the handshake are read before `open` is called; None: any number.
        loop: the event loop.

    Attributes:
        handshaken: done when the handshake is; it holds the exception if the handshake failed.
    """

    __slots__ = (
        "_allowance",
        "_blocked",
        "_closing",
        "_cut",
        "_ended",
        "_error",
        "_finishing",
        "_handshake",
        "_incoming",
        "_inner",
        "_link",
        "_loop",
        "_outgoing",
        "_paused",
        "_reading",
        "_records",
        "_tls",
        "_unsent",
        "handshaken",
    )

    def __init__(
        self, link: Link[Any], context: ssl.SSLContext, allowance: int | None, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__()
        self._link = link
        self._loop = loop
        self._allowance = allowance
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._records = Records()
        self._handshake: Handshake | None = Handshake(context, self._incoming, self._outgoing, self._records)
        self._tls: ssl.SSLObject
        self._inner: asyncio.Transport
        self._unsent: list[memoryview] = []
        self._error: Exception | None = None
        # Whether the socket takes nothing now, and whether the link knows.
        self._blocked = False
        self._paused = False
        # Whether the link wants to read.
        self._reading = True
        # Whether the client has ended its TCP stream.
        self._cut = False
        # Whether our stream is to end behind what is unsent, the connection too, and whether our stream has ended.
        self._finishing = False
        self._closing = False
        self._ended = False
        self.handshaken: asyncio.Future[None] = loop.create_future()

    def open(self) -> None:
        """Read on, with no limit in all."""
        self._allowance = None
        self.resume_reading()

    # What the TCP transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inner = cast("asyncio.Transport", transport)
        self._inner.set_write_buffer_limits(high=0)

    def get_buffer(self, sizehint: int) -> memoryview:
        return scratch.view[: READ_SIZE if self._allowance is None and self.handshaken.done() else FIRST_READ_SIZE]

    def buffer_updated(self, nbytes: int) -> None:
        if self._ended or self._link.at_end:
            # What arrives after TLS's own end does not count (RFC 8446, 6.1).
            return
        data = scratch.view[:nbytes]
        if self._handshake is not None:
            self._shake_hands(self._handshake, data)
        else:
            self._records.add(data)
            self._decrypt()
        self._records.keep()

    def eof_received(self) -> bool:
        if self._ended:
            self._link.eof_received()
        elif self.handshaken.done():
            # What has arrived may still be encrypted, TLS's own end among it.
            self._cut = True
            self._decrypt()
        else:
            self._inner.abort()
        return True

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        self._encrypt()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unsent.clear()
        error = self._error or exc
        if not self.handshaken.done():
            error = error or ConnectionResetError("the client left during the handshake")
            nothing = self._handshake is not None and not self._handshake.begun
            self.handshaken.set_exception(NothingCame(*error.args) if nothing else error)
            self.handshaken.exception()  # asyncio would report that nobody asked for it
        elif not self.handshaken.cancelled():
            self._link.connection_lost(error)

    # What the link calls.

    def write(self, data: Any) -> None:
        if self._unsent or self._blocked or self._allowance is not None or not 0 < len(data) <= RECORD_LIMIT:
            self.writelines((data,))
            return
        # One record and nothing before it: what a flush writes to most of its readers.
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            self._fail(describe_tls(error))
            return
        self._send(self._outgoing.read())
        if self._blocked:
            self._tell_link()

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        buffers = [memoryview(data) for data in list_of_data if data]
        if len(buffers) > 1 and sum(map(len, buffers)) <= TLS_PIECE_SIZE:
            # Otherwise each would be a record of its own.
            buffers = [memoryview(b"".join(buffers))]
        self._unsent += buffers
        self._encrypt()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: the link is always paused at the first byte that the socket does not take."""

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self._unsent)) + self._inner.get_write_buffer_size()

    def pause_reading(self) -> None:
        self._reading = False
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        self._reading = True
        if self._allowance != 0:
            self._inner.resume_reading()
        if self._records.waiting or self._cut:
            # Later: the link is in the middle of taking what it has.
            self._loop.call_soon(self._decrypt)

    def is_reading(self) -> bool:
        return self._inner.is_reading()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._finishing = True
        self._encrypt()

    def is_closing(self) -> bool:
        return self._closing or self._inner.is_closing()

    def close(self) -> None:
        self._closing = self._finishing = True
        self._encrypt()

    def abort(self) -> None:
        self._inner.abort()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As the TCP transport; "certificate_name" is the name in the peer's verified certificate, if it has one."""
        if name in ("certificate_name", "scheme"):
            return name_in(self._tls.getpeercert()) if name == "certificate_name" else "tls"
        return self._inner.get_extra_info(name, default)

    # What OpenSSL does.

    def _shake_hands(self, handshake: Handshake, data: memoryview) -> None:
        try:
            done = handshake.feed(data)
        except TlsError as error:
            self._send(plain_words(error, self._link.framing))
            self._fail(str(error))
            return
        self._flush()
        if done:
            self._handshake = None
            self._tls = handshake.tls
            self.handshaken.set_result(None)
            self._link.connection_made(self)
            self._decrypt()

    def _decrypt(self) -> None:
        tls, link, records = self._tls, self._link, self._records
        try:
            while self._reading and self._allowance != 0 and not (self._ended or link.at_end or link.lost):
                if not (records.whole or self._feed()):
                    self._reply()
                    if self._cut:
                        # TCP's end without TLS's own: an attacker may have cut the stream short (RFC 8446, 6.1).
                        link.drop_tail = True
                        link.eof_received()
                    return
                size = READ_SIZE if self._allowance is None else min(FIRST_READ_SIZE, self._allowance)
                try:
                    data = tls.read(size)
                except ssl.SSLWantReadError:
                    records.settle(self._loop.time())
                    continue
                if records.whole and (len(data) < size or not tls.pending()):
                    # It was the last of its record.
                    records.whole -= 1
                if self._allowance is not None:
                    # It is never more: `size` was no more.
                    self._allowance -= len(data)
                    if not self._allowance:
                        self._inner.pause_reading()
                if data:
                    link.data_received(data)
                else:
                    link.eof_received()
        except TlsError as error:
            # Closing would wait until the client has taken what it is owed.
            self._error = ConnectionAbortedError(str(error))
            self._inner.abort()
        except ssl.SSLError as error:
            self._fail(describe_tls(error))

    def _feed(self) -> bool:
        """Give OpenSSL the next records; whether there is something for it to read then.

        Raises:
            TlsError: the client announces a record that is too long.
        """
        records = self._records
        if records.arrived and (taken := records.take()):
            self._incoming.write(taken)
            # Before authentication, a part of a record must not wait here: OpenSSL makes room for all of it by itself.
            if records.whole or self._allowance is not None:
                return True
        return False

    def _reply(self) -> None:
        """Send what OpenSSL answers by itself, such as to a request for new keys (RFC 8446, 4.6.3)."""
        if self._outgoing.pending:
            self._flush()
            # A client that does not take the answers is one whose socket takes nothing: `patience` ends it.
            self._tell_link()

    def _encrypt(self) -> None:
        try:
            while self._unsent and not self._blocked:
                # One write: some versions of asyncio forget to pause after `writelines` (CVE-2024-12254).
                self._send(b"".join(self._encrypted()))
        except ssl.SSLError as error:
            self._fail(describe_tls(error))
            return
        if self._finishing and not self._unsent:
            self._end()
        self._tell_link()

    def _encrypted(self) -> list[bytes]:
        """The first records of what is unsent."""
        records: list[bytes] = []
        size = RECORD_LIMIT if self._allowance is None else FIRST_READ_SIZE
        while self._unsent and len(records) < TLS_PIECE_SIZE // RECORD_LIMIT:
            # One record at a time: OpenSSL keeps, for good, the room that it once took.
            sent = self._tls.write(self._unsent[0][:size])
            rest = self._unsent[0][sent:]
            self._unsent[:1] = [rest] if rest else []
            records.append(self._outgoing.read())
        return records

    def _tell_link(self) -> None:
        full = self._blocked or bool(self._unsent)
        if full and not self._paused:
            self._paused = True
            self._link.pause_writing()
        elif self._paused and not full:
            self._paused = False
            self._link.resume_writing()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            # OpenSSL would wait for the client's end, too, which is not needed (RFC 8446, 6.1).
            with suppress(ssl.SSLError):
                self._tls.unwrap()
            self._flush()
            try:
                self._inner.write_eof()
            except OSError:
                # The peer has reset the connection, and the event loop has yet to find out.
                self._inner.abort()
        if self._closing:
            self._inner.close()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._send(self._outgoing.read())

    def _send(self, data: bytes) -> None:
        if not self._inner.is_closing():
            self._inner.write(data)

    def _fail(self, reason: str) -> None:
        # The first reason is the one that counts: behind it, everything fails.
        self._error = self._error or ConnectionAbortedError(reason)
        # OpenSSL may have an alert to send.
        self._flush()
        self._inner.close()
