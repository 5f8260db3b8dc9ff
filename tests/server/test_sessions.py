"""Who is connected: the clients, their handlers, and how many ended and why."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

import hubbub

from support.helpers import Peer, Record, dial, eventually, fall_behind, serving

KIB = 1024


async def test_the_clients_are_those_that_have_not_ended() -> None:
    async def until_end(client: hubbub.Client) -> None:
        async for _ in client:
            pass

    async with serving(until_end) as (server, record), Peer.of(server) as one, Peer.of(server) as two:
        clients = {client.name: client for client in await record.wait_for_clients(2)}
        assert server.clients == set(clients.values())
        one.end()
        await one.rest()
        assert server.clients == {clients[two.name]}


async def test_the_handler_starts_when_the_observer_has_heard_of_the_client() -> None:
    order: list[str] = []

    class Watch(Record):
        def connected(self, client: hubbub.Client) -> None:
            order.append("observer")

    async def handler(client: hubbub.Client) -> None:
        order.append("handler")

    async with serving(handler, observer=Watch()) as (server, _), Peer.of(server) as peer:
        assert await peer.rest() == b""
        peer.end()
    assert order == ["observer", "handler"]


async def test_a_client_that_the_observer_turns_away_gets_no_handler() -> None:
    """Ended before its handler has started, it is not served at all."""

    class Door(Record):
        def connected(self, client: hubbub.Client) -> None:
            super().connected(client)
            closings.append(asyncio.get_running_loop().create_task(client.close("full")))

    async def handler(client: hubbub.Client) -> None:
        served.append(client)
        await client.wait_closed()

    closings: list[asyncio.Task[None]] = []
    served: list[hubbub.Client] = []
    async with serving(handler, observer=Door()) as (server, _), Peer.of(server) as peer:
        assert await peer.rest() == b""
        peer.end()
        await eventually(lambda: bool(closings) and closings[0].done())
    assert not served


async def test_a_handler_that_ends_in_time_is_not_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    finished = asyncio.Event()

    async def handler(client: hubbub.Client) -> None:
        async for _ in client:
            pass
        assert client.ending is not None
        await asyncio.sleep(0.05)
        finished.set()

    async with serving(handler, settings=hubbub.Settings(cancel_time=0.3)) as (server, record):
        async with Peer.of(server) as peer:
            await record.wait_for_clients(1)
            peer.reset()
        await finished.wait()
        # Not even later.
        await asyncio.sleep(0.4)
    assert not caplog.records


async def test_a_server_that_closes_cancels_handlers_that_go_on(caplog: pytest.LogCaptureFixture) -> None:
    cancelled = asyncio.Event()

    async def handler(client: hubbub.Client) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async with serving(handler) as (server, record), Peer.of(server) as peer:
        await record.wait_for_clients(1)
        peer.end()
        await server.close()
        assert cancelled.is_set()
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


async def test_when_the_server_closes_all_handlers_have_until_everything_is_delivered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Even one whose client was lost before, and whose own time would run out earlier."""
    cancelled_at: list[float] = []
    loop = asyncio.get_running_loop()

    async def handler(client: hubbub.Client) -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled_at.append(loop.time())
            raise

    settings = hubbub.Settings(cancel_time=0.1, drain_time=0.5, unsent_limit=4 * KIB)
    async with serving(handler, settings=settings) as (server, record), Peer.of(server) as lost:
        with await dial(server, receive_buffer=4 * KIB):
            clients = {client.name: client for client in await record.wait_for_clients(2)}
            del clients[lost.name]
            (client,) = clients.values()
            await fall_behind(client, server.root, "x" * 8 * KIB)
            lost.reset()
            await record.wait_for_endings()
            start = loop.time()
            await server.close()
    assert len(cancelled_at) == 2
    assert all(time - start >= 0.4 for time in cancelled_at)
    assert not caplog.records


async def test_patience_is_looked_at_again_and_again() -> None:
    async def handler(client: hubbub.Client) -> None:
        await client.wait_closed()

    settings = hubbub.Settings(patience=0.2, unsent_limit=4 * KIB)
    async with serving(handler, settings=settings) as (server, record):
        for count in (1, 2):
            with await dial(server, receive_buffer=4 * KIB):
                client = (await record.wait_for_clients(count))[-1]
                await fall_behind(client, server.root, "x" * 8 * KIB)
                endings = await record.wait_for_endings(count)
                assert endings[-1].code is hubbub.EndingCode.STALLED


async def idle(client: hubbub.Client) -> None:
    async for _ in client:
        pass


# Deadlines.


async def test_a_message_that_is_not_complete_in_time_ends_its_client_however_often_a_byte_comes() -> None:
    settings = hubbub.Settings(message_time=0.5)
    loop = asyncio.get_running_loop()
    async with serving(idle, settings=settings) as (server, record), Peer.of(server) as slow, Peer.of(server) as other:
        await record.wait_for_clients(2)
        await slow.send(b"whole\n")
        start = loop.time()
        while not record.ended_clients:
            assert loop.time() - start < 5
            await slow.send(b"x")
            # Whole messages are welcome at any pace.
            await other.send(b"whole\n")
            await asyncio.sleep(0.05)
        assert 0.5 <= loop.time() - start < 1.5
        assert record.ended_clients[0].name == slow.name
        ending = hubbub.Ending(hubbub.EndingCode.UNFINISHED, "message not complete within 0.5 s")
        assert await record.wait_for_endings() == [ending]
        assert await slow.rest() == b"message not complete within 0.5 s\n"
        assert server.statistics().clients == 1


async def test_a_message_that_waits_for_a_busy_handler_is_no_fault_of_its_client() -> None:
    heard: list[str] = []

    async def busy(client: hubbub.Client) -> None:
        async for message in client:
            heard.append(message)
            await asyncio.sleep(0.8)

    async with (
        serving(busy, settings=hubbub.Settings(message_time=0.2)) as (server, record),
        Peer.of(server) as peer,
    ):
        (client,) = await record.wait_for_clients(1)
        # A part of the second has been decoded when the handler gets busy; the rest comes at once.
        await peer.send(b"one\ntw")
        await eventually(lambda: heard == ["one"])
        await peer.send(b"o\nthree\n")
        await eventually(lambda: heard == ["one", "two", "three"])
        assert client.ending is None
        peer.end()


async def test_one_that_has_ended_its_stream_within_a_line_may_listen_on() -> None:
    """Its last line is complete, though it has no LF."""
    settings = hubbub.Settings(message_time=0.2)

    async def listen(client: hubbub.Client) -> None:
        while messages := await client.receive_many():
            heard.extend(messages)
        await client.wait_closed()

    heard: list[str] = []
    async with serving(listen, settings=settings) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        await peer.send(b"par")
        await eventually(lambda: client.bytes_received == 3)
        await peer.send(b"t")
        peer.end()
        await eventually(lambda: heard == ["part"])
        # Not even later.
        await asyncio.sleep(0.8)
        assert client.ending is None
        await server.broadcast("and on")
        assert await peer.line() == b"and on\n"


async def test_who_says_nothing_is_ended_when_idle_time_is_over_and_who_speaks_is_not() -> None:
    settings = hubbub.Settings(idle_time=0.4)
    loop = asyncio.get_running_loop()
    async with serving(idle, settings=settings) as (server, record), Peer.of(server) as mute, Peer.of(server) as other:
        await record.wait_for_clients(2)
        start = loop.time()
        while not record.ended_clients:
            assert loop.time() - start < 5
            await other.send(b"x")
            await server.broadcast("to hear is not to speak")
            await asyncio.sleep(0.05)
        assert loop.time() - start >= 0.35
        assert record.ended_clients[0].name == mute.name
        assert await record.wait_for_endings() == [hubbub.Ending(hubbub.EndingCode.IDLE, "nothing said for 0.4 s")]
        assert (await mute.rest()).endswith(b"nothing said for 0.4 s\n")
        assert server.statistics().clients == 1


# Rates.


@pytest.mark.parametrize(
    ("settings", "least"),
    [
        # 60 messages, of which a tenth of a second's may come at once; and 6000 bytes.
        (hubbub.Settings(message_rate=100), 0.4),
        (hubbub.Settings(byte_rate=10_000, inbox_limit=100), 0.4),
        (hubbub.Settings(message_rate=100, byte_rate=10_000), 0.4),
    ],
)
async def test_who_sends_too_fast_is_read_slower_and_loses_nothing(settings: hubbub.Settings, least: float) -> None:
    loop = asyncio.get_running_loop()
    heard: list[str] = []

    async def listen(client: hubbub.Client) -> None:
        while messages := await client.receive_many():
            heard.extend(messages)

    async with serving(listen, settings=settings) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        start = loop.time()
        for number in range(60):
            await peer.send(b"%099d\n" % number)
            await asyncio.sleep(0)
        await eventually(lambda: len(heard) == 60)
        assert loop.time() - start >= least
        assert [int(message) for message in heard] == list(range(60))
        assert client.ending is None
        assert server.statistics().slowed > 0
        assert (client.messages_received, client.bytes_received) == (60, 6000)
        # The end comes behind what is held.
        await peer.send(b"".join([b"%099d\n" % number for number in range(20)]) + b"end")
        peer.end()
        assert await peer.rest() == b""
        assert len(heard) == 81
        assert heard[-1] == "end"


async def test_who_keeps_to_its_rate_is_not_held() -> None:
    async with serving(idle, settings=hubbub.Settings(message_rate=1000)) as (server, record), Peer.of(server) as peer:
        await record.wait_for_clients(1)
        for number in range(1, 6):
            await peer.send(b"Hey\n")
            await eventually(lambda number=number: len(record.received_from[peer.name]) == number)  # type: ignore[misc]
            await asyncio.sleep(0.01)
        assert server.statistics().slowed == 0


async def test_a_receive_that_is_cancelled_while_messages_are_held_loses_none() -> None:
    heard: list[str] = []

    async def impatient(client: hubbub.Client) -> None:
        while True:
            try:
                async with asyncio.timeout(0.005):
                    heard.append(await client.receive())
            except TimeoutError:
                continue

    async with (
        serving(impatient, settings=hubbub.Settings(message_rate=50)) as (server, record),
        Peer.of(server) as peer,
    ):
        await record.wait_for_clients(1)
        await peer.send(b"".join([b"%d\n" % number for number in range(30)]))
        await eventually(lambda: len(heard) == 30)
        assert [int(message) for message in heard] == list(range(30))
        peer.end()
        assert await peer.rest() == b""


async def test_a_client_may_be_ended_while_its_messages_are_held() -> None:
    """They are not given out any more, and nobody waits for them."""
    loop = asyncio.get_running_loop()
    heard: list[str] = []

    async def listen(client: hubbub.Client) -> None:
        while messages := await client.receive_many():
            heard.extend(messages)

    async with serving(listen, settings=hubbub.Settings(message_rate=10)) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        await peer.send(b"".join([b"%d\n" % number for number in range(100)]))
        await eventually(lambda: server.statistics().slowed > 0)
        peer.end()
        start = loop.time()
        await client.close()
        await eventually(lambda: not server._sessions._readers)
        assert loop.time() - start < 2
        assert len(heard) < 20


async def test_what_a_client_has_sent_is_counted_when_it_is_received() -> None:
    async with serving(idle) as (_, record), Peer.of(_) as peer:
        (client,) = await record.wait_for_clients(1)
        assert (client.messages_received, client.bytes_received) == (0, 0)
        await peer.send(b"one\r\ntwo\nth")
        await eventually(lambda: client.bytes_received == 11)
        assert client.messages_received == 2
        await peer.send(b"ree")
        peer.end()
        await peer.rest()
        assert (client.messages_received, client.bytes_received) == (3, 14)


# Those who are not let in.


async def test_limits_may_be_taken_away() -> None:
    settings = hubbub.Settings(clients_limit=None, clients_per_address=None, clients_per_subnet=None, connect_rate=None)
    async with serving(idle, settings=settings) as (server, record), Peer.of(server), Peer.of(server):
        await record.wait_for_clients(2)


async def test_through_a_unix_socket_only_the_limit_of_all_counts(tmp_path: Path) -> None:
    path = tmp_path / "hub.sock"
    settings = hubbub.Settings(clients_limit=3, clients_per_address=1, clients_per_subnet=1, connect_burst=1)
    access = hubbub.Access(allow=["192.0.2.0/24"])
    listener: hubbub.Listener[str] = hubbub.Listener(endpoint=path, access=access)
    async with serving(idle, listeners=[listener], settings=settings) as (server, record), AsyncExitStack() as stack:
        for _ in range(3):
            plain = stack.enter_context(socket.socket(socket.AF_UNIX))
            plain.connect(str(path))
        await record.wait_for_clients(3)
        with socket.socket(socket.AF_UNIX) as plain:
            plain.setblocking(False)
            plain.connect(str(path))
            said = await asyncio.get_running_loop().sock_recv(plain, 100)
            assert said == b"the server is full: it has its 3 clients\n"
        assert server.statistics().endings == {hubbub.EndingCode.FULL: 1}
