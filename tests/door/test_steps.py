"""What a connection has to do before it is a client: a PROXY header, a TLS handshake, a secret; and what it may not."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

import hubbub
from hubbub.door.arrival import Arrival, Refused
from hubbub.door.steps import open_plain
from hubbub.wire.link import Link

from support.certificates import Certificates, TlsPeer, make_certificates
from support.helpers import Peer, Record, eventually, serving, transport_of, unread

KIB = 1024

SOURCE = hubbub.Address("192.0.2.7", 4711)
"""Of a block for documentation (RFC 5737)."""

OURS = hubbub.Networks(["127.0.0.0/8"])
"""Where the tests' peers come from."""

SECRET = "open sesame"


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


@pytest.fixture
def secret(tmp_path: Path) -> hubbub.SharedSecret:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    return hubbub.SharedSecret(path)


def listener(**options: Any) -> hubbub.Listener[Any]:
    """A listener on a port of its own."""
    return hubbub.Listener(endpoint=hubbub.Address("127.0.0.1", 0), **options)


def v1(source: hubbub.Address = SOURCE) -> bytes:
    family = "TCP6" if ":" in source.host else "TCP4"
    return f"PROXY {family} {source.host} {source.host} {source.port} 5000\r\n".encode()


def v2(source: hubbub.Address | None = SOURCE, *, extra: bytes = b"") -> bytes:
    if source is None:
        body, command, family = b"", 0x20, 0
    else:
        packed = ip_address(source.host).packed
        body = packed + packed + struct.pack("!HH", source.port, 5000)
        command, family = 0x21, 0x21 if ":" in source.host else 0x11
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", command, family, len(body + extra)) + body + extra


async def idle(client: hubbub.Client[Any]) -> None:
    async for _ in client:
        pass


# PROXY headers.


@pytest.mark.parametrize("header", [v1(), v2(), v2(extra=b"\x04\x00\x64" + b"\0" * 100)])
async def test_a_trusted_proxy_says_whose_the_connection_is(header: bytes) -> None:
    async with serving(listeners=[listener(proxies=OURS)]) as (server, record), Peer.of(server) as peer:
        await peer.send(header)
        (client,) = await record.wait_for_clients(1)
        assert (client.name, client.address, client.port) == (str(SOURCE), *SOURCE)
        await server.broadcast("Hey")
        assert await peer.line() == b"Hey\n"


@pytest.mark.parametrize("kind", [v1, v2])
async def test_the_address_of_the_client_may_be_one_of_ipv6(kind: Any) -> None:
    source = hubbub.Address("2001:db8::7", 4711)
    async with serving(listeners=[listener(proxies=OURS)]) as (server, record), Peer.of(server) as peer:
        await peer.send(kind(source))
        (client,) = await record.wait_for_clients(1)
        assert client.name == "[2001:db8::7]:4711"
        assert (client.address, client.port) == source


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", v2(None)])
async def test_a_proxy_that_speaks_for_itself_has_its_own_address(header: bytes) -> None:
    async with serving(listeners=[listener(proxies=OURS)]) as (server, record), Peer.of(server) as peer:
        await peer.send(header)
        (client,) = await record.wait_for_clients(1)
        assert client.name == peer.name


@pytest.mark.parametrize("header", [v1(), v2()])
async def test_a_header_may_come_in_pieces_and_what_is_behind_it_is_not_lost(header: bytes) -> None:
    async with (
        serving(listeners=[listener(proxies=OURS)]) as (server, record),
        Peer.of(server) as one,
        Peer.of(server) as other,
    ):
        await one.send(header + b"in one\npie")
        await one.send(b"ce\n")
        await record.wait_for_clients(1)
        stream = header + b"in many\npieces\n"
        for at in range(len(stream)):
            await other.send(stream[at : at + 1])
            # The server has its turn.
            await asyncio.sleep(0)
        await record.wait_for_clients(2)
        await eventually(lambda: record.received_from[str(SOURCE)] == ["in one", "piece", "in many", "pieces"])


@pytest.mark.parametrize("start", [b"Hey\n", b"\n", b"PROXY nonsense\r\n", b"\r\n\r\nHey\n"])
async def test_a_trusted_proxy_without_a_header_is_refused_and_told(start: bytes) -> None:
    record = Record()
    async with (
        serving(listeners=[listener(proxies=OURS)], observer=record) as (server, _),
        Peer.of(server) as peer,
    ):
        await peer.send(start)
        (refusal,) = await record.wait_for_refusals()
        assert refusal.code is hubbub.EndingCode.BAD_PROXY
        assert await peer.rest() == f"{refusal.reason}\n".encode()
        assert "PROXY" in refusal.reason
        assert record.refusals[0][0] == hubbub.Address.parse(peer.name)
        assert server.statistics() == hubbub.Statistics(
            clients=0, rooms=1, accepted=1, endings={hubbub.EndingCode.BAD_PROXY: 1}, slowed=0
        )
        assert not record.clients


async def test_a_proxy_that_leaves_before_its_header() -> None:
    record = Record()
    async with serving(listeners=[listener(proxies=OURS)], observer=record) as (server, _):
        async with Peer.of(server) as peer:
            await peer.send(v1()[:10])
            peer.end()
            assert await peer.rest() == b"the connection ended before its PROXY header\n"
        async with Peer.of(server) as peer:
            await peer.send(v1()[:10])
            await eventually(lambda: server.statistics().accepted == 2)
            peer.reset()
            refusals = await record.wait_for_refusals(2)
    assert [refusal.code for refusal in refusals] == [hubbub.EndingCode.BAD_PROXY, hubbub.EndingCode.LOST]
    assert "reset" in refusals[1].reason.lower()


async def test_a_header_that_comes_too_late() -> None:
    record = Record()
    settings = hubbub.Settings(handshake_time=0.2)
    async with (
        serving(listeners=[listener(proxies=OURS)], observer=record, settings=settings) as (server, _),
        Peer.of(server) as peer,
    ):
        await peer.send(v1()[:10])
        assert await record.wait_for_refusals() == [hubbub.Ending(hubbub.EndingCode.LATE, "not let in within 0.2 s")]
        assert await peer.rest() == b""


async def test_the_header_of_one_who_is_no_trusted_proxy_is_just_a_message() -> None:
    elsewhere = hubbub.Networks(["192.0.2.0/24"])
    async with serving(listeners=[listener(proxies=elsewhere)]) as (server, record), Peer.of(server) as peer:
        await peer.send(v1() + b"Hey\n")
        (client,) = await record.wait_for_clients(1)
        assert client.name == peer.name
        await eventually(lambda: record.received_from[peer.name] == [v1().decode().removesuffix("\r\n"), "Hey"])


async def test_limits_and_access_count_the_real_address_and_not_that_of_the_proxy() -> None:
    record = Record()
    settings = hubbub.Settings(clients_per_address=1, clients_per_subnet=2)
    access = hubbub.Access(allow=["192.0.2.0/24", "198.51.100.0/24"], deny=["192.0.2.66"])
    async with (
        serving(idle, listeners=[listener(proxies=OURS, access=access)], settings=settings, observer=record) as (
            server,
            _,
        ),
        Peer.of(server) as one,
        Peer.of(server) as two,
    ):

        async def refused(host: str) -> bytes:
            async with Peer.of(server) as peer:
                await peer.send(v1(hubbub.Address(host, 1)))
                return await peer.rest()

        await one.send(v1(hubbub.Address("192.0.2.1", 1)))
        await record.wait_for_clients(1)
        assert await refused("192.0.2.1") == b"192.0.2.1 has its 1 clients\n"
        await two.send(v1(hubbub.Address("192.0.2.2", 1)))
        await record.wait_for_clients(2)
        assert await refused("192.0.2.3") == b"192.0.2.0/24 has its 2 clients\n"
        assert await refused("192.0.2.66") == b"192.0.2.66 may not connect here\n"
        assert await refused("203.0.113.1") == b"203.0.113.1 may not connect here\n"
        codes = [ending.code for ending in await record.wait_for_refusals(4)]
        assert codes == [hubbub.EndingCode.CROWDED] * 2 + [hubbub.EndingCode.DENIED] * 2
        assert [str(address) for address, _ in record.refusals] == [
            *("192.0.2.1:1", "192.0.2.3:1", "192.0.2.66:1", "203.0.113.1:1")
        ]
        # Whoever has gone counts no more.
        one.end()
        await record.wait_for_endings()
        await eventually(lambda: server.statistics().clients == 1)
        async with Peer.of(server) as again:
            await again.send(v1(hubbub.Address("192.0.2.1", 2)))
            await record.wait_for_clients(3)


async def test_a_header_before_tls_and_a_secret(certificates: Certificates, secret: hubbub.SharedSecret) -> None:
    options: dict[str, Any] = {"proxies": OURS, "authenticate": secret}
    context = certificates.client_context()
    async with (
        serving(listeners=[certificates.listener(**options), listener(**options)]) as (server, record),
        TlsPeer.of(server, context, first=v1()) as peer,
    ):
        await peer.send(f"{SECRET}\nHey\n".encode())
        (client,) = await record.wait_for_clients(1)
        assert client.name == str(SOURCE)
        with socket.create_connection(server.addresses[1]) as plain:
            plain.sendall(v2(hubbub.Address("192.0.2.8", 1)) + f"{SECRET}\nHo\n".encode())
            assert (await record.wait_for_clients(2))[1].name == "192.0.2.8:1"
            assert await peer.line() == b"Ho\n"


async def test_in_tls_nobody_is_told_in_plain(certificates: Certificates) -> None:
    record = Record()
    access = hubbub.Access(deny=["192.0.2.0/24"])
    tls_listener = certificates.listener(proxies=OURS, access=access)
    async with serving(listeners=[tls_listener], observer=record) as (server, _):
        for header in (v1(), b"Hey\n"):
            async with Peer.of(server) as peer:
                await peer.send(header)
                assert await peer.rest() == b""
        codes = [ending.code for ending in await record.wait_for_refusals(2)]
        assert codes == [hubbub.EndingCode.DENIED, hubbub.EndingCode.BAD_PROXY]


# Whether a client may come in.


async def riddle(arrival: hubbub.Arrival) -> bool:
    """Asks for the double of a number."""
    await arrival.send("21?")
    return await arrival.receive() == "42"


@pytest.mark.parametrize("secure", [False, True])
async def test_authentication_may_be_a_dialogue(certificates: Certificates, secure: bool) -> None:
    record = Record()
    chosen = (certificates.listener if secure else listener)(authenticate=riddle)
    context = certificates.client_context()
    async with serving(listeners=[chosen], observer=record) as (server, _):
        for answer in (b"42\n", b"43\n"):
            async with TlsPeer.of(server, context) if secure else Peer.of(server) as peer:
                assert await peer.line() == b"21?\n"
                await peer.send(answer)
                if answer == b"42\n":
                    await record.wait_for_clients(1)
                    await server.broadcast("Hey")
                    assert await peer.line() == b"Hey\n"
                else:
                    assert await peer.rest() == b"not authenticated\n"
        assert await record.wait_for_refusals() == [
            hubbub.Ending(hubbub.EndingCode.UNAUTHENTICATED, "not authenticated")
        ]
        assert len(record.clients) == 1
        assert server.statistics().endings[hubbub.EndingCode.UNAUTHENTICATED] == 1


async def test_until_it_is_let_in_a_connection_is_no_client_and_hears_nothing() -> None:
    go = asyncio.Event()
    asked: list[hubbub.Arrival] = []

    async def wait(arrival: hubbub.Arrival) -> bool:
        asked.append(arrival)
        await go.wait()
        return True

    async with serving(listeners=[listener(authenticate=wait)]) as (server, record), Peer.of(server) as peer:
        await peer.send(b"Hey\n")
        await eventually(lambda: bool(asked))
        await server.broadcast("not for strangers")
        assert not server.clients
        assert not server.root.clients
        assert str(asked[0]) == asked[0].name == peer.name
        assert (asked[0].address, asked[0].certificate_name) == ("127.0.0.1", None)
        assert not record.clients
        assert server.statistics() == hubbub.Statistics(clients=0, rooms=1, accepted=1, endings={}, slowed=0)
        go.set()
        (client,) = await record.wait_for_clients(1)
        assert client.name == peer.name
        assert server.clients == server.root.clients == {client}
        await server.broadcast("Welcome")
        assert await peer.line() == b"Welcome\n"
        await eventually(lambda: record.received_from[peer.name] == ["Hey"])


async def test_an_authentication_that_raises_is_logged_and_refuses(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(arrival: hubbub.Arrival) -> bool:
        raise LookupError("no directory")

    async with serving(listeners=[listener(authenticate=broken)]) as (server, record), Peer.of(server) as peer:
        assert await peer.rest() == b"not authenticated\n"
        assert server.statistics().endings == {hubbub.EndingCode.UNAUTHENTICATED: 1}
        assert not record.clients
    (error,) = [entry for entry in caplog.records if entry.name == "hubbub" and entry.levelno >= logging.WARNING]
    assert error.getMessage() == f"{peer.name} cannot be authenticated"
    assert error.exc_info


@pytest.mark.parametrize("secure", [False, True])
async def test_who_takes_too_long_is_told(certificates: Certificates, secure: bool) -> None:
    record = Record()
    chosen = (certificates.listener if secure else listener)(authenticate=riddle)
    settings = hubbub.Settings(handshake_time=0.3)
    async with (
        serving(listeners=[chosen], observer=record, settings=settings) as (server, _),
        TlsPeer.of(server, certificates.client_context()) if secure else Peer.of(server) as peer,
    ):
        assert await peer.rest() == b"21?\nnot let in within 0.3 s\n"
        assert await record.wait_for_refusals() == [hubbub.Ending(hubbub.EndingCode.LATE, "not let in within 0.3 s")]
        assert server.statistics().endings == {hubbub.EndingCode.LATE: 1}


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("how", ["end", "reset"])
async def test_a_client_that_leaves_meanwhile_is_no_failure(
    certificates: Certificates, how: str, secure: bool, caplog: pytest.LogCaptureFixture
) -> None:
    record = Record()
    chosen = (certificates.listener if secure else listener)(authenticate=riddle)
    context = certificates.client_context()
    async with serving(listeners=[chosen], observer=record) as (server, _):
        async with TlsPeer.of(server, context) if secure else Peer.of(server) as peer:
            assert await peer.line() == b"21?\n"
            if how == "end":
                if isinstance(peer, Peer):
                    peer.end()
                else:
                    await peer.end()
                assert await peer.rest() == b"not authenticated\n"
            else:
                peer.reset()
            (refusal,) = await record.wait_for_refusals()
        expected = hubbub.EndingCode.UNAUTHENTICATED if how == "end" else hubbub.EndingCode.LOST
        assert refusal.code is expected
        assert not record.clients
        assert not record.ended_clients
    assert not [entry for entry in caplog.records if entry.name == "hubbub" and entry.levelno >= logging.WARNING]


async def test_one_that_has_left_is_not_let_in_whatever_the_answer_is() -> None:
    asked = asyncio.Event()
    record = Record()

    async def hesitate(arrival: hubbub.Arrival) -> bool:
        asked.set()
        await arrival.link.wait_closed()
        return True

    async with serving(listeners=[listener(authenticate=hesitate)], observer=record) as (server, _):
        async with Peer.of(server) as peer:
            await asked.wait()
            peer.reset()
            (refusal,) = await record.wait_for_refusals()
        assert refusal.code is hubbub.EndingCode.LOST
        assert not record.clients


async def test_an_authentication_may_close_the_connection_itself() -> None:
    record = Record()

    async def shut(arrival: hubbub.Arrival) -> bool:
        await arrival.send("closed today")
        arrival.close("closed today")
        return True

    settings = hubbub.Settings(linger_time=0.05)
    async with (
        serving(listeners=[listener(authenticate=shut)], observer=record, settings=settings) as (server, _),
        Peer.of(server) as peer,
    ):
        assert await peer.rest() == b"closed today\n"
        assert await record.wait_for_refusals() == [hubbub.Ending(hubbub.EndingCode.CLOSED, "closed today")]


async def test_the_secret_is_the_first_message(secret: hubbub.SharedSecret) -> None:
    async with serving(listeners=[listener(authenticate=secret)]) as (server, record):
        async with Peer.of(server) as peer:
            await peer.send(b"close sesame\n" + SECRET.encode() + b"\n")
            assert await peer.rest() == b"not authenticated\n"
        async with Peer.of(server) as peer, Peer.of(server) as other:
            for one in (peer, other):
                await one.send(f"{SECRET}\r\n".encode())
            clients = await record.wait_for_clients(2)
            await peer.send(b"Hey\n")
            assert await other.line() == b"Hey\n"
            # The observer does not hear it; it has been read all the same.
            assert dict(record.received_from) == {peer.name: ["Hey"]}
            assert {client.name: client.messages_received for client in clients} == {peer.name: 2, other.name: 1}


async def test_a_server_that_closes_does_not_wait_for_a_secret(secret: hubbub.SharedSecret) -> None:
    loop = asyncio.get_running_loop()
    async with serving(listeners=[listener(authenticate=secret)]) as (server, record), Peer.of(server) as peer:
        await eventually(lambda: server.statistics().accepted == 1)
        start = loop.time()
        await server.close()
        assert loop.time() - start < 3
        assert not record.clients
        assert not record.ended_clients
        assert server.statistics().clients == 0
        peer.end()


# How much is read before.


async def settled(arrival: hubbub.Arrival[Any]) -> int:
    """What the kernel has for the server, once that is all that it will get."""
    before = -1
    while before != (before := unread(arrival)):  # noqa: ASYNC110 (there is no event)
        await asyncio.sleep(0.1)
    return before


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("limit", [KIB, 16 * KIB])
async def test_g5_of_a_stranger_only_so_many_bytes_are_read(
    certificates: Certificates, secure: bool, limit: int
) -> None:
    go = asyncio.Event()
    asked: list[hubbub.Arrival[bytes]] = []

    async def wait(arrival: hubbub.Arrival[bytes]) -> bool:
        asked.append(arrival)
        await go.wait()
        return True

    chosen = (certificates.listener if secure else listener)(authenticate=wait)
    settings = hubbub.Settings(unauthenticated_limit=limit)
    said = b"".join([b"%0999d\n" % number for number in range(100)])
    async with (
        serving(listeners=[chosen], settings=settings, framing=hubbub.ByteLines()) as (server, record),
        TlsPeer.of(server, certificates.client_context()) if secure else Peer.of(server) as peer,
    ):
        await eventually(lambda: bool(asked))
        (arrival,) = asked
        await peer.send(said)
        await eventually(lambda: unread(arrival) > 0)
        taken = len(said) - await settled(arrival)
        # What is encrypted is a little more than that, and can be taken in whole records only.
        assert taken <= (2 * limit + 17 * KIB if secure else limit)
        go.set()
        # Nothing of it is lost.
        await record.wait_for_clients(1)
        await eventually(lambda: record.received_from[peer.name] == said.split(b"\n")[:-1])


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("size", [10 * KIB, 20 * KIB, 200 * KIB])
async def test_what_comes_right_behind_the_secret_arrives(
    certificates: Certificates, secret: hubbub.SharedSecret, secure: bool, size: int
) -> None:
    """Be it in one piece with it, and more than may be read before."""
    chosen = (certificates.listener if secure else listener)(authenticate=secret)
    said = b"".join([b"%0511d\n" % number for number in range(size // 512)])
    settings = hubbub.Settings(handshake_time=3)
    async with (
        serving(listeners=[chosen], framing=hubbub.ByteLines(), settings=settings) as (server, record),
        TlsPeer.of(server, certificates.client_context()) if secure else Peer.of(server) as peer,
        TlsPeer.of(server, certificates.client_context()) if secure else Peer.of(server) as other,
    ):
        await other.send(f"{SECRET}\n".encode())
        await record.wait_for_clients(1)
        await peer.send(f"{SECRET}\n".encode() + said)
        assert await other.exactly(len(said)) == said
        # The observer hears all of it, too, and once.
        assert record.received_from[peer.name] == said.split(b"\n")[:-1]
        assert (await record.wait_for_clients(2))[1].messages_received == 1 + size // 512


@pytest.mark.parametrize("secure", [False, True])
async def test_a_stranger_that_has_said_much_is_told_as_well(
    certificates: Certificates, secret: hubbub.SharedSecret, secure: bool
) -> None:
    """Closing a socket with unread data resets the connection, and what was said last is lost (RFC 1122, 4.2.2.13)."""
    chosen = (certificates.listener if secure else listener)(authenticate=secret)
    record = Record()
    settings = hubbub.Settings(linger_time=0.3)
    async with (
        serving(listeners=[chosen], observer=record, settings=settings) as (server, _),
        TlsPeer.of(server, certificates.client_context()) if secure else Peer.of(server) as peer,
    ):
        if isinstance(peer, Peer):
            peer.stall()
        await peer.send(b"close sesame\n" + b"x" * 100 * KIB)
        await record.wait_for_refusals()
        # It listens when the server is done with it.
        await eventually(lambda: not server._sessions.arrivals.tasks)
        plain = peer.writer.get_extra_info("socket") if isinstance(peer, Peer) else peer.plain
        assert plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        if isinstance(peer, Peer):
            peer.resume()
        assert await peer.rest() == b"not authenticated\n"


async def test_a_dialogue_waits_for_a_client_that_reads_slowly() -> None:
    """A dialogue that says more than the socket takes."""

    async def verbose(arrival: hubbub.Arrival) -> bool:
        for _ in range(100):
            await arrival.send("x" * 64 * KIB)
        return await arrival.receive() == "42"

    settings = hubbub.Settings(unsent_limit=4 * KIB)
    async with (
        serving(idle, listeners=[listener(authenticate=verbose)], settings=settings) as (server, record),
        Peer.of(server, receive_buffer=4 * KIB) as peer,
    ):
        assert await peer.exactly(100 * (64 * KIB + 1)) == 100 * (b"x" * 64 * KIB + b"\n")
        await peer.send(b"42\n")
        await record.wait_for_clients(1)


async def fill(arrival: hubbub.Arrival) -> None:
    """Send until the socket takes no more."""
    while arrival.link.writable:
        await arrival.send("x" * 64 * KIB)


SMALL = hubbub.Settings(unsent_limit=4 * KIB)


async def test_a_dialogue_with_a_connection_that_breaks_ends() -> None:
    told: list[hubbub.ConnectionClosed] = []

    async def say_on(arrival: hubbub.Arrival) -> bool:
        await fill(arrival)
        full.set()
        try:
            await arrival.send("more")
        except hubbub.ConnectionClosed as closed:
            told.append(closed)
            raise
        return True

    full = asyncio.Event()
    record = Record()
    async with (
        serving(idle, listeners=[listener(authenticate=say_on)], settings=SMALL, observer=record) as (server, _),
        Peer.of(server, receive_buffer=4 * KIB) as peer,
    ):
        peer.stall()
        await full.wait()
        peer.reset()
        (ending,) = await record.wait_for_refusals()
        assert ending.code is hubbub.EndingCode.LOST
        assert [closed.ending for closed in told] == [ending]


async def test_a_connection_that_takes_nothing_as_it_is_let_in_is_watched_for_patience() -> None:
    async def verbose(arrival: hubbub.Arrival) -> bool:
        await fill(arrival)
        return True

    settings = hubbub.Settings(unsent_limit=4 * KIB, patience=0.3)
    async with (
        serving(idle, listeners=[listener(authenticate=verbose)], settings=settings) as (server, record),
        Peer.of(server, receive_buffer=4 * KIB) as peer,
    ):
        peer.stall()
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.STALLED


async def test_telnet_options_are_refused_in_a_dialogue_too() -> None:
    async with serving(idle, listeners=[listener(authenticate=riddle)]) as (server, record), Peer.of(server) as peer:
        assert await peer.line() == b"21?\n"
        await peer.send(b"\xff\xfd\x0142\n")
        assert await peer.exactly(3) == b"\xff\xfc\x01"
        await record.wait_for_clients(1)


async def test_a_stranger_that_reads_nothing_is_owed_no_refusal_of_options() -> None:
    async def verbose(arrival: hubbub.Arrival) -> bool:
        await fill(arrival)
        full.set()
        return await arrival.receive() == "42"

    full = asyncio.Event()
    async with (
        serving(idle, listeners=[listener(authenticate=verbose)], settings=SMALL) as (server, record),
        Peer.of(server, receive_buffer=4 * KIB) as peer,
    ):
        peer.stall()
        await full.wait()
        await peer.send(b"\xff\xfd\x0142\n")
        (client,) = await record.wait_for_clients(1)
        await client.send("end")
        peer.resume()
        lines = [await peer.line()]
        while lines[-1] != b"end\n":
            lines.append(await peer.line())
        assert {line.strip(b"x") for line in lines[:-1]} == {b"\n"}


async def test_a_stranger_that_breaks_a_binary_framing_is_told_nothing_in_it() -> None:
    framing = hubbub.LengthPrefixed(4)

    async def listen(arrival: hubbub.Arrival[bytes]) -> bool:
        return await arrival.receive() == b"42"

    record: Record = Record()
    async with (
        serving(framing=framing, listeners=[listener(authenticate=listen)], observer=record) as (server, _),
        Peer.of(server) as peer,
    ):
        await peer.send(b"\xff\xff\xff\xff")
        assert await peer.rest() == b""
        (ending,) = await record.wait_for_refusals()
        assert ending.code is hubbub.EndingCode.TOO_LONG


async def test_a_connection_that_breaks_before_it_is_a_client_ends_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Link.connection_made

    def make_and_break(link: Link[Any], transport: Any) -> None:
        made(link, transport)
        transport.abort()

    monkeypatch.setattr(Link, "connection_made", make_and_break)
    async with serving(idle) as (server, record), Peer.of(server):
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.LEFT
        await eventually(lambda: not server._sessions._connections)


async def test_a_connection_that_breaks_as_it_is_let_in_ends_as_a_client() -> None:
    async def break_it(arrival: hubbub.Arrival) -> bool:
        transport_of(arrival).abort()
        return True

    async with serving(idle, listeners=[listener(authenticate=break_it)]) as (server, record), Peer.of(server):
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.LEFT
        assert not server.clients


# What the event loops leave open where they fail.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_a_connection_that_cannot_be_handed_over_is_lost() -> None:
    """As on systems that let nothing be set on a socket whose peer has gone."""
    broken = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    broken.close()
    arrival = Arrival(
        listener(),
        broken,
        SOURCE,
        framing=hubbub.Lines(),
        settings=hubbub.Settings(),
        loop=asyncio.get_running_loop(),
        admit=lambda _: None,
    )
    with pytest.raises(Refused) as failed:
        await open_plain(arrival)
    assert failed.value.ending == hubbub.Ending(hubbub.EndingCode.LOST, "Bad file descriptor")
