"""Rooms: members, broadcasts, history, and how senders wait."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

import hubbub
from hubbub.hub.hold import APPENDS_LIMIT

from support.helpers import Peer, dial, fall_behind, history_of, serving

KIB = 1024


async def idle(client: hubbub.Client) -> None:
    async for _ in client:
        pass


async def test_every_client_is_in_the_root_room_unless_its_listener_has_another() -> None:
    async with serving(idle) as (server, record), Peer.of(server):
        (client,) = await record.wait_for_clients(1)
        assert client.rooms == {server.root}
        assert client.room is server.root
        assert server.root.clients == {client}


async def test_the_root_room_has_no_other_name() -> None:
    async with serving(idle) as (server, record), Peer.of(server):
        (client,) = await record.wait_for_clients(1)
        assert str(server.root) == "root"
        with pytest.raises(ValueError, match=r"the room 'root' is Server\.root"):
            server.room("root")
        with pytest.raises(ValueError, match=r"the room 'root' is Server\.root"):
            await client.join("root")


async def test_a_broadcast_reaches_those_who_are_in_the_room_and_nobody_else() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as inside, Peer.of(server) as outside:
        clients = {client.name: client for client in await record.wait_for_clients(2)}
        news = server.room("news")
        await clients[inside.name].join(news)
        await news.broadcast("for members")
        await server.broadcast("for all")
        assert sorted([await inside.line(), await inside.line()]) == [b"for all\n", b"for members\n"]
        assert await outside.line() == b"for all\n"


async def test_to_join_twice_or_to_leave_twice_is_no_error() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        news = server.room("news")
        await client.leave(news)
        await client.join(news)
        await client.join(news)
        await news.broadcast("once")
        await client.leave(news)
        await client.leave(news)
        assert client.rooms == {server.root}
        assert not news.clients
        await client.send("end")
        assert await peer.line() == b"once\n"
        assert await peer.line() == b"end\n"


async def test_a_client_that_leaves_has_what_was_broadcast_before_and_nothing_after() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        news = server.room("news")
        await client.join(news)
        await news.broadcast("before")
        await client.leave(news)
        await news.broadcast("after")
        await asyncio.sleep(0)
        await client.send("end")
        assert await peer.line() == b"before\n"
        assert await peer.line() == b"end\n"


async def test_a_client_may_be_in_several_rooms_and_none_hides_the_others() -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB)
    async with serving(idle, settings=settings) as (server, record), Peer.of(server, receive_buffer=4 * KIB) as peer:
        (client,) = await record.wait_for_clients(1)
        rooms = [server.room(f"room {number}") for number in range(3)]
        for room in rooms:
            await client.join(room)
        assert client.rooms == {server.root, *rooms}
        peer.stall()
        busy, *quiet = rooms
        await fall_behind(client, busy, "busy" * KIB)
        for _ in range(200):
            await busy.broadcast("busy" * KIB)
        for room in quiet:
            await room.broadcast(room.name)
        assert client.lag.messages > 200
        peer.resume()
        lines: list[bytes] = []
        while not {b"room 1\n", b"room 2\n"} <= set(lines):
            lines.append(await peer.line())
        assert len(lines) < 200


async def test_the_excluded_client_hears_all_but_that_and_is_named_as_its_sender() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as alice, Peer.of(server) as bob:
        clients = {client.name: client for client in await record.wait_for_clients(2)}
        await server.broadcast("one")
        await server.broadcast_many(["two", "three"], exclude=clients[alice.name])
        await server.broadcast("four")
        assert await alice.exactly(9) == b"one\nfour\n"
        assert await bob.exactly(19) == b"one\ntwo\nthree\nfour\n"
        entries = await history_of(server.root)
        assert [entry.message for entry in entries] == ["one", "two", "three", "four"]
        assert [entry.sender for entry in entries] == ["", alice.name, alice.name, ""]
        assert [entry.position.seq for entry in entries] == [1, 2, 3, 4]
        assert all(abs(entry.time - time.time()) < 60 for entry in entries)


async def test_to_exclude_one_who_is_not_in_the_room_excludes_nobody() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as alice, Peer.of(server) as bob:
        clients = {client.name: client for client in await record.wait_for_clients(2)}
        news = server.room("news")
        await clients[bob.name].join(news)
        await news.broadcast("from outside", exclude=clients[alice.name])
        assert await bob.line() == b"from outside\n"
        assert (await history_of(news))[0].sender == alice.name


async def test_history_starts_where_it_is_asked_to() -> None:
    async with serving(idle) as (server, _):
        room = server.room("news")
        assert await history_of(room) == []
        assert room.head == room.oldest == hubbub.Position(room.head.term, 0)
        await room.broadcast_many(["one", "two", "three"])
        await asyncio.sleep(0)
        # What has not been flushed yet is history too.
        await room.broadcast("four")
        since = hubbub.Position(room.head.term, 2)
        assert [entry.message for entry in await history_of(room, since=since)] == ["three", "four"]
        assert await history_of(room, since=room.head) == []
        last = (await history_of(room))[-1]
        assert room.head == last.position


async def test_a_client_may_join_at_any_earlier_message_even_within_what_was_broadcast_together() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        for seq in range(7):
            room = server.room("news")
            await room.broadcast("0")
            await room.broadcast_many(["1", "2", "3"])
            await asyncio.sleep(0)
            await room.broadcast_many(["4", "5"])
            await client.join(room, since=hubbub.Position(room.head.term, seq))
            await room.broadcast("6")
            await client.send("7")
            for number in range(seq, 8):
                assert await peer.line() == f"{number}\n".encode()
            room.close()


async def test_a_position_that_the_log_does_not_hold_is_lost_and_the_error_says_what_it_holds() -> None:
    settings = hubbub.Settings(retention=4 * KIB)
    async with serving(idle, settings=settings) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        room = server.root
        first = room.head
        for number in range(200):
            await room.broadcast(str(number))
            assert await peer.line() == f"{number}\n".encode()
        assert 0 < room.oldest.seq < 200
        await client.leave(room)
        ahead = hubbub.Position(room.head.term, room.head.seq + 1)
        for position in (first, ahead, hubbub.Position("another life", 199)):
            with pytest.raises(hubbub.PositionLost) as lost:
                await client.join(room, since=position)
            assert (lost.value.position, lost.value.oldest, lost.value.head) == (position, room.oldest, room.head)
            with pytest.raises(hubbub.PositionLost):
                await history_of(room, since=position)
        # It can join all the same.
        await client.join(room, since=room.oldest)
        assert await peer.line() == f"{room.oldest.seq}\n".encode()


async def test_who_is_in_a_room_cannot_join_it_at_a_position() -> None:
    async with serving(idle) as (server, record), Peer.of(server):
        (client,) = await record.wait_for_clients(1)
        with pytest.raises(ValueError, match=r"is in room root already"):
            await client.join(server.root, since=server.root.head)


async def test_a_closed_room_is_forgotten_and_what_was_broadcast_before_still_arrives() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
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


async def test_the_root_room_lasts_as_long_as_the_server() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        with pytest.raises(ValueError, match="close the server instead"):
            server.root.close()
        assert client.rooms == {server.root}
        await server.broadcast("still here")
        assert await peer.line() == b"still here\n"


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


async def test_a_room_says_its_name_its_clients_and_its_head() -> None:
    async with serving(idle) as (server, record), Peer.of(server):
        await record.wait_for_clients(1)
        await server.broadcast("one")
        assert str(server.root) == "root"
        assert repr(server.root) == f"<Room 'root': 1 clients, head {server.root.head}>"


async def test_what_the_framing_cannot_carry_is_refused_and_nothing_is_sent() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as peer:
        await record.wait_for_clients(1)
        with pytest.raises(ValueError, match="line end"):
            await server.broadcast_many(["good", "two\nlines"])
        with pytest.raises(TypeError):
            await server.broadcast(b"bytes")
        await server.broadcast_many([])
        assert server.root.head.seq == 0
        await server.broadcast("good")
        assert await peer.line() == b"good\n"


async def test_messages_too_many_for_a_chunk_are_sent_in_parts_and_in_order() -> None:
    settings = hubbub.Settings(retention=64 * KIB, chunk_limit=4 * KIB)
    async with serving(idle, settings=settings) as (server, record), Peer.of(server) as peer:
        await record.wait_for_clients(1)
        lines = [f"{number:0100d}" for number in range(1000)]
        async with asyncio.TaskGroup() as group:
            group.create_task(server.broadcast_many(lines))
            for line in lines:
                assert await peer.line() == f"{line}\n".encode()


async def test_where_a_framing_does_not_delimit_messages_a_log_keeps_them_apart() -> None:
    async with serving(idle, framing=hubbub.Raw()) as (server, record), Peer.of(server) as peer:
        await record.wait_for_clients(1)
        await server.broadcast_many([b"one", b"", b"two", b"three"])
        assert await peer.exactly(11) == b"onetwothree"
        assert [entry.message for entry in await history_of(server.root)] == [b"one", b"two", b"three"]


async def test_a_broadcast_waits_for_a_flush_when_the_next_chunk_is_full() -> None:
    settings = hubbub.Settings(retention=64 * KIB)
    async with serving(idle, settings=settings) as (server, _):
        loop = asyncio.get_running_loop()
        turns = 0
        done = False

        def count_turn() -> None:
            nonlocal turns
            turns += 1
            if not done:
                loop.call_soon(count_turn)

        count_turn()
        for _ in range(80):
            await server.broadcast("x" * KIB)
        done = True
        # 80 KiB in chunks of up to 8 KiB.
        assert turns >= 9


async def test_a_flood_of_tiny_broadcasts_lets_others_run() -> None:
    async with serving(idle) as (server, _):
        heads: list[int] = []

        async def flood() -> None:
            for _ in range(20_000):
                await server.broadcast("x")

        flooding = asyncio.create_task(flood())
        while not flooding.done():
            await asyncio.sleep(0)
            heads.append(server.root.head.seq)
        assert max(later - earlier for earlier, later in itertools.pairwise([0, *heads])) <= 2 * APPENDS_LIMIT


async def test_senders_that_wait_go_on_in_their_order() -> None:
    settings = hubbub.Settings(retention=64 * KIB)
    async with serving(idle, settings=settings) as (server, _):
        senders = [asyncio.create_task(server.broadcast(f"{number:02d}{'x' * 4 * KIB}")) for number in range(20)]
        await asyncio.gather(*senders)
        assert [int(entry.message[:2]) for entry in await history_of(server.root)] == sorted(
            int(entry.message[:2]) for entry in await history_of(server.root)
        )
        assert server.root.head.seq == 20


async def test_a_cancelled_broadcast_sends_nothing_and_those_behind_it_go_on() -> None:
    settings = hubbub.Settings(retention=64 * KIB, pace=0, unsent_limit=4 * KIB)
    async with serving(idle, settings=settings) as (server, record):
        with await dial(server, receive_buffer=4 * KIB) as plain:
            (client,) = await record.wait_for_clients(1)
            senders: list[asyncio.Task[hubbub.Position]] = []
            while len(senders) < 3:
                sender = asyncio.create_task(server.broadcast(f"{'x' * 4 * KIB}"))
                done, _ = await asyncio.wait([sender], timeout=0.1)
                if not done:
                    senders.append(sender)
            head = server.root.head
            for sender in senders[:2]:
                sender.cancel()
            assert await asyncio.gather(*senders[:2], return_exceptions=True)
            assert server.root.head == head
            loop = asyncio.get_running_loop()
            while not senders[2].done():
                await loop.sock_recv(plain, 64 * KIB)
            assert server.root.head.seq == head.seq + 1
            assert client.ending is None


async def test_a_flush_in_slices_keeps_the_order_for_all_whatever_happens_between_two_of_them() -> None:
    """Clients fall behind, get private messages, are excluded, join, leave and go between the slices."""
    settings = hubbub.Settings(flush_slice=1, unsent_limit=4 * KIB)
    async with (
        serving(idle, settings=settings) as (server, record),
        Peer.of(server) as plain,
        Peer.of(server) as private,
        Peer.of(server) as excluded,
        Peer.of(server, receive_buffer=4 * KIB) as slow,
        Peer.of(server) as leaving,
        Peer.of(server) as rejoining,
        Peer.of(server) as last,
    ):
        clients = {client.name: client for client in await record.wait_for_clients(7)}
        slow.stall()
        for number in range(100):
            await server.broadcast(f"a{number}" + "x" * KIB)
            # The flush is at its first clients, or its last.
            for _ in range(number % 9):
                await asyncio.sleep(0)
            await clients[private.name].send(f"p{number}")
            await server.broadcast(f"b{number}", exclude=clients[excluded.name])
            if number == 50:
                await clients[leaving.name].leave(server.root)
                await clients[leaving.name].send("end")
            await clients[rejoining.name].leave(server.root)
            await clients[rejoining.name].join(server.root)
            await clients[slow.name].send(f"s{number}")
        await server.broadcast("end")
        slow.resume()

        async def heard(peer: Peer) -> list[str]:
            lines = []
            while (line := (await peer.line()).decode().strip("x\n")) != "end":
                lines.append(line)
            return lines

        numbers = range(100)
        both = [f"{letter}{number}" for number in numbers for letter in "ab"]
        assert await heard(plain) == both
        assert await heard(last) == both
        assert await heard(rejoining) == both
        assert await heard(excluded) == [f"a{number}" for number in numbers]
        assert await heard(private) == [f"{letter}{number}" for number in numbers for letter in "apb"]
        assert await heard(slow) == [f"{letter}{number}" for number in numbers for letter in "abs"]
        assert await heard(leaving) == both[:102]


async def test_history_is_that_of_the_moment_it_was_asked_for() -> None:
    async with serving(idle, settings=hubbub.Settings(retention=4 * KIB)) as (server, _):
        await server.broadcast("before")
        start = server.root.oldest
        history = server.root.history(since=start)
        while server.root.holds(start):
            await server.broadcast("x" * 4 * KIB)
        assert [entry.message async for entry in history] == ["before"]
