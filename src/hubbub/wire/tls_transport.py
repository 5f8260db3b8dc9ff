"""TLS between a link and its transport.

OpenSSL works on memory here, and only what the socket takes is encrypted: so a client that stands still costs no more
than without TLS, `patience` sees what its socket takes, and no read is larger than asked for. The transports of asyncio
and uvloop buffer on their own account.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any, Final, cast

from ..values.settings import FIRST_READ_SIZE, READ_SIZE, TLS_PIECE_SIZE, TLS_REPLIES_LIMIT
from .scratch import scratch
from .tls import describe_tls, name_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .link import Link

HANDSHAKE_RECORD: Final = 22
RECORD_HEADER: Final = 5
RECORD_LIMIT: Final = 16 * 1024
"""The longest record (RFC 8446, 5.1), and so the longest first message of a client: real ones take up to 2 KiB. OpenSSL
makes room for what one announces, up to 128 KiB."""

HELLO_HEADER: Final = 4


class TlsTransport(asyncio.BufferedProtocol, asyncio.Transport):
    """The protocol of a TCP transport, and the transport of a link, which it is given once the handshake is done.

    Args:
        link: what speaks over it.
        context: what OpenSSL needs to know.
        allowance: how many bytes behind the handshake are read before `open`; None: any number.
        loop: the event loop.

    Attributes:
        handshaken: is done when the handshake is; it has the exception, if the handshake failed.
    """

    __slots__ = (
        "_allowance",
        "_blocked",
        "_closing",
        "_context",
        "_ended",
        "_error",
        "_finishing",
        "_hello",
        "_incoming",
        "_inner",
        "_link",
        "_loop",
        "_outgoing",
        "_paused",
        "_reading",
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
        # The first record, until it is complete: OpenSSL takes tens of KiB for the first byte of one.
        self._hello = bytearray()
        self._context: ssl.SSLContext | None = context
        self._tls: ssl.SSLObject
        self._inner: asyncio.Transport
        self._unsent: list[memoryview] = []
        self._error: Exception | None = None
        # Whether the socket takes nothing now, and whether the link knows.
        self._blocked = False
        self._paused = False
        # Whether the link wants to read.
        self._reading = True
        # Whether the stream is to end behind what is unsent, the connection too, and whether the stream has ended.
        self._finishing = False
        self._closing = False
        self._ended = False
        self.handshaken: asyncio.Future[None] = loop.create_future()

    def open(self) -> None:
        """Read on, however much comes."""
        self._allowance = None
        self.resume_reading()

    # What the TCP transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._inner = cast("asyncio.Transport", transport)
        self._inner.set_write_buffer_limits(high=0)

    def get_buffer(self, sizehint: int) -> memoryview:
        let_in = self._allowance is None and self.handshaken.done()
        return scratch.view[: READ_SIZE if let_in else FIRST_READ_SIZE]

    def buffer_updated(self, nbytes: int) -> None:
        if self._ended or self._link.at_end:
            # Behind TLS's own end comes nothing that counts (RFC 8446, 6.1).
            return
        if self._context is not None:
            self._hello += scratch.view[:nbytes]
            self._begin(self._context)
            return
        self._incoming.write(scratch.view[:nbytes])
        if not self.handshaken.done():
            self._shake_hands()
        else:
            self._decrypt()

    def eof_received(self) -> bool:
        if self._ended:
            self._link.eof_received()
        elif self.handshaken.done():
            # What has arrived may not be decrypted yet, TLS's own end among it.
            self._incoming.write_eof()
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
            self.handshaken.set_exception(error or ConnectionResetError("the client left during the handshake"))
        elif not self.handshaken.cancelled():
            self._link.connection_lost(error)

    # What the link asks for.

    def write(self, data: Any) -> None:
        self.writelines((data,))

    def writelines(self, list_of_data: Iterable[Any]) -> None:
        buffers = [memoryview(data) for data in list_of_data if data]
        if len(buffers) > 1 and sum(map(len, buffers)) <= TLS_PIECE_SIZE:
            # Each would be a record and a system call of its own.
            buffers = [memoryview(b"".join(buffers))]
        self._unsent += buffers
        self._encrypt()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """It always pauses at the first byte that the socket does not take."""

    def get_write_buffer_size(self) -> int:
        return sum(map(len, self._unsent)) + self._inner.get_write_buffer_size()

    def pause_reading(self) -> None:
        self._reading = False
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        self._reading = True
        if self._allowance != 0:
            self._inner.resume_reading()
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
        """Also "certificate_name": that of the peer's verified certificate, if it has shown one."""
        if name == "certificate_name":
            return name_in(self._tls.getpeercert())
        return self._inner.get_extra_info(name, default)

    # What OpenSSL does.

    def _begin(self, context: ssl.SSLContext) -> None:
        """Begin the handshake, once the client's first message is complete. It must be in one record (RFC 8446, 5)."""
        hello = self._hello
        headers = len(hello) >= RECORD_HEADER + HELLO_HEADER
        size = int.from_bytes(hello[3:RECORD_HEADER], "big")
        announced = int.from_bytes(hello[RECORD_HEADER + 1 : RECORD_HEADER + HELLO_HEADER], "big")
        if hello[0] != HANDSHAKE_RECORD or (headers and not announced + HELLO_HEADER <= size <= RECORD_LIMIT):
            self._fail(ssl.SSLError("it begins with no TLS handshake"))
        elif headers and len(hello) >= RECORD_HEADER + size:
            self._context = None
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
            self._incoming.write(hello)
            self._hello = bytearray()
            self._shake_hands()

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._fail(error)
        else:
            self._flush()
            self.handshaken.set_result(None)
            self._link.connection_made(self)
            self._decrypt()

    def _spend(self, size: int) -> None:
        if self._allowance is not None:
            self._allowance = max(0, self._allowance - size)
            if not self._allowance:
                self._inner.pause_reading()

    def _decrypt(self) -> None:
        try:
            while self._reading and self._allowance != 0 and not (self._ended or self._link.at_end or self._link.lost):
                size = READ_SIZE if self._allowance is None else min(FIRST_READ_SIZE, self._allowance)
                if data := self._tls.read(size):
                    self._spend(len(data))
                    self._link.data_received(data)
                else:
                    self._link.eof_received()
        except ssl.SSLEOFError:
            # Without TLS's own end, it may be that somebody has cut the stream short (RFC 8446, 6.1).
            self._inner.abort()
        except ssl.SSLWantReadError:
            # A peer may ask for something, such as new keys (RFC 8446, 4.6.3).
            self._flush()
            if self._inner.get_write_buffer_size() > TLS_REPLIES_LIMIT:
                self._error = ConnectionAbortedError("the client asks for new keys and does not take them")
                self._inner.abort()
        except ssl.SSLError as error:
            self._fail(error)

    def _encrypt(self) -> None:
        try:
            while self._unsent and not self._blocked:
                # One write: some versions of asyncio forget to pause after `writelines` (CVE-2024-12254).
                self._send(b"".join(self._records()))
        except ssl.SSLError as error:
            self._fail(error)
            return
        if self._finishing and not self._unsent:
            self._end()
        self._tell_link()

    def _records(self) -> list[bytes]:
        """The first records of what is unsent."""
        records: list[bytes] = []
        size = RECORD_LIMIT if self._allowance is None else FIRST_READ_SIZE
        while self._unsent and len(records) < TLS_PIECE_SIZE // RECORD_LIMIT:
            # Not all at once: OpenSSL keeps, for good, the room that it once took.
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
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                # It waits for the peer's end, which is not worth it (RFC 8446, 6.1).
                self._flush()
            else:
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

    def _fail(self, error: ssl.SSLError) -> None:
        self._error = ConnectionAbortedError(describe_tls(error))
        # OpenSSL may have an alert to say.
        self._flush()
        self._inner.close()
