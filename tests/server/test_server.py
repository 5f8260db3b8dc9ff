"""The server: starting, serving, closing, and every way in which a connection ends."""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import hubbub

from support.helpers import WAIT_TIME, Peer, Record, at, dial, eventually, fall_behind, serving

KIB = 1024


async def idle(client: hubbub.Client) -> None:
    async for _ in client:
        pass


async def test_what_one_says_all_others_hear() -> None:
    async with (
        serving(framing=hubbub.ByteLines(keepends=True)) as (server, record),
        Peer.of(server) as alice,
        Peer.of(server) as bob,
        Peer.of(server) as carol,
    ):
        await record.wait_for_clients(3)
        await alice.send(b"Hey\r\n")
        assert await bob.line() == b"Hey\r\n"
        assert await carol.line() == b"Hey\r\n"
        await bob.send(b"Ho\n")
        # Alice has not heard herself.
        assert await alice.line() == b"Ho\n"


# Starting.


def not_async(client: hubbub.Client) -> None:
    raise NotImplementedError


def test_the_handler_must_be_a_coroutine_function() -> None:
    bad: Any = not_async
    with pytest.raises(TypeError, match="not a coroutine function: define it with 'async def'"):
        hubbub.Server(bad)


async def test_the_handler_may_be_a_partial_or_a_method() -> None:
    class Greeting:
        async def greet(self, word: str, client: hubbub.Client) -> None:
            await client.send(word)

    async with (
        serving(functools.partial(Greeting().greet, "hi")) as (server, _),
        Peer.of(server) as peer,
    ):
        assert await peer.line() == b"hi\n"


def test_a_notice_that_the_framing_cannot_carry_is_refused_before_it_is_needed() -> None:
    with pytest.raises(ValueError, match="notice"):
        hubbub.Server(idle, settings=hubbub.Settings(notice="{missed}\nmissed"))
    with pytest.raises(ValueError, match="notice"):
        hubbub.Server(_idle_bytes, framing=hubbub.Delimited(b" "))
    with pytest.raises(ValueError, match="notice"):
        hubbub.Server(_idle_bytes, framing=hubbub.ByteLines(), listeners=[listening(hubbub.Delimited(b" "))])
    room_notice = hubbub.Settings(notice="{missed}\nmissed")
    with pytest.raises(ValueError, match="notice"):
        hubbub.Server(idle).room("news", settings=room_notice)
    hubbub.Server(_idle_bytes, framing=hubbub.Delimited(b" "), settings=hubbub.Settings(notice=None))


@pytest.mark.parametrize("framing", [hubbub.Raw(), hubbub.LengthPrefixed(), hubbub.Delimited(b"\xff")])
def test_readers_in_a_binary_framing_may_skip_only_if_they_are_not_to_be_told(framing: Any) -> None:
    skip = hubbub.Settings(when_slow="skip")
    with pytest.raises(ValueError, match="no text of the server's"):
        hubbub.Server(_idle_bytes, framing=framing, settings=skip)
    hubbub.Server(_idle_bytes, framing=framing, settings=replace(skip, notice=None))
    hubbub.Server(_idle_bytes, framing=framing)


async def _idle_bytes(client: hubbub.Client[bytes]) -> None:
    raise NotImplementedError


async def test_a_server_is_started_only_once() -> None:
    async with serving(idle) as (server, _):
        with pytest.raises(RuntimeError, match="make another one"):
            await server.start()
    with pytest.raises(RuntimeError, match="make another one"):
        await server.start()


async def test_the_port_is_known_once_it_listens() -> None:
    server = hubbub.Server(idle, port=0)
    assert not server.addresses
    async with server:
        (address,) = server.addresses
        assert address.host == "127.0.0.1"
        assert address.port > 0


async def test_a_server_that_cannot_listen_says_so_and_leaves_nothing_open() -> None:
    async with serving(idle) as (server, _):
        (address,) = server.addresses
        with pytest.raises(hubbub.ListenError, match=f"cannot listen on {address}: Address already in use"):
            async with hubbub.Server(idle, *address):
                pass


async def test_serve_forever_starts_the_server_and_serves_until_it_is_closed() -> None:
    class Watch(Record):
        up = asyncio.Event()

        def started(self, server: hubbub.Server[Any]) -> None:
            self.up.set()

    watch = Watch()
    server = hubbub.Server(idle, port=0, observer=watch)
    serving_task = asyncio.create_task(server.serve_forever())
    await watch.up.wait()
    async with Peer.of(server) as peer:
        await watch.wait_for_clients(1)
        peer.end()
        assert await peer.rest() == b""
        await server.close()
    await serving_task
    # To serve what is closed ends at once.
    await server.serve_forever()


async def test_a_cancelled_serve_forever_closes_the_server() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        task = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0)
        task.cancel()
        assert await peer.rest() == b"server is closing\n"
        peer.end()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert client.ending == hubbub.Ending(hubbub.EndingCode.SHUTDOWN, "the server closed")


async def test_a_server_that_is_closed_while_it_starts_does_not_listen_afterwards() -> None:
    for turns in range(8):
        server = hubbub.Server(idle, port=0)
        task = asyncio.create_task(server.serve_forever())
        for _ in range(turns):
            await asyncio.sleep(0)
        await server.close()
        await task
        if server.addresses:
            with pytest.raises(ConnectionRefusedError):
                await dial(server)


# Closing.


async def test_close_before_start_is_the_end_of_it() -> None:
    server = hubbub.Server(idle, port=0)
    await server.close()
    await server.close()
    with pytest.raises(RuntimeError):
        await server.start()


async def test_to_close_twice_is_no_error_and_both_wait_for_the_end() -> None:
    class Watch(Record):
        closed_count = 0

        def closed(self, server: hubbub.Server[Any]) -> None:
            self.closed_count += 1

    watch = Watch()
    async with serving(idle, observer=watch) as (server, _), Peer.of(server) as peer:
        await watch.wait_for_clients(1)
        closings = [asyncio.create_task(server.close()) for _ in range(2)]
        await peer.rest()
        assert not any(closing.done() for closing in closings)
        peer.end()
        await asyncio.gather(*closings)
        await server.close()
    assert watch.closed_count == 1


class Watch(Record):
    """Also remembers that the server has closed."""

    is_closed = False

    def closed(self, server: hubbub.Hub[Any]) -> None:
        self.is_closed = True


async def close_in_a_task(server: hubbub.Hub[Any]) -> None:
    await asyncio.create_task(server.close())


async def close_in_a_group(server: hubbub.Hub[Any]) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.close())


async def close_for_a_while(server: hubbub.Hub[Any]) -> None:
    await asyncio.wait_for(server.close(), 60)


async def close_and_time_out(server: hubbub.Hub[Any]) -> None:
    await asyncio.wait_for(server.close(), 0.01)


@pytest.mark.parametrize("close", [close_in_a_task, close_in_a_group, close_for_a_while, close_and_time_out])
async def test_a_handler_may_close_its_server_from_another_task(close: Any) -> None:
    async def handler(client: hubbub.Client) -> None:
        await client.receive()
        await close(client.server)

    watch = Watch()
    settings = hubbub.Settings(linger_time=0.05, cancel_time=0.2)
    async with (
        serving(handler, settings=settings, observer=watch) as (server, _),
        Peer.of(server) as peer,
        Peer.of(server) as other,
    ):
        await watch.wait_for_clients(2)
        await peer.send(b"close\n")
        for one in (peer, other):
            assert await one.rest() == b"server is closing\n"
            one.end()
        async with asyncio.timeout(WAIT_TIME):
            await server.serve_forever()
        assert watch.is_closed
        assert {client.ending for client in watch.clients} == {
            hubbub.Ending(hubbub.EndingCode.SHUTDOWN, "the server closed")
        }


async def test_a_handler_may_close_its_server() -> None:
    done = asyncio.Event()

    async def handler(client: hubbub.Client) -> None:
        await client.receive()
        await client.server.close()
        done.set()

    watch = Watch()
    settings = hubbub.Settings(linger_time=0.05, cancel_time=0.2)
    async with serving(handler, settings=settings, observer=watch) as (server, _), Peer.of(server) as peer:
        await peer.send(b"close\n")
        await done.wait()
        assert watch.is_closed
        assert watch.clients[0].ending == hubbub.Ending(hubbub.EndingCode.SHUTDOWN, "the server closed")


async def test_a_close_that_is_cancelled_leaves_no_connection_and_no_task(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(idle, settings=hubbub.Settings(linger_time=60, drain_time=60)) as (server, record):
        with await dial(server):
            (client,) = await record.wait_for_clients(1)
            closing = asyncio.create_task(server.close())
            await record.wait_for_endings()
            closing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing
            await client.wait_closed()
            await server.close()


@pytest.mark.parametrize("turns", range(6))
async def test_a_client_that_comes_while_the_server_closes_is_ended_as_well(turns: int) -> None:
    called = False

    async def handler(client: hubbub.Client) -> None:
        nonlocal called
        called = True
        async for _ in client:
            pass

    async with serving(handler, settings=hubbub.Settings(linger_time=0.05)) as (server, record):
        # The kernel makes the connection; the event loop learns of it some turns later.
        with socket.create_connection(server.addresses[0]):
            for _ in range(turns):
                await asyncio.sleep(0)
            loop = asyncio.get_running_loop()
            start = loop.time()
            await server.close()
            assert loop.time() - start < 5
        assert all(client.ending is not None for client in record.clients)
        assert called <= bool(record.clients)


async def test_a_handler_that_outlives_its_client_is_cancelled_after_a_while(caplog: pytest.LogCaptureFixture) -> None:
    cancelled = asyncio.Event()

    async def handler(client: hubbub.Client) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with serving(handler, settings=hubbub.Settings(cancel_time=0.1)) as (server, record):
        async with Peer.of(server) as peer:
            (client,) = await record.wait_for_clients(1)
            peer.reset()
        await cancelled.wait()
        assert client.ending is not None
        assert client.ending.code is hubbub.EndingCode.LOST
        assert server.statistics().endings == {hubbub.EndingCode.LOST: 1}
    # In debug mode, asyncio complains of a machine that is busy.
    (warning,) = [record for record in caplog.records if record.name == "hubbub"]
    assert warning.levelno == logging.WARNING
    assert warning.getMessage() == f"the handler of {client} is cancelled: its client ended 0.1 s ago"


async def test_a_handler_that_swallows_its_cancellation_does_not_hold_up_close(
    caplog: pytest.LogCaptureFixture,
) -> None:
    release = asyncio.Event()

    async def handler(client: hubbub.Client) -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    loop = asyncio.get_running_loop()
    async with serving(handler, settings=hubbub.Settings(cancel_time=0.1)) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        peer.end()
        start = loop.time()
        await server.close()
        assert loop.time() - start < 3
    assert f"the handler of {client} does not end: it swallows its cancellation" in [
        record.getMessage() for record in caplog.records if record.levelno == logging.ERROR
    ]
    before = asyncio.all_tasks()
    release.set()
    await eventually(lambda: len(asyncio.all_tasks()) < len(before))


# Endings.


async def test_the_endings_left_and_finished() -> None:
    async def handler(client: hubbub.Client) -> None:
        assert await client.receive() == "hello"
        if client.server.root.clients == {client}:
            async for _ in client:
                pass

    async with serving(handler) as (server, record):
        async with Peer.of(server) as leaver:
            await leaver.send(b"hello\n")
            leaver.end()
            assert await leaver.rest() == b""
        async with Peer.of(server) as peer, Peer.of(server):
            await record.wait_for_clients(3)
            await peer.send(b"hello\n")
            assert await peer.rest() == b""
            peer.end()
            left, finished = await record.wait_for_endings(2)
            assert left == hubbub.Ending(hubbub.EndingCode.LEFT, "the client closed the connection")
            assert finished == hubbub.Ending(hubbub.EndingCode.FINISHED, "the handler returned")


async def test_the_ending_lost() -> None:
    async with serving(idle) as (server, record), Peer.of(server) as peer:
        await record.wait_for_clients(1)
        peer.reset()
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.LOST
        assert "reset" in ending.reason.lower()


async def test_the_ending_left_of_one_whose_handler_does_not_read() -> None:
    async def handler(client: hubbub.Client) -> None:
        await client.wait_closed()

    async with serving(handler) as (server, record):
        async with Peer.of(server) as peer:
            await record.wait_for_clients(1)
            peer.end()
        while not record.ended_clients:
            # It is seen when something is written to it.
            await server.broadcast("anyone?")
            await asyncio.sleep(0.01)
        (ending,) = await record.wait_for_endings()
        assert ending == hubbub.Ending(hubbub.EndingCode.LEFT, "the client closed the connection")


async def test_the_ending_closed() -> None:
    async def handler(client: hubbub.Client) -> None:
        await client.send("go")
        await client.close("enough")
        assert client.ending == hubbub.Ending(hubbub.EndingCode.CLOSED, "enough")

    async with serving(handler) as (server, record), Peer.of(server) as peer:
        assert await peer.rest() == b"go\n"
        peer.end()
        assert await record.wait_for_endings() == [hubbub.Ending(hubbub.EndingCode.CLOSED, "enough")]


async def test_the_ending_failed_of_a_handler_that_raises(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(client: hubbub.Client) -> None:
        await client.send("wait for it")
        raise LookupError("nothing there")

    async with serving(handler) as (server, record), Peer.of(server) as peer:
        assert await peer.rest() == b"wait for it\n"
        assert await record.wait_for_endings() == [
            hubbub.Ending(hubbub.EndingCode.FAILED, "the handler raised LookupError: nothing there")
        ]
    (error,) = caplog.records
    assert error.getMessage() == f"the handler of {record.clients[0]} raised"
    assert error.exc_info


async def test_the_ending_failed_of_a_handler_that_is_cancelled() -> None:
    async def handler(client: hubbub.Client) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    async with serving(handler) as (server, record), Peer.of(server) as peer:
        assert await record.wait_for_endings() == [hubbub.Ending(hubbub.EndingCode.FAILED, "the handler was cancelled")]
        assert await peer.rest() == b""


async def test_the_ending_slow() -> None:
    settings = hubbub.Settings(retention=64 * KIB, unsent_limit=4 * KIB, pace=None)
    async with serving(idle, settings=settings) as (server, record):
        with await dial(server, receive_buffer=4 * KIB):
            (client,) = await record.wait_for_clients(1)
            while client.ending is None:
                await server.broadcast("x" * KIB)
            assert client.ending.code is hubbub.EndingCode.SLOW
            assert "behind, more than room root retains" in client.ending.reason
            assert client not in server.clients
            assert client.rooms == frozenset()


async def test_the_ending_stalled() -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB, patience=0.2)
    async with serving(idle, settings=settings) as (server, record):
        with await dial(server, receive_buffer=4 * KIB):
            (client,) = await record.wait_for_clients(1)
            await fall_behind(client, server.root, "x" * 8 * KIB)
            assert await record.wait_for_endings() == [
                hubbub.Ending(hubbub.EndingCode.STALLED, "took nothing for 0.2 s")
            ]
            await client.wait_closed()


async def test_a_client_that_was_ended_and_takes_nothing_is_gone_once_patience_is_over() -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB, patience=0.2, linger_time=0.05)
    async with serving(idle, settings=settings) as (server, record):
        with await dial(server, receive_buffer=4 * KIB):
            (client,) = await record.wait_for_clients(1)
            await fall_behind(client, server.root, "x" * 8 * KIB)
            async with asyncio.timeout(5):
                await client.close("enough")
            assert client.ending == hubbub.Ending(hubbub.EndingCode.CLOSED, "enough")


async def test_a_client_that_lags_a_while_is_not_ended_as_long_as_it_takes_something() -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB, patience=0.3)
    async with serving(idle, settings=settings) as (server, record):
        with await dial(server, receive_buffer=4 * KIB) as plain:
            (client,) = await record.wait_for_clients(1)
            loop = asyncio.get_running_loop()
            await fall_behind(client, server.root, "x" * 64 * KIB)
            for _ in range(8):
                await server.broadcast("x" * 256 * KIB)
            end = loop.time() + 0.8
            while loop.time() < end:
                await loop.sock_recv(plain, 32 * KIB)
                await asyncio.sleep(0.05)
            assert client.lag.bytes > 0
            assert client.ending is None


async def test_the_endings_too_long_malformed_and_incomplete_each_have_their_code() -> None:
    class Picky(hubbub.BytesFraming):
        textual = True

        def decoder(self, limit: int) -> hubbub.Decoder[bytes]:
            return PickyDecoder()

        def encode(self, messages: Any) -> bytes:
            return b"".join(messages)

    class PickyDecoder(hubbub.Decoder[bytes]):
        def feed(self, data: bytes) -> list[bytes]:
            if b"!" in data:
                raise hubbub.FramingError("no shouting", [data.partition(b"!")[0]])
            return [data]

    async with serving(framing=Picky()) as (server, record), Peer.of(server) as peer, Peer.of(server) as witness:
        await record.wait_for_clients(2)
        await peer.send(b"hey!")
        assert await peer.rest() == b"no shouting"
        assert await witness.exactly(3) == b"hey"
        assert await record.wait_for_endings() == [hubbub.Ending(hubbub.EndingCode.MALFORMED, "no shouting")]
    async with serving(_swallow, framing=hubbub.LengthPrefixed()) as (server, record), Peer.of(server) as peer:
        await peer.send(b"\0\0\0\5abc")
        peer.end()
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.INCOMPLETE
    async with (
        serving(idle, settings=hubbub.Settings(message_limit=3)) as (server, record),
        Peer.of(server) as peer,
    ):
        await peer.send(b"abcd")
        (ending,) = await record.wait_for_endings()
        assert ending == hubbub.Ending(hubbub.EndingCode.TOO_LONG, "message longer than 3 bytes")


async def _swallow(client: hubbub.Client[bytes]) -> None:
    async for _ in client:
        pass


async def test_the_statistics_count_connections_and_endings() -> None:
    async with serving(idle) as (server, record):
        assert server.statistics() == hubbub.Statistics(clients=0, rooms=1, accepted=0, endings={}, slowed=0)
        async with Peer.of(server) as peer, Peer.of(server) as other:
            await record.wait_for_clients(2)
            server.room("news")
            peer.end()
            await peer.rest()
            await record.wait_for_endings()
            assert server.statistics() == hubbub.Statistics(
                clients=1, rooms=2, accepted=2, endings={hubbub.EndingCode.LEFT: 1}, slowed=0
            )
            other.reset()
            await record.wait_for_endings(2)
        statistics = server.statistics()
        assert statistics.clients == 0
        assert statistics.endings == {hubbub.EndingCode.LEFT: 1, hubbub.EndingCode.LOST: 1}


async def test_a_port_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="the port is 70000; it must be 0 to 65535"):
        hubbub.Server(idle, port=70000)


async def cancel_start(server: hubbub.Server[str], starting: asyncio.Task[None]) -> None:
    """Cancel it, and find that nobody listens."""
    starting.cancel()
    await asyncio.wait([starting])
    # It was quicker than that, or has left nothing to connect to.
    if not starting.cancelled():
        await server.close()
    for address in server.addresses:
        with pytest.raises(OSError, match="refused"):
            await asyncio.get_running_loop().run_in_executor(None, socket.create_connection, address)


async def test_a_start_that_is_cancelled_leaves_no_port_open() -> None:
    for turns in range(8):
        server: hubbub.Server[str] = hubbub.Server(idle, port=0)
        starting = asyncio.create_task(server.start())
        for _ in range(turns):
            await asyncio.sleep(0)
        await cancel_start(server, starting)


async def test_a_start_that_is_cancelled_when_it_has_its_port_gives_it_up() -> None:
    server: hubbub.Server[str] = hubbub.Server(idle, port=0)
    starting = asyncio.create_task(server.start())
    # Resolving takes a thread's time, so that no number of turns is sure to get there.
    while not server.addresses:  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0)
    await cancel_start(server, starting)


async def test_the_root_room_cannot_be_closed() -> None:
    async with serving(idle) as (server, record), Peer.of(server):
        await record.wait_for_clients(1)
        with pytest.raises(ValueError, match="the root room lasts as long as the server"):
            server.root.close()
        assert len(server.root.clients) == 1


class Raising(Record):
    """An observer that is broken."""

    def ended(self, client: hubbub.Client[Any]) -> None:
        super().ended(client)
        raise ZeroDivisionError


async def test_an_observer_that_raises_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        serving(idle, observer=Raising(), settings=hubbub.Settings(retention=64 * KIB, pace=None)) as (server, record),
        Peer.of(server) as stalled,
    ):
        (slow,) = await record.wait_for_clients(1)
        stalled.stall()
        async with asyncio.timeout(WAIT_TIME):
            # It is ended for its lag in the middle of a flush, and later flushes go on.
            while slow.ending is None:
                await server.broadcast("x" * KIB)
            async with Peer.of(server) as peer:
                await record.wait_for_clients(2)
                await server.broadcast("still there")
                assert await peer.line() == b"still there\n"
    assert "an observer raised" in caplog.text


async def test_a_slow_ending_is_logged_as_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        serving(idle, settings=hubbub.Settings(retention=64 * KIB, pace=None)) as (server, record),
        Peer.of(server) as stalled,
    ):
        (slow,) = await record.wait_for_clients(1)
        stalled.stall()
        async with asyncio.timeout(WAIT_TIME):
            while slow.ending is None:
                await server.broadcast("x" * KIB)
    assert [entry.levelname for entry in caplog.records if f"{slow} ended: slow" in entry.getMessage()] == ["WARNING"]


async def test_a_client_that_leaves_a_handler_with_a_task_group_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    async def grouped(client: hubbub.Client) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(client.receive())

    async with serving(grouped) as (server, record), Peer.of(server) as peer:
        await record.wait_for_clients(1)
        peer.end()
        (ending,) = await record.wait_for_endings()
    assert ending.code is hubbub.EndingCode.LEFT
    assert not caplog.records


async def test_a_closed_client_is_heard_no_more() -> None:
    heard = []

    async def listen(client: hubbub.Client) -> None:
        async for message in client:
            heard.append(message)
            if message == "quit":
                await client.close()

    async with serving(listen) as (server, record), Peer.of(server) as peer:
        await peer.send(b"a\nquit\nb\nc\n")
        await record.wait_for_endings()
        assert await peer.rest() == b""
    assert heard == ["a", "quit"]


# Several listeners, each with a framing of its own.


def listening(framing: hubbub.Framing[Any] | None = None) -> hubbub.Listener[Any]:
    """A listener on a port of its own."""
    return hubbub.Listener(endpoint=hubbub.Address("127.0.0.1", 0), framing=framing)


async def test_listeners_may_have_framings_of_their_own_on_the_same_room() -> None:
    async with (
        serving(listeners=[listening(), listening(hubbub.Lines(crlf=True))]) as (server, record),
        Peer.of(server) as plain,
        Peer.of(at(server, 1)) as telnet,
        Peer.of(at(server, 1)) as other,
    ):
        await record.wait_for_clients(3)
        await plain.send(b"Hey\n")
        assert await telnet.line() == await other.line() == b"Hey\r\n"
        await telnet.send(b"Ho\r\n")
        # And whoever speaks does not hear itself.
        assert await plain.line() == b"Ho\n"
        assert await other.line() == b"Ho\r\n"
        await server.broadcast("end")
        assert await telnet.line() == b"end\r\n"


async def test_framings_of_bytes_may_be_mixed() -> None:
    listeners = [listening(), listening(hubbub.Delimited(b"\0")), listening(hubbub.LengthPrefixed())]
    async with (
        serving(listeners=listeners, framing=hubbub.ByteLines()) as (server, record),
        Peer.of(server) as lines,
        Peer.of(at(server, 1)) as delimited,
        Peer.of(at(server, 2)) as prefixed,
    ):
        await record.wait_for_clients(3)
        for peer, wire in ((lines, b"one\n"), (delimited, b"two\0"), (prefixed, b"\0\0\0\5three")):
            await peer.send(wire)
            await eventually(functools.partial(record.received_from.__contains__, peer.name))
        await server.broadcast_many([b"four", b"five"])
        assert await lines.exactly(20) == b"two\nthree\nfour\nfive\n"
        assert await delimited.exactly(20) == b"one\0three\0four\0five\0"
        assert await prefixed.exactly(30) == b"\0\0\0\3one\0\0\0\3two\0\0\0\4four\0\0\0\4five"


@pytest.mark.parametrize(
    ("own", "listeners"),
    [(hubbub.Lines(), hubbub.ByteLines()), (hubbub.ByteLines(), hubbub.Lines()), (hubbub.Lines(), hubbub.Raw())],
)
def test_a_listener_for_messages_of_another_type_is_refused(own: Any, listeners: Any) -> None:
    with pytest.raises(ValueError, match=r"carries (text|bytes), and the server's .* does not"):
        hubbub.Server(_idle_bytes, framing=own, listeners=[listening(listeners)])


async def test_a_message_that_a_listeners_framing_cannot_carry_is_told_as_missed() -> None:
    async with (
        serving(_swallow, listeners=[listening(), listening(hubbub.ByteLines())], framing=hubbub.LengthPrefixed()) as (
            server,
            record,
        ),
        Peer.of(server) as prefixed,
        Peer.of(at(server, 1)) as lines,
    ):
        await record.wait_for_clients(2)
        for message in (b"one", b"two\nlines", b"end"):
            await server.broadcast(message)
        assert await prefixed.exactly(27) == b"\0\0\0\3one\0\0\0\ttwo\nlines\0\0\0\3end"
        assert [await lines.line() for _ in range(3)] == [b"one\n", b"[1 messages missed]\n", b"end\n"]


async def test_private_messages_history_and_the_farewell_are_in_the_framing_of_the_listener() -> None:
    async def handler(client: hubbub.Client) -> None:
        await client.send("private")
        news = client.server.room("news")
        await client.join(news, since=news.oldest)
        await client.send("behind it")
        async for _ in client:
            pass

    async with (
        serving(handler, listeners=[listening(), listening(hubbub.Lines(crlf=True))]) as (server, _),
    ):
        for text in ("one", "two"):
            await server.room("news").broadcast(text)
        async with Peer.of(at(server, 1)) as telnet:
            said = [await telnet.line() for _ in range(4)]
            assert said == [b"private\r\n", b"one\r\n", b"two\r\n", b"behind it\r\n"]
            await server.room("news").broadcast("three")
            assert await telnet.line() == b"three\r\n"
            telnet.end()
            closing = asyncio.create_task(server.close())
            assert await telnet.rest() in {b"server is closing\r\n", b""}
            await closing


# Reload.


async def test_a_reload_says_what_has_changed_and_what_could_not_be_read(tmp_path: Path) -> None:
    networks, secret = tmp_path / "networks", tmp_path / "secret"
    networks.write_text("192.0.2.0/24\n")
    secret.write_text("open sesame\n")
    shared = hubbub.SharedSecret(secret)
    listeners: list[hubbub.Listener[str]] = [
        hubbub.Listener(
            endpoint=hubbub.Address("127.0.0.1", 0),
            access=hubbub.Access(deny=[f"@{networks}"]),
            authenticate=shared,
        ),
        hubbub.Listener(endpoint=hubbub.Address("127.0.0.1", 0), authenticate=shared),
        # Some have nothing to read.
        hubbub.Listener(endpoint=hubbub.Address("127.0.0.1", 0), authenticate=_nobody),
    ]
    async with serving(idle, listeners=listeners) as (server, record), Peer.of(server) as inside:
        await inside.send(b"open sesame\n")
        await record.wait_for_clients(1)
        assert server.reload() == []
        networks.write_text("192.0.2.0/24\n127.0.0.1\n")
        secret.unlink()
        changed, failed = server.reload()
        assert changed == f"the networks of @{networks}: 1 more, 0 fewer"
        assert failed.endswith("; what was read before holds")
        assert str(secret) in failed
        # New connections find it so, old ones stay.
        async with Peer.of(server) as peer:
            assert await peer.rest() == b"127.0.0.1 may not connect here\n"
        await server.broadcast("Hey")
        assert await inside.line() == b"Hey\n"


async def _nobody(client: hubbub.Client[Any]) -> bool:
    raise NotImplementedError


# The farewell.


@pytest.mark.parametrize("farewell", ["server is closing", "back at noon", None])
async def test_clients_are_told_that_the_server_closes(farewell: str | None) -> None:
    settings = hubbub.Settings(farewell=farewell)
    async with serving(idle, settings=settings) as (server, record), Peer.of(server) as peer:
        await record.wait_for_clients(1)
        await server.broadcast("last news")
        closing = asyncio.create_task(server.close())
        assert await peer.rest() == b"last news\n" + (f"{farewell}\n".encode() if farewell else b"")
        peer.end()
        await closing
        assert await record.wait_for_endings() == [hubbub.Ending(hubbub.EndingCode.SHUTDOWN, "the server closed")]


async def test_the_ends_of_clients_are_spread_so_that_not_all_come_back_at_once() -> None:
    loop = asyncio.get_running_loop()
    count = 5
    async with (
        serving(idle, settings=hubbub.Settings(spread_time=0.5)) as (server, record),
        AsyncExitStack() as stack,
    ):
        peers = [await stack.enter_async_context(Peer.of(server)) for _ in range(count)]
        await record.wait_for_clients(count)

        async def end_of(peer: Peer) -> float:
            assert await peer.rest() == b"still here\nserver is closing\n"
            peer.end()
            return loop.time()

        start = loop.time()
        closing = asyncio.create_task(server.close())
        await server.broadcast("still here")
        ends = sorted(await asyncio.gather(*map(end_of, peers)))
        await closing
        # One every tenth of a second, and all well within the drain time.
        assert all(end - start >= 0.1 * place - 0.02 for place, end in enumerate(ends))
        assert loop.time() - start < 3


async def test_the_observer_hears_that_the_server_closes_and_then_that_it_has() -> None:
    heard: list[Any] = []

    class Watch(Record):
        def started(self, server: hubbub.Server[Any]) -> None:
            heard.append("started")

        def closing(self, server: hubbub.Server[Any]) -> None:
            heard.append(("closing", len(server.clients)))

        def ended(self, client: hubbub.Client[Any]) -> None:
            heard.append("ended")

        def closed(self, server: hubbub.Server[Any]) -> None:
            heard.append(("closed", len(server.clients)))

    watch = Watch()
    async with serving(idle, observer=watch) as (server, _), Peer.of(server) as peer:
        await watch.wait_for_clients(1)
        peer.end()
        closing = asyncio.create_task(server.close())
        await peer.rest()
        await closing
    assert heard[0] == "started"
    assert heard[-1] == ("closed", 0)
    assert ("closing", 1) in heard or ("closing", 0) in heard
    assert heard.count("ended") == 1


@pytest.mark.parametrize("turns", range(1, 10))
async def test_a_close_that_is_cancelled_at_whatever_time_ends_everybody(turns: int) -> None:
    async with serving(idle, settings=hubbub.Settings(linger_time=60, drain_time=60)) as (server, record):
        with await dial(server):
            (client,) = await record.wait_for_clients(1)
            closing = asyncio.create_task(server.close())
            for _ in range(turns):
                await asyncio.sleep(0)
            closing.cancel()
            await asyncio.wait([closing])
            await server.close()
            async with asyncio.timeout(WAIT_TIME):
                await client.wait_closed()
            assert client.ending is not None


@pytest.mark.parametrize("asked", ["nothing", "header", "secret"])
@pytest.mark.parametrize("turns", range(5))
async def test_a_server_that_closes_leaves_none_behind_that_was_on_the_way_in(turns: int, asked: str) -> None:
    async def receive(client: hubbub.Client[Any]) -> bool:
        return bool(await client.receive())

    listener: hubbub.Listener[str] = hubbub.Listener(
        endpoint=hubbub.Address("127.0.0.1", 0),
        proxies=hubbub.Networks(["127.0.0.1"] if asked == "header" else []),
        authenticate=receive if asked == "secret" else None,
    )
    async with serving(idle, listeners=[listener], settings=hubbub.Settings(linger_time=0.05)) as (server, record):
        with socket.create_connection(server.addresses[0]):
            for _ in range(turns):
                await asyncio.sleep(0)
            async with asyncio.timeout(5):
                await server.close()
        assert all(client.ending is not None for client in record.clients)
        assert server.statistics().clients == 0
        assert not server._sessions.arrivals.tasks
        assert not server._sessions._readers


@pytest.mark.parametrize("turns", range(5))
async def test_a_close_that_is_cancelled_leaves_none_behind_that_was_on_the_way_in(turns: int) -> None:
    for more in range(1, 6):
        async with serving(idle, settings=hubbub.Settings(linger_time=0.05)) as (server, record):
            with socket.create_connection(server.addresses[0]) as plain:
                for _ in range(turns):
                    await asyncio.sleep(0)
                closing = asyncio.create_task(server.close())
                for _ in range(more):
                    await asyncio.sleep(0)
                closing.cancel()
                await asyncio.wait([closing])
                await server.close()
                plain.setblocking(False)
                with suppress(ConnectionResetError):
                    async with asyncio.timeout(WAIT_TIME):
                        while await asyncio.get_running_loop().sock_recv(plain, 1000):
                            pass
            await eventually(lambda: not (server._sessions.arrivals.tasks or server._sessions._readers))
            assert all(client.ending is not None for client in record.clients)


async def test_a_secret_needs_ends_of_messages(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("word\n")
    listener = hubbub.Listener[bytes](endpoint=3, authenticate=hubbub.SharedSecret(tmp_path / "secret"))
    with pytest.raises(ValueError, match=r"a secret is a message, and Raw\(\) has no ends of messages"):
        hubbub.Server(idle_bytes, listeners=[listener], framing=hubbub.Raw())


async def test_a_descriptor_is_listened_on_once() -> None:
    twice = [hubbub.Listener[str](endpoint=3), hubbub.Listener[str](endpoint=3)]
    with pytest.raises(ValueError, match=r"of the descriptors \[3, 3\] one is named twice"):
        hubbub.Server(idle, listeners=twice)


async def idle_bytes(client: hubbub.Client[bytes]) -> None:
    await client.wait_closed()


async def test_a_server_closes_even_if_its_socket_file_cannot_be_looked_at(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    async with serving(idle, listeners=[hubbub.Listener[str](endpoint=place / "hub.sock")]) as (server, record):
        reader, writer = await asyncio.open_unix_connection(place / "hub.sock")
        await record.wait_for_clients(1)
        place.rename(tmp_path / "elsewhere")
        place.write_text("a file where a directory was")
        await server.close()
        assert await reader.read() == b"server is closing\n"
        writer.close()
        await writer.wait_closed()


async def test_idle_time_is_not_for_what_the_server_holds_back() -> None:
    heard: list[str] = []

    async def hear(client: hubbub.Client) -> None:
        while messages := await client.receive_many():
            heard.extend(messages)

    settings = hubbub.Settings(message_rate=20, idle_time=0.5)
    async with serving(hear, settings=settings) as (server, record), Peer.of(server) as peer:
        await peer.send(b"x\n" * 40)
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.IDLE
        assert len(heard) == 40


async def test_refused_and_accepted_clients_of_a_unix_socket_have_different_names(tmp_path: Path) -> None:
    path = tmp_path / "hub.sock"
    listener = hubbub.Listener[str](endpoint=path)
    async with serving(idle, listeners=[listener], settings=hubbub.Settings(clients_limit=1)) as (_, record):
        _, first = await asyncio.open_unix_connection(path)
        await record.wait_for_clients(1)
        reader, second = await asyncio.open_unix_connection(path)
        assert await reader.read() == b"the server is full: it has its 1 clients\n"
        await record.wait_for_refusals()
        assert record.clients[0].name != str(record.refusals[0][0])
        for writer in (first, second):
            writer.close()
            await writer.wait_closed()


# What a listener's framing cannot do harms those who read there, and nobody else.


class Fragile(hubbub.TextFraming):
    """Lines, but for one that it fails at, and not as the contract says."""

    def decoder(self, limit: int) -> hubbub.Decoder[str]:
        return hubbub.Lines().decoder(limit)

    def encode(self, messages: Any) -> bytes:
        if "fail" in messages:
            raise KeyError("fail")
        return hubbub.Lines().encode(messages)


@pytest.mark.parametrize("together", [False, True])
async def test_a_framing_that_raises_costs_its_readers_that_message_and_no_others_anything(
    together: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        serving(idle, listeners=[listening(), listening(Fragile())]) as (server, record),
        Peer.of(server) as plain,
        Peer.of(at(server, 1)) as fragile,
        Peer.of(at(server, 1)) as excluded,
    ):
        clients = {client.name: client for client in await record.wait_for_clients(3)}
        await server.broadcast("before")
        await asyncio.sleep(0)
        if together:
            await server.broadcast_many(["one", "fail", "two"])
        else:
            for message in ("one", "fail", "two"):
                await server.broadcast(message)
                await asyncio.sleep(0)
        await server.broadcast("excluded", exclude=clients[excluded.name])
        await server.broadcast("after")
        lines = [b"before\n", b"one\n", b"fail\n", b"two\n", b"excluded\n", b"after\n"]
        told = [line if line != b"fail\n" else b"[1 messages missed]\n" for line in lines]
        assert [await plain.line() for _ in lines] == lines
        assert [await fragile.line() for _ in lines] == told
        assert [await excluded.line() for _ in lines[1:]] == told[:4] + told[5:]
        assert all(client.ending is None for client in clients.values())
        # It is a fault of the framing, and told to those who run the server, once for each rendering of the message.
        errors = [entry for entry in caplog.records if entry.name == "hubbub"]
        assert {entry.getMessage().partition(" by ")[0] for entry in errors} == {"1 messages cannot be encoded"}
        # What is said to one client alone raises where it is said.
        with pytest.raises(KeyError):
            await clients[fragile.name].send("fail")


async def test_a_reader_that_cannot_be_told_what_it_misses_is_ended_and_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listeners = [listening(), listening(hubbub.LengthPrefixed(size=1))]
    async with (
        serving(_swallow, framing=hubbub.ByteLines(), listeners=listeners) as (server, record),
        Peer.of(server) as lines,
        Peer.of(at(server, 1)) as prefixed,
    ):
        await record.wait_for_clients(2)
        await server.broadcast(b"one")
        assert await prefixed.exactly(4) == b"\3one"
        await server.broadcast(b"x" * 256)
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.UNDELIVERABLE
        assert ending.reason.startswith("1 messages are missing, and the framing LengthPrefixed(size=1")
        assert record.ended_clients[0].name == prefixed.name
        assert await prefixed.rest() == b""
        await server.broadcast(b"two")
        assert [await lines.line() for _ in range(3)] == [b"one\n", b"x" * 256 + b"\n", b"two\n"]
    assert not [entry for entry in caplog.records if entry.levelno > logging.WARNING]


@pytest.mark.parametrize(
    ("own", "other"),
    [
        (hubbub.ByteLines(keepends=True), hubbub.ByteLines()),
        (hubbub.ByteLines(), hubbub.ByteLines(keepends=True)),
    ],
)
async def test_lines_with_and_without_their_ends_may_be_mixed(own: Any, other: Any) -> None:
    async with (
        serving(framing=own, listeners=[listening(), listening(other)]) as (server, record),
        Peer.of(server) as one,
        Peer.of(at(server, 1)) as two,
        Peer.of(at(server, 1)) as three,
    ):
        await record.wait_for_clients(3)
        keeps = {one: own.keepends, two: other.keepends, three: other.keepends}
        for sender in (one, two):
            await sender.send(b"Hey\r\nHo\n")
            for reader in keeps.keys() - {sender}:
                kept = own.keepends and keeps[sender] and keeps[reader]
                assert await reader.line() == (b"Hey\r\n" if kept else b"Hey\n")
                assert await reader.line() == b"Ho\n"
        assert len(server.clients) == 3


@pytest.mark.parametrize("where", ["server", "listener", "room"])
def test_a_framing_that_is_not_hashable_is_refused(where: str) -> None:
    @dataclass
    class Marked(hubbub.TextFraming):
        marks: list[str]

        def decoder(self, limit: int) -> hubbub.Decoder[str]:
            raise NotImplementedError

        def encode(self, messages: Any) -> bytes:
            raise NotImplementedError

    framing = Marked([])
    uses: dict[str, Any] = {
        "server": lambda: hubbub.Server(idle, framing=framing),
        "listener": lambda: hubbub.Server(idle, listeners=[listening(framing)]),
        "room": lambda: hubbub.Server(idle).room("news", framing=framing),
    }
    with pytest.raises(TypeError, match="is not hashable"):
        uses[where]()


# The server's own words are for people.


BINARY = [hubbub.Raw(), hubbub.LengthPrefixed(), hubbub.Delimited(b"\xff")]


@pytest.mark.parametrize("framing", BINARY)
async def test_in_a_binary_framing_the_farewell_is_not_said(framing: Any) -> None:
    async with (
        serving(_swallow, framing=hubbub.ByteLines(), listeners=[listening(), listening(framing)]) as (server, record),
        Peer.of(server) as lines,
        Peer.of(at(server, 1)) as binary,
    ):
        await record.wait_for_clients(2)
        await server.broadcast(b"last news")
        closing = asyncio.create_task(server.close())
        assert await lines.rest() == b"last news\nserver is closing\n"
        assert await binary.rest() == framing.encode([b"last news"])
        lines.end()
        binary.end()
        await closing


@pytest.mark.parametrize("framing", BINARY)
async def test_in_a_binary_framing_a_refusal_is_not_said(framing: Any, tmp_path: Path) -> None:
    """Not by a limit, not by a list of networks, nor to a secret that is wrong."""
    (tmp_path / "secret").write_text("open sesame\n")
    listeners = [replace(listening(framing), access=hubbub.Access(deny=["127.0.0.1"])), listening(framing)]
    if framing.self_delimiting:
        secret = hubbub.SharedSecret(tmp_path / "secret")
        listeners.append(replace(listening(framing), authenticate=secret))
    settings = hubbub.Settings(clients_limit=2)
    async with (
        serving(_swallow, framing=framing, listeners=listeners, settings=settings) as (server, record),
        Peer.of(at(server, 0)) as denied,
        AsyncExitStack() as stack,
    ):
        assert await denied.rest() == b""
        expected = [hubbub.EndingCode.DENIED]
        if framing.self_delimiting:
            async with Peer.of(at(server, 2)) as stranger:
                await stranger.send(framing.encode([b"close sesame"]))
                assert await stranger.rest() == b""
            expected.append(hubbub.EndingCode.UNAUTHENTICATED)
            await eventually(lambda: not server._sessions.arrivals.tasks)
        for _ in range(2):
            await stack.enter_async_context(Peer.of(at(server, 1)))
        await record.wait_for_clients(2)
        async with Peer.of(at(server, 1)) as late:
            assert await late.rest() == b""
        expected.append(hubbub.EndingCode.FULL)
        assert [ending.code for ending in await record.wait_for_refusals(len(expected))] == expected


@pytest.mark.parametrize("framing", BINARY)
async def test_in_a_binary_framing_a_client_is_not_told_why_it_ends(framing: Any) -> None:
    settings = hubbub.Settings(message_limit=10, idle_time=0.3)
    async with (
        serving(_swallow, framing=framing, settings=settings) as (server, record),
        Peer.of(server) as idle_one,
        Peer.of(server) as peer,
    ):
        await record.wait_for_clients(2)
        if framing.self_delimiting:
            await peer.send(framing.encode([b"x" * 11]))
            assert await peer.rest() == b""
            assert [ending.code for ending in await record.wait_for_endings()] == [hubbub.EndingCode.TOO_LONG]
        assert await idle_one.rest() == b""
        codes = [ending.code for ending in await record.wait_for_endings(2)]
        assert codes[-1] is hubbub.EndingCode.IDLE


# Places with a room of their own.


async def test_a_client_is_in_the_room_of_its_listener_and_in_no_other() -> None:
    listeners = [listening(), replace(listening(), room="news"), replace(listening(), room="news")]
    async with (
        serving(idle, listeners=listeners) as (server, record),
        Peer.of(server) as root,
        Peer.of(at(server, 1)) as one,
        Peer.of(at(server, 2)) as two,
    ):
        clients = {client.name: client for client in await record.wait_for_clients(3)}
        news = server.rooms["news"]
        assert server.room("news") is news
        assert clients[root.name].room is server.root
        assert clients[one.name].room is clients[two.name].room is news
        assert clients[one.name].rooms == {news}
        assert server.root.clients == {clients[root.name]}
        await server.broadcast("for those at the first listener")
        await news.broadcast("for the others")
        assert await root.line() == b"for those at the first listener\n"
        assert await one.line() == await two.line() == b"for the others\n"


async def test_the_room_of_a_listener_lasts_as_long_as_the_server() -> None:
    listeners = [replace(listening(), room="news")]
    async with serving(idle, listeners=listeners, settings=hubbub.Settings(rooms_limit=2)) as (server, record):
        news = server.rooms["news"]
        with pytest.raises(hubbub.RoomLimitReached):
            server.room("sports")
        with pytest.raises(ValueError, match="the news room lasts as long as the server; close the server instead"):
            news.close()
        async with Peer.of(server) as peer:
            (client,) = await record.wait_for_clients(1)
            await news.broadcast("one")
            assert await peer.line() == b"one\n"
            await client.leave(news)
            assert await client.join("news") is news
        await record.wait_for_endings()
        assert server.rooms["news"] is news
        assert not news.closed


def test_listeners_cannot_have_more_rooms_than_there_may_be() -> None:
    listeners = [replace(listening(), room=name) for name in ("news", "sports")]
    hubbub.Server(idle, listeners=listeners, settings=hubbub.Settings(rooms_limit=3))
    with pytest.raises(hubbub.RoomLimitReached):
        hubbub.Server(idle, listeners=listeners, settings=hubbub.Settings(rooms_limit=2))


@pytest.mark.parametrize("name", ["", "two words", "x" * 65, "caf\xe9", "a/b", "a\n", "a\x00"])
def test_a_name_from_outside_must_be_one_for_a_room(name: str) -> None:
    with pytest.raises(ValueError, match="is not a name for a room; use 1 to 64 of"):
        replace(listening(), room=name)


@pytest.mark.parametrize("name", ["a", "A-Z_0.9", "x" * 64, "root", "..."])
def test_names_from_outside(name: str) -> None:
    assert replace(listening(), room=name).room == name


# Handlers.


async def test_an_object_that_can_be_called_as_a_coroutine_function_may_be_the_handler() -> None:
    class Greeter:
        async def __call__(self, client: hubbub.Client) -> None:
            await client.send("hi")

    class NotAsync:
        def __call__(self, client: hubbub.Client) -> None:
            raise NotImplementedError

    async with serving(Greeter()) as (server, _), Peer.of(server) as peer:
        assert await peer.line() == b"hi\n"
    wrong: Any = NotAsync()
    with pytest.raises(TypeError, match="is not a coroutine function: define it with 'async def'"):
        hubbub.Server(wrong)


async def test_when_the_server_closes_a_handler_whose_client_has_all_is_given_time_to_finish() -> None:
    finished: list[str] = []

    async def handler(client: hubbub.Client) -> None:
        async for _ in client:
            pass
        # It has something to do behind its client, as to write a file.
        await asyncio.sleep(0.2)
        finished.append(client.name)

    async with (
        serving(handler, settings=hubbub.Settings(linger_time=0.05, cancel_time=2)) as (server, record),
        Peer.of(server) as one,
        Peer.of(server) as two,
    ):
        await record.wait_for_clients(2)
        loop = asyncio.get_running_loop()
        start = loop.time()
        closing = asyncio.create_task(server.close())
        for peer in (one, two):
            assert await peer.rest() == b"server is closing\n"
            peer.end()
        await closing
        assert set(finished) == {one.name, two.name}
        # No longer than they take.
        assert loop.time() - start < 1.5


async def test_when_the_server_closes_a_handler_that_does_not_end_is_cancelled_once_its_time_is_over() -> None:
    cancelled_at: list[float] = []
    loop = asyncio.get_running_loop()

    async def handler(client: hubbub.Client) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled_at.append(loop.time())
            raise

    async with (
        serving(handler, settings=hubbub.Settings(linger_time=0.05, cancel_time=0.4)) as (server, record),
        Peer.of(server),
    ):
        await record.wait_for_clients(1)
        start = loop.time()
        await server.close()
        assert [time - start >= 0.35 for time in cancelled_at] == [True]
        assert loop.time() - start < 2


async def test_a_server_has_the_observer_that_it_was_given() -> None:
    async with serving() as (server, record):
        assert server.observer is record
