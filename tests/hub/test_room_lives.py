"""How rooms are made, go and are closed."""

from __future__ import annotations

import asyncio

import pytest

import hubbub

from support.helpers import Peer, dial, eventually, idle, one_client, serving

KIB = 1024


async def test_a_closed_room_is_forgotten_and_what_was_broadcast_before_still_arrives() -> None:
    async with one_client() as (server, client, peer):
        room = server.room("news")
        await client.join(room)
        await room.broadcast("last news")
        room.close()
        room.close()
        assert client.rooms == {server.root}
        assert set(server.rooms) == {"root"}
        assert await peer.line() == b"last news\n"
        another = server.room("news")
        assert another is not room
        assert another.head.term != room.head.term
        # To close the old one again leaves its successor alone.
        room.close()
        assert server.room("news") is another


async def test_rooms_are_limited_and_a_closed_one_makes_place() -> None:
    async with serving(idle, settings=hubbub.Settings(rooms_limit=2)) as (server, _):
        room = server.room("one")
        with pytest.raises(hubbub.RoomLimitReached, match="2 rooms"):
            server.room("two")
        assert server.room("one") is room
        room.close()
        assert server.room("two").name == "two"


async def test_a_room_may_have_settings_of_its_own_once_and_for_all() -> None:
    async with serving(idle) as (server, _):
        small = hubbub.Settings(retention=4 * KIB)
        room = server.room("small", settings=small)
        assert room.settings is small
        assert server.room("small") is room
        assert server.room("small", settings=hubbub.Settings(retention=4 * KIB)) is room
        with pytest.raises(ValueError, match="exists, with other settings"):
            server.room("small", settings=hubbub.Settings())


async def test_a_room_that_clients_make_goes_with_the_last_of_them() -> None:
    async with (
        serving(idle, settings=hubbub.Settings(rooms_limit=2)) as (server, record),
        Peer.of(server) as one,
        Peer.of(server) as two,
    ):
        clients = {client.name: client for client in await record.wait_for_clients(2)}
        room = await clients[one.name].join("news")
        assert room is server.rooms["news"]
        assert await clients[two.name].join("news") is room
        await room.broadcast("news")
        await clients[one.name].leave(room)
        assert "news" in server.rooms
        # One that is lost has left as well.
        two.reset()
        await record.wait_for_endings(1)
        assert room.closed
        assert set(server.rooms) == {"root"}
        # So there is a place for another one.
        assert await clients[one.name].join("sports") is server.rooms["sports"]


async def test_a_room_that_a_client_cannot_enter_after_all_does_not_stay() -> None:
    async with one_client() as (server, client, _):
        with pytest.raises(hubbub.PositionLost):
            await client.join("news", since=server.root.head)
        assert set(server.rooms) == {"root"}


async def test_whether_a_room_stays_may_be_said_when_it_is_made_and_later() -> None:
    async with one_client() as (server, client, _):
        # One that the server makes stays, although clients come by its name and go.
        kept = server.room("kept")
        assert await client.join("kept") is kept
        await client.leave(kept)
        assert server.rooms["kept"] is kept
        passing = server.room("passing", keep=False)
        # Nobody has left it yet.
        assert server.rooms["passing"] is passing
        await client.join(passing)
        assert server.room("passing") is passing
        await client.leave(passing)
        assert passing.closed
        made = await client.join("made")
        assert server.room("made", keep=True) is made
        await client.leave(made)
        assert not made.closed


async def test_a_broadcast_to_a_closed_room_fails() -> None:
    async with serving(idle) as (server, _):
        room = server.room("news")
        assert not room.closed
        room.close()
        assert room.closed
        with pytest.raises(hubbub.RoomClosed, match="room news was closed") as failed:
            await room.broadcast("hello?")
        assert failed.value.name == "news"
        with pytest.raises(hubbub.RoomClosed):
            await room.broadcast_many(["hello?", "anyone?"])


@pytest.mark.parametrize("why", ["pace", "chunk"])
async def test_those_who_wait_to_broadcast_are_told_that_the_room_was_closed(why: str) -> None:
    settings = hubbub.Settings(retention=64 * KIB, pace=0, unsent_limit=4 * KIB)
    async with serving(idle, settings=settings) as (server, record):
        room = server.room("news")
        with await dial(server, receive_buffer=4 * KIB):
            (client,) = await record.wait_for_clients(1)
            if why == "pace":
                await client.join(room)
                while not room.fan_out.holding:
                    await room.broadcast("x" * KIB)
                    await room.fan_out.flushed.wait()
            else:
                await room.broadcast("x" * 16 * KIB)
            senders = [asyncio.create_task(room.broadcast("x" * 16 * KIB)) for _ in range(3)]
            # They start in the next turn.
            await asyncio.sleep(0)
            waiting = [sender for sender in senders if not sender.done()]
            # One may have come right behind a flush.
            assert len(waiting) >= 2
            head = room.head
            room.close()
            for sender in waiting:
                with pytest.raises(hubbub.RoomClosed):
                    await sender
            assert room.head == head


@pytest.mark.parametrize("grouped", [False, True])
async def test_a_handler_may_speak_to_a_room_that_went_with_its_own_client(
    grouped: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """As the last words of a chat are, after a connection that broke."""

    async def say_goodbye(room: hubbub.Room) -> None:
        await room.broadcast("goodbye")

    async def talk(client: hubbub.Client) -> None:
        room = await client.join("talk")
        async for _ in client:
            pass
        if grouped:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(say_goodbye(room))
        await say_goodbye(room)

    async with serving(talk) as (server, record):
        async with Peer.of(server) as peer:
            await eventually(lambda: "talk" in server.rooms)
            peer.reset()
            (ending,) = await record.wait_for_endings()
        await eventually(lambda: not server._sessions.readers)
        assert ending.code is hubbub.EndingCode.LOST
        assert set(server.rooms) == {"root"}
    assert not caplog.records


async def test_a_handler_that_speaks_to_a_closed_room_has_failed() -> None:
    async def talk(client: hubbub.Client) -> None:
        room = client.server.room("news")
        room.close()
        await room.broadcast("hello?")

    async with serving(talk) as (server, record), Peer.of(server):
        assert await record.wait_for_endings() == [
            hubbub.Ending(hubbub.EndingCode.FAILED, "the handler raised RoomClosed: room news was closed")
        ]
