"""The server's view of one connection: receiving, sending, waiting, ending."""

from __future__ import annotations

import asyncio
import gc
import itertools
import time
import tracemalloc
from dataclasses import replace
from typing import Any, cast
from weakref import WeakKeyDictionary

import pytest

import hubbub
from hubbub.hub.reader import Reader

from support.helpers import Peer, dial, eventually, fall_behind, idle, one_client, serving, waiting_for

KIB = 1024


async def wait_closed(client: hubbub.Client) -> None:
    """For tests that receive themselves."""
    await client.wait_closed()


async def test_its_age_has_nothing_to_do_with_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    async with one_client() as (_, client, _):
        monkeypatch.setattr(time, "time", lambda: client.connected_at - 3600)
        first = client.age
        await eventually(lambda: client.age > first)
        assert 0 <= first < client.age < 60


async def test_a_client_says_who_it_is() -> None:
    async with one_client() as (server, client, peer):
        assert client.name == str(client) == peer.name
        assert client.name == f"{client.address}:{client.port}"
        assert client.server is server
        assert abs(client.connected_at - time.time()) < 60
        assert repr(client) == f"<Client {peer.name}>"
        assert client.ending is None
        # There is a place for what handlers remember of it.
        client.state["nick"] = "Alice"
        assert client.state == {"nick": "Alice"}
        peer.end()
        await client.wait_closed()
        assert repr(client) == f"<Client {peer.name} (left: the client closed the connection)>"
        # To wait for what has happened is no error.
        await client.wait_closed()


# Receiving.


async def test_receive_gives_one_message_and_receive_many_all_that_have_arrived() -> None:
    async with one_client(wait_closed) as (_, client, peer):
        await peer.send(b"one\ntwo\nthree\n")
        assert await client.receive() == "one"
        assert await client.receive_many() == ["two", "three"]
        await peer.send(b"four\nfive")
        peer.end()
        assert await client.receive() == "four"
        assert await client.receive() == "five"
        assert len(await client.receive_many()) == 0
        with pytest.raises(hubbub.ConnectionClosed, match="it sends no more"):
            await client.receive()
        assert [text async for text in client] == []
        # The other direction is still open.
        await client.send("bye")
        assert await peer.line() == b"bye\n"


# Sending.


async def test_a_sender_waits_for_the_turn_once_enough_is_gathered() -> None:
    async with serving(idle, settings=hubbub.Settings(outbox_limit=300)) as (server, record):
        with await dial(server) as plain:
            (client,) = await record.wait_for_clients(1)
            # The first is written at once. Of what waits each counts 256 bytes more.
            for message in ("zero", "one", "two"):
                await client.send(message)
            assert plain.recv(100) == b"zero\n"
            with pytest.raises(BlockingIOError):
                plain.recv(100)
            await client.send("three")
            assert plain.recv(100) == b"one\ntwo\nthree\n"


async def test_those_who_wait_to_send_to_one_client_go_on_in_their_order_and_not_all_look_each_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = 0
    full = cast("property", Reader.full).fget

    def look(reader: Reader[str]) -> bool:
        nonlocal looks
        looks += 1
        assert full is not None
        return bool(full(reader))

    monkeypatch.setattr(Reader, "full", property(look))
    async with serving(idle, settings=hubbub.Settings(outbox_limit=1)) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        async with asyncio.TaskGroup() as group:
            for number in range(500):
                group.create_task(client.send(f"{number}"))
        for number in range(500):
            assert int(await peer.line()) == number
    assert looks <= 2 * 500


async def test_a_handler_may_let_pass_that_its_client_is_gone(caplog: pytest.LogCaptureFixture) -> None:
    async def talk(client: hubbub.Client) -> None:
        while True:
            await client.send("x" * KIB)

    async with serving(talk) as (server, record):
        async with Peer.of(server) as peer:
            await peer.line()
        (ending,) = await record.wait_for_endings()
        assert ending.code in (hubbub.EndingCode.LEFT, hubbub.EndingCode.LOST)
    assert not caplog.records


async def test_that_another_client_is_gone_is_no_failure_of_the_one_that_speaks_to_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(idle) as (server, record):
        async with Peer.of(server):
            (gone,) = await record.wait_for_clients(1)
        await record.wait_for_endings()

        async def send_to_one_who_is_gone(client: hubbub.Client) -> None:
            await gone.send("hello?")

        async def send_in_a_group(client: hubbub.Client) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(gone.send("hello?"))

        for handler in (send_to_one_who_is_gone, send_in_a_group):
            async with serving(handler) as (other_server, other_record), Peer.of(other_server):
                (ending,) = await other_record.wait_for_endings()
                assert ending.code is hubbub.EndingCode.FINISHED
                assert ending.reason.startswith(f"the handler ended: the connection to {gone} has ended (left: ")
    assert not caplog.records


@pytest.mark.parametrize("message", [["x"], []], ids=["tiny", "nothing"])
@pytest.mark.parametrize("pending", [False, True], ids=["caught up", "joined behind what is pending"])
async def test_a_flood_of_sends_lets_others_run(message: list[str], pending: bool) -> None:
    """To a client that takes all it is sent, so that nothing else makes the sender wait."""
    flooding = True
    count = 0
    go = asyncio.Event()

    async def flood(client: hubbub.Client) -> None:
        nonlocal count
        await go.wait()
        if pending:
            room = client.server.room("busy")
            await room.broadcast("not for who joins later")
            await client.join(room)
        # Where it fails, it ends all the same.
        while flooding and count < 1_000_000:
            await client.send_many(message)
            count += 1

    async with serving(flood) as (server, record), Peer.of(server) as peer:
        await record.wait_for_clients(1)
        go.set()
        for _ in range(20):
            before = count
            await asyncio.sleep(0)
            # A turn comes at the latest after `outbox_limit` bytes, where a message counts at least 256.
            assert count - before <= 257
        flooding = False
        assert await peer.rest() == b"x\n" * count * len(message)


async def test_try_send_takes_its_place_among_what_is_sent_and_broadcast() -> None:
    async with serving(idle, framing=hubbub.Raw()) as (server, record):
        async with Peer.of(server) as peer:
            (client,) = await record.wait_for_clients(1)
            assert client.try_send(b"1")
            await server.broadcast(b"2")
            assert client.try_send(b"")
            assert client.try_send(b"3")
            await client.send(b"4")
            assert await peer.exactly(4) == b"1234"
        # One that is gone takes nothing.
        await record.wait_for_endings()
        assert not client.try_send(b"5")


async def test_what_the_framing_cannot_carry_is_refused_and_nothing_is_sent() -> None:
    async with one_client() as (_, client, peer):
        with pytest.raises(ValueError, match="line end"):
            await client.send_many(["good", "two\nlines"])
        with pytest.raises(ValueError, match="line end"):
            client.try_send("two\nlines")
        await client.send("good")
        assert await peer.line() == b"good\n"


async def test_a_cancelled_close_ends_the_connection_all_the_same() -> None:
    async with one_client() as (_, client, peer):
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert await peer.rest() == b""
        peer.end()
        await client.wait_closed()
        assert client.ending == hubbub.Ending(hubbub.EndingCode.CLOSED, "closed by the server")


async def test_a_client_joins_rooms_of_its_own_server_only_and_none_that_was_closed() -> None:
    async with serving(idle) as (server, record), serving(idle) as (other, _), Peer.of(server):
        (client,) = await record.wait_for_clients(1)
        closed = server.room("closed")
        closed.close()
        for room in (other.root, other.room("news"), closed):
            with pytest.raises(ValueError, match="is not one of this server's rooms, or was closed"):
                await client.join(room)
        assert client.rooms == {server.root}


async def test_a_client_may_be_a_key_of_a_weak_dictionary() -> None:
    nicks: WeakKeyDictionary[hubbub.Client, str] = WeakKeyDictionary()
    async with serving(idle) as (server, record):
        async with Peer.of(server) as peer:
            (client,) = await record.wait_for_clients(1)
            nicks[client] = "Alice"
            peer.end()
            await peer.rest()
        await client.wait_closed()
        await eventually(lambda: not server._sessions.readers)
        record.clients.clear()
        record.ended_clients.clear()
        del client
        gc.collect()
        assert not nicks


async def test_a_policy_that_does_not_exist_cannot_be_set() -> None:
    async with one_client() as (_, client, _):
        misspelt: Any = "skpi"
        with pytest.raises(ValueError, match="when_slow is 'skpi'; it must be 'disconnect' or 'skip'"):
            client.when_slow = misspelt
        assert client.when_slow is None
        client.when_slow = "skip"
        client.when_slow = None
        assert client.when_slow is None


@pytest.mark.parametrize("notice", ["{missed} missed", None])
async def test_a_client_may_skip_only_if_its_framing_carries_the_notices_of_its_rooms(notice: str | None) -> None:
    settings = hubbub.Settings(notice=None)
    async with serving(idle, framing=hubbub.Raw(), settings=settings) as (server, record), Peer.of(server):
        (client,) = await record.wait_for_clients(1)
        await client.join(server.room("weather", settings=replace(settings, notice=notice)))
        if notice is None:
            client.when_slow = "skip"
        else:
            with pytest.raises(ValueError, match=r"^notice is '{missed} missed', and the framing Raw\(\) cannot carry"):
                client.when_slow = "skip"
        client.when_slow = "disconnect"
        assert client.when_slow == "disconnect"


async def test_a_loop_of_joins_and_leaves_lets_others_run() -> None:
    moves = 0
    seen: list[int] = []

    async def wander(client: hubbub.Client) -> None:
        nonlocal moves
        for number in range(1000):
            await client.join(f"{number}")
            moves += 1
        for room in client.rooms - {client.room}:
            await client.leave(room)
            moves += 1
        for _ in range(1000):
            await client.leave(await client.join("here and there"))
            moves += 2

    async with serving(wander) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        while client.ending is None:
            seen.append(moves)
            await asyncio.sleep(0)
        assert moves == 4000
        assert max(later - earlier for earlier, later in itertools.pairwise([0, *seen])) <= 64
        assert await peer.rest() == b""


async def test_a_rejoin_into_the_middle_of_what_was_broadcast_together_is_no_private_copy() -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB, outbox_limit=4 * KIB, retention=1024 * KIB, chunk_limit=256 * KIB)
    async with (
        serving(idle, settings=settings) as (server, record),
        Peer.of(server, receive_buffer=4 * KIB) as peer,
    ):
        (client,) = await record.wait_for_clients(1)
        room = server.room("news")
        line = "x" * 99
        await room.broadcast_many([line] * 2000)
        middle = hubbub.Position(room.head.term, 1000)
        await asyncio.sleep(0)
        peer.stall()
        filler = await fall_behind(client, server.root, "y" * 8 * KIB)
        rejoins = 0

        async def rejoin() -> None:
            nonlocal rejoins
            for _ in range(30):
                await client.join(room, since=middle)
                await client.leave(room)
                rejoins += 1

        tracemalloc.start()
        try:
            rejoining = asyncio.create_task(rejoin())
            done, _ = await asyncio.wait([rejoining], timeout=0.3)
            assert not done
            assert tracemalloc.get_traced_memory()[1] < 1024 * KIB
        finally:
            tracemalloc.stop()
        assert waiting_for(client) <= settings.outbox_limit + 256
        assert 0 < rejoins < 30
        peer.resume()
        heard = await peer.exactly(filler * (8 * KIB + 1) + 30 * 1000 * 100)
        assert heard.count(line.encode() + b"\n") == 30 * 1000
        await rejoining
        await client.send("end")
        assert await peer.line() == b"end\n"
