"""A client's connection as the rooms see it: what waits, and the transport that takes it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

import hubbub

from support.helpers import Peer, Record, fall_behind, serving, transport_of

KIB = 1024
SMALL = hubbub.Settings(unsent_limit=4 * KIB)


async def idle(client: hubbub.Client) -> None:
    async for _ in client:
        pass


async def test_what_waits_is_written_in_one_go_with_the_splices_of_one_client_cut_out() -> None:
    """A transport that holds something back is paused, however the bytes were given to it."""
    async with serving(idle, settings=SMALL) as (server, record), Peer.of(server, receive_buffer=4 * KIB) as peer:
        (client,) = await record.wait_for_clients(1)
        peer.stall()
        expected = []
        # Each chunk goes out in pieces, for the messages that this client is excluded from are cut out of it.
        for number in range(600):
            await server.broadcast(f"{number:08d}{'x' * 8 * KIB}", exclude=client if number % 3 == 1 else None)
            if number % 3 != 1:
                expected.append(number)
        for _ in range(5):
            await asyncio.sleep(0)
        assert transport_of(client).get_write_buffer_size() <= 2 * server.settings.chunk_limit
        assert client.lag.messages > 0
        peer.resume()
        assert [int((await peer.line())[:8]) for _ in expected] == expected


async def test_a_reader_that_left_a_room_while_it_lagged_reads_on_to_there_and_is_forgotten() -> None:
    async with serving(idle, settings=SMALL) as (server, record), Peer.of(server, receive_buffer=4 * KIB) as peer:
        (client,) = await record.wait_for_clients(1)
        room = server.room("news")
        await client.join(room)
        await client.leave(server.root)
        peer.stall()
        count = await fall_behind(client, room, "x" * 8 * KIB)
        await client.leave(room)
        assert client.rooms == frozenset()
        assert client.lag.messages > 0
        await room.broadcast("too late")
        peer.resume()
        for _ in range(count):
            assert len(await peer.line()) == 8 * KIB + 1
        await client.send("end")
        assert await peer.line() == b"end\n"
        assert client._reader.outbox.exhausted
        assert not room.readers._behind
        assert not room.readers._ready


async def test_a_skip_while_leaving_is_told_too() -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB, retention=64 * KIB, pace=None, when_slow="skip")
    async with serving(idle, settings=settings) as (server, record), Peer.of(server, receive_buffer=4 * KIB) as peer:
        (client,) = await record.wait_for_clients(1)
        peer.stall()
        total = await fall_behind(client, server.root, "x" * 4 * KIB)
        await client.leave(server.root)
        for _ in range(100):
            await server.broadcast("y" * 4 * KIB)
        peer.resume()
        await client.send("end")
        lines = []
        while (line := await peer.line()) != b"end\n":
            lines.append(line)
        missed = sum(int(line[1:].split()[0]) for line in lines if line.startswith(b"["))
        read = [line for line in lines if line.startswith(b"x")]
        assert missed > 0
        assert missed + len(read) == total
        assert not [line for line in lines if line.startswith(b"y")]


async def test_one_that_is_ended_as_slow_gets_no_skip() -> None:
    """A client that is being closed has what it may still have, or is cut."""
    settings = hubbub.Settings(unsent_limit=4 * KIB, retention=64 * KIB, pace=None, when_slow="skip")
    async with serving(idle, settings=settings) as (server, record), Peer.of(server, receive_buffer=4 * KIB) as peer:
        (client,) = await record.wait_for_clients(1)
        peer.stall()
        total = await fall_behind(client, server.root, "x" * 4 * KIB)
        closing = asyncio.create_task(client.close("enough"))
        for _ in range(100):
            await server.broadcast("y" * 4 * KIB)
        peer.resume()
        lines = (await peer.rest()).splitlines(keepends=True)
        assert 0 < len(lines) < total
        assert lines == [b"x" * 4 * KIB + b"\n"] * len(lines)
        peer.end()
        await closing
        assert client.ending == hubbub.Ending(hubbub.EndingCode.CLOSED, "enough")


class Door(Record):
    """Ends a client as soon as it says something."""

    def received(self, client: hubbub.Client[Any], messages: Sequence[Any]) -> None:
        super().received(client, messages)
        client._reader.end(hubbub.Ending(hubbub.EndingCode.CLOSED, "shown the door"), deliver=True)


@pytest.mark.parametrize("then", [b"\xff\xfd\x01", b"too long" * 1000], ids=["asks for an option", "breaks a limit"])
async def test_a_client_that_its_observer_has_ended_is_told_nothing_more(
    then: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    door = Door()
    settings = hubbub.Settings(message_limit=1000)
    async with serving(idle, observer=door, settings=settings) as (server, _), Peer.of(server) as peer:
        await peer.send(b"hello\n" + then)
        assert await peer.rest() == b""
        (ending,) = await door.wait_for_endings()
    assert ending.reason == "shown the door"
    assert not caplog.records
