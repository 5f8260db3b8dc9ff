"""Abuse 21 to 24 and 49: clients with very many rooms, long histories, and readers that cost more than others.

All of it happens in one process, whose event loop is watched: nothing may hold it for long.
"""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest

import hubbub

from support.abuse_tools import KIB, MIB, UNLIMITED, many_descriptors
from support.figures import FULL, note, scaled
from support.helpers import WAIT_TIME, Peer, Record, dial, serving
from support.turns import Turns, shortest_of
from support.web import LISTENERS, refusal

pytestmark = pytest.mark.quiet

LONGEST = 0.02
"""The longest turn that is wanted, in seconds."""

SLACK = 1.0 if FULL else 2.0
"""How many times as long it may be on a machine that does other things as well, which have its caches meanwhile."""

READERS = scaled(3000, 200)
"""How many readers make a crowd. The bounds are for 3,000."""


def check(number: int, what: str, longest: float, bound: float = LONGEST) -> None:
    note(number, f"{what}: longest turn", f"{longest * 1e3:.1f} ms", f"{bound * 1e3:g} ms")
    assert longest <= SLACK * bound


async def idle(client: hubbub.Client[Any]) -> None:
    await client.wait_closed()


async def crowd(stack: AsyncExitStack, server: hubbub.Server[Any], record: Record, count: int, **options: Any) -> Any:
    """The sockets of so many clients, which read nothing by themselves, and the clients."""
    sockets = [stack.enter_context(await dial(server, **options)) for _ in range(count)]
    return sockets, list(await record.wait_for_clients(count))


def listening(framing: hubbub.Framing[Any] | None) -> list[hubbub.Listener[Any]]:
    return [hubbub.Listener(endpoint=hubbub.Address("127.0.0.1", 0), framing=framing)]


async def longest_turn_of_news(server: hubbub.Server[Any], clients: list[Any], sockets: list[Any]) -> float:
    """Say something in each room, and something to each client; what is said is read meanwhile."""
    for name, room in server.rooms.items():
        await room.broadcast(f"in {name}")
    for client in clients:
        await client.send("to you")
    with Turns() as turns:
        async with asyncio.timeout(WAIT_TIME):
            while server._pump.busy or any(not client._reader.outbox.idle for client in clients):
                for plain in sockets:
                    with suppress(BlockingIOError):
                        plain.recv(64 * KIB)
                await asyncio.sleep(0)
    return turns.longest


CROWDS = [(20, 300), (20, 2000), (100, 300)]
KINDS = ["that read", "that had stalled"]
CROWDS_OF_A_KIND = [
    pytest.param(count, rooms, kind, marks=pytest.mark.long if (rooms, kind) == (2000, "that had stalled") else ())
    for count, rooms in CROWDS
    for kind in KINDS
]


@pytest.mark.parametrize(
    ("count", "rooms", "kind"), [*CROWDS_OF_A_KIND, (1, 2000, "that read"), (1, 2000, "in another framing")]
)
async def test_21_clients_with_hundreds_or_thousands_of_rooms_each(count: int, rooms: int, kind: str) -> None:
    stalled = kind == "that had stalled"
    options = {
        "settings": hubbub.Settings(unsent_limit=4 * KIB if stalled else 128 * KIB),
        "listeners": listening(hubbub.Lines(crlf=True) if kind == "in another framing" else None),
    }
    async with serving(idle, **options) as (server, record), AsyncExitStack() as stack:
        sockets, clients = await crowd(stack, server, record, count, receive_buffer=4 * KIB if stalled else None)
        for client in clients:
            for number in range(rooms):
                await client.join(f"{number}")

        async def measure() -> float:
            while stalled and any(client._reader.link.writable for client in clients):
                await server.broadcast("x" * 8 * KIB)
                await asyncio.sleep(0)
            return await longest_turn_of_news(server, clients, sockets)

        check(21, f"{count} clients {kind}, in {rooms} rooms each", await shortest_of(scaled(3, 2), measure))


async def test_21_to_join_and_to_leave_very_many_rooms() -> None:
    async with serving(idle) as (server, record), Peer.of(server):
        (client,) = await record.wait_for_clients(1)
        rooms = server.settings.rooms_limit - 1

        async def measure() -> float:
            with Turns() as turns:
                for number in range(rooms):
                    await client.join(f"{number}")
                for room in client.rooms - {server.root}:
                    await client.leave(room)
            return turns.longest

        longest = await shortest_of(2, measure)
        assert set(server.rooms) == {"root"}
        check(21, f"joining and leaving {rooms} rooms", longest)


@pytest.mark.parametrize("rooms", [0, 5000])
async def test_21_a_join_and_a_leave_take_the_same_in_however_many_rooms(rooms: int) -> None:
    async with serving(idle) as (server, record), Peer.of(server):
        (client,) = await record.wait_for_clients(1)
        room = server.room("news")
        for number in range(rooms):
            await client.join(f"{number}")

        async def measure() -> float:
            start = time.thread_time()
            for _ in range(1000):
                await client.join(room)
                await client.leave(room)
            return (time.thread_time() - start) / 1000

        each = await shortest_of(5, measure)
        note(21, f"join and leave, in {rooms} rooms already", f"{each * 1e6:.1f} µs", "20 µs")
        # In debug mode the loop itself takes several times as long.
        assert each <= SLACK * 20e-6 * (4 if asyncio.get_running_loop().get_debug() else 1)


async def test_22_the_history_of_very_many_lines() -> None:
    lines, together = scaled(2 * MIB, MIB // 2), 2048
    async with serving(idle, settings=hubbub.Settings(retention=16 * MIB)) as (server, _):
        for _ in range(lines // together):
            await server.broadcast_many([""] * together)
        tracemalloc.start()
        try:
            async for _ in server.root.history(last=100_000):
                pass
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        start = time.thread_time()
        with Turns() as turns:
            count = 0
            async for _ in server.root.history():
                count += 1
        took = time.thread_time() - start
        assert count == lines
        note(22, f"history of {lines} empty lines", f"{took:.1f} s, in slices", "in slices")
        note(22, "history: memory", f"{peak / MIB:.1f} MiB", "that of a chunk")
        assert peak <= 16 * MIB
        check(22, "history", turns.longest)


async def test_23_a_crowd_that_reads_in_another_framing() -> None:
    options = {"listeners": listening(hubbub.Lines(crlf=True)), "settings": hubbub.Settings(**UNLIMITED)}
    with many_descriptors(2 * READERS + 200):
        async with serving(idle, **options) as (server, record), AsyncExitStack() as stack:
            await crowd(stack, server, record, READERS)

            async def measure() -> float:
                with Turns() as turns:
                    await server.broadcast("x" * 50)
                    await server.root.fan_out.flushed.wait()
                return turns.longest

            check(23, f"{READERS} readers in another framing", await shortest_of(5, measure), LONGEST / 2)


async def test_24_a_crowd_that_takes_nothing_and_skips() -> None:
    """Beyond its retention a reader that takes nothing costs nothing."""
    flushes = scaled(5000, 1000)
    settings = hubbub.Settings(
        **UNLIMITED, when_slow="skip", retention=MIB, unsent_limit=4 * KIB, patience=3600, stall_time=0.1
    )

    async def flushes_a_second(count: int) -> float:
        async with serving(idle, settings=settings) as (server, record), AsyncExitStack() as stack:
            _, clients = await crowd(stack, server, record, count, receive_buffer=4 * KIB)
            while any(client._reader.link.writable for client in clients):
                await server.broadcast("x" * 2 * KIB)
                await server.root.fan_out.flushed.wait()
            # Until it is behind by more than the retention, and holds nobody.
            await asyncio.sleep(settings.hold_time)
            for _ in range(2 * MIB // KIB):
                await server.broadcast("x" * KIB)

            async def measure() -> float:
                start = time.thread_time()
                for _ in range(flushes):
                    await server.broadcast("x" * 200)
                    await asyncio.sleep(0)
                return time.thread_time() - start

            took = await shortest_of(5, measure)
            assert all(client.ending is None for client in clients)
            return flushes / took

    with many_descriptors(2 * READERS + 200):
        alone = await flushes_a_second(1)
        crowded = await flushes_a_second(READERS)
        note(24, f"flushes a second, with {READERS} readers that take nothing", f"{crowded:.0f}", "")
        note(24, "that, of the flushes with one such reader", f"{crowded / alone:.0%}", "90 %")
        assert crowded >= 0.9 / SLACK * alone


async def test_49_the_state_of_very_many_rooms_and_connections() -> None:
    rooms, connections = scaled(1000, 500), scaled(9000, 500)
    settings = hubbub.Settings(**UNLIMITED, rooms_limit=rooms)
    with many_descriptors(2 * connections + 200):
        async with (
            serving(idle, listeners=LISTENERS, settings=settings) as (server, record),
            AsyncExitStack() as stack,
        ):
            await crowd(stack, server, record, connections)
            for number in range(rooms - 1):
                await server.room(f"{number}").broadcast_many(["x" * 50] * 20)

            async def measure() -> float:
                with Turns() as turns:
                    for offset in range(0, connections, 1000):
                        assert (await refusal(server, f"GET /status?limit=1000&offset={offset}"))[0] == 200
                return turns.longest

            check(49, f"the state of {rooms} rooms and {connections} connections", await shortest_of(3, measure))
