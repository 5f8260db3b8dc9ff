"""What a server says of itself, in words."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import hubbub
from hubbub.server.summary import SLOWEST, describe

from support.helpers import Peer, dial, fall_behind, idle, serving

KIB = 1024


async def test_nobody_is_there() -> None:
    async with serving() as (server, _):
        figures, room = describe(server)
        assert figures == (
            "clients: 0; rooms: 1; accepted: 0; ended: none; held to their rate: 0 times; muted: 0; "
            "messages unheard: 0, dropped without their end: 0"
        )
        assert room == f"room root: clients: 0; messages retained: 0; head: {server.root.head}"


async def test_figures_and_rooms() -> None:
    settings = hubbub.Settings(probe_time=0)
    async with (
        serving(settings=settings) as (server, record),
        Peer.of(server) as one,
        Peer.of(server) as two,
        Peer.of(server),
    ):
        clients = {client.name: client for client in await record.wait_for_clients(3)}
        news = server.room("news")
        await clients[two.name].join(news)
        for number in range(3):
            await news.broadcast(f"{number}")
        one.reset()
        await record.wait_for_endings(1)
        two.end()
        assert await two.rest() == b"0\n1\n2\n"
        await record.wait_for_endings(2)
        figures, root, other, *lags = describe(server)
        assert figures == (
            "clients: 1; rooms: 2; accepted: 3; ended: left 1, lost 1; "
            "held to their rate: 0 times; muted: 0; "
            "messages unheard: 0, dropped without their end: 0"
        )
        assert root.startswith("room root: clients: 1; ")
        assert other.startswith("room news: clients: 0; messages retained: 3; ")
        (name,) = [client.name for client in server.clients]
        assert lags == [f"{name} lags by 0 messages, 0 bytes"]


async def test_those_who_only_speak_do_not_lag() -> None:
    place = hubbub.Listener[str](endpoint=hubbub.Address("127.0.0.1", 0), role="write")
    async with serving(idle, listeners=[place]) as (server, record), Peer.of(server):
        await record.wait_for_clients(1)
        assert len(describe(server)) == 2


async def test_those_who_lag_most_come_first_and_the_others_are_left_out() -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB)
    async with serving(settings=settings) as (server, record), AsyncExitStack() as stack:
        for _ in range(SLOWEST + 2):
            await stack.enter_async_context(Peer.of(server))
        with await dial(server, receive_buffer=4 * KIB) as stalled:
            clients = {client.name: client for client in await record.wait_for_clients(SLOWEST + 3)}
            slow = clients["{}:{}".format(*stalled.getsockname())]
            await fall_behind(slow, server.root, "x" * 8 * KIB)
            await asyncio.sleep(0)
            lags = describe(server)[2:]
            assert len(lags) == SLOWEST
            assert lags[0] == f"{slow} lags by {slow.lag.messages} messages, {slow.lag.bytes} bytes"
            assert slow.lag.messages > 0
