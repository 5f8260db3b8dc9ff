"""How a server closes: whoever asks, whenever, and whatever comes in between."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest

import hubbub

from support.helpers import WAIT_TIME, Peer, Record, dial, eventually, fall_behind, serving

KIB = 1024

SHUTDOWN = hubbub.Ending(hubbub.EndingCode.SHUTDOWN, "the server closed")


class Watch(Record):
    """Also remembers what it was told of the server, and how many clients there were."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[str, int]] = []

    def started(self, server: hubbub.Server[Any]) -> None:
        self.heard.append(("started", len(server.clients)))

    def closing(self, server: hubbub.Server[Any]) -> None:
        self.heard.append(("closing", len(server.clients)))

    def closed(self, server: hubbub.Server[Any]) -> None:
        self.heard.append(("closed", len(server.clients)))


async def turn(count: int) -> None:
    """Let the event loop turn so often."""
    for _ in range(count):
        await asyncio.sleep(0)


# Who asks.


async def test_to_close_twice_is_no_error_and_both_wait_for_the_end() -> None:
    watch = Watch()
    async with serving(observer=watch) as (server, _), Peer.of(server) as peer:
        await watch.wait_for_clients(1)
        closings = [asyncio.create_task(server.close()) for _ in range(2)]
        await peer.rest()
        assert not any(closing.done() for closing in closings)
        peer.end()
        await asyncio.gather(*closings)
        await server.close()
    assert watch.heard == [("started", 0), ("closing", 1), ("closed", 0)]


async def close_in_a_group(server: hubbub.Hub[Any]) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.close())


@pytest.mark.parametrize(
    ("close", "goes_on"),
    [
        (lambda server: server.close(), True),
        (lambda server: asyncio.create_task(server.close()), False),
        (close_in_a_group, False),
        (lambda server: asyncio.wait_for(server.close(), 60), False),
        (lambda server: asyncio.wait_for(server.close(), 0.1), False),
    ],
    ids=["itself", "task", "group", "for a while", "time-out"],
)
async def test_a_handler_may_close_its_server_itself_or_from_another_task(close: Any, goes_on: bool) -> None:
    went_on = []

    async def handler(client: hubbub.Client) -> None:
        await client.receive()
        await close(client.server)
        went_on.append(client)

    watch = Watch()
    settings = hubbub.Settings(linger_time=0.05, cancel_time=0.2)
    async with (
        serving(handler, settings=settings, observer=watch) as (server, _),
        Peer.of(server) as peer,
        Peer.of(server) as other,
    ):
        await watch.wait_for_clients(2)
        await peer.send(b"close\n")
        for one in (peer, other):
            assert await one.rest() == b"server is closing\n"
            one.end()
        async with asyncio.timeout(WAIT_TIME):
            await server.serve_forever()
        assert watch.heard[-1] == ("closed", 0)
        assert {client.ending for client in watch.clients} == {SHUTDOWN}
        # The one that waits for it in its own task is not cancelled.
        await eventually(lambda: bool(went_on) == goes_on)


# A close that is cancelled.


@pytest.mark.parametrize("turns", range(1, 10))
async def test_a_close_that_is_cancelled_at_whatever_time_ends_everybody(turns: int) -> None:
    async with serving(settings=hubbub.Settings(linger_time=60, drain_time=60)) as (server, record):
        with await dial(server):
            (client,) = await record.wait_for_clients(1)
            closing = asyncio.create_task(server.close())
            await turn(turns)
            closing.cancel()
            await asyncio.wait([closing])
            await server.close()
            async with asyncio.timeout(WAIT_TIME):
                await client.wait_closed()
            assert client.ending is not None


@pytest.mark.parametrize(
    ("asked", "cancelled"), [("header", 0), ("secret", 0), *(("nothing", after) for after in range(6))]
)
@pytest.mark.parametrize("turns", range(6))
async def test_a_server_that_closes_leaves_none_behind_that_was_on_the_way_in(
    turns: int, asked: str, cancelled: int
) -> None:
    """Whatever is asked of it, and even if the first close is cancelled after so many turns."""

    async def receive(client: hubbub.Client[Any]) -> bool:
        return bool(await client.receive())

    listener: hubbub.Listener[str] = hubbub.Listener(
        endpoint=hubbub.Address("127.0.0.1", 0),
        proxies=hubbub.Networks(["127.0.0.1"] if asked == "header" else []),
        authenticate=receive if asked == "secret" else None,
    )
    async with serving(listeners=[listener], settings=hubbub.Settings(linger_time=0.05)) as (server, record):
        # The kernel makes the connection; the event loop learns of it some turns later.
        with socket.create_connection(server.addresses[0]) as plain:
            await turn(turns)
            if cancelled:
                closing = asyncio.create_task(server.close())
                await turn(cancelled)
                closing.cancel()
                await asyncio.wait([closing])
            async with asyncio.timeout(5):
                await server.close()
            if cancelled:
                # The rest goes on by itself.
                plain.setblocking(False)
                with suppress(ConnectionResetError):
                    async with asyncio.timeout(WAIT_TIME):
                        while await asyncio.get_running_loop().sock_recv(plain, 1000):
                            pass
                await eventually(lambda: not (server._sessions.arrivals.tasks or server._sessions.readers))
        assert all(client.ending is not None for client in record.clients)
        assert server.statistics().clients == 0
        assert not server._sessions.arrivals.tasks
        assert not server._sessions.readers


# The farewell.


@pytest.mark.parametrize("farewell", ["server is closing", "back at noon", None])
async def test_clients_are_told_that_the_server_closes(farewell: str | None) -> None:
    settings = hubbub.Settings(farewell=farewell)
    async with serving(settings=settings) as (server, record), Peer.of(server) as peer:
        await record.wait_for_clients(1)
        await server.broadcast("last news")
        closing = asyncio.create_task(server.close())
        assert await peer.rest() == b"last news\n" + (f"{farewell}\n".encode() if farewell else b"")
        peer.end()
        await closing
        assert await record.wait_for_endings() == [SHUTDOWN]


async def test_the_ends_of_clients_are_spread_so_that_not_all_come_back_at_once() -> None:
    loop = asyncio.get_running_loop()
    count = 5
    async with serving(settings=hubbub.Settings(spread_time=0.5)) as (server, record), AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(Peer.of(server)) for _ in range(count)]
        await record.wait_for_clients(count)

        async def end_of(peer: Peer) -> float:
            assert await peer.rest() == b"still here\nserver is closing\n"
            peer.end()
            return loop.time()

        start = loop.time()
        closing = asyncio.create_task(server.close())
        await server.broadcast("still here")
        ends = sorted(await asyncio.gather(*map(end_of, peers)))
        await closing
        # One every tenth of a second, and all well within the drain time.
        assert all(end - start >= 0.1 * place - 0.02 for place, end in enumerate(ends))
        assert loop.time() - start < 3


async def test_all_hear_the_farewell_of_a_close_that_is_hurried_though_they_were_to_have_it_later() -> None:
    settings = hubbub.Settings(spread_time=5)
    async with serving(settings=settings) as (server, record), AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(Peer.of(server)) for _ in range(5)]
        await record.wait_for_clients(5)
        closing = asyncio.create_task(server.close())
        await record.wait_for_endings(1)
        closing.cancel()
        for peer in peers:
            assert await peer.line() == b"server is closing\n"


# Handlers that are left.


async def test_a_handler_whose_client_has_all_is_given_time_to_finish() -> None:
    finished: list[str] = []
    busy, done = asyncio.Event(), asyncio.Event()

    async def handler(client: hubbub.Client) -> None:
        await client.wait_closed()
        # It has something to do behind its client, as to write a file.
        busy.set()
        await done.wait()
        finished.append(client.name)

    settings = hubbub.Settings(linger_time=0.05)
    async with serving(handler, settings=settings) as (server, record), Peer.of(server) as peer:
        await record.wait_for_clients(1)
        peer.end()
        closing = asyncio.create_task(server.close())
        await busy.wait()
        await turn(10)
        assert not closing.done()
        done.set()
        # No longer than it takes.
        await asyncio.wait_for(closing, settings.cancel_time / 2)
        assert finished == [peer.name]


class Sleeper:
    """A handler that never ends by itself, and notes when it is cancelled."""

    def __init__(self) -> None:
        self.cancelled_at: list[float] = []

    async def __call__(self, client: hubbub.Client) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled_at.append(asyncio.get_running_loop().time())
            raise


async def test_a_handler_that_does_not_end_is_cancelled_once_its_time_is_over(caplog: pytest.LogCaptureFixture) -> None:
    sleeper = Sleeper()
    settings = hubbub.Settings(linger_time=0.05, cancel_time=0.4)
    async with serving(sleeper, settings=settings) as (server, record), Peer.of(server):
        await record.wait_for_clients(1)
        loop = asyncio.get_running_loop()
        start = loop.time()
        await server.close()
        assert [time - start >= 0.35 for time in sleeper.cancelled_at] == [True]
        assert loop.time() - start < 2
    assert not [entry for entry in caplog.records if entry.levelno > logging.INFO]


async def test_all_handlers_have_until_everything_is_delivered(caplog: pytest.LogCaptureFixture) -> None:
    """Even one whose client was lost before, and whose own time would run out earlier."""
    sleeper = Sleeper()
    settings = hubbub.Settings(cancel_time=0.1, drain_time=0.5, unsent_limit=4 * KIB)
    async with serving(sleeper, settings=settings) as (server, record), Peer.of(server) as lost:
        with await dial(server, receive_buffer=4 * KIB):
            (client,) = [one for one in await record.wait_for_clients(2) if one.name != lost.name]
            await fall_behind(client, server.root, "x" * 8 * KIB)
            lost.reset()
            await record.wait_for_endings()
            start = asyncio.get_running_loop().time()
            await server.close()
    assert [time - start >= 0.4 for time in sleeper.cancelled_at] == [True, True]
    assert not caplog.records


async def test_a_handler_that_swallows_its_cancellation_does_not_hold_up_close(
    caplog: pytest.LogCaptureFixture,
) -> None:
    release = asyncio.Event()

    async def handler(client: hubbub.Client) -> None:
        while not release.is_set():
            with suppress(asyncio.CancelledError):
                await release.wait()

    loop = asyncio.get_running_loop()
    async with serving(handler, settings=hubbub.Settings(cancel_time=0.1)) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        peer.end()
        start = loop.time()
        await server.close()
        assert loop.time() - start < 3
    assert f"the handler of {client} does not end: it swallows its cancellation" in [
        record.getMessage() for record in caplog.records if record.levelno == logging.ERROR
    ]
    before = asyncio.all_tasks()
    release.set()
    await eventually(lambda: len(asyncio.all_tasks()) < len(before))
