"""Where a connection can go: ports, Unix sockets, TLS; and what is said of those that cannot be reached or refuse."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hubbub
from hubbub.apps.echo import echo
from hubbub.wire.tls import TlsFileError
from hubbub.wire.tls_client import client_context

from support.certificates import CLIENT_NAME, Certificates, make_certificates
from support.helpers import eventually, idle, serving

BRIEF = hubbub.Settings(linger_time=0.2)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "hub.sock"
    listener: hubbub.Listener[str] = hubbub.Listener(endpoint=path)
    async with serving(echo, listeners=[listener]) as (server, _):
        for where in ((path,), server.addresses[0]):
            async with hubbub.connect(*where) as connection:
                assert str(connection) == str(path)
                await connection.send("Hey")
                assert await connection.receive() == "We got your message: Hey"
    with pytest.raises(FileNotFoundError):
        await hubbub.connect(path)
    with pytest.raises(ValueError, match=f"no TLS through the Unix socket {path}; leave out tls"):
        hubbub.connect(path, tls=True)


async def test_an_abstract_unix_socket() -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(b"\0hubbub-test-%d" % id(listening))
        listening.listen()
        listening.setblocking(False)
        async with hubbub.connect(*hubbub.Address.of(listening.getsockname()), settings=BRIEF) as connection:
            peer, _ = await asyncio.get_running_loop().sock_accept(listening)
            with peer:
                await connection.send("Hey")
                assert await asyncio.get_running_loop().sock_recv(peer, 100) == b"Hey\n"


async def test_each_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(echo) as (server, _):
        port = server.addresses[0].port

        async def resolve(host: str, port: int, **options: Any) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, port)) for host in ("127.0.0.2", "127.0.0.1")]

        # The first one refuses.
        with socket.socket() as refusing:
            refusing.bind(("127.0.0.2", port))
            loop = asyncio.get_running_loop()
            monkeypatch.setattr(type(loop), "getaddrinfo", lambda loop, *where, **options: resolve(*where, **options))
            async with hubbub.connect("some.name", port) as connection:
                await connection.send("Hey")
                assert await connection.receive() == "We got your message: Hey"


# Refusals.


async def refused(server: hubbub.Server[Any], **options: Any) -> hubbub.Ending:
    """How a server refuses a connection."""
    async with hubbub.connect(*server.addresses[0], **options) as connection:
        with pytest.raises(hubbub.ConnectionClosed) as closed:
            await anext(connection)
        with pytest.raises(hubbub.ConnectionClosed):
            await connection.send_many([])
        assert closed.value.ending is not None
        return closed.value.ending


@pytest.mark.parametrize("framing", [hubbub.Lines(), hubbub.ByteLines(), hubbub.Raw()])
async def test_why_a_server_refuses_is_the_ending_and_no_message(framing: Any) -> None:
    full = hubbub.Ending(hubbub.EndingCode.FULL, "server full: limit of 1 clients reached")
    async with (
        serving(settings=hubbub.Settings(clients_limit=1)) as (server, record),
        await hubbub.connect(*server.addresses[0]),
    ):
        await record.wait_for_clients(1)
        assert await refused(server, framing=framing) == full


async def test_only_what_is_all_that_a_server_says_is_a_refusal() -> None:
    async def talk(client: hubbub.Client) -> None:
        await client.send("denied: you may not come in")
        await client.receive()
        await client.send("idle: after all")

    async with serving(talk) as (server, _), hubbub.connect(*server.addresses[0], settings=BRIEF) as connection:
        # It is held back for a moment.
        assert await connection.receive() == "denied: you may not come in"
        await connection.send("May I?")
        assert [message async for message in connection] == ["idle: after all"]


async def test_what_follows_shows_at_once_that_it_was_no_refusal() -> None:
    async def talk(client: hubbub.Client) -> None:
        await client.send("full: of joy")
        await client.receive()
        await client.send("to the end")

    async with serving(talk) as (server, _), hubbub.connect(*server.addresses[0]) as connection:
        await connection.send("go on")
        assert [message async for message in connection] == ["full: of joy", "to the end"]


async def test_a_refusal_is_told_although_the_connection_then_breaks() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with hubbub.connect(*listening.getsockname()) as connection:
            peer, _ = listening.accept()
            peer.sendall(b"denied: not you\n")
            receiving = asyncio.create_task(connection.receive())
            await eventually(lambda: bool(connection._connected.link._held))  # type: ignore[attr-defined] # only dialled ones have it
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.close()
            with pytest.raises(hubbub.ConnectionClosed, match="denied: not you"):
                await receiving


# TLS.


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_and_megabytes_and_an_end_of_one_direction(
    version: ssl.TLSVersion, certificates: Certificates
) -> None:
    async def count(client: hubbub.Client[bytes]) -> None:
        size = 0
        async for piece in client:
            size += len(piece)
            await client.send(piece)
        await client.send(b"%d" % size)

    context = client_context(certificates.ca)
    context.minimum_version = context.maximum_version = version
    data = bytes(range(256)) * 8_192
    listeners = [certificates.listener()]
    async with (
        serving(count, framing=hubbub.Raw(), listeners=listeners) as (server, _),
        hubbub.connect(*server.addresses[0], tls=context, framing=hubbub.Raw()) as connection,
    ):

        async def send() -> None:
            for at in range(0, len(data), 100_000):
                await connection.send(data[at : at + 100_000])
            connection.send_end()

        sending = asyncio.create_task(send())
        heard = b"".join([piece async for piece in connection])
        await sending
        assert heard == data + b"%d" % len(data)


async def test_an_end_waits_until_what_has_arrived_is_decrypted(certificates: Certificates) -> None:
    async def talk(client: hubbub.Client[bytes]) -> None:
        await client.send(bytes(300_000))
        async for _ in client:
            pass
        await client.send(b"the end")

    context = client_context(certificates.ca)
    async with (
        serving(talk, framing=hubbub.Raw(), listeners=[certificates.listener()]) as (server, _),
        hubbub.connect(*server.addresses[0], tls=context, framing=hubbub.Raw()) as connection,
    ):
        transport: Any = connection._connected.link.transport
        await eventually(lambda: transport._records.whole > 0)
        connection.send_end()
        async with asyncio.timeout(10):
            assert b"".join([piece async for piece in connection]) == bytes(300_000) + b"the end"


async def test_a_server_that_speaks_first_and_ends_first(certificates: Certificates) -> None:
    async def greet(client: hubbub.Client) -> None:
        await client.send_many(["one", "two"])

    context = client_context(certificates.ca)
    async with (
        serving(greet, listeners=[certificates.listener()]) as (server, _),
        hubbub.connect(*server.addresses[0], tls=context) as connection,
    ):
        assert [message async for message in connection] == ["one", "two"]


@pytest.mark.parametrize("both", [True, False], ids=["one file", "two files"])
async def test_a_certificate_of_our_own_is_shown(both: bool, certificates: Certificates, tmp_path: Path) -> None:
    certificate, key = certificates.client, None
    if not both:
        pem = certificates.client.read_text()
        at = pem.index("-----BEGIN CERTIFICATE")
        certificate, key = tmp_path / "cert", tmp_path / "key"
        certificate.write_text(pem[at:])
        key.write_text(pem[:at])
    context = client_context(certificates.ca, certificate, key)
    listeners = [certificates.listener(mutual=True)]
    async with (
        serving(idle, listeners=listeners) as (server, record),
        hubbub.connect(*server.addresses[0], tls=context),
    ):
        (client,) = await record.wait_for_clients(1)
        assert client.certificate_name == CLIENT_NAME


async def test_a_server_that_wants_another_certificate_is_understood(certificates: Certificates) -> None:
    async with serving(idle, listeners=[certificates.listener(mutual=True)]) as (server, _):
        ending = await refused(server, tls=client_context(certificates.ca))
        assert ending.code is hubbub.EndingCode.BAD_TLS
        assert ending.reason.startswith("the server refused: ")


async def test_a_server_that_is_not_trusted_is_not_spoken_to(certificates: Certificates) -> None:
    async with serving(idle, listeners=[certificates.listener()]) as (server, record):
        for retry in (False, True):
            with pytest.raises(hubbub.ConnectionClosed, match="bad-tls: the TLS handshake failed: certificate verify"):
                await hubbub.connect(*server.addresses[0], tls=True, retry=retry)
        # Its certificate has the address, and not the other name.
        with pytest.raises(hubbub.ConnectionClosed, match="certificate verify failed: Hostname mismatch"):
            await hubbub.connect("localhost", server.addresses[0].port, tls=client_context(certificates.ca))
        assert not record.clients


async def test_a_server_that_speaks_no_tls_is_not_spoken_to() -> None:
    async def greet(client: hubbub.Client) -> None:
        await client.send("Hello")

    async with serving(greet) as (server, _):
        with pytest.raises(hubbub.ConnectionClosed, match="what the server sent is not TLS"):
            await hubbub.connect(*server.addresses[0], tls=True)


@pytest.mark.parametrize("clean", [True, False])
async def test_a_stream_that_tls_does_not_end_was_cut_short(clean: bool, certificates: Certificates) -> None:
    async def talk(client: hubbub.Client[bytes]) -> None:
        await client.send(b"pay 100\nto Al")
        if not clean:
            # The end of TCP alone.
            with socket.socket(fileno=os.dup(client._reader.link.descriptor)) as own:
                own.shutdown(socket.SHUT_WR)
            await client.receive()

    async with (
        serving(talk, listeners=[certificates.listener()], framing=hubbub.Raw()) as (server, _),
        hubbub.connect(*server.addresses[0], tls=client_context(certificates.ca), settings=BRIEF) as connection,
    ):
        assert await connection.receive() == "pay 100"
        if clean:
            assert await connection.receive() == "to Al"
        with pytest.raises(hubbub.ConnectionClosed) as closed:
            await connection.receive()
        ending = closed.value.ending
        cut = hubbub.Ending(hubbub.EndingCode.LOST, "the stream was cut short: TLS did not end")
        assert ending == (None if clean else cut)


async def test_a_handshake_that_breaks_off_or_takes_too_long(certificates: Certificates) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        context = client_context(certificates.ca)
        connecting = asyncio.create_task(hubbub.connect(*listening.getsockname(), tls=context).__aenter__())
        loop = asyncio.get_running_loop()
        listening.setblocking(False)
        peer, _ = await loop.sock_accept(listening)
        with peer:
            await loop.sock_recv(peer, 10_000)
        with pytest.raises(ConnectionResetError, match="the server left during the TLS handshake"):
            await connecting
        settings = hubbub.Settings(connect_time=0.1)
        with pytest.raises(TimeoutError):
            await hubbub.connect(*listening.getsockname(), tls=context, settings=settings)


BAD_FILES: list[tuple[str, Callable[[Path, Certificates], Any], str]] = [
    ("ca", lambda bad, _: (bad,), "has no certificate in PEM form"),
    ("certificate", lambda bad, files: (None, bad, files.server_key), "has no certificate in PEM form"),
    ("key", lambda bad, files: (None, files.server, bad), "has no private key in PEM form"),
]


@pytest.mark.parametrize(("part", "arguments", "complaint"), BAD_FILES, ids=[part for part, *_ in BAD_FILES])
def test_a_file_that_is_missing_or_broken_is_named(
    part: str, arguments: Any, complaint: str, certificates: Certificates, tmp_path: Path
) -> None:
    bad = tmp_path / part
    for content, message in (
        (None, f"cannot read {bad}: No such file or directory"),
        ("not PEM", f"{bad} {complaint}"),
    ):
        if content is not None:
            bad.write_text(content)
        with pytest.raises(TlsFileError, match=message) as error:
            client_context(*arguments(bad, certificates))
        assert error.value.part == part
