"""Rooms: members, messages, positions and history."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import pytest

import hubbub
from hubbub.hub.hold import APPENDS_LIMIT, MESSAGES_LIMIT
from hubbub.log.chunk import Chunk
from hubbub.log.history import batches_since
from hubbub.log.log import Log

from support.helpers import Peer, dial, eventually, history_of, idle, one_client, serving

KIB = 1024


async def test_every_client_is_in_the_root_room_which_lasts_as_long_as_the_server_and_has_no_other_name() -> None:
    async with one_client() as (server, client, peer):
        root = server.root
        assert client.room is root
        assert client.rooms == {root}
        assert root.clients == {client}
        with pytest.raises(ValueError, match=r"the room 'root' is Server\.root"):
            server.room("root")
        with pytest.raises(ValueError, match=r"the room 'root' is Server\.root"):
            await client.join("root")
        with pytest.raises(ValueError, match="close the server instead"):
            root.close()
        await server.broadcast("still here")
        assert await peer.line() == b"still here\n"
        assert (str(root), repr(root)) == ("root", f"<Room 'root': 1 clients, head {root.head}>")


async def test_a_broadcast_reaches_those_who_are_in_the_room_and_nobody_else() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as inside, Peer.of(server) as outside:
        clients = {client.name: client for client in await record.wait_for_clients(2)}
        news = server.room("news")
        await clients[inside.name].join(news)
        await news.broadcast("for members")
        await server.broadcast("for all")
        assert sorted([await inside.line(), await inside.line()]) == [b"for all\n", b"for members\n"]
        assert await outside.line() == b"for all\n"


async def test_to_join_twice_or_to_leave_twice_is_no_error_and_a_room_knows_who_is_in_it() -> None:
    async with one_client() as (server, client, peer):
        news = server.room("news")
        # An empty room is a room all the same.
        assert news
        assert len(news) == 0
        await client.leave(news)
        await client.join(news)
        await client.join(news)
        assert len(news) == 1
        assert client in news
        with pytest.raises(ValueError, match=r"is in room news already"):
            await client.join(news, since=news.head)
        await news.broadcast("once")
        await client.leave(news)
        await client.leave(news)
        assert client not in news
        assert not news.clients
        assert client.rooms == {server.root}
        await client.send("end")
        assert await peer.exactly(9) == b"once\nend\n"


async def test_who_has_sent_a_message_is_known_with_and_without_exclusion() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as alice, Peer.of(server) as bob:
        clients = {client.name: client for client in await record.wait_for_clients(2)}
        one, two = clients[alice.name], clients[bob.name]
        await server.broadcast("1", sender=one)
        await server.broadcast_many(["2", "3"], exclude=one)
        await server.broadcast("4", sender="code")
        await server.broadcast("5", sender=one, exclude=two)
        await server.broadcast_many(["6", "7"], sender="code", exclude=two)
        await server.broadcast("8")
        assert await alice.exactly(12) == b"1\n4\n5\n6\n7\n8\n"
        assert await bob.exactly(10) == b"1\n2\n3\n4\n8\n"
        entries = await history_of(server.root)
        assert [entry.sender for entry in entries] == [alice.name] * 3 + ["code", alice.name, "code", "code", ""]
        assert [entry.position.seq for entry in entries] == list(range(1, 9))
        assert all(abs(entry.time - time.time()) < 60 for entry in entries)


async def test_what_the_framing_cannot_carry_is_refused_and_nothing_is_sent() -> None:
    async with one_client() as (server, _, peer):
        with pytest.raises(ValueError, match="line end"):
            await server.broadcast_many(["good", "two\nlines"])
        with pytest.raises(TypeError):
            await server.broadcast(b"bytes")
        await server.broadcast_many([])
        assert server.root.head.seq == 0
        await server.broadcast("good")
        assert await peer.line() == b"good\n"


async def test_where_a_framing_does_not_delimit_messages_a_log_keeps_them_apart() -> None:
    async with one_client(framing=hubbub.Raw()) as (server, _, peer):
        await server.broadcast_many([b"one", b"", b"two", b"three"])
        assert await peer.exactly(11) == b"onetwothree"
        assert [entry.message for entry in await history_of(server.root)] == [b"one", b"two", b"three"]


# Positions and history.


async def test_a_broadcast_gives_the_position_after_it_at_which_reading_goes_on() -> None:
    async with one_client() as (server, client, peer):
        root = server.root
        term, start = root.head
        one = await server.broadcast("one")
        assert one == root.head == hubbub.Position(term, start + 1)
        three = await server.broadcast_many(["two", "three"])
        assert three == root.head == hubbub.Position(term, start + 3)
        # Nothing is said, and that is the same place.
        assert await server.broadcast_many([]) == three
        positions = [entry.position for entry in await history_of(root)]
        assert positions == [one, hubbub.Position(term, start + 2), three]
        assert await peer.exactly(14) == b"one\ntwo\nthree\n"
        # It may be known as text only.
        await client.leave(root)
        await client.join(root, since=hubbub.Position.parse(str(one)))
        assert await peer.exactly(10) == b"two\nthree\n"


async def test_a_position_that_the_log_does_not_hold_is_lost_and_the_error_says_what_it_holds() -> None:
    async with one_client(settings=hubbub.Settings(retention=4 * KIB)) as (server, client, peer):
        room = server.root
        first = room.head
        while room.holds(first):
            await room.broadcast("x" * KIB)
            await peer.line()
        assert room.oldest.seq > first.seq
        assert room.holds(room.oldest)
        assert room.holds(room.head)
        await client.leave(room)
        ahead = hubbub.Position(room.head.term, room.head.seq + 1)
        for position in (first, ahead, server.room("other").head):
            assert not room.holds(position)
            with pytest.raises(hubbub.PositionLost) as lost:
                await client.join(room, since=position)
            goes_on = room.head if position is ahead else room.oldest
            assert (lost.value.position, lost.value.first, lost.value.head) == (position, goes_on, room.head)
            with pytest.raises(hubbub.PositionLost):
                await history_of(room, since=position)
        # It can join all the same.
        await client.join(room, since=room.oldest)
        assert await peer.exactly(KIB) == b"x" * KIB


@pytest.mark.parametrize(("since", "heard"), [(0, "6"), (2, "456"), (5, "123456"), (100, "123456")])
async def test_a_client_that_joins_gets_the_last_messages_and_all_behind_them_once(since: int, heard: str) -> None:
    async with one_client() as (server, client, peer):
        room = server.room("news")
        await room.broadcast_many(["1", "2", "3"])
        await room.fan_out.flushed.wait()
        # What has not been flushed yet is one of the last, too.
        await room.broadcast_many(["4", "5"])
        await client.join(room, since=since)
        await room.broadcast("6")
        assert await peer.exactly(2 * len(heard)) == "".join(f"{number}\n" for number in heard).encode()
        with pytest.raises(ValueError, match="-1 is negative; it counts back from the newest message"):
            await client.join("other", since=-1)
        assert client.rooms == {server.root, room}


async def test_history_starts_where_it_is_asked_to() -> None:
    async with serving(idle) as (server, _):
        room = server.root
        assert await history_of(room, last=3) == await history_of(room) == []
        await room.broadcast_many(["1", "2", "3"])
        await room.fan_out.flushed.wait()
        # What has not been flushed yet is history too.
        await room.broadcast_many(["4", "5"])
        for last, expected in ((0, ""), (1, "5"), (2, "45"), (3, "345"), (5, "12345"), (100, "12345")):
            assert "".join([entry.message for entry in await history_of(room, last=last)]) == expected
            since = hubbub.Position(room.head.term, max(0, 5 - last))
            assert "".join([entry.message for entry in await history_of(room, since=since)]) == expected
        with pytest.raises(ValueError, match="-1 is negative; it counts back from the newest message"):
            room.history(last=-1)
        with pytest.raises(ValueError, match="give since or last, not both"):
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


# Senders that wait.


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
            # A turn of the loop is what is looked at.
            await asyncio.sleep(0)
            heads.append(server.root.head.seq)
        assert max(later - earlier for earlier, later in itertools.pairwise([0, *heads])) <= 2 * APPENDS_LIMIT


async def test_no_chunk_has_many_more_messages_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    flush = Log.flush

    def count(log: Log[Any]) -> Chunk:
        chunk = flush(log)
        flushed.append(sum(batch.count for batch in chunk.batches))
        return chunk

    monkeypatch.setattr(Log, "flush", count)
    async with serving(idle, framing=hubbub.Delimited(b";")) as (server, _):
        await server.broadcast_many([b""] * 100_000)
        for _ in range(100):
            await server.broadcast_many([b""] * 1000)
        await eventually(lambda: sum(flushed) == 200_000)
    assert max(flushed) <= 2 * MESSAGES_LIMIT


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


async def test_messages_too_many_for_a_chunk_are_sent_in_parts_and_in_order() -> None:
    settings = hubbub.Settings(retention=64 * KIB, chunk_limit=4 * KIB)
    async with serving(idle, settings=settings) as (server, record), Peer.of(server) as peer:
        await record.wait_for_clients(1)
        lines = [f"{number:0100d}" for number in range(1000)]
        async with asyncio.TaskGroup() as group:
            group.create_task(server.broadcast_many(lines))
            for line in lines:
                assert await peer.line() == f"{line}\n".encode()
        assert max(batch.size for batch, _ in batches_since(server.root._log, 0)) <= settings.chunk_size
