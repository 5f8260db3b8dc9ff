"""A connection that comes back: when, how often, and what becomes of what is sent and received meanwhile."""

from __future__ import annotations

import asyncio

import pytest

import hubbub
from hubbub.client.retry import Backoff
from hubbub.framing.telnet import DO, IAC

from support.coming_back import Place, gone, listening
from support.helpers import eventually


def test_pauses_grow_up_to_the_longest_and_are_shortened_at_random() -> None:
    backoff = Backoff(hubbub.Settings(retry_time=1, retry_limit=5))
    for longest in (1, 2, 4, 5, 5):
        assert longest / 2 <= backoff.pause() <= longest
    backoff.lasted(4.9)
    assert backoff.pause() >= 2.5
    backoff.lasted(5)
    assert backoff.pause() <= 1
    assert len({Backoff(hubbub.Settings()).pause() for _ in range(10)}) > 1
    assert Backoff(hubbub.Settings(retry_time=5, retry_limit=1)).pause() <= 1


def test_a_pause_is_as_long_as_the_server_asked_for_within_reason() -> None:
    backoff = Backoff(hubbub.Settings(retry_time=1, retry_limit=5))
    backoff.at_least(60)
    assert backoff.pause() == 60
    assert 1 <= backoff.pause() <= 2
    backoff.at_least(10**9)
    assert backoff.pause() == 3600


async def test_a_server_that_is_not_there_yet_is_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    place = Place()
    connecting = asyncio.create_task(place.connect().__aenter__())
    await eventually(lambda: "cannot connect: Connection refused; trying again in " in caplog.text)
    await place.open()
    connection = await connecting
    assert caplog.messages[-1] == f"{place.address}: connected"
    peer = await place.peer()
    await gone(peer)
    await connection.close()
    await place.close()


async def test_a_cancelled_attempt_leaves_nothing_behind() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05), Place().connect():
            pytest.fail("nobody listens there")


@pytest.mark.parametrize("broken", [False, True], ids=["ended", "broken"])
async def test_what_is_received_goes_on_after_the_connection_has_ended(
    broken: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening() as place, place.connect() as connection:
        first = await place.peer()
        await first.send(b"one\n")
        assert await anext(connection) == "one"
        assert not caplog.messages
        receiving = asyncio.create_task(connection.receive_many())
        first.reset() if broken else await gone(first)
        second = await place.peer()
        await second.send(b"two\n")
        assert await receiving == ["two"]
        why = "lost: Connection reset by peer" if broken else "left: the server closed the connection"
        assert f"{place.address}: the connection has ended ({why}); trying again in 0.0 s" in caplog.messages
        assert caplog.messages[-1] == f"{place.address}: connected again"
        await connection.send("three")
        assert await second.line() == b"three\n"
        await gone(second)


@pytest.mark.parametrize("broken", [False, True], ids=["ended", "broken"])
async def test_a_send_waits_until_there_is_a_connection_and_what_was_heard_before_is_not_lost(broken: bool) -> None:
    async with listening() as place, place.connect() as connection:
        first = await place.peer()
        await first.send(b"one\ntwo\n")
        await eventually(lambda: bool(connection._connected.link._inbox))
        first.reset() if broken else await gone(first)
        await eventually(lambda: connection._connected.link.lost or connection._connected.link.at_end)
        await place.close()
        # Several wait for the same connection, and one of them no longer.
        sending = [asyncio.create_task(connection.send(text)) for text in ("a", "b")]
        cancelled = asyncio.create_task(connection.send("never"))
        await eventually(lambda: connection._returning is not None)
        cancelled.cancel()
        assert not any(task.done() for task in sending)
        await place.open()
        second = await place.peer()
        await asyncio.gather(*sending)
        assert sorted([await second.line(), await second.line()]) == [b"a\n", b"b\n"]
        await second.send(b"three\n")
        assert [await connection.receive() for _ in range(3)] == ["one", "two", "three"]
        await gone(second)


async def test_what_is_to_be_said_first_is_said_on_each_connection() -> None:
    async with listening() as place, place.connect(say="open sesame") as connection:
        for number in range(3):
            peer = await place.peer()
            assert await peer.line() == b"open sesame\n"
            await peer.send(b"%d\n" % number)
            assert await connection.receive() == str(number)
            receiving = asyncio.create_task(connection.receive())
            await gone(peer)
            await eventually(lambda: connection._returning is not None)
            receiving.cancel()


async def test_closing_ends_the_waiting() -> None:
    async with listening() as place:
        connection = await place.connect(settings=hubbub.Settings(linger_time=0.05))
        receiving = asyncio.create_task(anext(connection, None))
        await gone(await place.peer())
        await place.close()
        await eventually(lambda: connection._returning is not None)
        sending = asyncio.create_task(connection.send("never"))
        await asyncio.sleep(0)
        await connection.close()
        assert await receiving is None
        with pytest.raises(hubbub.ConnectionClosed, match="closed on this side"):
            await sending
        with pytest.raises(hubbub.ConnectionClosed, match="closed on this side"):
            await connection.receive()


async def test_a_connection_that_was_closed_does_not_come_back() -> None:
    async with listening() as place:
        connection = await place.connect()
        (await place.peer()).reset()
        await eventually(lambda: connection._connected.link.lost)
        await connection.close()
        for use in (connection.receive(), connection.send("never")):
            with pytest.raises(hubbub.ConnectionClosed):
                await use


async def test_after_a_connection_that_lasted_pauses_are_short_again() -> None:
    settings = hubbub.Settings(retry_time=0.01, retry_limit=0.08, linger_time=0.05)
    async with listening() as place, place.connect(settings=settings) as connection:
        for _ in range(4):
            connection._backoff.pause()
        first = await place.peer()
        # As if it had been made longer ago than that: a difference of times is rounded.
        connection._made_at -= 2 * settings.retry_limit
        await gone(first)
        receiving = asyncio.create_task(connection.receive())
        second = await place.peer()
        assert connection._backoff._next == 2 * settings.retry_time
        await second.send(b"two\n")
        assert await receiving == "two"
        await gone(second)


async def test_those_who_wait_may_all_be_cancelled_and_it_comes_back_nevertheless() -> None:
    async with listening() as place, place.connect() as connection:
        await gone(await place.peer())
        receiving = asyncio.create_task(connection.receive())
        await eventually(lambda: connection._returning is not None)
        receiving.cancel()
        second = await place.peer()
        await second.send(b"two\n")
        assert await connection.receive() == "two"
        await gone(second)


REFUSALS = {
    "full: server full: limit of 1 clients reached": True,
    "hasty: 127.0.0.1 connects more than 5 times a second": True,
    "denied: 127.0.0.1 may not connect here": False,
    "unauthenticated: not authenticated": False,
}


@pytest.mark.parametrize(("words", "again"), REFUSALS.items(), ids=[words.partition(":")[0] for words in REFUSALS])
async def test_a_refusal_says_whether_it_makes_sense_to_come_back(words: str, again: bool) -> None:
    async with listening() as place, place.connect() as connection:
        receiving = asyncio.create_task(anext(connection))
        peer = await place.peer()
        await peer.send(f"{words}\n".encode())
        await gone(peer)
        if again:
            second = await place.peer()
            await second.send(b"welcome\n")
            assert await receiving == "welcome"
            await gone(second)
        else:
            for task in (receiving, connection.receive(), connection.send("late")):
                with pytest.raises(hubbub.ConnectionClosed) as closed:
                    await task
                assert str(closed.value.ending) == words


async def test_after_its_own_end_a_connection_does_not_come_back() -> None:
    async with listening() as place, place.connect() as connection:
        connection.send_end()
        with pytest.raises(RuntimeError, match="send_end has been called"):
            await connection.send("more")
        peer = await place.peer()
        assert await peer.rest() == b""
        # Telnet's questions are not answered any more.
        await peer.send(bytes([IAC, DO, 24]) + b"all\n")
        await gone(peer)
        assert [message async for message in connection] == ["all"]


async def test_an_end_that_is_told_meanwhile_is_told_to_the_next_connection() -> None:
    async with listening() as place, place.connect() as connection:
        await gone(await place.peer())
        receiving = asyncio.create_task(connection.receive())
        await eventually(lambda: connection._returning is not None)
        connection.send_end()
        second = await place.peer()
        assert await second.rest() == b""
        await second.send(b"all\n")
        assert await receiving == "all"
        await gone(second)


async def test_what_is_no_message_is_not_tried_again() -> None:
    settings = hubbub.Settings(retry_time=0.01, message_limit=10, linger_time=0.05)
    async with listening() as place, place.connect(settings=settings) as connection:
        peer = await place.peer()
        await peer.send(b"x" * 11)
        with pytest.raises(hubbub.MessageTooLong):
            await connection.receive()
        await gone(peer)
