"""Who is connected: the clients, and the tasks of their handlers."""

from __future__ import annotations

import asyncio
import logging

import pytest

import hubbub

from support.helpers import Peer, Record, eventually, serving


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


async def test_a_client_that_the_observer_ends_at_once_is_not_noticed_any_more() -> None:
    class Door(Record):
        def connected(self, client: hubbub.Client) -> None:
            super().connected(client)
            client._reader.end(hubbub.Ending(hubbub.EndingCode.CLOSED, "full"), deliver=True)

    async with serving(observer=Door()) as (server, record), Peer.of(server) as peer:
        assert await peer.rest() == b""
        peer.end()
        (ending,) = await record.wait_for_endings()
        assert ending.reason == "full"


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


async def test_a_handler_that_outlives_its_client_is_cancelled_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    cancelled = asyncio.Event()

    async def handler(client: hubbub.Client) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            cancelled.set()

    async with serving(handler, settings=hubbub.Settings(cancel_time=0.1, probe_time=0)) as (server, record):
        async with Peer.of(server) as peer:
            (client,) = await record.wait_for_clients(1)
            peer.reset()
        await cancelled.wait()
        assert client.ending is not None
        assert client.ending.code is hubbub.EndingCode.LOST
        assert server.statistics().endings == {hubbub.EndingCode.LOST: 1}
    # In debug mode, asyncio complains of a machine that is busy.
    (warning,) = [record for record in caplog.records if record.name == "hubbub"]
    assert warning.levelno == logging.WARNING
    assert warning.getMessage() == f"the handler of {client} is cancelled: its client ended 0.1 s ago"
