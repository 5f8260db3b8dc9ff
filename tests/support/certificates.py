"""Certificates, a peer that speaks TLS without hubbub, and the records of TLS, taken apart and made by hand."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import trustme

import hubbub

from support.helpers import WAIT_TIME, dial

SERVER_NAME = "hubbub.test"
CLIENT_NAME = "sensor-7"

HANDSHAKE = 22
CLIENT_HELLO = 1
CERTIFICATE = 11
KEY_SHARE = 51
"""Of the types of records, of messages and of extensions (RFC 8446, 4 and 5.1)."""


def client_hello(context: ssl.SSLContext | None = None) -> bytes:
    """The first message of a real client, as it is on the wire."""
    outgoing = ssl.MemoryBIO()
    tls = (context or ssl.create_default_context()).wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=SERVER_NAME)
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def tls_record(payload: bytes, *, version: int = 0x0301) -> bytes:
    """A record of the handshake; that version is right for a first message."""
    return struct.pack(">BHH", HANDSHAKE, version, len(payload)) + payload


def tls_message(kind: int, body: bytes, size: int | None = None) -> bytes:
    """A message of the handshake, or the beginning of one that says it has `size` bytes."""
    return bytes([kind]) + (len(body) if size is None else size).to_bytes(3, "big") + body


def fragmented(records: bytes, size: int) -> bytes:
    """The same messages of a handshake in records of at most `size` bytes."""
    payload = b""
    while records:
        end = 5 + int.from_bytes(records[3:5], "big")
        payload, records = payload + records[5:end], records[end:]
    return b"".join(tls_record(payload[start : start + size]) for start in range(0, len(payload), size))


def hello_without_key() -> bytes:
    """A first message of TLS 1.3 that a server must answer with the question for another (RFC 8446, 4.2.8)."""
    hello = client_hello()[9:]
    # Behind the version and the random bytes: the session, the ciphers, the compressions, and then the extensions.
    at = 34
    for width in (1, 2, 1):
        at += width + int.from_bytes(hello[at : at + width], "big")
    extensions, rest = b"", hello[at + 2 :]
    while rest:
        kind, size = struct.unpack(">HH", rest[:4])
        extensions += struct.pack(">HHH", kind, 2, 0) if kind == KEY_SHARE else rest[: 4 + size]
        rest = rest[4 + size :]
    return tls_record(tls_message(CLIENT_HELLO, hello[:at] + struct.pack(">H", len(extensions)) + extensions))


@dataclass(frozen=True)
class Certificates:
    """Files of PEM, all in one directory.

    Clients trust `ca`, which has issued `server` and `other`; the server trusts `client_ca`, which has issued `client`.
    The files of clients have the key too.
    """

    ca: Path
    server: Path
    server_key: Path
    other: Path
    other_key: Path
    client_ca: Path
    client: Path
    stranger: Path

    @property
    def options(self) -> tuple[str, ...]:
        """Those of `hubbub serve`."""
        return (f"--tls-cert={self.server}", f"--tls-key={self.server_key}")

    def tls(self, *, mutual: bool = False) -> hubbub.Tls:
        """How the server speaks TLS."""
        return hubbub.Tls(self.server, self.server_key, client_ca=self.client_ca if mutual else None)

    def client_context(
        self, certificate: Path | None = None, *, version: ssl.TLSVersion | None = None
    ) -> ssl.SSLContext:
        """How a client speaks TLS: with its certificate, if it has one, and in one version alone, if one is given."""
        context = ssl.create_default_context(cafile=self.ca)
        if certificate is not None:
            context.load_cert_chain(certificate)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context

    def listener(self, *, mutual: bool = False, **options: Any) -> hubbub.Listener[Any]:
        """A listener that speaks TLS, on a port of its own."""
        return hubbub.Listener(endpoint=hubbub.Address("127.0.0.1", 0), tls=self.tls(mutual=mutual), **options)


@cache
def _issue() -> dict[str, bytes]:
    """What is in the files: making keys takes time."""
    authority, clients, strangers = trustme.CA(), trustme.CA(), trustme.CA()
    blobs = {"ca": authority.cert_pem, "client_ca": clients.cert_pem}
    for name in ("server", "other"):
        certificate = authority.issue_cert(SERVER_NAME, "127.0.0.1")
        blobs |= {name: certificate.cert_chain_pems[0], f"{name}_key": certificate.private_key_pem}
    for name, issuer in (("client", clients), ("stranger", strangers)):
        blobs[name] = issuer.issue_cert(common_name=CLIENT_NAME).private_key_and_cert_chain_pem
    return {name: blob.bytes() for name, blob in blobs.items()}


def make_certificates(directory: Path) -> Certificates:
    """The files, in `directory`."""
    paths = {}
    for name, data in _issue().items():
        paths[name] = directory / f"{name}.pem"
        paths[name].write_bytes(data)
    return Certificates(**paths)


class TlsEnd:
    """One end of a TLS connection, but for what goes through its socket."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext) -> None:
        # The end of the handshake and what follows are two small writes.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=SERVER_NAME)
        self._heard = bytearray()

    def encrypted(self, data: bytes) -> bytes:
        """What stands for `data` on the wire."""
        self.tls.write(data)
        return self._outgoing.read()

    def _encrypted_end(self) -> bytes:
        # OpenSSL wants to read the other end's.
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self._outgoing.read()

    def _arrived(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _decrypt(self) -> bool | None:
        """Whether there was more to hear, and not the end; None if something must arrive first.

        Raises:
            ssl.SSLEOFError: TCP's end came without that of TLS.
        """
        try:
            data = self.tls.read(64 * 1024)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            # So it is after an end of our own.
            return False
        self._heard += data
        return bool(data)

    def _give_line(self) -> bytes:
        return self._give(self._heard.find(b"\n") + 1 or len(self._heard))

    def _give(self, size: int) -> bytes:
        given = bytes(self._heard[:size])
        del self._heard[:size]
        return given


class TlsPeer(TlsEnd):
    """The other end of a TLS connection. What it sends and hears, and when, is up to the test alone.

    Args:
        plain: a socket that is connected.
        context: how it speaks TLS.
        piece: how many bytes go through the socket at once, both ways.
    """

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, *, piece: int = 64 * 1024) -> None:
        super().__init__(plain, context)
        self.plain = plain
        self._piece = piece
        self.name = "{}:{}".format(*plain.getsockname())
        self._turnstile = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def of(
        cls,
        server: hubbub.Server[Any],
        context: ssl.SSLContext,
        *,
        receive_buffer: int | None = None,
        piece: int = 64 * 1024,
        first: bytes = b"",
        fragment: int | None = None,
    ) -> AsyncIterator[Self]:
        """A peer that has shaken hands with `server`; `first` is what it sends in plain before."""
        with await dial(server, receive_buffer=receive_buffer) as plain:
            peer = cls(plain, context, piece=piece)
            await peer.send_plain(first)
            await peer.shake_hands(fragment=fragment)
            yield peer

    async def shake_hands(self, data: bytes = b"", *, fragment: int | None = None) -> None:
        """Shake hands, and send `data` with the end; the first message in records of `fragment` bytes, if given."""
        async with asyncio.timeout(WAIT_TIME):
            if fragment is not None:
                with suppress(ssl.SSLWantReadError):
                    self.tls.do_handshake()
                await self.send_plain(fragmented(self._outgoing.read(), fragment))
            while True:
                try:
                    self.tls.do_handshake()
                except ssl.SSLWantReadError:
                    await self._take()
                else:
                    self.tls.write(data)
                    await self._flush()
                    return

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(WAIT_TIME):
            view = memoryview(data)
            while view:
                view = view[self.tls.write(view[: 64 * 1024]) :]
                await self._flush()

    async def send_plain(self, data: bytes) -> None:
        """Send bytes as they are."""
        async with asyncio.timeout(WAIT_TIME), self._turnstile:
            for start in range(0, len(data), self._piece):
                await asyncio.get_running_loop().sock_sendall(self.plain, data[start : start + self._piece])

    async def end(self) -> None:
        """Say by TLS's own end that nothing more comes; the other direction stays open."""
        await self.send_plain(self._encrypted_end())

    def cut(self) -> None:
        """End the TCP stream; the other direction stays open."""
        self.plain.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Reset the connection, as a peer does that has crashed."""
        self.plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.plain.close()

    async def line(self) -> bytes:
        """The next line; what there is, if the stream ends first."""
        async with asyncio.timeout(WAIT_TIME):
            while b"\n" not in self._heard and await self._hear():
                pass
        return self._give_line()

    async def exactly(self, size: int) -> bytes:
        async with asyncio.timeout(WAIT_TIME):
            while len(self._heard) < size and await self._hear():
                pass
        return self._give(size)

    async def rest(self) -> bytes:
        """All that comes until TLS's own end."""
        async with asyncio.timeout(WAIT_TIME):
            while await self._hear():
                pass
        return self._give(len(self._heard))

    async def tcp_ends(self) -> None:
        """Wait for the end of the TCP stream."""
        async with asyncio.timeout(WAIT_TIME):
            while await asyncio.get_running_loop().sock_recv(self.plain, 64 * 1024):
                pass

    async def _hear(self) -> bool:
        """Hear more; False at the end."""
        while (more := self._decrypt()) is None:
            await self._take()
        return more

    async def _take(self) -> None:
        await self._flush()
        self._arrived(await asyncio.get_running_loop().sock_recv(self.plain, self._piece))

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self.send_plain(self._outgoing.read())
