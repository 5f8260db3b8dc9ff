"""The ends of waiting, and the rates to which a client is held."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

import hubbub
from hubbub.framing import Decoder

from support.helpers import WAIT_TIME, Peer, at, dial, eventually, fall_behind, serving

KIB = 1024


class Listener:
    """A handler that remembers what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def __call__(self, client: hubbub.Client) -> None:
        while messages := await client.receive_many():
            self.heard += messages


def look_later(server: hubbub.Server[Any]) -> None:
    """Look at messages that are not complete, as the server does, now and when their time has long been over."""
    now = asyncio.get_running_loop().time()
    for later in (0, 1, 2):
        server._sessions._deadlines._end_unfinished(now + later * server.settings.message_time)


async def test_a_client_that_takes_nothing_is_ended_when_patience_is_over_and_so_is_the_next_one() -> None:
    settings = hubbub.Settings(patience=0.2, unsent_limit=4 * KIB)
    async with serving(settings=settings) as (server, record):
        for count in (1, 2):
            with await dial(server, receive_buffer=4 * KIB):
                client = (await record.wait_for_clients(count))[-1]
                await fall_behind(client, server.root, "x" * 8 * KIB)
                ending = (await record.wait_for_endings(count))[-1]
                assert ending == hubbub.Ending(hubbub.EndingCode.STALLED, "took nothing for 0.2 s")
                await client.wait_closed()


async def test_a_client_that_was_ended_and_takes_nothing_is_gone_once_patience_is_over() -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB, patience=0.2, linger_time=0.05)
    async with serving(settings=settings) as (server, record):
        with await dial(server, receive_buffer=4 * KIB):
            (client,) = await record.wait_for_clients(1)
            await fall_behind(client, server.root, "x" * 8 * KIB)
            async with asyncio.timeout(5):
                await client.close("enough")
            assert client.ending == hubbub.Ending(hubbub.EndingCode.CLOSED, "enough")


async def test_a_client_that_lags_a_while_is_not_ended_as_long_as_it_takes_something() -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB, patience=0.3)
    async with serving(settings=settings) as (server, record):
        with await dial(server, receive_buffer=4 * KIB) as plain:
            (client,) = await record.wait_for_clients(1)
            loop = asyncio.get_running_loop()
            await fall_behind(client, server.root, "x" * 64 * KIB)
            for _ in range(8):
                await server.broadcast("x" * 256 * KIB)
            end = loop.time() + 0.8
            while loop.time() < end:
                await loop.sock_recv(plain, 32 * KIB)
                # It takes its time: that is what `patience` looks at.
                await asyncio.sleep(0.05)
            assert client.lag.bytes > 0
            assert client.ending is None


@pytest.mark.parametrize(
    ("settings", "late", "good", "least", "ending"),
    [
        # However often a byte comes, and whole messages are welcome at any pace.
        (
            hubbub.Settings(message_time=0.5),
            b"x",
            b"whole\n",
            0.5,
            hubbub.Ending(hubbub.EndingCode.UNFINISHED, "message not complete within 0.5 s"),
        ),
        # To hear is not to speak, and a part of a message will do.
        (
            hubbub.Settings(idle_time=0.4),
            b"",
            b"x",
            0.35,
            hubbub.Ending(hubbub.EndingCode.IDLE, "nothing said for 0.4 s"),
        ),
    ],
    ids=["unfinished", "idle"],
)
async def test_a_client_whose_message_or_word_does_not_come_in_time_is_ended_and_told_and_no_other(
    settings: hubbub.Settings, late: bytes, good: bytes, least: float, ending: hubbub.Ending
) -> None:
    loop = asyncio.get_running_loop()
    async with serving(settings=settings) as (server, record), Peer.of(server) as slow, Peer.of(server) as other:
        await record.wait_for_clients(2)
        start = loop.time()
        while not record.ended_clients:
            assert loop.time() - start < WAIT_TIME
            await slow.send(late)
            await other.send(good)
            await server.broadcast("tick")
            # The time between two words of the other, which is far from its end.
            await asyncio.sleep(0.05)
        assert loop.time() - start >= least
        assert record.ended_clients[0].name == slow.name
        assert await record.wait_for_endings() == [ending]
        assert (await slow.rest()).endswith(f"\n{ending.reason}\n".encode())
        assert server.statistics().clients == 1


async def test_a_decoder_that_cannot_tell_ends_its_client_and_no_other_goes_on_too_long() -> None:
    class Forgetful(Decoder[bytes]):
        def feed(self, data: bytes) -> Sequence[bytes]:
            return ()

        @property
        def partial(self) -> bool:
            raise RuntimeError("it has forgotten")

    @dataclass(frozen=True)
    class Broken(hubbub.Raw):
        def decoder(self, limit: int) -> Decoder[bytes]:
            return Forgetful()

    endpoint = hubbub.Address("127.0.0.1", 0)
    listeners = [hubbub.Listener(endpoint=endpoint, framing=framing) for framing in (Broken(), hubbub.ByteLines())]
    async with (
        serving(listeners=listeners, framing=hubbub.ByteLines()) as (server, record),
        Peer.of(at(server, 0)) as forgotten,
        Peer.of(at(server, 1)) as slow,
    ):
        for peer in (forgotten, slow):
            await peer.send(b"begun")
        await eventually(lambda: [client.bytes_received for client in record.clients] == [5, 5])
        look_later(server)
        codes = {ending.code for ending in await record.wait_for_endings(2)}
        assert codes == {hubbub.EndingCode.UNDELIVERABLE, hubbub.EndingCode.UNFINISHED}


async def test_a_message_that_waits_for_a_busy_handler_is_no_fault_of_its_client() -> None:
    heard: list[str] = []
    free = asyncio.Event()

    async def busy(client: hubbub.Client) -> None:
        async for message in client:
            heard.append(message)
            await free.wait()

    async with serving(busy) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        # A part of the second has been decoded when the handler gets busy; the rest comes at once.
        await peer.send(b"one\ntw")
        await eventually(lambda: heard == ["one"])
        await peer.send(b"o\nthree\n")
        look_later(server)
        free.set()
        await eventually(lambda: heard == ["one", "two", "three"])
        assert client.ending is None
        peer.end()


async def test_one_that_has_ended_its_stream_within_a_line_may_listen_on() -> None:
    """Its last line is complete, though it has no LF."""
    listener = Listener()

    async def listen(client: hubbub.Client) -> None:
        await listener(client)
        await client.wait_closed()

    async with serving(listen) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        await peer.send(b"par")
        await eventually(lambda: client.bytes_received == 3)
        await peer.send(b"t")
        peer.end()
        await eventually(lambda: listener.heard == ["part"])
        # Not even later.
        look_later(server)
        assert client.ending is None
        await server.broadcast("and on")
        assert await peer.line() == b"and on\n"


async def test_idle_time_is_not_for_what_the_server_holds_back() -> None:
    listener = Listener()
    settings = hubbub.Settings(message_rate=20, idle_time=0.5)
    async with serving(listener, settings=settings) as (server, record), Peer.of(server) as peer:
        await peer.send(b"x\n" * 40)
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.IDLE
        assert len(listener.heard) == 40


# Rates.


@pytest.mark.parametrize(
    "settings",
    [hubbub.Settings(message_rate=100), hubbub.Settings(byte_rate=10_000, inbox_limit=100)],
    ids=["messages", "bytes"],
)
async def test_who_sends_too_fast_is_read_slower_and_loses_nothing(settings: hubbub.Settings) -> None:
    loop = asyncio.get_running_loop()
    listener = Listener()
    heard = listener.heard
    async with serving(listener, settings=settings) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        start = loop.time()
        for number in range(60):
            await peer.send(b"%099d\n" % number)
        await eventually(lambda: len(heard) == 60)
        # 60 messages, of which a tenth of a second's may come at once; and 6000 bytes.
        assert loop.time() - start >= 0.4
        assert [int(message) for message in heard] == list(range(60))
        assert client.ending is None
        assert server.statistics().slowed > 0
        # The end comes behind what is held.
        await peer.send(b"".join([b"%099d\n" % number for number in range(20)]) + b"end")
        peer.end()
        assert await peer.rest() == b""
        assert len(heard) == 81
        assert heard[-1] == "end"
