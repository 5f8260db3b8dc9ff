"""Whether a client may come in: a dialogue with it, and all that may happen meanwhile."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

import hubbub

from support.helpers import Peer, eventually, serving, transport_of

if TYPE_CHECKING:
    from door.conftest import Way

KIB = 1024

NOT_AUTHENTICATED = hubbub.Ending(hubbub.EndingCode.UNAUTHENTICATED, "not authenticated")

SMALL = hubbub.Settings(unsent_limit=4 * KIB, patience=0.3)


async def riddle(arrival: hubbub.Arrival) -> bool:
    """Asks for the double of a number."""
    await arrival.send("21?")
    return await arrival.receive() == "42"


async def fill(arrival: hubbub.Arrival) -> None:
    """Send until the socket takes no more."""
    while arrival.link.writable:
        await arrival.send("x" * 64 * KIB)


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [entry for entry in caplog.records if entry.name == "hubbub" and entry.levelno >= logging.WARNING]


async def test_authentication_may_be_a_dialogue(way: Way) -> None:
    async with serving(listeners=[way.listener(authenticate=riddle)]) as (server, record):
        async with way.peer(server) as peer:
            assert await peer.line() == b"21?\n"
            await peer.send(b"42\n")
            await record.wait_for_clients(1)
            await server.broadcast("Hey")
            assert await peer.line() == b"Hey\n"
        async with way.peer(server) as peer:
            assert await peer.line() == b"21?\n"
            await peer.send(b"43\n")
            assert await peer.rest() == b"unauthenticated: not authenticated\n"
        assert await record.wait_for_refusals() == [NOT_AUTHENTICATED]
        assert len(record.clients) == 1
        assert server.statistics().endings[hubbub.EndingCode.UNAUTHENTICATED] == 1


async def test_until_it_is_let_in_a_connection_is_no_client_and_hears_nothing(plain: Way) -> None:
    go = asyncio.Event()
    asked: list[hubbub.Arrival] = []

    async def wait(arrival: hubbub.Arrival) -> bool:
        asked.append(arrival)
        await go.wait()
        return True

    async with serving(listeners=[plain.listener(authenticate=wait)]) as (server, record), Peer.of(server) as peer:
        await peer.send(b"Hey\n")
        await eventually(lambda: bool(asked))
        await server.broadcast("not for strangers")
        assert not server.clients
        assert not server.root.clients
        assert str(asked[0]) == asked[0].name == peer.name
        assert (asked[0].address, asked[0].certificate_name) == ("127.0.0.1", None)
        assert not record.clients
        figures = server.statistics()
        assert (figures.clients, figures.accepted, figures.endings, figures.refused) == (0, 1, {}, {})
        go.set()
        (client,) = await record.wait_for_clients(1)
        assert client.name == peer.name
        assert server.clients == server.root.clients == {client}
        await server.broadcast("Welcome")
        assert await peer.line() == b"Welcome\n"
        await eventually(lambda: record.received_from[peer.name] == ["Hey"])


async def test_an_authentication_that_raises_is_logged_and_refuses(
    plain: Way, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(arrival: hubbub.Arrival) -> bool:
        raise LookupError("no directory")

    async with serving(listeners=[plain.listener(authenticate=broken)]) as (server, record), Peer.of(server) as peer:
        assert await peer.rest() == b"unauthenticated: not authenticated\n"
        assert server.statistics().endings == {hubbub.EndingCode.UNAUTHENTICATED: 1}
        assert not record.clients
    (error,) = warnings_in(caplog)
    assert error.getMessage() == f"{peer.name} cannot be authenticated"
    assert error.exc_info


async def test_who_takes_too_long_is_told(way: Way) -> None:
    settings = hubbub.Settings(handshake_time=0.3)
    async with (
        serving(listeners=[way.listener(authenticate=riddle)], settings=settings) as (server, record),
        way.peer(server) as peer,
    ):
        assert await peer.rest() == b"21?\nlate: not let in within 0.3 s\n"
        assert await record.wait_for_refusals() == [hubbub.Ending(hubbub.EndingCode.LATE, "not let in within 0.3 s")]
        assert server.statistics().endings == {hubbub.EndingCode.LATE: 1}


@pytest.mark.parametrize("how", ["end", "reset"])
async def test_a_client_that_leaves_meanwhile_is_no_failure(
    way: Way, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(listeners=[way.listener(authenticate=riddle)]) as (server, record):
        async with way.peer(server) as peer:
            assert await peer.line() == b"21?\n"
            if how == "reset":
                peer.reset()
            elif isinstance(peer, Peer):
                peer.end()
            else:
                await peer.end()
            (refusal,) = await record.wait_for_refusals()
            if isinstance(peer, Peer):
                # It said nothing at all.
                assert refusal.code is hubbub.EndingCode.PROBE
            elif how == "end":
                assert refusal.code is hubbub.EndingCode.UNAUTHENTICATED
                assert await peer.rest() == b"unauthenticated: not authenticated\n"
            else:
                assert refusal.code is hubbub.EndingCode.LOST
        assert not record.clients
        assert not record.ended_clients
    assert not warnings_in(caplog)


async def test_one_that_has_left_is_not_let_in_whatever_the_answer_is(plain: Way) -> None:
    asked = asyncio.Event()
    arrivals: list[hubbub.Arrival] = []

    async def hesitate(arrival: hubbub.Arrival) -> bool:
        arrivals.append(arrival)
        asked.set()
        await arrival.link.wait_closed()
        return True

    async with serving(listeners=[plain.listener(authenticate=hesitate)]) as (server, record), Peer.of(server) as peer:
        await asked.wait()
        await peer.send(b"Hey\n")
        await eventually(lambda: not arrivals[0].link.silent)
        peer.reset()
        (refusal,) = await record.wait_for_refusals()
        assert refusal.code is hubbub.EndingCode.LOST
        assert not record.clients


async def test_a_connection_that_breaks_as_it_is_let_in_ends_as_a_client(plain: Way) -> None:
    async def break_it(arrival: hubbub.Arrival) -> bool:
        transport_of(arrival).abort()
        return True

    async with serving(listeners=[plain.listener(authenticate=break_it)]) as (server, record), Peer.of(server):
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.LEFT
        assert not server.clients


async def test_an_authentication_may_close_the_connection_itself(plain: Way) -> None:
    async def shut(arrival: hubbub.Arrival) -> bool:
        await arrival.send("closed today")
        arrival.close("closed today")
        return True

    settings = hubbub.Settings(linger_time=0.05)
    async with (
        serving(listeners=[plain.listener(authenticate=shut)], settings=settings) as (server, record),
        Peer.of(server) as peer,
    ):
        assert await peer.rest() == b"closed today\n"
        assert await record.wait_for_refusals() == [hubbub.Ending(hubbub.EndingCode.CLOSED, "closed today")]


async def test_a_server_that_closes_does_not_wait_for_an_answer(plain: Way) -> None:
    loop = asyncio.get_running_loop()
    async with serving(listeners=[plain.listener(authenticate=riddle)]) as (server, record), Peer.of(server) as peer:
        assert await peer.line() == b"21?\n"
        start = loop.time()
        await server.close()
        assert loop.time() - start < 3
        assert not record.clients
        assert not record.ended_clients
        assert server.statistics().clients == 0


# Clients that read slowly.


async def test_a_dialogue_waits_for_a_client_that_reads_slowly(plain: Way) -> None:
    """A dialogue that says more than the socket takes."""

    async def verbose(arrival: hubbub.Arrival) -> bool:
        for _ in range(20):
            await arrival.send("x" * 64 * KIB)
        return await arrival.receive() == "42"

    async with (
        serving(listeners=[plain.listener(authenticate=verbose)], settings=SMALL) as (server, record),
        Peer.of(server, receive_buffer=4 * KIB) as peer,
    ):
        assert await peer.exactly(20 * (64 * KIB + 1)) == 20 * (b"x" * 64 * KIB + b"\n")
        await peer.send(b"42\n")
        await record.wait_for_clients(1)


async def test_a_dialogue_with_a_connection_that_breaks_ends(plain: Way) -> None:
    told: list[hubbub.ConnectionClosed] = []
    full = asyncio.Event()

    async def say_on(arrival: hubbub.Arrival) -> bool:
        await fill(arrival)
        full.set()
        try:
            await arrival.send("more")
        except hubbub.ConnectionClosed as closed:
            told.append(closed)
            raise
        return True

    async with (
        serving(listeners=[plain.listener(authenticate=say_on)], settings=SMALL) as (server, record),
        Peer.of(server, receive_buffer=4 * KIB) as peer,
    ):
        peer.stall()
        await full.wait()
        peer.reset()
        (ending,) = await record.wait_for_refusals()
        assert ending.code is hubbub.EndingCode.PROBE
        assert [closed.ending and closed.ending.code for closed in told] == [hubbub.EndingCode.LOST]


async def test_a_connection_that_takes_nothing_as_it_is_let_in_is_watched_for_patience(plain: Way) -> None:
    async def verbose(arrival: hubbub.Arrival) -> bool:
        await fill(arrival)
        return True

    async with (
        serving(listeners=[plain.listener(authenticate=verbose)], settings=SMALL) as (server, record),
        Peer.of(server, receive_buffer=4 * KIB) as peer,
    ):
        peer.stall()
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.STALLED


# Framings.


async def test_telnet_options_are_refused_in_a_dialogue_too(plain: Way) -> None:
    async with serving(listeners=[plain.listener(authenticate=riddle)]) as (server, record), Peer.of(server) as peer:
        assert await peer.line() == b"21?\n"
        await peer.send(b"\xff\xfd\x0142\n")
        assert await peer.exactly(3) == b"\xff\xfc\x01"
        await record.wait_for_clients(1)


async def test_a_stranger_that_reads_nothing_is_owed_no_refusal_of_options(plain: Way) -> None:
    full = asyncio.Event()

    async def verbose(arrival: hubbub.Arrival) -> bool:
        await fill(arrival)
        full.set()
        return await arrival.receive() == "42"

    async with (
        serving(listeners=[plain.listener(authenticate=verbose)], settings=hubbub.Settings(unsent_limit=4 * KIB)) as (
            server,
            record,
        ),
        Peer.of(server, receive_buffer=4 * KIB) as peer,
    ):
        peer.stall()
        await full.wait()
        await peer.send(b"\xff\xfd\x0142\n")
        (client,) = await record.wait_for_clients(1)
        await client.send("end")
        peer.resume()
        lines = [await peer.line()]
        while lines[-1] != b"end\n":
            lines.append(await peer.line())
        assert {line.strip(b"x") for line in lines[:-1]} == {b"\n"}


async def test_a_stranger_that_breaks_a_binary_framing_is_told_nothing_in_it(plain: Way) -> None:
    async def listen(arrival: hubbub.Arrival[bytes]) -> bool:
        return await arrival.receive() == b"42"

    listener = plain.listener(authenticate=listen)
    async with (
        serving(framing=hubbub.LengthPrefixed(4), listeners=[listener]) as (server, record),
        Peer.of(server) as peer,
    ):
        await peer.send(b"\xff\xff\xff\xff")
        assert await peer.rest() == b""
        (ending,) = await record.wait_for_refusals()
        assert ending.code is hubbub.EndingCode.TOO_LONG
