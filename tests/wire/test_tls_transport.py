"""TLS between a link and its socket: messages, readers that are slow, and handlers that are."""

from __future__ import annotations

import asyncio
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

import hubbub
from hubbub.values.fixed_limits import TLS_PIECE_SIZE

from support.certificates import Certificates, TlsPeer
from support.helpers import dial, eventually, fall_behind, serving

if TYPE_CHECKING:
    from wire.conftest import Tls

KIB = 1024
MIB = 1024 * KIB

SMALL = {"receive_buffer": 4 * KIB}
"""A peer that soon takes nothing more."""

all_versions = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


def numbered(count: int, size: int = 1000) -> bytes:
    """Lines that differ."""
    return b"".join([b"%0*d\n" % (size - 1, number) for number in range(count)])


# Messages.


@all_versions
async def test_messages_go_both_ways_in_the_version_of_the_client(tls: Tls, version: ssl.TLSVersion) -> None:
    context = tls.certificates.client_context(version=version)
    async with tls.talk(clients=2, first={"context": context}) as at:
        assert at.peer.tls.version() == version.name.replace("_", ".")
        await at.peer.send(b"Hey\n")
        assert await at.other.line() == b"Hey\n"
        await at.other.send(b"Ho\n")
        assert await at.peer.line() == b"Ho\n"


async def test_one_large_message_is_cut_into_records_and_put_together(tls: Tls) -> None:
    large = "x" * MIB
    async with tls.talk() as at:
        await at.server.broadcast(large)
        await at.server.broadcast("end")
        assert await at.peer.exactly(MIB + 5) == large.encode() + b"\nend\n"


@all_versions
async def test_messages_are_found_however_tcp_cuts_the_stream(tls: Tls, version: ssl.TLSVersion) -> None:
    said = numbered(5, 100)
    context = tls.certificates.client_context(version=version)
    async with tls.talk(clients=2, first={"context": context, "piece": 1}) as at:
        await at.peer.send(said)
        assert await at.other.exactly(len(said)) == said
        await at.other.send(said)
        assert await at.peer.exactly(len(said)) == said
        await at.peer.end()


async def test_what_comes_together_with_the_end_of_the_handshake_is_not_lost(certificates: Certificates) -> None:
    async with serving(listeners=[certificates.listener()]) as (server, record):
        with await dial(server) as plain:
            peer = TlsPeer(plain, certificates.client_context(version=ssl.TLSVersion.TLSv1_3))
            await peer.shake_hands(b"Hey\nHo")
            (client,) = await record.wait_for_clients(1)
            await eventually(lambda: record.received_from[client.name] == ["Hey"])
            assert client.bytes_received == 6


async def test_small_pieces_that_are_written_together_arrive_together(tls: Tls) -> None:
    async with tls.talk() as at:
        at.transport.writelines([b"a\n", b"", b"b\n"])
        assert await at.peer.exactly(4) == b"a\nb\n"


async def test_whatever_is_asked_of_a_transport_it_answers_as_that_of_tcp_does(tls: Tls) -> None:
    async with tls.talk() as at:
        assert at.transport.can_write_eof()
        assert "{}:{}".format(*at.transport.get_extra_info("peername")) == at.peer.name
        assert at.transport.get_extra_info("no such thing", "none") == "none"


def test_servers_in_several_threads_do_not_share_what_they_read(tls: Tls) -> None:
    """Reading lets other threads run, so that room for it must not be shared among them."""
    lines = [b"%d %s\n" % (number, b"x" * 5_000) for number in range(200)]

    async def serve_and_talk() -> None:
        async with tls.talk(clients=2) as at:
            for line in lines:
                await at.peer.send(line)
            assert await at.other.exactly(sum(map(len, lines))) == b"".join(lines)

    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(lambda: asyncio.run(serve_and_talk())) for _ in range(3)]:
            done.result()


# Slow readers.


async def test_g3_memory_of_a_stalled_reader_is_bounded_and_others_go_on(tls: Tls) -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB, retention=64 * MIB)
    async with tls.talk(clients=2, first=SMALL, settings=settings) as at:
        for _ in range(50):
            await at.server.broadcast("x" * (200 * KIB - 1))
            assert len(await at.other.exactly(200 * KIB)) == 200 * KIB
            # A piece that is encrypted, and in plain a chunk, which is that of the log.
            assert at.transport.get_write_buffer_size() <= TLS_PIECE_SIZE + KIB + settings.chunk_limit
            assert at.transport._inner.get_write_buffer_size() <= TLS_PIECE_SIZE + KIB
        assert at.client.lag.bytes > 9 * MIB


async def test_a_reader_that_takes_nothing_is_ended_when_patience_is_over(tls: Tls) -> None:
    async with tls.talk(first=SMALL, settings=hubbub.Settings(unsent_limit=4 * KIB, patience=0.3)) as at:
        await fall_behind(at.client, at.server.root, "x" * 8 * KIB)
        stalled = hubbub.Ending(hubbub.EndingCode.STALLED, "took nothing for 0.3 s")
        assert await at.record.wait_for_endings() == [stalled]
        await at.client.wait_closed()


async def test_a_reader_that_takes_a_little_now_and_then_is_not_stalled(tls: Tls) -> None:
    loop = asyncio.get_running_loop()
    async with tls.talk(first=SMALL, settings=hubbub.Settings(unsent_limit=4 * KIB, patience=0.4)) as at:
        await fall_behind(at.client, at.server.root, "x" * 64 * KIB)
        for _ in range(8):
            await at.server.broadcast("x" * 256 * KIB)
        end = loop.time() + 1.2
        while loop.time() < end:
            await at.peer.exactly(16 * KIB)
            await asyncio.sleep(0.05)
        assert at.client.lag.bytes > 0
        assert at.client.ending is None


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


# Reading.


async def test_a_handler_that_does_not_read_holds_its_client_back_and_loses_nothing(tls: Tls) -> None:
    said = numbered(20_000)
    go = asyncio.Event()
    heard: list[bytes] = []

    async def slow(client: hubbub.Client[bytes]) -> None:
        await go.wait()
        while messages := await client.receive_many():
            heard.extend(messages)

    async with tls.talk(slow, framing=hubbub.ByteLines()) as at:
        assert at.transport.is_reading()
        sending = asyncio.create_task(at.peer.send(said))
        await eventually(lambda: not at.transport.is_reading())
        # What it holds is a read more than its limit, and not what the client has sent.
        assert at.client._reader.link._inbox_size + at.transport._incoming.pending <= 64 * KIB + 64 * KIB + 17 * KIB
        assert not sending.done()
        go.set()
        await sending
        await eventually(lambda: len(heard) == 20_000)
        assert heard == said.split(b"\n")[:-1]


async def test_a_clean_end_counts_behind_all_that_the_handler_has_yet_to_read(tls: Tls) -> None:
    """The end has arrived, TCP's too, while most of the messages wait in OpenSSL."""
    said = numbered(300)
    heard: list[bytes] = []
    go = asyncio.Event()

    async def slow(client: hubbub.Client[bytes]) -> None:
        await go.wait()
        async for message in client:
            heard.append(message)
            await asyncio.sleep(0)

    async with tls.talk(slow, framing=hubbub.ByteLines(), settings=hubbub.Settings(inbox_limit=KIB)) as at:
        await at.peer.send(said + b"end")
        await at.peer.end()
        at.peer.cut()
        go.set()
        assert await at.peer.rest() == b""
    assert heard == [*said.split(b"\n")[:-1], b"end"]


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
