"""Rooms: members, broadcasts, history, and how senders wait."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

import hubbub
from hubbub.hub.hold import APPENDS_LIMIT

from support.helpers import Peer, dial, eventually, fall_behind, history_of, serving

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


async def test_a_room_says_how_many_clients_are_in_it_and_whether_one_is() -> None:
    async with serving(idle) as (server, record), Peer.of(server), Peer.of(server):
        one, two = await record.wait_for_clients(2)
        news = server.room("news")
        assert len(news) == 0
        # An empty room is a room all the same.
        assert news
        await one.join(news)
        assert len(news) == 1
        assert one in news
        assert two not in news
        assert len(server.root) == 2
        await one.leave(news)
        assert one not in news


# Rooms that come and go.


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
    async with serving(idle) as (server, record), Peer.of(server):
        (client,) = await record.wait_for_clients(1)
        with pytest.raises(hubbub.PositionLost):
            await client.join("news", since=server.root.head)
        assert set(server.rooms) == {"root"}


async def test_a_room_of_the_server_stays_although_clients_come_by_its_name_and_go() -> None:
    async with serving(idle) as (server, record), Peer.of(server):
        (client,) = await record.wait_for_clients(1)
        kept = server.room("kept")
        for _ in range(2):
            assert await client.join("kept") is kept
            await client.leave(kept)
        assert server.rooms["kept"] is kept
        await kept.broadcast("still there")
        assert len(await history_of(kept)) == 1


async def test_whether_a_room_stays_may_be_said_when_it_is_made_and_later() -> None:
    async with serving(idle) as (server, record), Peer.of(server):
        (client,) = await record.wait_for_clients(1)
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


# Closed rooms.


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
                    await asyncio.sleep(0)
            else:
                await room.broadcast("x" * 16 * KIB)
            senders = [asyncio.create_task(room.broadcast("x" * 16 * KIB)) for _ in range(3)]
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


async def test_what_a_room_has_said_comes_before_its_successor_of_the_same_name() -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB)
    async with serving(idle, settings=settings) as (server, record), Peer.of(server, receive_buffer=4 * KIB) as peer:
        (client,) = await record.wait_for_clients(1)
        peer.stall()
        for number in range(200):
            if number % 10 == 0:
                room = await client.join("news")
            await room.broadcast(f"{number:08d}{'x' * 4 * KIB}")
            if number % 30 < 10:
                await asyncio.sleep(0)
            if number % 10 == 9:
                room.close()
        assert client.lag.messages > 0
        peer.resume()
        assert [int((await peer.line())[:8]) for _ in range(200)] == list(range(200))


# Positions.


async def test_a_broadcast_gives_the_position_after_it() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        start = server.root.head
        one = await server.broadcast("one")
        assert one == server.root.head == hubbub.Position(start.term, start.seq + 1)
        three = await server.broadcast_many(["two", "three"])
        assert three == server.root.head
        assert three.seq == one.seq + 2
        # Nothing is said, and that is the same place.
        assert await server.broadcast_many([]) == three
        assert [entry.position for entry in await history_of(server.root)] == [
            one,
            hubbub.Position(start.term, start.seq + 2),
            three,
        ]
        assert await peer.exactly(14) == b"one\ntwo\nthree\n"
        # Reading goes on there, also where it is known as text only.
        await client.leave(server.root)
        await client.join(server.root, since=hubbub.Position.parse(str(one)))
        assert await peer.exactly(10) == b"two\nthree\n"


async def test_a_room_says_whether_it_holds_a_position() -> None:
    async with serving(idle, settings=hubbub.Settings(retention=4 * KIB)) as (server, _):
        room, other = server.root, server.room("other")
        start = room.head
        assert room.holds(start)
        assert not room.holds(other.head)
        assert not room.holds(hubbub.Position(start.term, start.seq + 1))
        while room.holds(start):
            await room.broadcast("x" * KIB)
        assert room.oldest.seq > start.seq
        assert room.holds(room.oldest)
        assert room.holds(room.head)


# History.


async def test_history_may_be_asked_for_the_last_messages() -> None:
    async with serving(idle) as (server, _):
        room = server.root
        assert await history_of(room, last=3) == []
        await room.broadcast_many(["1", "2", "3"])
        await asyncio.sleep(0)
        await room.broadcast_many(["4", "5"])
        for last, expected in ((0, ""), (1, "5"), (2, "45"), (3, "345"), (5, "12345"), (100, "12345")):
            assert "".join([entry.message for entry in await history_of(room, last=last)]) == expected
        with pytest.raises(ValueError, match="last is -1; it must be at least 0"):
            room.history(last=-1)
        with pytest.raises(ValueError, match="give one of the two"):
            room.history(since=room.oldest, last=1)


async def test_a_history_that_is_gone_through_slowly_loses_nothing_to_retention() -> None:
    async with serving(idle, settings=hubbub.Settings(retention=64 * KIB)) as (server, _):
        room = server.root
        await room.broadcast_many([str(number) for number in range(5000)])
        seen = []
        async for entry in room.history():
            seen.append(int(entry.message))
            if len(seen) % 100 == 0:
                # It is not seen, either.
                await room.broadcast("x" * 16 * KIB)
        assert seen == list(range(5000))
        assert room.oldest.seq > 5000


# Senders.


async def test_who_has_sent_a_message_is_known_with_and_without_exclusion() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as alice, Peer.of(server) as bob:
        clients = {client.name: client for client in await record.wait_for_clients(2)}
        one, two = clients[alice.name], clients[bob.name]
        await server.broadcast("1", sender=one)
        await server.broadcast("2", exclude=one)
        await server.broadcast("3", sender="code")
        await server.broadcast("4")
        await server.broadcast("5", sender=one, exclude=two)
        await server.broadcast_many(["6", "7"], sender="code", exclude=two)
        assert await alice.exactly(12) == b"1\n3\n4\n5\n6\n7\n"
        assert await bob.exactly(8) == b"1\n2\n3\n4\n"
        senders = [entry.sender for entry in await history_of(server.root)]
        assert senders == [alice.name, alice.name, "code", "", alice.name, "code", "code"]


@pytest.mark.parametrize("pending", [False, True], ids=["flushed", "pending"])
async def test_who_was_excluded_stays_so_when_it_comes_back_at_an_earlier_position(pending: bool) -> None:
    async with serving(idle) as (server, record), Peer.of(server) as alice, Peer.of(server) as bob:
        clients = {client.name: client for client in await record.wait_for_clients(2)}
        client = clients[alice.name]
        start = server.root.head
        await server.broadcast("1")
        await server.broadcast_many(["2", "3"], exclude=client)
        await server.broadcast("4")
        if not pending:
            await asyncio.sleep(0)
        # From before it, and from within it.
        for seq, expected in ((0, b"1\n4\n"), (2, b"4\n"), (1, b"4\n")):
            await client.leave(server.root)
            await client.join(server.root, since=hubbub.Position(start.term, start.seq + seq))
            await client.send("and")
            if seq == 0:
                # What it had before it left.
                assert await alice.exactly(4) == b"1\n4\n"
            assert await alice.exactly(len(expected)) == expected
            assert await alice.line() == b"and\n"
        assert await bob.exactly(8) == b"1\n2\n3\n4\n"


# Framings.


async def test_a_room_may_keep_its_messages_in_another_framing_than_its_clients_read() -> None:
    async with (
        serving(idle, framing=hubbub.ByteLines()) as (server, record),
        Peer.of(server) as reader,
        Peer.of(server) as late,
    ):
        clients = {client.name: client for client in await record.wait_for_clients(2)}
        room = server.room("frames", framing=hubbub.LengthPrefixed(size=1))
        assert room.framing == hubbub.LengthPrefixed(size=1)
        assert server.room("frames") is room
        assert server.room("frames", framing=hubbub.LengthPrefixed(size=1)) is room
        await clients[reader.name].join(room)
        start = room.head
        await room.broadcast_many([b"one", b"two\nlines", b"three"])
        await room.broadcast(b"four", exclude=clients[late.name])
        assert [await reader.line() for _ in range(4)] == [b"one\n", b"[1 messages missed]\n", b"three\n", b"four\n"]
        await clients[late.name].join(room, since=hubbub.Position(start.term, start.seq + 2))
        await clients[late.name].send(b"end")
        assert await late.exactly(10) == b"three\nend\n"
        assert [entry.message for entry in await history_of(room, last=2)] == [b"three", b"four"]
        # It carries other messages than lines do.
        with pytest.raises(ValueError, match="1 bytes of length carry 255"):
            await room.broadcast(b"x" * 256)


async def test_a_room_has_one_framing_and_one_for_the_messages_of_its_server() -> None:
    async with serving(idle) as (server, _):
        with pytest.raises(ValueError, match=r"ByteLines.* carries bytes, and the server's Lines.* does not"):
            server.room("bytes", framing=hubbub.ByteLines())
        room = server.room("telnet", framing=hubbub.Lines(crlf=True))
        with pytest.raises(ValueError, match=r"room 'telnet' exists, with the framing Lines\(crlf=True\)"):
            server.room("telnet", framing=hubbub.Lines())
        await room.broadcast("one")
        assert set(server.rooms) == {"root", "telnet"}


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
        await eventually(lambda: not server._sessions._readers)
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


async def test_a_sender_that_comes_as_others_are_let_go_on_stays_behind_them() -> None:
    settings = hubbub.Settings(retention=64 * 1024, chunk_limit=4 * 1024)
    async with serving(idle, settings=settings) as (server, _):
        room = server.root

        async def come_late() -> None:
            # It is woken by the flush, before the one that waits for it.
            await room.fan_out.flushed.wait()
            await room.broadcast("late")

        async def wait() -> None:
            await room.broadcast("a" * 3_000)
            await room.broadcast("b" * 3_000)

        async with asyncio.TaskGroup() as group:
            group.create_task(come_late())
            group.create_task(wait())
        assert [entry.message[0] for entry in await history_of(room)] == ["a", "b", "l"]
