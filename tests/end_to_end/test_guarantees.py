"""The guarantees of docs/topics/guarantees.md, each with its number in the name of its tests."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import logging
import struct
import sys
import termios
import tracemalloc
from collections.abc import Callable

import pytest

import hubbub

from support.helpers import Peer, dial, eventually, history_of, serving, transport_of

KIB = 1024


async def shout(client: hubbub.Client) -> None:
    async for message in client:
        await client.server.broadcast(message)


async def test_g1_order_is_one_for_all_senders_and_readers() -> None:
    async with contextlib.AsyncExitStack() as stack:
        server, record = await stack.enter_async_context(serving(shout))
        peers = [await stack.enter_async_context(Peer.of(server)) for _ in range(5)]
        await record.wait_for_clients(5)
        for number in range(100):
            for name, peer in zip("abcde", peers, strict=True):
                await peer.send(f"{name}{number}\n".encode())
        heard = [[await peer.line() for _ in range(500)] for peer in peers]
        assert all(lines == heard[0] for lines in heard)
        assert heard[0] == [f"{entry.message}\n".encode() for entry in await history_of(server.root)]
        for name in "abcde":
            own = [line for line in heard[0] if line.startswith(name.encode())]
            assert own == [f"{name}{number}\n".encode() for number in range(100)]


async def test_g2_no_silent_gap_a_client_too_far_behind_is_told_what_it_missed_or_ended() -> None:
    settings = hubbub.Settings(retention=128 * KIB, unsent_limit=4 * KIB, pace=None)
    async with (
        serving(settings=settings) as (server, record),
        Peer.of(server, receive_buffer=4 * KIB) as skipper,
        Peer.of(server, receive_buffer=4 * KIB) as ended,
    ):
        clients = {client.name: client for client in await record.wait_for_clients(2)}
        clients[skipper.name].when_slow = "skip"
        for peer in (skipper, ended):
            peer.stall()
        total = 0
        while len(record.ended_clients) < 1 or total % 100:
            await server.broadcast(f"{total:08d}{'x' * 2 * KIB}")
            total += 1
        (ending,) = await record.wait_for_endings(1)
        assert ending.code is hubbub.EndingCode.SLOW
        for peer in (skipper, ended):
            peer.resume()
        # The one that was ended has whole messages without a gap, and then the end.
        lines = (await ended.rest()).splitlines()
        assert [int(line[:8]) for line in lines] == list(range(len(lines)))
        next_number = 0
        while next_number < total:
            line = await skipper.line()
            if line.startswith(b"["):
                next_number += int(line[1:].split()[0])
            else:
                assert int(line[:8]) == next_number
                next_number += 1


@pytest.mark.skipif(sys.platform != "linux", reason="TIOCOUTQ shows what the kernel holds on Linux only")
async def test_g3_isolation_a_client_that_does_not_read_delays_nobody_and_costs_only_its_buffers() -> None:
    settings = hubbub.Settings(retention=1024 * KIB, unsent_limit=16 * KIB)
    async with contextlib.AsyncExitStack() as stack:
        server, record = await stack.enter_async_context(serving(settings=settings))
        good = await stack.enter_async_context(Peer.of(server))
        for _ in range(5):
            stack.enter_context(await dial(server, receive_buffer=4 * KIB))
        clients = [client for client in await record.wait_for_clients(6) if client.name != good.name]
        for client in clients:
            client.when_slow = "skip"
        line = "x" * (4 * KIB - 1)
        for _ in range(1000):
            await server.broadcast(line)
            # The good one hears each at once.
            assert len(await good.line()) == 4 * KIB
        for client in clients:
            transport = transport_of(client)
            assert transport.get_write_buffer_size() <= settings.chunk_size
            connection = transport.get_extra_info("socket")
            (unsent,) = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4)))
            # The kernel looks at its limit between the pieces it takes, and counts what is under way too.
            assert unsent <= 160 * KIB


async def test_g4_whole_messages_of_two_senders_never_interleave() -> None:
    async with (
        serving() as (server, record),
        Peer.of(server) as alice,
        Peer.of(server) as bob,
        Peer.of(server) as reader,
    ):
        await record.wait_for_clients(3)
        for number in range(50):
            # In pieces that end anywhere.
            for piece in (f"a{number}-", "aaa", f"aaa\na{number}+"):
                await alice.send(piece.encode())
                await bob.send(piece.replace("a", "b").encode())
            await alice.send(b"\n")
            await bob.send(b"\n")
        lines = [(await reader.line()).decode() for _ in range(200)]
        for name in "ab":
            own = [line for line in lines if line.startswith(name)]
            expected = [[f"{name}{number}-{name * 6}\n", f"{name}{number}+\n"] for number in range(50)]
            assert own == list(itertools.chain(*expected))


@pytest.mark.parametrize(
    ("go", "heard"), [(Peer.end, b"first\nlast\nnext\n"), (Peer.reset, b"first\nnext\n")], ids=["clean end", "loss"]
)
async def test_g4_whole_messages_a_last_line_without_its_end_counts_at_a_clean_end_only(
    go: Callable[[Peer], None], heard: bytes
) -> None:
    async with serving() as (server, record), Peer.of(server) as alice, Peer.of(server) as bob:
        await record.wait_for_clients(2)
        await alice.send(b"first\nlast")
        assert await bob.line() == b"first\n"
        go(alice)
        await record.wait_for_endings()
        await server.broadcast("next")
        assert b"first\n" + await bob.exactly(len(heard) - 6) == heard


async def test_g5_bounded_memory_nothing_grows_with_the_backlog() -> None:
    settings = hubbub.Settings(retention=256 * KIB, unsent_limit=16 * KIB, when_slow="skip")
    async with contextlib.AsyncExitStack() as stack:
        server, record = await stack.enter_async_context(serving(settings=settings))
        for _ in range(5):
            stack.enter_context(await dial(server, receive_buffer=4 * KIB))
        clients = await record.wait_for_clients(5)
        line = "x" * (4 * KIB - 1)

        async def broadcast_and_measure() -> int:
            for _ in range(500):
                await server.broadcast(line)
            return tracemalloc.get_traced_memory()[0]

        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        await broadcast_and_measure()
        before = await broadcast_and_measure()
        after = await broadcast_and_measure()
        retained = sum([len(entry.message) async for entry in server.root.history()])
        assert retained <= settings.retention + settings.chunk_size
        assert all(transport_of(client).get_write_buffer_size() <= settings.chunk_size for client in clients)
        # 2 MiB went through in between.
        assert after - before < 256 * KIB


async def test_g6_clean_end_delivers_what_was_broadcast_before() -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB)
    async with (
        serving(settings=settings) as (server, record),
        Peer.of(server, receive_buffer=4 * KIB) as slow,
        Peer.of(server) as good,
    ):
        clients = await record.wait_for_clients(2)
        slow.stall()
        for number in range(200):
            await server.broadcast(f"{number:08d}{'x' * 4 * KIB}")
        closing = asyncio.create_task(server.close())
        await asyncio.sleep(0)
        slow.resume()
        for peer in (good, slow):
            *heard, farewell = (await peer.rest()).splitlines()
            assert [int(line[:8]) for line in heard] == list(range(200))
            assert farewell == b"server is closing"
            peer.end()
        await closing
        assert [client.ending.code for client in clients if client.ending] == [hubbub.EndingCode.SHUTDOWN] * 2
        assert not server.clients
        with pytest.raises(ConnectionRefusedError):
            await dial(server)


async def test_g7_containment_of_all_that_can_go_wrong_with_one_client(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(client: hubbub.Client) -> None:
        async for message in client:
            if message == "raise":
                raise LookupError(message)
            await client.server.broadcast(message, exclude=client)

    settings = hubbub.Settings(message_limit=100)
    with caplog.at_level(logging.ERROR, logger="hubbub"):
        async with (
            serving(handler, settings=settings) as (server, record),
            Peer.of(server) as witness,
            Peer.of(server) as raising,
            Peer.of(server) as endless,
            Peer.of(server) as garbled,
            Peer.of(server) as resetting,
        ):
            await record.wait_for_clients(5)
            await raising.send(b"one\n")
            assert await witness.line() == b"one\n"
            await raising.send(b"raise\n")
            await endless.send(b"two\n" + b"x" * 101)
            assert await witness.line() == b"two\n"
            await garbled.send(b"three\xff\xfa\n\xfe\0\n")
            garbled.end()
            assert await witness.line() == b"three\n"
            await resetting.send(b"four\n")
            assert await witness.line() == b"four\n"
            resetting.reset()
            await record.wait_for_endings(4)
            endings = {client.name: client.ending.code for client in record.ended_clients if client.ending}
            assert endings == {
                raising.name: hubbub.EndingCode.FAILED,
                endless.name: hubbub.EndingCode.TOO_LONG,
                garbled.name: hubbub.EndingCode.LEFT,
                resetting.name: hubbub.EndingCode.LOST,
            }
            await eventually(lambda: [client.name for client in server.clients] == [witness.name])
            await server.broadcast("five")
            assert await witness.line() == b"five\n"
    (error,) = caplog.records
    assert error.exc_info is not None
    assert isinstance(error.exc_info[1], LookupError)
