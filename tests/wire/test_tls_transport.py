"""TLS between a link and its socket: what holds for a plain connection holds for this one."""

from __future__ import annotations

import asyncio
import hmac
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import hubbub
from hubbub.values.settings import TLS_BARREN_LIMIT, TLS_BARREN_RATE, TLS_PIECE_SIZE

from support.certificates import (
    CLIENT_HELLO,
    CLIENT_NAME,
    Certificates,
    TlsPeer,
    make_certificates,
    tls_message,
    tls_record,
)
from support.helpers import Peer, Record, dial, eventually, fall_behind, serving, transport_of, unread
from support.programs import Program, require_program

KIB = 1024
MIB = 1024 * KIB

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


async def idle(client: hubbub.Client[Any]) -> None:
    async for _ in client:
        pass


def numbered(count: int, size: int = 1000) -> bytes:
    """Lines that differ."""
    return b"".join([b"%0*d\n" % (size - 1, number) for number in range(count)])


# Messages.


@pytest.mark.parametrize("version", VERSIONS)
async def test_messages_go_both_ways(certificates: Certificates, version: ssl.TLSVersion) -> None:
    context = certificates.client_context(version=version)
    async with (
        serving(listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, context) as alice,
        TlsPeer.of(server, context) as bob,
    ):
        await record.wait_for_clients(2)
        await alice.send(b"Hey\n")
        assert await bob.line() == b"Hey\n"
        await bob.send(b"Ho\n")
        assert await alice.line() == b"Ho\n"


async def test_megabytes_arrive_whole_and_in_order(certificates: Certificates) -> None:
    context = certificates.client_context()
    said = numbered(5000)
    async with (
        serving(listeners=[certificates.listener()], framing=hubbub.ByteLines()) as (server, record),
        TlsPeer.of(server, context) as sender,
        TlsPeer.of(server, context) as reader,
    ):
        await record.wait_for_clients(2)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sender.send(said))
            heard = tasks.create_task(reader.exactly(len(said)))
        assert heard.result() == said


async def test_one_large_message_is_cut_into_records_and_put_together(certificates: Certificates) -> None:
    large = "x" * MIB
    async with (
        serving(idle, listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, certificates.client_context()) as peer,
    ):
        await record.wait_for_clients(1)
        await server.broadcast(large)
        await server.broadcast("end")
        assert await peer.exactly(MIB + 5) == large.encode() + b"\nend\n"


@pytest.mark.parametrize("version", VERSIONS)
async def test_messages_are_found_however_tcp_cuts_the_stream(
    certificates: Certificates, version: ssl.TLSVersion
) -> None:
    said = numbered(5, 100)
    async with (
        serving(listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, certificates.client_context(version=version), piece=1) as peer,
        TlsPeer.of(server, certificates.client_context()) as other,
    ):
        await record.wait_for_clients(2)
        await peer.send(said)
        assert await other.exactly(len(said)) == said
        await other.send(said)
        assert await peer.exactly(len(said)) == said
        await peer.end()


async def test_the_header_of_a_record_may_arrive_in_parts(certificates: Certificates) -> None:
    async with (
        serving(listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, certificates.client_context()) as peer,
        TlsPeer.of(server, certificates.client_context()) as other,
    ):
        clients = {client.name: client for client in await record.wait_for_clients(2)}
        transport: Any = transport_of(clients[peer.name])
        said = peer.encrypted(b"Hey\n")
        await peer.send_plain(said[:3])
        await eventually(lambda: bytes(transport._records.arrived) == said[:3])
        await peer.send_plain(said[3:])
        assert await other.line() == b"Hey\n"


async def test_what_comes_together_with_the_end_of_the_handshake_is_not_lost(certificates: Certificates) -> None:
    async with serving(listeners=[certificates.listener()]) as (server, record):
        with await dial(server) as plain:
            peer = TlsPeer(plain, certificates.client_context(version=ssl.TLSVersion.TLSv1_3))
            await peer.shake_hands(b"Hey\nHo")
            (client,) = await record.wait_for_clients(1)
            await eventually(lambda: record.received_from[client.name] == ["Hey"])
            assert client.bytes_received == 6


async def test_private_messages_and_broadcasts_keep_their_order(certificates: Certificates) -> None:
    async def handler(client: hubbub.Client) -> None:
        async for message in client:
            for number in range(3):
                await client.server.broadcast(f"{message} {number}")
                await client.send(f"private {number}")

    async with (
        serving(handler, listeners=[certificates.listener()]) as (server, _),
        TlsPeer.of(server, certificates.client_context()) as peer,
    ):
        await peer.send(b"Hey\n")
        assert [await peer.line() for _ in range(6)] == [
            line for number in range(3) for line in (b"Hey %d\n" % number, b"private %d\n" % number)
        ]


async def test_a_client_is_known_by_its_certificate_as_long_as_it_is_connected(certificates: Certificates) -> None:
    async def greet(client: hubbub.Client) -> None:
        await client.send(f"Hello {client.certificate_name}")

    async with (
        serving(greet, listeners=[certificates.listener(mutual=True)]) as (server, _),
        TlsPeer.of(server, certificates.client_context(certificates.client)) as peer,
    ):
        assert await peer.rest() == b"Hello %s\n" % CLIENT_NAME.encode()


# Ends.


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("cut", [False, True])
async def test_g4_the_last_line_counts_at_a_clean_end_and_the_client_still_listens(
    certificates: Certificates, version: ssl.TLSVersion, cut: bool
) -> None:
    """TLS's own end is one of one direction (RFC 8446, 6.1), be TCP's behind it or not."""

    async def stay(client: hubbub.Client) -> None:
        async for message in client:
            await client.send(f"heard {message}")
        await ended.wait()
        await client.server.broadcast("and on")

    ended = asyncio.Event()
    async with (
        serving(stay, listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, certificates.client_context(version=version)) as peer,
    ):
        await peer.send(b"one\ntwo")
        await peer.end()
        if cut:
            peer.cut()
        assert await peer.line() == b"heard one\n"
        assert await peer.line() == b"heard two\n"
        ended.set()
        assert await peer.rest() == b"and on\n"
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.LEFT


async def test_a_clean_end_counts_behind_all_that_the_handler_has_yet_to_read(certificates: Certificates) -> None:
    """The end has arrived, TCP's too, while most of the messages wait in OpenSSL."""
    said = numbered(300)
    heard: list[bytes] = []
    go = asyncio.Event()

    async def slow(client: hubbub.Client[bytes]) -> None:
        await go.wait()
        async for message in client:
            heard.append(message)
            await asyncio.sleep(0)

    async with (
        serving(
            slow,
            listeners=[certificates.listener()],
            framing=hubbub.ByteLines(),
            settings=hubbub.Settings(inbox_limit=KIB),
        ) as (server, record),
        TlsPeer.of(server, certificates.client_context()) as peer,
    ):
        await record.wait_for_clients(1)
        await peer.send(said + b"end")
        await peer.end()
        peer.cut()
        go.set()
        assert await peer.rest() == b""
    assert heard == [*said.split(b"\n")[:-1], b"end"]


async def test_an_end_without_that_of_tls_may_be_a_cut_so_that_only_whole_messages_count(
    certificates: Certificates,
) -> None:
    async with (
        serving(listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, certificates.client_context()) as peer,
        TlsPeer.of(server, certificates.client_context()) as other,
    ):
        await record.wait_for_clients(2)
        await peer.send(b"whole\npart")
        peer.cut()
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.LEFT
        await server.broadcast("end")
        assert await other.line() == b"whole\n"
        assert await other.line() == b"end\n"


async def test_the_end_that_the_server_makes_is_that_of_tls(certificates: Certificates) -> None:
    async def greet(client: hubbub.Client) -> None:
        await client.send("Hello")

    for version in VERSIONS:
        async with (
            serving(greet, listeners=[certificates.listener()]) as (server, record),
            TlsPeer.of(server, certificates.client_context(version=version)) as peer,
        ):
            assert await peer.rest() == b"Hello\n"
            # It is not known yet whether the peer has heard: what it says is dropped.
            await peer.send(b"And now?\n")
            await peer.end()
            peer.cut()
            await peer.tcp_ends()
            (ending,) = await record.wait_for_endings()
            assert ending.code is hubbub.EndingCode.FINISHED
            assert not record.received_from


async def test_a_peer_that_does_not_hear_the_end_is_let_go_of(certificates: Certificates) -> None:
    async def leave(client: hubbub.Client) -> None:
        await client.close()

    async with (
        serving(leave, listeners=[certificates.listener()], settings=hubbub.Settings(linger_time=0.05)) as (
            server,
            record,
        ),
        TlsPeer.of(server, certificates.client_context()) as peer,
    ):
        (client,) = await record.wait_for_clients(1)
        await client.wait_closed()
        assert await peer.rest() == b""


async def test_g6_who_is_behind_when_the_server_closes_gets_all_and_a_clean_end(certificates: Certificates) -> None:
    async with (
        serving(idle, listeners=[certificates.listener()], settings=hubbub.Settings(unsent_limit=4 * KIB)) as (
            server,
            record,
        ),
        TlsPeer.of(server, certificates.client_context(), receive_buffer=4 * KIB) as peer,
    ):
        (client,) = await record.wait_for_clients(1)
        count = await fall_behind(client, server.root, "x" * 8 * KIB)
        closing = asyncio.create_task(server.close())
        assert await peer.rest() == count * (b"x" * 8 * KIB + b"\n") + b"server is closing\n"
        await peer.end()
        peer.cut()
        await closing
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.SHUTDOWN


async def test_g7_a_reset_is_a_lost_connection(certificates: Certificates) -> None:
    async with (
        serving(listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, certificates.client_context()) as peer,
        TlsPeer.of(server, certificates.client_context()) as other,
    ):
        await record.wait_for_clients(2)
        await peer.send(b"Hey\n")
        assert await other.line() == b"Hey\n"
        peer.reset()
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.LOST
        assert "reset" in ending.reason.lower()
        await server.broadcast("and on")
        assert await other.line() == b"and on\n"


async def test_what_is_written_after_a_reset_goes_nowhere(certificates: Certificates) -> None:
    """The event loop has yet to find out."""
    async with (
        serving(idle, listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, certificates.client_context()) as peer,
    ):
        (client,) = await record.wait_for_clients(1)
        peer.reset()
        for _ in range(3):
            await client.send("x" * 4 * KIB)
            await server.broadcast("x" * 4 * KIB)
        await record.wait_for_endings()
        await client.wait_closed()
        with pytest.raises(hubbub.ConnectionClosed):
            await client.send("still there?")


async def test_a_close_after_a_reset_is_an_end_as_well(certificates: Certificates) -> None:
    async with (
        serving(idle, listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, certificates.client_context()) as peer,
    ):
        (client,) = await record.wait_for_clients(1)
        peer.reset()
        await client.close()
        assert not server.clients


async def test_whatever_is_asked_of_a_transport_it_answers_as_that_of_tcp_does(certificates: Certificates) -> None:
    async with (
        serving(idle, listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, certificates.client_context()) as peer,
    ):
        (client,) = await record.wait_for_clients(1)
        transport = transport_of(client)
        assert transport.can_write_eof()
        assert "{}:{}".format(*transport.get_extra_info("peername")) == peer.name
        assert transport.get_extra_info("no such thing", "none") == "none"


async def test_an_abort_ends_it_at_once_and_without_a_clean_end(certificates: Certificates) -> None:
    async with (
        serving(idle, listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, certificates.client_context()) as peer,
    ):
        (client,) = await record.wait_for_clients(1)
        transport = transport_of(client)
        transport.abort()
        assert transport.is_closing()
        await client.wait_closed()
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            await peer.rest()


async def test_g5_what_comes_behind_tls_s_own_end_is_dropped(certificates: Certificates) -> None:
    heard: list[str] = []
    go_home = asyncio.Event()

    async def stay(client: hubbub.Client) -> None:
        heard.extend([message async for message in client])
        await go_home.wait()

    async with (
        serving(stay, listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, certificates.client_context()) as peer,
    ):
        (client,) = await record.wait_for_clients(1)
        transport: Any = transport_of(client)
        await peer.send(b"Hey\n")
        await peer.end()
        await eventually(lambda: heard == ["Hey"])
        await peer.send_plain(b"x" * MIB)
        await eventually(lambda: unread(client) == 0)
        assert transport._incoming.pending == 0
        go_home.set()
        await client.wait_closed()


# Slow readers.


async def test_g3_memory_of_a_stalled_reader_is_bounded_and_others_go_on(certificates: Certificates) -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB, retention=64 * MIB)
    context = certificates.client_context()
    async with (
        serving(idle, listeners=[certificates.listener()], settings=settings) as (server, record),
        TlsPeer.of(server, context, receive_buffer=4 * KIB) as stalled,
        TlsPeer.of(server, context) as peer,
    ):
        clients = {client.name: client for client in await record.wait_for_clients(2)}
        transport: Any = transport_of(clients[stalled.name])
        for _ in range(50):
            await server.broadcast("x" * (200 * KIB - 1))
            assert len(await peer.exactly(200 * KIB)) == 200 * KIB
            # A piece that is encrypted, and in plain a chunk, which is that of the log.
            assert transport.get_write_buffer_size() <= TLS_PIECE_SIZE + KIB + settings.chunk_limit
            assert transport._inner.get_write_buffer_size() <= TLS_PIECE_SIZE + KIB
        assert clients[stalled.name].lag.bytes > 9 * MIB


async def test_a_reader_that_takes_nothing_is_ended_when_patience_is_over(certificates: Certificates) -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB, patience=0.3)
    async with (
        serving(idle, listeners=[certificates.listener()], settings=settings) as (server, record),
        TlsPeer.of(server, certificates.client_context(), receive_buffer=4 * KIB),
    ):
        (client,) = await record.wait_for_clients(1)
        await fall_behind(client, server.root, "x" * 8 * KIB)
        assert await record.wait_for_endings() == [hubbub.Ending(hubbub.EndingCode.STALLED, "took nothing for 0.3 s")]
        await client.wait_closed()


async def test_a_reader_that_takes_a_little_now_and_then_is_not_stalled(certificates: Certificates) -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB, patience=0.4)
    loop = asyncio.get_running_loop()
    async with (
        serving(idle, listeners=[certificates.listener()], settings=settings) as (server, record),
        TlsPeer.of(server, certificates.client_context(), receive_buffer=4 * KIB) as peer,
    ):
        (client,) = await record.wait_for_clients(1)
        await fall_behind(client, server.root, "x" * 64 * KIB)
        for _ in range(8):
            await server.broadcast("x" * 256 * KIB)
        end = loop.time() + 1.2
        while loop.time() < end:
            await peer.exactly(16 * KIB)
            await asyncio.sleep(0.05)
        assert client.lag.bytes > 0
        assert client.ending is None


async def test_g1_g2_every_reader_gets_every_line_in_order_be_it_fast_or_slow(certificates: Certificates) -> None:
    """The slow ones read tiny pieces from a small buffer; the senders speak all at once."""
    context = certificates.client_context()
    count, size = 400, 1000
    settings = hubbub.Settings(unsent_limit=4 * KIB)
    async with (
        serving(listeners=[certificates.listener()], framing=hubbub.ByteLines(), settings=settings) as (server, record),
        AsyncExitStack() as stack,
        asyncio.TaskGroup() as tasks,
    ):
        slow = [
            await stack.enter_async_context(TlsPeer.of(server, context, receive_buffer=4 * KIB, piece=1500))
            for _ in range(3)
        ]
        fast = [await stack.enter_async_context(TlsPeer.of(server, context)) for _ in range(2)]
        senders = [await stack.enter_async_context(TlsPeer.of(server, context)) for _ in range(2)]
        await record.wait_for_clients(7)
        heard = [tasks.create_task(reader.exactly(2 * count * size)) for reader in (*slow, *fast)]
        for name, sender in zip((b"a", b"b"), senders, strict=True):
            tasks.create_task(sender.send(b"".join([name + b"%0*d\n" % (size - 2, number) for number in range(count)])))
        streams = [await one for one in heard]
        # One order for all, and each sender's own in it.
        assert len(set(streams)) == 1
        lines = streams[0].split(b"\n")[:-1]
        for name in (b"a", b"b"):
            assert [int(line[1:]) for line in lines if line.startswith(name)] == list(range(count))


async def test_g2_a_slow_reader_that_skips_is_told_how_much_it_missed(certificates: Certificates) -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB, retention=256 * KIB, pace=None, when_slow="skip")
    async with (
        serving(idle, listeners=[certificates.listener()], settings=settings) as (server, record),
        TlsPeer.of(server, certificates.client_context(), receive_buffer=4 * KIB) as peer,
    ):
        (client,) = await record.wait_for_clients(1)
        for number in range(3000):
            await server.broadcast(f"{number:01000}")
        await server.broadcast("end")
        assert client.lag.messages
        heard = 0
        while (line := await peer.line()) != b"end\n":
            if line.startswith(b"["):
                heard += int(line[1:].split()[0])
            else:
                assert int(line) == heard
                heard += 1
        assert heard == 3000


# Reading.


async def test_a_handler_that_does_not_read_holds_its_client_back_and_loses_nothing(certificates: Certificates) -> None:
    said = numbered(20_000)
    go = asyncio.Event()
    heard: list[bytes] = []

    async def slow(client: hubbub.Client[bytes]) -> None:
        await go.wait()
        while messages := await client.receive_many():
            heard.extend(messages)

    async with (
        serving(slow, listeners=[certificates.listener()], framing=hubbub.ByteLines()) as (server, record),
        TlsPeer.of(server, certificates.client_context()) as peer,
    ):
        (client,) = await record.wait_for_clients(1)
        transport: Any = transport_of(client)
        assert transport.is_reading()
        sending = asyncio.create_task(peer.send(said))
        await eventually(lambda: not transport.is_reading())
        # What it holds is a read more than its limit, and not what the client has sent.
        assert client._reader.link._inbox_size + transport._incoming.pending <= 64 * KIB + 64 * KIB + 17 * KIB
        assert not sending.done()
        go.set()
        await sending
        await eventually(lambda: len(heard) == 20_000)
        assert heard == said.split(b"\n")[:-1]


async def test_a_message_that_is_cut_by_the_inbox_limit_arrives_whole(certificates: Certificates) -> None:
    settings = hubbub.Settings(inbox_limit=1)
    said = numbered(60)
    async with (
        serving(listeners=[certificates.listener()], framing=hubbub.ByteLines(), settings=settings) as (server, record),
        TlsPeer.of(server, certificates.client_context()) as peer,
        TlsPeer.of(server, certificates.client_context()) as other,
    ):
        await record.wait_for_clients(2)
        await peer.send(said)
        assert await other.exactly(len(said)) == said


# What goes wrong.


BEGINNING = b"\x16\x03\x01\x01"
"""What might become a handshake."""

NOT_TLS = "what the client sent is not TLS"
TOO_LONG = "the client's first message takes more than 16384 bytes"

GARBAGE = {
    b"GET / HTTP/1.1\r\n\r\n": NOT_TLS,
    b"\n": NOT_TLS,
    b"\0" * 100_000: NOT_TLS,
    tls_record(b"hello"): NOT_TLS,
    # A record that is longer than one may be, and a first message that is longer than one may be.
    b"\x16\x03\x01\x40\x01\x01\x00\x01\x00": TOO_LONG,
    b"\x16\x03\x01\x20\x00\x01\x00\x40\x01": TOO_LONG,
    # The same spread over records, so that the first does not tell how long it is.
    tls_record(b"\1") + b"\x16\x03\x01\x20\x00\x01\xff\xb8": TOO_LONG,
    b"\x16\x03\x01\x00\x00\x16\x03\x01\x20\x00\x01\x01\xff\xb8": "the client sent an empty TLS record",
    # What OpenSSL itself refuses.
    tls_record(tls_message(CLIENT_HELLO, b"x" * 28)): "length mismatch",
}


@pytest.mark.parametrize("garbage", [BEGINNING, *GARBAGE])
async def test_g7_garbage_instead_of_a_handshake_is_refused_in_plain_words(
    certificates: Certificates, garbage: bytes
) -> None:
    observer = Record()
    context = certificates.client_context()
    async with (
        serving(listeners=[certificates.listener()], observer=observer, settings=hubbub.Settings(handshake_time=1)) as (
            server,
            _,
        ),
        TlsPeer.of(server, context) as one,
        TlsPeer.of(server, context) as two,
        Peer.of(server) as stranger,
    ):
        await stranger.send(garbage)
        (refusal,) = await observer.wait_for_refusals()
        if garbage == BEGINNING:
            assert refusal == hubbub.Ending(hubbub.EndingCode.LATE, "not let in within 1 s")
        else:
            reason = f"the TLS handshake failed: {GARBAGE[garbage]}"
            assert refusal == hubbub.Ending(hubbub.EndingCode.BAD_TLS, reason)
        assert observer.refusals[0][0] == hubbub.Address.parse(stranger.name)
        assert server.statistics().endings == {refusal.code: 1}
        await observer.wait_for_clients(2)
        await one.send(b"Hey\n")
        assert await two.line() == b"Hey\n"
        assert len(observer.clients) == 2


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("fragment", [1, 100])
async def test_a_first_message_may_be_spread_over_records(
    certificates: Certificates, version: ssl.TLSVersion, fragment: int
) -> None:
    context = certificates.client_context(version=version)
    async with (
        serving(listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, context, fragment=fragment) as peer,
        TlsPeer.of(server, context) as other,
    ):
        await record.wait_for_clients(2)
        await peer.send(b"Hey\n")
        assert await other.line() == b"Hey\n"
        await other.send(b"Ho\n")
        assert await peer.line() == b"Ho\n"


@pytest.mark.parametrize("how", ["end", "reset"])
async def test_g7_a_client_that_leaves_in_the_middle_of_its_handshake(certificates: Certificates, how: str) -> None:
    record = Record()
    async with serving(listeners=[certificates.listener()], observer=record) as (server, _):
        async with Peer.of(server) as peer:
            # The first bytes of a ClientHello.
            await peer.send(b"\x16\x03\x01\x02\x00\x01\x00")
            if how == "end":
                peer.end()
            else:
                await eventually(lambda: bool(server.statistics().accepted))
                peer.reset()
            (refusal,) = await record.wait_for_refusals()
        assert refusal.code is hubbub.EndingCode.BAD_TLS
        words = {"end": "the client left during the handshake", "reset": "Connection reset by peer"}
        assert refusal.reason == f"the TLS handshake failed: {words[how]}"
        assert not record.clients


async def test_a_handshake_that_takes_too_long_is_ended(certificates: Certificates) -> None:
    record = Record()
    settings = hubbub.Settings(handshake_time=0.2)
    async with (
        serving(listeners=[certificates.listener()], observer=record, settings=settings) as (server, _),
        Peer.of(server) as peer,
    ):
        await peer.send(b"\x16\x03\x01\x02\x00\x01\x00")
        assert await record.wait_for_refusals() == [hubbub.Ending(hubbub.EndingCode.LATE, "not let in within 0.2 s")]
        # It cannot be told in TLS.
        assert await peer.rest() == b""
        assert server.statistics().clients == 0


async def test_a_server_that_closes_does_not_wait_for_a_handshake(certificates: Certificates) -> None:
    loop = asyncio.get_running_loop()
    async with (
        serving(listeners=[certificates.listener()]) as (server, record),
        Peer.of(server) as peer,
    ):
        await peer.send(b"\x16\x03\x01\x02\x00\x01\x00")
        await eventually(lambda: bool(server.statistics().accepted))
        start = loop.time()
        await server.close()
        assert loop.time() - start < 3
        assert not record.clients


@pytest.mark.parametrize("version", VERSIONS)
async def test_g7_garbage_after_the_handshake_ends_the_client_and_whole_messages_count(
    certificates: Certificates, version: ssl.TLSVersion
) -> None:
    context = certificates.client_context(version=version)
    async with (
        serving(listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, context) as peer,
        TlsPeer.of(server, context) as other,
    ):
        await record.wait_for_clients(2)
        await peer.send(b"whole\npart")
        await peer.send_plain(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await peer.rest()
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.LOST
        await server.broadcast("end")
        assert await other.line() == b"whole\n"
        assert await other.line() == b"end\n"


async def test_what_is_written_behind_garbage_goes_nowhere_and_does_not_change_the_reason(
    certificates: Certificates,
) -> None:
    async with (
        serving(idle, listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, certificates.client_context()),
    ):
        (client,) = await record.wait_for_clients(1)
        transport: Any = transport_of(client)
        garbage = b"\x17\x03\x03\x00\x20" + b"x" * 32
        transport.get_buffer(-1)[: len(garbage)] = garbage
        transport.buffer_updated(len(garbage))
        # The event loop has yet to say that the connection is gone.
        transport.write(b"Hey\n")
        assert await record.wait_for_endings() == [
            hubbub.Ending(hubbub.EndingCode.LOST, "decryption failed or bad record mac")
        ]


async def test_g7_garbage_from_a_reader_that_is_behind_ends_it(certificates: Certificates) -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB)
    async with (
        serving(idle, listeners=[certificates.listener()], settings=settings) as (server, record),
        TlsPeer.of(server, certificates.client_context(), receive_buffer=4 * KIB) as peer,
    ):
        (client,) = await record.wait_for_clients(1)
        await fall_behind(client, server.root, "x" * 100 * KIB)
        transport = transport_of(client)
        await peer.send_plain(b"\x17\x03\x03\x00\x20" + b"x" * 32)
        await eventually(transport.is_closing)
        # What is encrypted already still goes out; nothing can be encrypted behind it.
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await peer.rest()
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.LOST
        await client.wait_closed()


def expand(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label (RFC 8446, 7.1), of no more than one block."""
    info = size.to_bytes(2, "big") + bytes([6 + len(label)]) + b"tls13 " + label + b"\0"
    return hmac.digest(secret, info + b"\1", "sha384")[:size]


def sealed(secret: bytes, content: bytes, number: int = 0) -> bytes:
    """A record, encrypted with the keys of `secret`, the one of that number (RFC 8446, 5.2 and 5.3)."""
    header = b"\x17\x03\x03" + (len(content) + 16).to_bytes(2, "big")
    nonce = int.from_bytes(expand(secret, b"iv", 12), "big") ^ number
    return header + AESGCM(expand(secret, b"key", 32)).encrypt(nonce.to_bytes(12, "big"), content, header)


def key_updates(secret: bytes, count: int, *, asked: bool = True) -> tuple[bytes, bytes]:
    """Records that announce new keys, each with the keys that the one before has brought (RFC 8446, 4.6.3 and 7.2).

    Args:
        secret: that of the client's keys.
        count: how many.
        asked: whether the server is asked for new keys, too.

    Returns:
        The records, and the secret behind the last.
    """
    records = []
    for _ in range(count):
        records.append(sealed(secret, key_update(asked=asked)))
        secret = next_secret(secret)
    return b"".join(records), secret


def key_update(*, asked: bool) -> bytes:
    return b"\x18\0\0\1" + bytes([asked]) + b"\x16"


def next_secret(secret: bytes) -> bytes:
    """The secret behind a key update."""
    return expand(secret, b"traffic upd", 48)


class Keys:
    """A client whose secret is known, so that it can send what OpenSSL would not.

    Attributes:
        context: how it speaks TLS.
    """

    def __init__(self, certificates: Certificates, log: Path) -> None:
        self._log = log
        self.context = certificates.client_context(version=ssl.TLSVersion.TLSv1_3)
        self.context.keylog_filename = str(log)

    def secret_of(self, peer: TlsPeer) -> bytes:
        """The secret of its keys."""
        assert peer.tls.cipher() == ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256)
        logged = [line.split() for line in self._log.read_text().splitlines()]
        (secret,) = [bytes.fromhex(words[2]) for words in logged if words[0] == "CLIENT_TRAFFIC_SECRET_0"]
        return secret


@pytest.fixture
def keys(certificates: Certificates, tmp_path: Path) -> Keys:
    return Keys(certificates, tmp_path / "keys")


TOO_MANY_KEYS = hubbub.Ending(
    hubbub.EndingCode.LOST, "the client sends too many TLS records without data, such as key updates"
)


@pytest.mark.parametrize("asked", [False, True])
async def test_g3_a_client_that_changes_keys_on_and_on_is_ended_and_costs_little_until_then(
    certificates: Certificates, keys: Keys, asked: bool
) -> None:
    async with (
        serving(idle, listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, keys.context) as peer,
    ):
        (client,) = await record.wait_for_clients(1)
        transport: Any = transport_of(client)
        records, secret = key_updates(keys.secret_of(peer), 10, asked=asked)
        await peer.send_plain(records)
        # A client that changes them now and then goes on.
        await server.broadcast("Hey")
        assert await peer.line() == b"Hey\n"
        records, _ = key_updates(secret, 2000, asked=asked)
        # As the event loop does when all of them arrive at once.
        transport.get_buffer(-1)[: len(records)] = records
        transport.buffer_updated(len(records))
        # OpenSSL has been given two portions: all would hold the loop for 25 to 50 ms.
        assert len(transport._records.arrived) + transport._incoming.pending > len(records) - 3 * KIB
        assert await record.wait_for_endings() == [TOO_MANY_KEYS]


async def test_g3_a_client_that_changes_keys_between_its_messages_is_ended_too(
    certificates: Certificates, keys: Keys
) -> None:
    async with (
        serving(listeners=[certificates.listener()], framing=hubbub.ByteLines()) as (server, record),
        TlsPeer.of(server, keys.context) as peer,
    ):
        (client,) = await record.wait_for_clients(1)
        secret = keys.secret_of(peer)
        start = time.monotonic()
        with suppress(ConnectionError):
            for number in range(100):
                # The last record with these keys, and the first with the next.
                update = sealed(secret, key_update(asked=False), min(number, 1))
                secret = next_secret(secret)
                await peer.send_plain(update + sealed(secret, b"x\n\x17"))
                await eventually(lambda: client.ending is not None or client.messages_received > number)  # noqa: B023
        assert await record.wait_for_endings() == [TOO_MANY_KEYS]
        # Records without data are counted two at a time, and the last ones bring their message before they are counted.
        assert client.messages_received <= TLS_BARREN_LIMIT + 2 + TLS_BARREN_RATE * (time.monotonic() - start)


async def test_g3_a_stranger_that_changes_keys_on_and_on_does_not_get_the_time_of_a_handshake(
    certificates: Certificates, keys: Keys
) -> None:
    async def listen(client: hubbub.Client) -> bool:
        return await client.receive() == "open"

    listener = certificates.listener(authenticate=listen)
    async with (
        serving(listeners=[listener], settings=hubbub.Settings(handshake_time=60)) as (server, record),
        TlsPeer.of(server, keys.context) as peer,
    ):
        records, _ = key_updates(keys.secret_of(peer), 2000)
        with suppress(ConnectionError):
            await peer.send_plain(records)
        assert await record.wait_for_refusals() == [TOO_MANY_KEYS]


async def test_a_client_that_does_not_take_the_answers_to_its_key_updates_is_stalled(
    certificates: Certificates, keys: Keys
) -> None:
    async with (
        serving(idle, listeners=[certificates.listener()], settings=hubbub.Settings(patience=0.2)) as (server, record),
        TlsPeer.of(server, keys.context) as peer,
    ):
        (client,) = await record.wait_for_clients(1)
        # As the TCP transport does when its socket is full.
        transport_of(client).pause_writing()  # type: ignore[attr-defined]
        # OpenSSL answers each with the next.
        records, _ = key_updates(keys.secret_of(peer), 2)
        await peer.send_plain(records)
        assert await record.wait_for_endings() == [hubbub.Ending(hubbub.EndingCode.STALLED, "took nothing for 0.2 s")]


# Real programs.


def s_client(server: hubbub.Server[Any], certificates: Certificates, *options: str) -> Program:
    return Program(
        require_program("openssl"),
        "s_client",
        *("-connect", str(server.addresses[0]), "-CAfile", str(certificates.ca), "-verify_return_error"),
        *options,
    )


@pytest.mark.real
async def test_a_client_may_ask_for_new_keys(certificates: Certificates) -> None:
    async with (
        serving(listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, certificates.client_context()) as peer,
    ):
        await record.wait_for_clients(1)
        with s_client(server, certificates, "-tls1_3") as program:
            await record.wait_for_clients(2)
            for key in (b"K", b"k", b"K"):
                program.send(key + b"\n")
                await asyncio.to_thread(program.errors.expect, rb"KEYUPDATE\n")
                program.send(b"Hey\n")
                assert await peer.line() == b"Hey\n"
                await peer.send(b"Ho\n")
                await asyncio.to_thread(program.output.expect, rb"Ho\n")
            program.end()
            endings = await record.wait_for_endings()
            assert endings[0].code is hubbub.EndingCode.LEFT


@pytest.mark.real
async def test_g7_a_client_that_renegotiates_harms_nobody_else(certificates: Certificates) -> None:
    context = certificates.client_context()
    async with (
        serving(listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, context) as one,
        TlsPeer.of(server, context) as two,
    ):
        await record.wait_for_clients(2)
        with s_client(server, certificates, "-tls1_2") as program:
            await record.wait_for_clients(3)
            program.send(b"Hey\n")
            assert await one.line() == b"Hey\n"
            program.send(b"R\n")
            await record.wait_for_endings()
            await one.send(b"Ho\n")
            assert await two.line() == b"Hey\n"
            assert await two.line() == b"Ho\n"


@pytest.mark.parametrize("turns", range(6))
async def test_a_server_that_closes_while_a_handshake_begins_leaves_nothing_behind(
    certificates: Certificates, turns: int
) -> None:
    async with serving(listeners=[certificates.listener()]) as (server, _):
        with await dial(server):
            for _ in range(turns):
                await asyncio.sleep(0)
            await server.close()
        assert sum(server.statistics().endings.values()) == server.statistics().accepted


def test_servers_in_several_threads_do_not_share_what_they_read(certificates: Certificates) -> None:
    """Reading lets other threads run, so that room for it must not be shared among them."""

    def talk() -> None:
        asyncio.run(serve_and_talk(certificates))

    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(talk) for _ in range(3)]:
            done.result()


async def serve_and_talk(certificates: Certificates) -> None:
    lines = [b"%d %s\n" % (number, b"x" * 5_000) for number in range(200)]
    async with (
        serving(listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, certificates.client_context()) as sender,
        TlsPeer.of(server, certificates.client_context()) as reader,
    ):
        await record.wait_for_clients(2)
        for line in lines:
            await sender.send(line)
        assert await reader.exactly(sum(map(len, lines))) == b"".join(lines)


async def test_small_pieces_that_are_written_together_arrive_together(certificates: Certificates) -> None:
    async with (
        serving(listeners=[certificates.listener()]) as (server, record),
        TlsPeer.of(server, certificates.client_context()) as peer,
    ):
        (client,) = await record.wait_for_clients(1)
        transport_of(client).writelines([b"a\n", b"", b"b\n"])
        assert await peer.exactly(4) == b"a\nb\n"


async def test_a_stranger_who_is_listened_to_is_still_read_no_further_than_allowed(certificates: Certificates) -> None:
    heard: list[str] = []

    async def listen(arrival: hubbub.Arrival) -> bool:
        while True:
            heard.append(await arrival.receive())

    # No multiple of what is read at once.
    settings = hubbub.Settings(inbox_limit=512, unauthenticated_limit=2600, handshake_time=0.5)
    listener = certificates.listener(authenticate=listen)
    async with (
        serving(listeners=[listener], settings=settings) as (server, record),
        TlsPeer.of(server, certificates.client_context()) as peer,
    ):
        # In one record.
        await peer.send(b"x\n" * 2048)
        (ending,) = await record.wait_for_refusals()
        assert ending.code is hubbub.EndingCode.LATE
        assert len(heard) == 1300
