"""Certificates, and a peer that speaks TLS without hubbub."""

from __future__ import annotations

import asyncio
import socket
import ssl
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


@dataclass(frozen=True)
class Certificates:
    """Files of PEM, all in one directory.

    Attributes:
        ca: whom clients trust.
        server: the server's certificate.
        server_key: its key.
        other: another one for the server, of the same authority.
        other_key: its key.
        client_ca: whose clients the server trusts.
        client: a client's certificate and its key, in one file.
        stranger: those of a client whom the server does not trust.
    """

    ca: Path
    server: Path
    server_key: Path
    other: Path
    other_key: Path
    client_ca: Path
    client: Path
    stranger: Path

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
    server, other = authority.issue_cert(SERVER_NAME), authority.issue_cert(SERVER_NAME)
    client = clients.issue_cert(common_name=CLIENT_NAME)
    stranger = strangers.issue_cert(common_name=CLIENT_NAME)
    return {
        "ca": authority.cert_pem.bytes(),
        "server": server.cert_chain_pems[0].bytes(),
        "server_key": server.private_key_pem.bytes(),
        "other": other.cert_chain_pems[0].bytes(),
        "other_key": other.private_key_pem.bytes(),
        "client_ca": clients.cert_pem.bytes(),
        "client": client.private_key_and_cert_chain_pem.bytes(),
        "stranger": stranger.private_key_and_cert_chain_pem.bytes(),
    }


def make_certificates(directory: Path) -> Certificates:
    """The files, in `directory`."""
    paths = {}
    for name, data in _issue().items():
        paths[name] = directory / f"{name}.pem"
        paths[name].write_bytes(data)
    return Certificates(**paths)


class TlsPeer:
    """The other end of a TLS connection. What it sends and hears, and when, is up to the test alone.

    Args:
        plain: a socket that is connected.
        context: how it speaks TLS.
        piece: how many bytes go through the socket at once, both ways.

    Attributes:
        plain: the socket.
        tls: what OpenSSL knows of the connection.
        name: its address and port, as the server sees them.
    """

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, *, piece: int = 64 * 1024) -> None:
        self.plain = plain
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._piece = piece
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=SERVER_NAME)
        self.name = "{}:{}".format(*plain.getsockname())
        self._heard = bytearray()
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
    ) -> AsyncIterator[Self]:
        """A peer that has shaken hands.

        Args:
            server: with which.
            context: how it speaks TLS.
            receive_buffer: what its kernel holds for it, in bytes.
            piece: how many bytes go through its socket at once.
            first: what it sends in plain before.
        """
        with await dial(server, receive_buffer=receive_buffer) as plain:
            peer = cls(plain, context, piece=piece)
            await peer.send_plain(first)
            await peer.shake_hands()
            yield peer

    async def shake_hands(self, data: bytes = b"") -> None:
        """Shake hands, and send `data` together with the end of that."""
        async with asyncio.timeout(WAIT_TIME):
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
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        await self._flush()

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
        return self._give(self._heard.find(b"\n") + 1 or len(self._heard))

    async def exactly(self, size: int) -> bytes:
        async with asyncio.timeout(WAIT_TIME):
            while len(self._heard) < size and await self._hear():
                pass
        return self._give(size)

    async def rest(self) -> bytes:
        """All that comes until TLS's own end.

        Raises:
            ssl.SSLEOFError: TCP's end came without it.
        """
        async with asyncio.timeout(WAIT_TIME):
            while await self._hear():
                pass
        return self._give(len(self._heard))

    async def tcp_ends(self) -> None:
        """Wait for the end of the TCP stream."""
        async with asyncio.timeout(WAIT_TIME):
            while await asyncio.get_running_loop().sock_recv(self.plain, 64 * 1024):
                pass

    def _give(self, size: int) -> bytes:
        given = bytes(self._heard[:size])
        del self._heard[:size]
        return given

    async def _hear(self) -> bool:
        """Hear more; False at the end."""
        while True:
            try:
                data = self.tls.read(64 * 1024)
            except ssl.SSLWantReadError:
                await self._take()
            except ssl.SSLZeroReturnError:
                return False
            else:
                self._heard += data
                return bool(data)

    async def _take(self) -> None:
        await self._flush()
        data = await asyncio.get_running_loop().sock_recv(self.plain, self._piece)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self.send_plain(self._outgoing.read())
