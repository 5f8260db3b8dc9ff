"""The server's side of a TLS handshake: bytes in, bytes out.

Before anything is authenticated, what a client may cost is bounded. OpenSSL takes 45 KiB for the first byte of a first
message, and accepts one of 128 KiB. So that message is put together here, and OpenSSL is given it whole.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final

from ..framing import words_in
from ..values.ending import Ending, EndingCode
from ..values.fixed_limits import FIRST_READ_SIZE, TLS_CERTIFICATES_LIMIT, TLS_HANDSHAKE_LIMIT, TLS_HELLO_LIMIT
from .tls import describe_tls
from .tls_records import RECORD_HEADER, TlsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..framing import Framing
    from .tls_records import Records

HANDSHAKE: Final = 22
CLIENT_HELLO: Final = 1
MESSAGE_HEADER: Final = 4

NOT_TLS: Final = "what the client sent is not TLS"
TOO_LONG: Final = f"the client's first message takes more than {TLS_HELLO_LIMIT} bytes"


class NothingCame(ConnectionResetError):
    """The connection ended before the client sent anything."""


class Handshake:
    """One handshake.

    Args:
        context: the certificate and the rules of the server.
        incoming: from where OpenSSL reads.
        outgoing: where OpenSSL writes.
        records: what arrives behind the first message.

    Attributes:
        begun: whether anything has arrived.
        tls: OpenSSL's side of the connection, once the first message is complete.
    """

    __slots__ = ("_context", "_hello", "_incoming", "_left", "_outgoing", "_records", "begun", "tls")

    def __init__(
        self, context: ssl.SSLContext, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, records: Records
    ) -> None:
        self._context = context
        self._incoming = incoming
        self._outgoing = outgoing
        self._records = records
        self._hello: Hello | None = Hello()
        asked = context.verify_mode is not ssl.CERT_NONE
        # How many bytes more the client may send.
        self._left = TLS_CERTIFICATES_LIMIT if asked else TLS_HANDSHAKE_LIMIT
        self.begun = False
        self.tls: ssl.SSLObject

    def feed(self, data: memoryview) -> bool:
        """Take what has arrived; whether the handshake is done.

        Raises:
            TlsError: the handshake has failed. OpenSSL may have written an alert.
        """
        self.begun = True
        if self._hello is None:
            self._left -= len(data)
            self._records.add(data)
        elif (complete := self._hello.feed(data)) is not None:
            self._hello = None
            self.tls = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)
            self._records.add(complete)
        else:
            return False
        done = go_on(self.tls.do_handshake, self._incoming, self._records)
        if not done and self._left < 0:
            raise TlsError("the client's handshake is too long")
        return done


def go_on(do_handshake: Callable[[], None], incoming: ssl.MemoryBIO, records: Records) -> bool:
    """Give OpenSSL what has arrived of a handshake, from either side; whether that is done.

    OpenSSL makes room for all of a record that it has begun, and keeps the largest buffer that it ever needed. So it is
    given whole records, in small pieces.

    Args:
        do_handshake: that of OpenSSL's side of the connection.
        incoming: from where it reads.
        records: what has arrived. What is behind the handshake stays there.

    Raises:
        TlsError: the handshake has failed. OpenSSL may have written an alert.
    """
    while taken := records.take(whole=True):
        for start in range(0, len(taken), FIRST_READ_SIZE):
            end = start + FIRST_READ_SIZE
            incoming.write(taken[start:end])
            try:
                do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLError as error:
                raise TlsError(describe_tls(error)) from error
            records.put_back(incoming.read() + taken[end:])
            return True
    return False


def plain_words(error: TlsError, framing: Framing[Any]) -> bytes:
    """What a client hears, without TLS, with which TLS cannot begin: why, if it does not speak TLS."""
    if str(error) != NOT_TLS:
        return b""
    return words_in(framing, str(Ending(EndingCode.BAD_TLS, f"this port speaks TLS, and {NOT_TLS}")))


class Hello:
    """A client's first message, the ClientHello. It may be spread over any number of records."""

    __slots__ = ("_arrived", "_left", "_message", "_size", "_version")

    def __init__(self) -> None:
        self._arrived = bytearray()
        self._message = bytearray()
        # The version of the first record, and how many bytes are to come of the one that has begun.
        self._version = b""
        self._left = 0
        # How long all records are that have begun.
        self._size = 0

    def feed(self, data: bytes | memoryview) -> bytes | None:
        """Take what has arrived.

        Returns:
            Once the message is complete: the same message in one record, and what has arrived behind it. Which records
            a message came in is no part of a handshake. Before: None.

        Raises:
            TlsError: it is not TLS, or the message is too long.
        """
        arrived, message = self._arrived, self._message
        arrived += data
        announced = self._announced()
        while self._left or self._begin_record():
            body = arrived[: self._left]
            del arrived[: self._left]
            message += body
            self._left -= len(body)
            # Most records of many have a byte: no more is done for each.
            if announced is None and len(message) >= MESSAGE_HEADER:
                announced = self._announced()
            if self._left:
                break
            if announced is not None and len(message) >= announced:
                size = len(message).to_bytes(2, "big")
                return b"".join((bytes([HANDSHAKE]), self._version, size, message, arrived))
        return None

    def _begin_record(self) -> bool:
        """Take the header of the next record; False: it has not arrived."""
        arrived = self._arrived
        if arrived and arrived[0] != HANDSHAKE:
            raise TlsError(NOT_TLS)
        if len(arrived) < RECORD_HEADER:
            return False
        size = arrived[3] << 8 | arrived[4]
        if not size:
            raise TlsError("the client sent an empty TLS record")
        self._size += RECORD_HEADER + size
        if self._size > RECORD_HEADER + TLS_HELLO_LIMIT:
            raise TlsError(TOO_LONG)
        if not self._message:
            self._version = bytes(arrived[1:3])
        self._left = size
        del arrived[:RECORD_HEADER]
        return True

    def _announced(self) -> int | None:
        """How long the message says it is; None: it has not said."""
        message = self._message
        if len(message) < MESSAGE_HEADER:
            return None
        if message[0] != CLIENT_HELLO:
            raise TlsError(NOT_TLS)
        size = MESSAGE_HEADER + int.from_bytes(message[1:MESSAGE_HEADER], "big")
        if size > TLS_HELLO_LIMIT:
            raise TlsError(TOO_LONG)
        return size
