"""Who is connected: the clients, their handlers, and how many ended and why."""

from __future__ import annotations

import asyncio
import logging

import pytest

import hubbub

from helpers import Peer, Record, dial, eventually, fall_behind, serving

KIB = 1024


async def test_the_clients_are_those_that_have_not_ended() -> None:
    async def until_end(client: hubbub.Client) -> None:
        async for _ in client:
            pass

    async with serving(until_end) as (server, record), Peer.of(server) as one, Peer.of(server) as two:
        clients = {client.name: client for client in await record.wait_for_clients(2)}
        assert server.clients == set(clients.values())
        one.end()
        await one.rest()
        assert server.clients == {clients[two.name]}


async def test_the_handler_starts_when_the_observer_has_heard_of_the_client() -> None:
    order: list[str] = []

    class Watch(Record):
        def connected(self, client: hubbub.Client) -> None:
            order.append("observer")

    async def handler(client: hubbub.Client) -> None:
        order.append("handler")

    async with serving(handler, observer=Watch()) as (server, _), Peer.of(server) as peer:
        assert await peer.rest() == b""
        peer.end()
    assert order == ["observer", "handler"]


async def test_a_client_that_the_observer_turns_away_gets_no_handler() -> None:
    """Ended before its handler has started, it is not served at all."""

    class Door(Record):
        def connected(self, client: hubbub.Client) -> None:
            super().connected(client)
            closings.append(asyncio.get_running_loop().create_task(client.close("full")))

    async def handler(client: hubbub.Client) -> None:
        served.append(client)
        await client.wait_closed()

    closings: list[asyncio.Task[None]] = []
    served: list[hubbub.Client] = []
    async with serving(handler, observer=Door()) as (server, _), Peer.of(server) as peer:
        assert await peer.rest() == b""
        peer.end()
        await eventually(lambda: bool(closings) and closings[0].done())
    assert not served


async def test_a_handler_that_ends_in_time_is_not_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    finished = asyncio.Event()

    async def handler(client: hubbub.Client) -> None:
        async for _ in client:
            pass
        assert client.ending is not None
        await asyncio.sleep(0.05)
        finished.set()

    async with serving(handler, settings=hubbub.Settings(cancel_time=0.3)) as (server, record):
        async with Peer.of(server) as peer:
            await record.wait_for_clients(1)
            peer.reset()
        await finished.wait()
        # Not even later.
        await asyncio.sleep(0.4)
    assert not caplog.records


async def test_a_server_that_closes_cancels_handlers_that_go_on(caplog: pytest.LogCaptureFixture) -> None:
    cancelled = asyncio.Event()

    async def handler(client: hubbub.Client) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with serving(handler) as (server, record), Peer.of(server) as peer:
        await record.wait_for_clients(1)
        peer.end()
        await server.close()
        assert cancelled.is_set()
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


async def test_when_the_server_closes_all_handlers_have_until_everything_is_delivered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Even one whose client was lost before, and whose own time would run out earlier."""
    cancelled_at: list[float] = []
    loop = asyncio.get_running_loop()

    async def handler(client: hubbub.Client) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled_at.append(loop.time())
            raise

    settings = hubbub.Settings(cancel_time=0.1, drain_time=0.5, unsent_limit=4 * KIB)
    async with serving(handler, settings=settings) as (server, record), Peer.of(server) as lost:
        with await dial(server, receive_buffer=4 * KIB):
            clients = {client.name: client for client in await record.wait_for_clients(2)}
            del clients[lost.name]
            (client,) = clients.values()
            await fall_behind(client, server.root, "x" * 8 * KIB)
            lost.reset()
            await record.wait_for_endings()
            start = loop.time()
            await server.close()
    assert len(cancelled_at) == 2
    assert all(time - start >= 0.4 for time in cancelled_at)
    assert not caplog.records


async def test_patience_is_looked_at_again_and_again() -> None:
    async def handler(client: hubbub.Client) -> None:
        await client.wait_closed()

    settings = hubbub.Settings(patience=0.2, unsent_limit=4 * KIB)
    async with serving(handler, settings=settings) as (server, record):
        for count in (1, 2):
            with await dial(server, receive_buffer=4 * KIB):
                client = (await record.wait_for_clients(count))[-1]
                await fall_behind(client, server.root, "x" * 8 * KIB)
                endings = await record.wait_for_endings(count)
                assert endings[-1].code is hubbub.EndingCode.STALLED
