"""Clients that take nothing: those who say nothing are ended, and those who speak are muted."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest

import hubbub
from hubbub.hub.policies import SKIP
from hubbub.hub.session import Session
from hubbub.server import stalls as stalls_module
from hubbub.server.stalls import Stalls

from support.helpers import dial, eventually, fall_behind, serving, transport_of, waiting_for
from support.stepping import hub_of, new_loop

KIB = 1024
TEXT = "x" * 128 * KIB
"""More than the system takes after it has said that it takes no more."""
STALLED = hubbub.Ending(hubbub.EndingCode.STALLED, "took nothing for 30 s")


class Feed:
    """A client that takes nothing, and its server.

    Attributes:
        server: the server.
        client: the client.
        plain: its socket.
    """

    def __init__(self, server: hubbub.Server[Any], client: hubbub.Client[Any], plain: socket.socket) -> None:
        self.server = server
        self.client = client
        self.plain = plain
        self._time = 0.0

    @classmethod
    @asynccontextmanager
    async def connected(cls, **settings: Any) -> AsyncIterator[Feed]:
        """A feed whose transport is full."""
        options = hubbub.Settings(unsent_limit=4 * KIB, retention=1024 * KIB, **settings)
        async with serving(settings=options) as (server, record):
            # The looks of the server have a time of their own.
            server._sessions._deadlines.stop()
            with await dial(server, receive_buffer=4 * KIB) as plain:
                (client,) = await record.wait_for_clients(1)
                await fall_behind(client, server.root, TEXT)
                feed = cls(server, client, plain)
                feed.look(0)
                yield feed

    async def speak(self) -> None:
        """Complete a message."""
        before = self.client.messages_received
        await asyncio.get_running_loop().sock_sendall(self.plain, b"I am here\n")
        await eventually(lambda: self.client.messages_received > before)

    def look(self, seconds: float) -> None:
        """Look as the server does, so many seconds later than the last time."""
        self._time += seconds
        stalls: Stalls[Any] = self.server._sessions.stalls
        stalls.look(self._time)

    async def hear(self, end: bytes) -> bytes:
        """Read on, up to these bytes."""
        heard = b""
        async with asyncio.timeout(10):
            while not heard.endswith(end):
                more = await asyncio.get_running_loop().sock_recv(self.plain, 64 * KIB)
                assert more, "the stream ended"
                heard += more
        return heard

    @property
    def muted(self) -> bool:
        return self.client._reader.muted

    @property
    def user_timeout(self) -> int:
        """For how long the system lets it acknowledge nothing, in milliseconds; 0: for ever."""
        connection = transport_of(self.client).get_extra_info("socket")
        return int(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))


async def test_one_who_speaks_and_takes_nothing_stays_while_it_speaks(caplog: pytest.LogCaptureFixture) -> None:
    async with Feed.connected() as feed:
        for _ in range(4):
            await feed.speak()
            feed.look(29)
        assert feed.muted
        assert feed.user_timeout == 0
        assert feed.server.statistics().muted == 1
        (warning,) = [record.message for record in caplog.records if "speaks" in record.message]
        assert warning == (
            f"{feed.client} speaks, and has taken nothing for 30 s: it stays, but misses messages from now on; "
            "let sources connect where the role is write"
        )
        feed.look(31)
        assert feed.client.ending == STALLED


async def test_one_who_says_nothing_is_ended_although_it_spoke_before() -> None:
    async with Feed.connected() as feed:
        await feed.speak()
        feed.look(1)
        feed.look(31)
        assert feed.client.ending == STALLED


async def test_one_who_is_muted_skips_and_when_it_reads_again_it_is_told_and_is_as_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with Feed.connected(mute_limit=1) as feed:
        assert feed.user_timeout == 90_000
        for _ in range(2):
            await feed.speak()
            feed.look(31)
            assert feed.muted
            for _ in range(20):
                await feed.server.broadcast(TEXT)
            await feed.server.broadcast("end")
            heard = await feed.hear(b"end\n")
            assert b" messages missed]\n" in heard
            assert not feed.muted
            assert feed.user_timeout == 90_000
            await fall_behind(feed.client, feed.server.root, TEXT)
            feed.look(0)
        # It is counted and logged once.
        assert feed.server.statistics().muted == 1
        assert sum("speaks" in record.message for record in caplog.records) == 1
        # With the policy of others it does not skip.
        for _ in range(20):
            await feed.server.broadcast(TEXT)
        await eventually(lambda: feed.client.ending is not None)
        assert feed.client.ending is not None
        assert feed.client.ending.code is hubbub.EndingCode.SLOW


async def test_no_more_are_muted_than_may_be() -> None:
    async with Feed.connected(mute_limit=1) as feed, serving() as _:
        with await dial(feed.server, receive_buffer=4 * KIB) as plain:
            await eventually(lambda: len(feed.server.clients) == 2)
            (client,) = feed.server.clients - {feed.client}
            client.when_slow = SKIP
            other = Feed(feed.server, client, plain)
            await feed.speak()
            feed.look(31)
            assert feed.muted
            await fall_behind(client, feed.server.root, TEXT)
            feed.look(0)
            await feed.speak()
            await other.speak()
            feed.look(29)
            feed.look(29)
            assert feed.muted
            assert client.ending == STALLED


async def test_nobody_waits_for_one_who_is_muted() -> None:
    async with Feed.connected(pace=0, outbox_limit=KIB) as feed:
        sending = asyncio.create_task(feed.client.send(TEXT))
        held = asyncio.create_task(feed.client.send("later"))
        senders = [asyncio.create_task(feed.server.broadcast(TEXT)) for _ in range(20)]
        await feed.speak()
        assert not held.done()
        feed.look(31)
        async with asyncio.timeout(10):
            await asyncio.gather(sending, held, *senders)
        # The first had its place before.
        assert feed.server.statistics().unheard == 1
        assert feed.client.ending is None


def test_of_many_who_have_stalled_some_are_ended_in_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalls_module, "ENDED_AT_ONCE", 2)
    ended: list[Any] = []
    monkeypatch.setattr(Session, "end_stalled", lambda self, **_: ended.append(self))
    stalls: Stalls[Any] = Stalls(0)
    with new_loop() as loop:
        hub = hub_of(loop)
        readers = [hub.joined(credit=0)[0]._reader for _ in range(5)]
        for reader in readers:
            stalls.pause(reader)
        stalls.look(0)
        stalls.look(31)
        assert ended == readers[:2]
        # One takes something before it is its turn.
        stalls.resume(readers[3])
        loop.settle()
        assert ended == [*readers[:3], readers[4]]


async def test_nobody_who_sends_to_one_who_is_muted_waits_behind_who_has_it_join_a_room() -> None:
    async with Feed.connected(outbox_limit=KIB) as feed:
        await feed.client.send(TEXT)
        joining = asyncio.create_task(feed.client.join("b"))
        await eventually(lambda: feed.client._reader._space is not None)
        sending = asyncio.create_task(feed.client.send("later"))
        await feed.speak()
        feed.look(31)
        async with asyncio.timeout(10):
            await sending
        assert not joining.done()
        joining.cancel()


async def test_one_who_is_muted_still_waits_to_move_between_rooms() -> None:
    """Each room that it leaves costs memory until it has read what that has for it."""
    async with Feed.connected(outbox_limit=4 * KIB) as feed:
        await feed.speak()
        feed.look(31)
        assert feed.muted
        moving = asyncio.create_task(move_about(feed.client))
        for _ in range(500):
            await asyncio.sleep(0)
        assert not moving.done()
        moving.cancel()
        assert waiting_for(feed.client) < 8 * KIB


async def move_about(client: hubbub.Client[Any]) -> None:
    """Hear a little of a room, again and again."""
    for _ in range(100):
        room = await client.join("b")
        await room.broadcast("x")
        await client.leave(room)


async def test_one_who_has_ended_is_not_muted() -> None:
    async with Feed.connected() as feed:
        await feed.speak()
        feed.client._reader.end(hubbub.Ending(hubbub.EndingCode.CLOSED, "enough"), deliver=True)
        feed.look(31)
        await feed.client.wait_closed()


async def test_one_who_is_muted_does_not_hold_up_a_closing_server() -> None:
    async with Feed.connected(patience=0.2) as feed:
        await feed.speak()
        feed.look(0.21)
        feed.server._sessions._deadlines.start()
        async with asyncio.timeout(5):
            await feed.server.close()
        assert feed.client.ending is not None


async def test_a_source_that_is_ended_as_slow_sees_it_when_it_goes_on() -> None:
    async with Feed.connected() as feed:
        for _ in range(20):
            await feed.server.broadcast(TEXT)
        await eventually(lambda: feed.client.ending is not None)
        assert feed.client.ending is not None
        assert feed.client.ending.code is hubbub.EndingCode.SLOW
        with pytest.raises(ConnectionError):
            await speak_on(feed.plain)


async def speak_on(plain: socket.socket) -> None:
    """Say something again and again."""
    async with asyncio.timeout(10):
        while True:
            await asyncio.get_running_loop().sock_sendall(plain, b"I am here\n")
            await asyncio.sleep(0.01)


def test_of_many_each_look_checks_the_lag_of_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalls_module, "LAG_SLICE", 1)
    checked: list[Any] = []
    monkeypatch.setattr(Session, "check_lag", lambda self, **_: checked.append(self))
    stalls: Stalls[Any] = Stalls(0)
    counts = []
    with new_loop() as loop:
        hub = hub_of(loop)
        readers = [hub.joined(credit=0)[0]._reader for _ in range(3)]
        for reader in readers:
            stalls.pause(reader)
        for now in range(4):
            stalls.look(now)
            counts.append(len(checked))
    assert max(after - before for before, after in pairwise([0, *counts])) == 1
    assert set(checked) == set(readers)
    assert len(checked) == 3
