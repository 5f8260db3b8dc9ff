"""The server's view of one connection: receiving, sending, waiting, ending."""

from __future__ import annotations

import asyncio
import gc
import itertools
import socket
import time
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast
from weakref import WeakKeyDictionary

import pytest

import hubbub
from hubbub.hub.reader import Reader

from support.helpers import Peer, dial, eventually, fall_behind, serving, transport_of, waiting_for

KIB = 1024


async def idle(client: hubbub.Client) -> None:
    async for _ in client:
        pass


async def wait_closed(client: hubbub.Client) -> None:
    """For tests that receive themselves."""
    await client.wait_closed()


async def test_a_client_says_who_it_is() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        assert client.name == str(client) == peer.name
        assert client.name == f"{client.address}:{client.port}"
        assert client.server is server
        assert abs(client.connected_at - time.time()) < 60
        assert repr(client) == f"<Client {peer.name}>"
        assert client.ending is None
        peer.end()
        await client.wait_closed()
        assert repr(client) == f"<Client {peer.name} (left: the client closed the connection)>"
        # To wait for what has happened is no error.
        await client.wait_closed()


# Receiving.


async def test_receive_gives_one_message_and_receive_many_all_that_have_arrived() -> None:
    async with serving(wait_closed) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
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


async def test_a_cancelled_receive_loses_nothing() -> None:
    async with serving(wait_closed) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        received = []
        for number in range(50):
            receiving = asyncio.create_task(client.receive())
            if number % 2:
                await asyncio.sleep(0)
            await peer.send(f"{number}\n".encode())
            for _ in range(number % 5):
                await asyncio.sleep(0)
            receiving.cancel()
            try:
                received.append(await receiving)
            except asyncio.CancelledError:
                received.append(await client.receive())
        assert received == [str(number) for number in range(50)]


async def test_two_tasks_cannot_receive_from_the_same_client() -> None:
    async with serving(wait_closed) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        first = asyncio.create_task(client.receive())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError, match="two tasks receive from the same connection"):
            await client.receive_many()
        await peer.send(b"for the first\n")
        assert await first == "for the first"


async def test_the_observer_sees_messages_when_the_handler_gets_them() -> None:
    async with serving(wait_closed) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        await peer.send(b"one\ntwo\n")
        assert await client.receive() == "one"
        assert record.received_from == {peer.name: ["one", "two"]}


async def test_who_does_not_read_makes_its_client_wait() -> None:
    """The inbox is bounded: the transport stops reading, and TCP holds the peer back."""
    settings = hubbub.Settings(inbox_limit=16 * KIB)
    async with serving(wait_closed, settings=settings) as (server, record):
        with await dial(server) as plain:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * KIB)
            (client,) = await record.wait_for_clients(1)
            loop = asyncio.get_running_loop()
            lines = [f"{number:01023d}" for number in range(3 * KIB)]
            sending = asyncio.create_task(loop.sock_sendall(plain, "".join([f"{line}\n" for line in lines]).encode()))
            await eventually(lambda: not transport_of(client).is_reading())
            inbox = client._reader.link._inbox_size
            done, _ = await asyncio.wait([sending], timeout=0.2)
            assert not done
            assert client._reader.link._inbox_size == inbox
            received: list[str] = []
            while len(received) < len(lines):
                received += await client.receive_many()
            assert received == lines
            await sending
            assert transport_of(client).is_reading()


# Sending.


async def test_what_is_said_to_a_client_is_written_at_once_and_what_follows_in_one_piece_in_the_next_turn() -> None:
    async with serving(idle) as (server, record):
        with await dial(server) as plain:
            (client,) = await record.wait_for_clients(1)
            for _ in range(2):
                for message in ("one", "two", "three"):
                    await client.send(message)
                assert plain.recv(100) == b"one\n"
                with pytest.raises(BlockingIOError):
                    plain.recv(100)
                await asyncio.sleep(0)
                assert plain.recv(100) == b"two\nthree\n"
                await asyncio.sleep(0)


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


async def test_what_a_room_has_said_takes_along_what_was_said_to_the_client_before() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        room = server.room("history")
        await room.broadcast("one")
        await asyncio.sleep(0)
        await client.send("zero")
        await client.join(room, since=room.oldest)
        assert [await peer.line() for _ in range(2)] == [b"zero\n", b"one\n"]


async def test_a_broadcast_comes_behind_what_was_said_in_the_same_turn() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        await server.broadcast("one")
        await eventually(lambda: not client.lag.bytes)
        await client.send("two")
        await server.broadcast("three")
        assert [await peer.line() for _ in range(3)] == [b"one\n", b"two\n", b"three\n"]


async def test_what_was_said_last_reaches_a_client_that_is_closed_in_the_same_turn() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        await client.send("bye")
        await client.close()
        assert await peer.rest() == b"bye\n"


async def test_a_private_message_comes_behind_what_is_still_to_be_flushed() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        await server.broadcast("one")
        await client.send("two")
        await server.broadcast("three")
        await client.send_many(["four", "five"])
        await client.send_many([])
        assert await peer.exactly(24) == b"one\ntwo\nthree\nfour\nfive\n"


async def test_a_send_to_a_full_client_waits_and_goes_on() -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB, outbox_limit=16 * KIB)
    async with serving(idle, settings=settings) as (server, record), Peer.of(server, receive_buffer=4 * KIB) as peer:
        (client,) = await record.wait_for_clients(1)
        peer.stall()
        count = 0

        async def send_on() -> None:
            nonlocal count
            while count < 1000:
                await client.send(f"{count:08d}{'x' * KIB}")
                count += 1

        sending = asyncio.create_task(send_on())
        await eventually(lambda: client._reader.full and not client._reader.link.writable)
        held_at = count
        done, _ = await asyncio.wait([sending], timeout=0.1)
        assert not done
        assert count == held_at < 1000
        assert client._reader.outbox.private_size < settings.outbox_limit + 2 * KIB
        peer.resume()
        for number in range(1000):
            assert int((await peer.line())[:8]) == number
        await sending


async def test_a_cancelled_send_sends_nothing() -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB, outbox_limit=KIB)
    async with serving(idle, settings=settings) as (server, record), Peer.of(server, receive_buffer=4 * KIB) as peer:
        (client,) = await record.wait_for_clients(1)
        peer.stall()
        number = 0
        while True:
            sending = asyncio.create_task(client.send(f"{number:08d}{'x' * 4 * KIB}"))
            done, _ = await asyncio.wait([sending], timeout=0.2)
            if not done:
                break
            number += 1
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        peer.resume()
        for expected in range(number):
            assert int((await peer.line())[:8]) == expected
        await client.send("end")
        assert await peer.line() == b"end\n"


async def test_a_send_that_waits_for_a_client_that_ends_is_told_so() -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB, outbox_limit=KIB)
    async with serving(idle, settings=settings) as (server, record):
        async with Peer.of(server, receive_buffer=4 * KIB) as peer:
            (client,) = await record.wait_for_clients(1)
            peer.stall()

            async def send_on() -> None:
                while True:
                    await client.send("x" * 4 * KIB)

            sending = asyncio.create_task(send_on())
            await eventually(lambda: client._reader.outbox.private_size >= settings.outbox_limit)
        with pytest.raises(hubbub.ConnectionClosed) as closed:
            await sending
        assert closed.value.peer == client.name
        assert closed.value.ending == client.ending
        with pytest.raises(hubbub.ConnectionClosed):
            await client.send("too late")
        with pytest.raises(hubbub.ConnectionClosed):
            await client.join(server.root)


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


async def test_what_the_framing_cannot_carry_is_refused_and_nothing_is_sent() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        with pytest.raises(ValueError, match="line end"):
            await client.send_many(["good", "two\nlines"])
        await client.send("good")
        assert await peer.line() == b"good\n"


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


# Lag.


async def test_the_lag_is_what_the_client_has_not_been_sent_of_all_its_rooms() -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB)
    async with serving(idle, settings=settings) as (server, record), Peer.of(server, receive_buffer=4 * KIB) as peer:
        (client,) = await record.wait_for_clients(1)
        assert client.lag == hubbub.Lag(0, 0)
        peer.stall()
        filler = await fall_behind(client, server.root, "x" * 8 * KIB)
        messages, size = client.lag
        news = server.room("news")
        await client.join(news)
        await news.broadcast("x" * 1023)
        await server.broadcast("x" * 2047)
        assert client.lag.messages == messages + 2
        # What the log keeps beside the bytes counts too.
        assert 3 * KIB <= client.lag.bytes - size < 4 * KIB
        peer.resume()
        for _ in range(filler + 2):
            await peer.line()
        assert client.lag == hubbub.Lag(0, 0)


# Ending.


async def test_close_delivers_what_was_sent_before_and_waits_for_the_end() -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB)
    async with serving(idle, settings=settings) as (server, record), Peer.of(server, receive_buffer=4 * KIB) as peer:
        (client,) = await record.wait_for_clients(1)
        for number in range(100):
            await server.broadcast(f"{number:08d}{'x' * 4 * KIB}")
        await client.send("bye")
        closing = asyncio.create_task(client.close("enough"))
        await asyncio.sleep(0)
        assert client.ending == hubbub.Ending(hubbub.EndingCode.CLOSED, "enough")
        assert client not in server.clients
        await server.broadcast("too late")
        lines: Sequence[bytes] = (await peer.rest()).splitlines()
        assert [int(line[:8]) for line in lines[:-1]] == list(range(100))
        assert lines[-1] == b"bye"
        peer.end()
        await closing


async def test_the_first_ending_is_the_one_that_is_recorded() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        closings = [asyncio.create_task(client.close(reason)) for reason in ("first", "second")]
        assert await peer.rest() == b""
        peer.end()
        await asyncio.gather(*closings)
        assert client.ending == hubbub.Ending(hubbub.EndingCode.CLOSED, "first")
        assert len(record.ended_clients) == 1


async def test_a_cancelled_close_ends_the_connection_all_the_same() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert await peer.rest() == b""
        peer.end()
        await client.wait_closed()
        assert client.ending == hubbub.Ending(hubbub.EndingCode.CLOSED, "closed by the server")


async def test_a_closed_client_that_does_not_end_its_side_is_given_a_while() -> None:
    async with serving(idle, settings=hubbub.Settings(linger_time=0.2)) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        loop = asyncio.get_running_loop()
        start = loop.time()
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0)
        # What it still sends is read, and nobody gets it.
        await peer.send(b"but\n")
        await closing
        assert 0.15 <= loop.time() - start < 2
        assert not record.received_from


async def test_a_client_joins_rooms_of_its_own_server_only_and_none_that_was_closed() -> None:
    async with serving(idle) as (server, record), serving(idle) as (other, _), Peer.of(server):
        (client,) = await record.wait_for_clients(1)
        closed = server.room("closed")
        closed.close()
        for room in (other.root, other.room("news"), closed):
            with pytest.raises(ValueError, match="is not one of this server's rooms, or was closed"):
                await client.join(room)
        assert client.rooms == {server.root}


async def test_a_task_that_was_cancelled_a_moment_ago_receives_no_more_and_another_may() -> None:
    async with serving(wait_closed) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        receiving = asyncio.create_task(client.receive())
        await asyncio.sleep(0)
        receiving.cancel()
        # At once: the other task has not run since.
        again = asyncio.ensure_future(client.receive())
        await peer.send(b"for the second\n")
        assert await again == "for the second"
        with pytest.raises(asyncio.CancelledError):
            await receiving


# What a handler may keep of a client.


async def test_a_client_has_a_place_for_what_handlers_remember_of_it() -> None:
    async with serving(idle) as (server, record), Peer.of(server), Peer.of(server):
        one, two = await record.wait_for_clients(2)
        one.state["nick"] = "Alice"
        assert one.state == {"nick": "Alice"}
        assert two.state == {}


async def test_a_client_may_be_a_key_of_a_weak_dictionary() -> None:
    nicks: WeakKeyDictionary[hubbub.Client, str] = WeakKeyDictionary()
    async with serving(idle) as (server, record):
        async with Peer.of(server) as peer:
            (client,) = await record.wait_for_clients(1)
            nicks[client] = "Alice"
            peer.end()
            await peer.rest()
        await client.wait_closed()
        await eventually(lambda: not server._sessions._readers)
        record.clients.clear()
        record.ended_clients.clear()
        del client
        gc.collect()
        assert not nicks


async def test_a_policy_that_does_not_exist_cannot_be_set() -> None:
    async with serving(idle) as (server, record), Peer.of(server):
        (client,) = await record.wait_for_clients(1)
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


# To send without waiting.


async def test_try_send_takes_its_place_among_what_is_sent_and_broadcast() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        assert client.try_send("one")
        await server.broadcast("two")
        assert client.try_send("three")
        assert client.try_send("four")
        await client.send("five")
        for line in (b"one\n", b"two\n", b"three\n", b"four\n", b"five\n"):
            assert await peer.line() == line
        with pytest.raises(ValueError, match="line end"):
            client.try_send("two\nlines")


async def test_a_handler_that_tries_to_send_is_not_held_by_another_client_that_stalls() -> None:
    """Where it would `send`, it would wait until the other is ended."""
    tried: list[bool] = []

    async def pass_on(client: hubbub.Client) -> None:
        async for message in client:
            tried.extend([other.try_send(message) for other in client.server.clients - {client}])

    settings = hubbub.Settings(unsent_limit=4 * KIB, outbox_limit=16 * KIB)
    async with (
        serving(pass_on, settings=settings) as (server, record),
        Peer.of(server, receive_buffer=4 * KIB) as stalled,
        Peer.of(server) as sender,
        Peer.of(server) as good,
    ):
        clients = {client.name: client for client in await record.wait_for_clients(3)}
        stalled.stall()
        line = b"x" * 4 * KIB + b"\n"
        count = 0
        # It takes what the kernel takes, and then no more.
        while tried.count(False) < 10:
            await sender.send(line)
            assert await good.line() == line
            count += 1
        assert clients[stalled.name]._reader.outbox.private_size < settings.outbox_limit + 8 * KIB
        assert clients[sender.name].ending is None
        stalled.resume()
        for _ in range(2 * count - tried.count(False) - count):
            assert await stalled.line() == line


async def test_a_client_that_is_gone_takes_nothing() -> None:
    async with serving(idle) as (server, record):
        async with Peer.of(server):
            (client,) = await record.wait_for_clients(1)
        await record.wait_for_endings()
        assert not client.try_send("hello?")


async def test_an_empty_message_may_be_tried_too() -> None:
    async with serving(wait_closed, framing=hubbub.Raw()) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        assert client.try_send(b"")
        assert client.try_send(b"one")
        assert await peer.exactly(3) == b"one"


# Joins and leaves are held back as sends are.


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


@pytest.mark.parametrize("behind", [False, True], ids=["caught up", "behind"])
async def test_a_client_that_comes_and_goes_and_does_not_read_has_to_wait_and_misses_nothing(behind: bool) -> None:
    """Each time it says something between. The room goes on for all others, and it has all that it said."""

    async def obey(client: hubbub.Client) -> None:
        async for command in client:
            if command == "join":
                await client.join(client.server.room("b"))
            elif command == "leave":
                await client.leave(client.server.room("b"))
            else:
                await client.server.room("b").broadcast(command)

    count = 3500
    settings = hubbub.Settings(unsent_limit=4 * KIB, outbox_limit=16 * KIB)
    async with (
        serving(obey, settings=settings) as (server, record),
        Peer.of(server, receive_buffer=4 * KIB) as wandering,
        Peer.of(server) as witness,
    ):
        clients = {client.name: client for client in await record.wait_for_clients(2)}
        client = clients[wandering.name]
        await clients[witness.name].leave(server.root)
        await clients[witness.name].join(server.room("b"))
        wandering.stall()
        if behind:
            await fall_behind(client, server.root, "x" * 8 * KIB)
        tracemalloc.start()
        try:
            commands = "".join([f"join\n{number}{'x' * 100}\nleave\n" for number in range(count)])
            sending = asyncio.create_task(wandering.send(commands.encode()))
            waited = 0
            heard = 0
            while waited < 20:
                try:
                    async with asyncio.timeout(0.05):
                        assert int((await witness.reader.readline()).strip(b"x\n")) == heard
                    heard += 1
                except TimeoutError:
                    waited += 1
            assert tracemalloc.get_traced_memory()[1] < 4 * KIB * KIB
        finally:
            tracemalloc.stop()
        assert heard < count
        assert waiting_for(client) <= settings.outbox_limit + 256
        # What it cannot take holds nobody but itself.
        await server.room("b").broadcast("still alive")
        assert await witness.line() == b"still alive\n"
        wandering.resume()
        own = 0
        while own < count:
            line = (await wandering.line()).strip(b"x\n")
            if line.isdigit():
                assert int(line) == own
                own += 1
        await sending


async def test_a_rejoin_into_the_middle_of_what_was_broadcast_together_is_no_private_copy() -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB, outbox_limit=16 * KIB, retention=1024 * KIB, chunk_limit=256 * KIB)
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
            for _ in range(100):
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
        assert 0 < rejoins < 100
        peer.resume()
        heard = await peer.exactly(filler * (8 * KIB + 1) + 100 * 1000 * 100)
        assert heard.count(line.encode() + b"\n") == 100 * 1000
        await rejoining
        await client.send("end")
        assert await peer.line() == b"end\n"
