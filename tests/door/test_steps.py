"""What a connection has to do before it is a client: a PROXY header, a TLS handshake, a secret; and what it may not."""

from __future__ import annotations

import asyncio
import socket
import struct
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import hubbub
from hubbub.apps.echo import echo
from hubbub.door.arrival import Arrival, Refused
from hubbub.door.steps import open_plain
from hubbub.wire.link import Link

from support.certificates import Certificates, TlsPeer
from support.helpers import Peer, eventually, serving, unread

if TYPE_CHECKING:
    from door.conftest import Way

KIB = 1024

SOURCE = hubbub.Address("192.0.2.7", 4711)
"""Of a block for documentation (RFC 5737)."""

OURS = hubbub.Networks(["127.0.0.0/8"])
"""Where the tests' peers come from."""


def v1(source: hubbub.Address = SOURCE) -> bytes:
    return f"PROXY TCP4 {source.host} {source.host} {source.port} 5000\r\n".encode()


def v2(source: hubbub.Address = SOURCE) -> bytes:
    packed = ip_address(source.host).packed
    body = packed + packed + struct.pack("!HH", source.port, 5000)
    family = 0x21 if ":" in source.host else 0x11
    return b"\r\n\r\n\0\r\nQUIT\n" + struct.pack("!BBH", 0x21, family, len(body)) + body


# PROXY headers.


@pytest.mark.parametrize(
    ("header", "source"),
    [
        (v1(), SOURCE),
        (v2(), SOURCE),
        (v2(hubbub.Address("2001:db8::7", 4711)), hubbub.Address("2001:db8::7", 4711)),
        # Here the proxy does not know.
        (b"PROXY UNKNOWN\r\n", None),
    ],
)
async def test_a_trusted_proxy_says_whose_the_connection_is(
    plain: Way, header: bytes, source: hubbub.Address | None
) -> None:
    async with serving(listeners=[plain.listener(proxies=OURS)]) as (server, record), Peer.of(server) as peer:
        await peer.send(header)
        (client,) = await record.wait_for_clients(1)
        wanted = source or hubbub.Address.parse(peer.name)
        assert (client.name, client.address, client.port) == (str(wanted), *wanted)
        await server.broadcast("Hey")
        assert await peer.line() == b"Hey\n"


@pytest.mark.parametrize("header", [v1(), v2()])
async def test_a_header_may_come_in_pieces_and_what_is_behind_it_is_not_lost(plain: Way, header: bytes) -> None:
    async with (
        serving(listeners=[plain.listener(proxies=OURS)]) as (server, record),
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


async def test_a_trusted_proxy_without_a_header_is_refused_and_told(plain: Way) -> None:
    async with serving(listeners=[plain.listener(proxies=OURS)]) as (server, record), Peer.of(server) as peer:
        await peer.send(b"Hey\n")
        (refusal,) = await record.wait_for_refusals()
        assert refusal.code is hubbub.EndingCode.BAD_PROXY
        assert await peer.rest() == f"{refusal}\n".encode()
        assert "PROXY" in refusal.reason
        assert record.refusals[0][0] == hubbub.Address.parse(peer.name)
        counts = {hubbub.EndingCode.BAD_PROXY: 1}
        assert server.statistics() == hubbub.Statistics(
            clients=0, rooms=1, accepted=1, endings=counts, refused=counts, slowed=0
        )
        assert not record.clients


async def test_a_proxy_that_leaves_before_its_header(plain: Way) -> None:
    async with serving(listeners=[plain.listener(proxies=OURS)]) as (server, record):
        async with Peer.of(server) as peer:
            await peer.send(v1()[:10])
            peer.end()
            assert await peer.rest() == b"bad-proxy: the connection ended before its PROXY header\n"
        async with Peer.of(server) as peer:
            await peer.send(v1()[:10])
            await eventually(lambda: server.statistics().accepted == 2)
            peer.reset()
            refusals = await record.wait_for_refusals(2)
    assert [refusal.code for refusal in refusals] == [hubbub.EndingCode.BAD_PROXY, hubbub.EndingCode.LOST]
    assert "reset" in refusals[1].reason.lower()


async def test_a_proxy_that_looks_whether_the_server_is_there_is_no_client(plain: Way) -> None:
    local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
    async with serving(listeners=[plain.listener(proxies=OURS)]) as (server, record), Peer.of(server) as peer:
        await peer.send(local)
        assert await record.wait_for_refusals() == [
            hubbub.Ending(hubbub.EndingCode.PROBE, "a check of the proxy's own")
        ]
        assert await peer.rest() == b""
        assert not record.clients


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("asked", ["header", "tls", "secret", "tls and secret"])
async def test_who_leaves_without_a_word_was_a_probe_whatever_is_asked(
    asked: str, reset: bool, certificates: Certificates, plain: Way, secret_file: Path
) -> None:
    make = certificates.listener if "tls" in asked else plain.listener
    proxies = OURS if asked == "header" else hubbub.Networks([])
    secret = hubbub.SharedSecret(secret_file) if "secret" in asked else None
    listener = make(proxies=proxies, authenticate=secret)
    async with serving(listeners=[listener]) as (server, record), Peer.of(server) as peer:
        await eventually(lambda: server.statistics().accepted == 1)
        peer.reset() if reset else peer.end()
        (ending,) = await record.wait_for_refusals()
        assert ending == hubbub.Ending(hubbub.EndingCode.PROBE, "the connection ended before anything came")
        assert reset or await peer.rest() == (b"" if "tls" in asked else f"{ending}\n".encode())


async def test_a_header_that_comes_too_late(plain: Way) -> None:
    settings = hubbub.Settings(handshake_time=0.2)
    async with (
        serving(listeners=[plain.listener(proxies=OURS)], settings=settings) as (server, record),
        Peer.of(server) as peer,
    ):
        await peer.send(v1()[:10])
        assert await record.wait_for_refusals() == [hubbub.Ending(hubbub.EndingCode.LATE, "not let in within 0.2 s")]
        assert await peer.rest() == b""


async def test_the_header_of_one_who_is_no_trusted_proxy_is_just_a_message(plain: Way) -> None:
    elsewhere = plain.listener(proxies=hubbub.Networks(["192.0.2.0/24"]))
    async with serving(listeners=[elsewhere]) as (server, record), Peer.of(server) as peer:
        await peer.send(v1() + b"Hey\n")
        (client,) = await record.wait_for_clients(1)
        assert client.name == peer.name
        await eventually(lambda: record.received_from[peer.name] == [v1().decode().removesuffix("\r\n"), "Hey"])


async def test_a_proxy_may_come_through_a_unix_socket(tmp_path: Path) -> None:
    listener = hubbub.Listener[str](endpoint=tmp_path / "hub.sock", proxies=hubbub.Networks(["unix"]))
    async with serving(listeners=[listener]) as (_, record):
        _, writer = await asyncio.open_unix_connection(tmp_path / "hub.sock")
        writer.write(v1(hubbub.Address("192.0.2.7", 1)) + b"Hey\n")
        await eventually(lambda: record.received_from == {"192.0.2.7:1": ["Hey"]})
        writer.close()
        await writer.wait_closed()


async def test_limits_and_access_count_the_real_address_and_not_that_of_the_proxy(plain: Way) -> None:
    settings = hubbub.Settings(clients_per_address=1)
    listener = plain.listener(proxies=OURS, access=hubbub.Access(deny=["192.0.2.66"]))
    async with serving(listeners=[listener], settings=settings) as (server, record), Peer.of(server) as one:

        async def refused(host: str) -> bytes:
            async with Peer.of(server) as peer:
                await peer.send(v1(hubbub.Address(host, 1)))
                return await peer.rest()

        await one.send(v1(hubbub.Address("192.0.2.1", 1)))
        await record.wait_for_clients(1)
        assert await refused("192.0.2.1") == b"crowded: 192.0.2.1: limit of 1 clients reached\n"
        assert await refused("192.0.2.66") == b"denied: 192.0.2.66 may not connect here\n"
        codes = [ending.code for ending in await record.wait_for_refusals(2)]
        assert codes == [hubbub.EndingCode.CROWDED, hubbub.EndingCode.DENIED]
        assert [str(address) for address, _ in record.refusals] == ["192.0.2.1:1", "192.0.2.66:1"]
        # Whoever has gone counts no more.
        one.end()
        await record.wait_for_endings()
        await eventually(lambda: server.statistics().clients == 0)
        async with Peer.of(server) as again:
            await again.send(v1(hubbub.Address("192.0.2.1", 2)))
            await record.wait_for_clients(2)


async def test_a_header_before_tls_and_a_secret(certificates: Certificates, plain: Way, secret_file: Path) -> None:
    options: dict[str, Any] = {"proxies": OURS, "authenticate": hubbub.SharedSecret(secret_file)}
    context = certificates.client_context()
    async with (
        serving(listeners=[certificates.listener(**options), plain.listener(**options)]) as (server, record),
        TlsPeer.of(server, context, first=v1()) as peer,
    ):
        await peer.send(b"open sesame\nHey\n")
        (client,) = await record.wait_for_clients(1)
        assert client.name == str(SOURCE)
        with socket.create_connection(server.addresses[1]) as connection:
            connection.sendall(v2(hubbub.Address("192.0.2.8", 1)) + b"open sesame\nHo\n")
            assert (await record.wait_for_clients(2))[1].name == "192.0.2.8:1"
            assert await peer.line() == b"Ho\n"


async def test_in_tls_nobody_is_told_in_plain(certificates: Certificates) -> None:
    listener = certificates.listener(proxies=OURS, access=hubbub.Access(deny=["192.0.2.0/24"]))
    async with serving(listeners=[listener]) as (server, record):
        for header in (v1(), b"Hey\n"):
            async with Peer.of(server) as peer:
                await peer.send(header)
                assert await peer.rest() == b""
        codes = [ending.code for ending in await record.wait_for_refusals(2)]
        assert codes == [hubbub.EndingCode.DENIED, hubbub.EndingCode.BAD_PROXY]


# How much is read before.


async def settled(arrival: hubbub.Arrival[Any]) -> int:
    """What the kernel has for the server, once that is all that it will get."""
    before = -1
    while before != (before := unread(arrival)):  # noqa: ASYNC110 (there is no event)
        await asyncio.sleep(0.1)
    return before


class Waiting:
    """An `authenticate` that lets everybody in who was `asked` about, once it may `go` on."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.asked: list[hubbub.Arrival[Any]] = []

    async def __call__(self, arrival: hubbub.Arrival[Any]) -> bool:
        self.asked.append(arrival)
        await self.go.wait()
        return True


@pytest.mark.parametrize("limit", [KIB, 16 * KIB])
async def test_g5_of_a_stranger_only_so_many_bytes_are_read(way: Way, limit: int) -> None:
    wait = Waiting()
    settings = hubbub.Settings(unauthenticated_limit=limit)
    said = b"".join([b"%0999d\n" % number for number in range(100)])
    async with (
        serving(listeners=[way.listener(authenticate=wait)], settings=settings, framing=hubbub.ByteLines()) as (
            server,
            record,
        ),
        way.peer(server) as peer,
    ):
        await eventually(lambda: bool(wait.asked))
        (arrival,) = wait.asked
        await peer.send(said)
        await eventually(lambda: unread(arrival) > 0)
        taken = len(said) - await settled(arrival)
        # What is encrypted is a little more than that, and can be taken in whole records only.
        assert taken <= (2 * limit + 17 * KIB if way.certificates else limit)
        wait.go.set()
        # Nothing of it is lost.
        await record.wait_for_clients(1)
        await eventually(lambda: record.received_from[peer.name] == said.split(b"\n")[:-1])


async def test_a_client_may_end_its_stream_while_it_is_asked_about(plain: Way) -> None:
    wait = Waiting()
    async with (
        serving(echo, listeners=[plain.listener(authenticate=wait)]) as (server, record),
        plain.peer(server) as peer,
    ):
        await peer.send(b"Hey\n")
        peer.end()
        # The server has read the end by then.
        await eventually(lambda: bool(wait.asked) and wait.asked[0].link.at_end)
        wait.go.set()
        assert await peer.rest() == b"We got your message: Hey\n"
        assert (await record.wait_for_endings())[0].code is hubbub.EndingCode.LEFT


@pytest.mark.parametrize("size", [10 * KIB, 20 * KIB, 200 * KIB])
async def test_what_comes_right_behind_the_secret_arrives(way: Way, secret_file: Path, size: int) -> None:
    """Be it in one piece with it, and more than may be read before."""
    listener = way.listener(authenticate=hubbub.SharedSecret(secret_file))
    said = b"".join([b"%0511d\n" % number for number in range(size // 512)])
    async with (
        serving(listeners=[listener], framing=hubbub.ByteLines()) as (server, record),
        way.peer(server) as peer,
        way.peer(server) as other,
    ):
        await other.send(b"open sesame\n")
        await record.wait_for_clients(1)
        await peer.send(b"open sesame\n" + said)
        assert await other.exactly(len(said)) == said
        # The observer hears all of it, too, and once.
        assert record.received_from[peer.name] == said.split(b"\n")[:-1]
        assert (await record.wait_for_clients(2))[1].messages_received == 1 + size // 512


async def test_a_stranger_that_has_said_much_is_told_as_well(way: Way, secret_file: Path) -> None:
    """Closing a socket with unread data resets the connection, and what was said last is lost (RFC 1122, 4.2.2.13)."""
    listener = way.listener(authenticate=hubbub.SharedSecret(secret_file))
    settings = hubbub.Settings(linger_time=0.3)
    async with serving(listeners=[listener], settings=settings) as (server, record), way.peer(server) as peer:
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
        assert await peer.rest() == b"unauthenticated: not authenticated\n"


# Connections that break on their way.


async def test_a_connection_that_breaks_before_it_is_a_client_ends_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Link.connection_made

    def make_and_break(link: Link[Any], transport: Any) -> None:
        made(link, transport)
        transport.abort()

    monkeypatch.setattr(Link, "connection_made", make_and_break)
    async with serving() as (server, record), Peer.of(server):
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.LEFT
        await eventually(lambda: not server._sessions._connections)


# What the event loops leave open where they fail.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_a_connection_that_cannot_be_handed_over_is_lost(plain: Way) -> None:
    """As on systems that let nothing be set on a socket whose peer has gone."""
    broken = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    broken.close()
    arrival = Arrival(
        plain.listener(),
        broken,
        SOURCE,
        framing=hubbub.Lines(),
        settings=hubbub.Settings(),
        loop=asyncio.get_running_loop(),
        admit=lambda _: None,
        discharge=lambda _: None,
    )
    with pytest.raises(Refused) as failed:
        await open_plain(arrival)
    assert failed.value.ending == hubbub.Ending(hubbub.EndingCode.LOST, "Bad file descriptor")
