"""The readers of one room: who is ready, who is behind, and who holds senders back."""

from __future__ import annotations

import asyncio

import hubbub

from support.helpers import Peer, dial, eventually, fall_behind, serving

KIB = 1024
SMALL = hubbub.Settings(unsent_limit=4 * KIB)


async def idle(client: hubbub.Client) -> None:
    async for _ in client:
        pass


async def test_a_reader_is_ready_while_it_takes_what_it_is_given_and_behind_while_not() -> None:
    async with serving(idle, settings=SMALL) as (server, record), Peer.of(server, receive_buffer=4 * KIB) as peer:
        (client,) = await record.wait_for_clients(1)
        readers = server.root.readers
        assert len(readers._ready) == 1
        peer.stall()
        await fall_behind(client, server.root, "x" * 8 * KIB)
        assert not readers._ready
        assert len(readers._behind) == 1
        peer.resume()
        # While it is read from.
        reading = asyncio.create_task(peer.rest())
        await eventually(lambda: len(readers._ready) == 1)
        assert not readers._behind
        peer.end()
        await reading
        assert not readers._ready


async def test_a_reader_that_takes_little_holds_senders_and_one_that_stalls_does_not() -> None:
    settings = hubbub.Settings(retention=64 * KIB, unsent_limit=4 * KIB, pace=1024 * KIB)
    async with serving(idle, settings=settings) as (server, record):
        with await dial(server, receive_buffer=4 * KIB):
            (client,) = await record.wait_for_clients(1)
            readers = server.root.readers
            await fall_behind(client, server.root, "x" * KIB)
            while not readers.holding:
                await server.broadcast("x" * KIB)
                await asyncio.sleep(0)
            # It has just taken something.
            assert client.lag.bytes > settings.retention // 2
            await asyncio.sleep(settings.hold_time + 0.1)
            readers.look()
            assert not readers.holding


async def test_where_senders_are_never_held_nobody_looks() -> None:
    settings = hubbub.Settings(retention=64 * KIB, unsent_limit=4 * KIB, pace=None, when_slow="skip")
    async with serving(idle, settings=settings) as (server, record):
        with await dial(server, receive_buffer=4 * KIB):
            (client,) = await record.wait_for_clients(1)
            await fall_behind(client, server.root, "x" * KIB)
            for _ in range(200):
                await server.broadcast("x" * KIB)
                assert not server.root.readers.holding


async def test_one_flush_carries_all_that_was_broadcast_in_one_turn() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as peer:
        await record.wait_for_clients(1)
        flushes = 0

        async def count() -> None:
            nonlocal flushes
            while True:
                await server.root.readers.flushed.wait()
                flushes += 1

        counting = asyncio.create_task(count())
        await asyncio.sleep(0)
        for number in range(100):
            await server.broadcast(str(number))
        for number in range(100):
            assert await peer.line() == f"{number}\n".encode()
        assert flushes == 1
        counting.cancel()
        await asyncio.wait([counting])


async def test_what_is_broadcast_between_the_slices_of_a_flush_goes_with_the_next_one() -> None:
    settings = hubbub.Settings(flush_slice=1)
    async with (
        serving(idle, settings=settings) as (server, record),
        Peer.of(server) as one,
        Peer.of(server) as two,
        Peer.of(server) as three,
    ):
        await record.wait_for_clients(3)
        for number in range(20):
            await server.broadcast(str(number))
            await asyncio.sleep(0)
        for peer in (one, two, three):
            assert [int(await peer.line()) for _ in range(20)] == list(range(20))
