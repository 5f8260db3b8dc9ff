"""The dialling side: a connection to a server."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

import hubbub
from hubbub.apps.echo import echo
from hubbub.apps.relay import relay
from hubbub.framing.telnet import DO, IAC, WONT

from support.helpers import Peer, Record, eventually, serving

KIB = 1024

# The plain servers here do not end their side.
BRIEF = hubbub.Settings(linger_time=0.05)


def to(server: hubbub.Server[str], settings: hubbub.Settings | None = None) -> hubbub.Connection[str]:
    return hubbub.connect(*server.addresses[0], settings=settings)


@contextlib.asynccontextmanager
async def dialled(settings: hubbub.Settings = BRIEF) -> AsyncIterator[tuple[hubbub.Connection[str], Peer]]:
    """A connection to a plain server, which knows nothing of hubbub, and the server's end of it."""
    peers: asyncio.Queue[Peer] = asyncio.Queue()
    listening = socket.create_server(("127.0.0.1", 0))
    # Those it accepts inherit that: a peer that stalls is to be full soon.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * KIB)
    server = await asyncio.start_server(lambda *streams: peers.put_nowait(Peer(*streams)), sock=listening)
    async with server, hubbub.connect(*listening.getsockname(), settings=settings) as connection:
        peer = await peers.get()
        try:
            yield connection, peer
        finally:
            peer.writer.transport.abort()
            with contextlib.suppress(OSError):
                await peer.writer.wait_closed()


async def test_a_conversation() -> None:
    async with serving(echo) as (server, _), to(server) as connection:
        assert str(connection) == connection.name == str(server.addresses[0])
        await connection.send("one")
        assert await connection.receive() == "We got your message: one"
        await connection.send_many(["two", "three"])
        await connection.send_many([])
        answers: list[str] = []
        while len(answers) < 2:
            answers += await connection.receive_many()
        assert answers == ["We got your message: two", "We got your message: three"]


async def test_iteration_stops_at_the_clean_end() -> None:
    async def greet(client: hubbub.Client) -> None:
        await client.send_many(["one", "two", "three"])

    async with serving(greet) as (server, _), to(server) as connection:
        assert [message async for message in connection] == ["one", "two", "three"]
        with pytest.raises(hubbub.ConnectionClosed):
            await connection.receive()
        with pytest.raises(hubbub.ConnectionClosed):
            await connection.receive_many()


async def test_both_sides_speak_the_framing_they_are_given() -> None:
    async def answer(client: hubbub.Client[bytes]) -> None:
        async for message in client:
            await client.send(message[::-1])

    framing = hubbub.LengthPrefixed(size=2)
    async with (
        serving(answer, framing=framing) as (server, _),
        hubbub.connect(*server.addresses[0], framing=framing) as connection,
    ):
        await connection.send(b"\0\n\xff")
        assert await connection.receive() == b"\xff\n\0"
        with pytest.raises(ValueError, match="2 bytes of length"):
            await connection.send(b"x" * 64 * KIB)


async def test_a_lost_connection_is_no_clean_end() -> None:
    async with dialled() as (connection, peer):
        await peer.send(b"one\npart")
        assert await connection.receive() == "one"
        peer.reset()
        with pytest.raises(hubbub.ConnectionClosed) as closed:
            await anext(connection)
        assert closed.value.peer == connection.name
        assert closed.value.ending is not None
        assert closed.value.ending.code is hubbub.EndingCode.LOST
        with pytest.raises(hubbub.ConnectionClosed):
            await connection.receive()
        with pytest.raises(hubbub.ConnectionClosed):
            await connection.send("too late")


async def test_a_loss_after_the_clean_end_does_not_spoil_it() -> None:
    async with dialled() as (connection, peer):
        await peer.send(b"one\n")
        peer.end()
        await eventually(lambda: connection._connected.link.at_end)
        peer.writer.transport.abort()
        while not connection._connected.link.lost:
            # The first of these is answered with a reset.
            with contextlib.suppress(hubbub.ConnectionClosed):
                await connection.send("are you there?")
            await asyncio.sleep(0.001)
        assert [message async for message in connection] == ["one"]
        with pytest.raises(hubbub.ConnectionClosed, match="left: the server closed the connection"):
            await connection.send("hello?")


async def test_what_is_no_message_raises() -> None:
    async with dialled(replace(BRIEF, message_limit=10)) as (connection, peer):
        await peer.send(b"one\n" + b"x" * 11)
        assert await connection.receive() == "one"
        for _ in range(2):
            with pytest.raises(hubbub.MessageTooLong):
                await connection.receive()
        with pytest.raises(hubbub.MessageTooLong):
            await connection.receive_many()
        # What it says itself still goes out.
        await connection.send("pardon?")
        assert await peer.line() == b"pardon?\n"


async def test_telnet_negotiation_is_refused_unless_the_server_reads_no_answer() -> None:
    async with dialled() as (connection, peer):
        request, refusal = bytes([IAC, DO, 24]), bytes([IAC, WONT, 24])
        await peer.send(request + b"hello\n")
        assert await connection.receive() == "hello"
        assert await peer.exactly(3) == refusal
        await _fill(connection, peer)
        written = connection._connected.link.transport.get_write_buffer_size()
        await peer.send(request + b"hello\n")
        assert await connection.receive() == "hello"
        assert connection._connected.link.transport.get_write_buffer_size() == written


async def _fill(connection: hubbub.Connection[str], peer: Peer) -> int:
    """Send until the kernel takes no more on either side; how many were sent."""
    peer.stall()
    count = 0
    while True:
        try:
            async with asyncio.timeout(0.1):
                await connection.send("x" * 16 * KIB)
        except TimeoutError:
            return count
        count += 1


async def test_a_send_waits_for_a_server_that_takes_nothing_and_goes_on() -> None:
    async with dialled() as (connection, peer):
        count = await _fill(connection, peer)
        sending = asyncio.create_task(connection.send("last"))
        cancelled = asyncio.create_task(connection.send("never"))
        done, _ = await asyncio.wait([sending, cancelled], timeout=0.1)
        assert not done
        cancelled.cancel()
        peer.resume()
        for _ in range(count):
            assert len(await peer.line()) == 16 * KIB + 1
        assert await peer.line() == b"last\n"
        await sending
        with pytest.raises(asyncio.CancelledError):
            await cancelled


async def test_a_send_that_waits_is_told_when_the_connection_ends() -> None:
    async with dialled() as (connection, peer):
        await _fill(connection, peer)
        sending = asyncio.create_task(connection.send("never"))
        await asyncio.sleep(0)
        peer.reset()
        with pytest.raises(hubbub.ConnectionClosed):
            await sending


async def test_close_tells_those_who_send_and_those_who_receive() -> None:
    async with dialled() as (connection, peer):
        count = await _fill(connection, peer)
        sending = asyncio.create_task(connection.send("never"))

        async def iterate() -> list[str]:
            return [message async for message in connection]

        receiving = asyncio.create_task(iterate())
        await asyncio.sleep(0)
        closing = asyncio.create_task(connection.close())
        with pytest.raises(hubbub.ConnectionClosed, match="closed on this side"):
            await sending
        assert await receiving == []
        peer.resume()
        # What was sent before has arrived.
        assert len(await peer.rest()) == count * (16 * KIB + 1)
        peer.end()
        await closing
        with pytest.raises(hubbub.ConnectionClosed, match="closed on this side"):
            await connection.send("too late")
        # To close twice is no error, and is done here when the connection is left.


@pytest.mark.parametrize(
    ("settings", "full"),
    [(hubbub.Settings(linger_time=0.3), False), (hubbub.Settings(linger_time=0.05, patience=0.3), True)],
    ids=["does not end its side", "takes nothing"],
)
async def test_close_gives_a_server_a_while_and_no_more(settings: hubbub.Settings, full: bool) -> None:
    async with dialled(settings) as (connection, peer):
        if full:
            await _fill(connection, peer)
        loop = asyncio.get_running_loop()
        start = loop.time()
        await connection.close()
        assert 0.25 <= loop.time() - start < 2
        if not full:
            assert await peer.rest() == b""


async def test_a_cancelled_close_ends_the_connection_at_once() -> None:
    async with dialled() as (connection, peer):
        await _fill(connection, peer)
        closing = asyncio.create_task(connection.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await eventually(lambda: connection._connected.link.lost)


async def test_a_server_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        address = unused.getsockname()
    with pytest.raises(ConnectionRefusedError, match=f"Connection refused: '{hubbub.Address.of(address)}'$"):
        async with hubbub.connect(*address):
            pytest.fail("it cannot be connected")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": 0}, "the port is 0; it must be 1 to 65535"),
        ({"host": None}, "the host is None; it must be a string, as in '127.0.0.1'"),
        ({"tls": "ca.pem"}, "tls is 'ca.pem'; it must be True, False or an ssl.SSLContext"),
        ({"retry": 5}, "retry is 5; it must be True or False"),
        ({"framing": "lines"}, "'lines' is not a framing; pass an instance of one, such as hubbub.Lines()"),
        ({"settings": {}}, "the settings are {}; make them as in hubbub.Settings(patience=60)"),
        ({"say": "secret\n"}, "say: a line cannot contain a line end (LF)"),
        ({"say": "\udcff"}, "say: 'utf-8' codec can't encode"),
        ({"say": b"secret"}, "say: a message in this framing must be str, and this one is bytes"),
    ],
)
def test_what_cannot_be_is_said_before_it_is_tried(options: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as raised:
        hubbub.connect(**{"host": "127.0.0.1", **options})
    assert str(raised.value).startswith(message)


async def test_connecting_takes_no_longer_than_connect_time() -> None:
    # The kernel makes no more connections for a listener whose backlog is full.
    with socket.socket() as full, contextlib.ExitStack() as stack:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        loop = asyncio.get_running_loop()
        start = loop.time()
        with pytest.raises(TimeoutError):
            async with hubbub.connect(*full.getsockname(), settings=hubbub.Settings(connect_time=0.2)):
                pytest.fail("it cannot be connected")
        assert 0.15 <= loop.time() - start < 2


@pytest.mark.usefixtures("default_port")
async def test_a_server_and_a_connection_find_each_other_by_default() -> None:
    """On one port of this machine."""
    record = Record()
    try:
        server = hubbub.Server(relay, observer=record)
        await server.start()
    except hubbub.ListenError:
        pytest.skip("something else listens on the default port")
    async with hubbub.connect() as connection:
        (client,) = await record.wait_for_clients(1)
        assert connection.name == "127.0.0.1:5000"
    await server.close()
    assert client.ending is not None
    assert client.ending.code is hubbub.EndingCode.LEFT


async def test_a_connection_may_be_awaited_and_is_then_to_be_closed() -> None:
    async with serving(echo) as (server, record):
        connection = await to(server)
        await connection.send("one")
        assert await connection.receive() == "We got your message: one"
        await connection.close()
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.LEFT
        # It may be entered as well, and then is closed by that.
        async with await to(server) as entered:
            await entered.send("two")
            assert await entered.receive() == "We got your message: two"
        with pytest.raises(hubbub.ConnectionClosed):
            await entered.send("too late")
        await record.wait_for_endings(2)
        assert len(record.clients) == 2


async def test_a_connection_that_was_not_made_says_how_to_make_it() -> None:
    async with serving(echo) as (server, record):
        connection = to(server)
        for use in (
            connection.send("one"),
            connection.send_many(["one"]),
            connection.receive(),
            connection.receive_many(),
            connection.close(),
            anext(connection),
        ):
            with pytest.raises(RuntimeError, match=r"there is no connection yet; write 'async with connect\(\.\.\.\)"):
                await use
        assert str(connection) == str(server.addresses[0])
        assert not record.clients
