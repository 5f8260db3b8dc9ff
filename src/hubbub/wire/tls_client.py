"""TLS on the side that dials: the same transport, another handshake, and an end of one direction only."""

from __future__ import annotations

import ssl
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .state import State
from .tls import load_authorities, load_certificate
from .tls_handshake import HANDSHAKE, go_on
from .tls_records import TlsError
from .tls_transport import TlsTransport

if TYPE_CHECKING:
    import asyncio

    from .link import Link
    from .tls_records import Records

ALERT: Final = 21
"""The type of a record that says why a handshake has failed (RFC 8446, 5.1)."""


class TlsFailed(ConnectionAbortedError):
    """TLS with the server cannot begin or go on; the message says why. Another try would end in the same way."""


def client_context(
    ca: str | Path | None = None, certificate: str | Path | None = None, key: str | Path | None = None
) -> ssl.SSLContext:
    """How to speak TLS with servers whose certificates are verified.

    Args:
        ca: a PEM file with the authorities to trust; None: those that the system trusts.
        certificate: a PEM file with a certificate to show to servers.
        key: a PEM file with its private key; None: the key is in the file of the certificate.

    Raises:
        TlsFileError: a file cannot be read, or is not what it should be; the message names it.
    """
    context = ssl.create_default_context() if ca is None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca is not None:
        load_authorities(context, Path(ca), "ca")
    if certificate is not None:
        load_certificate(context, Path(certificate), Path(key) if key is not None else None)
    return context


class ClientTlsTransport(TlsTransport):
    """TLS between the link of a dialled connection and its transport.

    Args:
        link: the user of the connection.
        context: the rules of this side.
        name: the server's name, which its certificate must have.
        loop: the event loop.
    """

    __slots__ = ("_said_end", "_shaking")

    _tls: Any

    def __init__(self, link: Link[Any], context: ssl.SSLContext, name: str, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(link, context, None, loop)
        tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self._shaking = _ClientHandshake(tls, self._incoming, self._records)
        self._handshake = self._shaking  # type: ignore[assignment] # it does what that of a server does
        self._said_end = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._shaking.begin()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._error is not None:
            # What fails is told from the side of a server.
            self._error = TlsFailed(str(self._error).replace("the client", "the server"))
        elif not self.handshaken.done():
            exc = exc or ConnectionResetError("the server left during the TLS handshake")
        super().connection_lost(exc)

    def _decrypt(self) -> None:
        super()._decrypt()
        if self._finishing and not (self._said_end or self._ended):
            self._encrypt()

    def _end(self) -> None:
        if self._closing or self._link.state is State.FINISHING:
            super()._end()
        elif not (self._said_end or self._records.whole):
            # TLS's own end, of this direction alone (RFC 8446, 6.1). OpenSSL then looks for the server's end, and takes
            # data for an error: so there must be none.
            self._said_end = True
            with suppress(ssl.SSLError):
                self._tls.unwrap()
            self._flush()


class _ClientHandshake:
    """The handshake as `TlsTransport` drives it."""

    __slots__ = ("_incoming", "_records", "begun", "tls")

    def __init__(self, tls: ssl.SSLObject, incoming: ssl.MemoryBIO, records: Records) -> None:
        self._incoming = incoming
        self._records = records
        self.begun = False
        self.tls = _HalfClosing(tls)

    def begin(self) -> None:
        """Write the first message."""
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()

    def feed(self, data: memoryview) -> bool:
        """Take what has arrived; whether the handshake is done.

        Raises:
            TlsError: it has failed. OpenSSL may have written an alert.
        """
        begun, self.begun = self.begun, True
        if not begun and data[0] not in (HANDSHAKE, ALERT):
            raise TlsError("what the server sent is not TLS")
        self._records.add(data)
        return go_on(self.tls.do_handshake, self._incoming, self._records)


class _HalfClosing:
    """OpenSSL's side of a connection that is read on after its own end: the server's end is `b""` then, too."""

    __slots__ = ("_tls", "do_handshake", "getpeercert", "pending", "unwrap", "write")

    def __init__(self, tls: ssl.SSLObject) -> None:
        self._tls = tls
        self.do_handshake, self.unwrap = tls.do_handshake, tls.unwrap
        self.pending, self.write, self.getpeercert = tls.pending, tls.write, tls.getpeercert

    def read(self, size: int) -> bytes:
        try:
            return self._tls.read(size)
        except ssl.SSLZeroReturnError:
            return b""
