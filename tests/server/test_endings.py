"""Why a client ended: what its handler did, what it did itself, and what was too much."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

import hubbub
from hubbub.apps.relay import relay

from support.helpers import WAIT_TIME, Peer, Record, serving

KIB = 1024


async def finish(client: hubbub.Client) -> None:
    await client.send("go")


async def close(client: hubbub.Client) -> None:
    await client.send("go")
    await client.close("enough")
    assert client.ending == hubbub.Ending(hubbub.EndingCode.CLOSED, "enough")


async def fail(client: hubbub.Client) -> None:
    await client.send("go")
    raise LookupError("nothing there")


async def be_cancelled(client: hubbub.Client) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("handler", "said", "ending"),
    [
        (finish, b"go\n", hubbub.Ending(hubbub.EndingCode.FINISHED, "the handler returned")),
        (close, b"go\n", hubbub.Ending(hubbub.EndingCode.CLOSED, "enough")),
        (fail, b"go\n", hubbub.Ending(hubbub.EndingCode.FAILED, "the handler raised LookupError: nothing there")),
        (be_cancelled, b"", hubbub.Ending(hubbub.EndingCode.FAILED, "the handler was cancelled")),
    ],
)
async def test_an_ending_says_what_the_handler_did(
    handler: Any, said: bytes, ending: hubbub.Ending, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(handler) as (_, record), Peer.of(_) as peer:
        assert await peer.rest() == said
        peer.end()
        assert await record.wait_for_endings() == [ending]
    # In debug mode, asyncio complains of a machine that is busy.
    logged = [entry for entry in caplog.records if entry.name == "hubbub"]
    assert [entry.getMessage() for entry in logged] == (
        [f"the handler of {record.clients[0]} raised"] if handler is fail else []
    )
    assert all(entry.exc_info for entry in logged)


async def wait(client: hubbub.Client) -> None:
    await client.wait_closed()


async def receive_in_a_group(client: hubbub.Client) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(client.receive())


@pytest.mark.parametrize("handler", [relay, wait, receive_in_a_group])
async def test_a_client_that_closes_its_connection_has_left(handler: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(handler) as (server, record):
        async with Peer.of(server) as peer:
            await record.wait_for_clients(1)
            peer.end()
        while not record.ended_clients:
            # Where the handler does not read, it is seen when something is written.
            await server.broadcast("anyone?")
            await asyncio.sleep(0.01)
        (ending,) = await record.wait_for_endings()
        assert ending == hubbub.Ending(hubbub.EndingCode.LEFT, "the client closed the connection")
    assert not [entry for entry in caplog.records if entry.name == "hubbub"]


class Picky(hubbub.BytesFraming, hubbub.Decoder[bytes]):
    textual = True

    def decoder(self, limit: int) -> hubbub.Decoder[bytes]:
        return self

    def encode(self, messages: Any) -> bytes:
        return b"".join(messages)

    def feed(self, data: bytes) -> list[bytes]:
        if b"!" in data:
            raise hubbub.FramingError("no shouting", [data.partition(b"!")[0]])
        return [data]


async def test_what_is_no_message_ends_its_sender_and_what_came_before_counts() -> None:
    async with serving(framing=Picky()) as (server, record), Peer.of(server) as peer, Peer.of(server) as witness:
        await record.wait_for_clients(2)
        await peer.send(b"hey!")
        assert await peer.rest() == b"no shouting"
        assert await witness.exactly(3) == b"hey"
        assert await record.wait_for_endings() == [hubbub.Ending(hubbub.EndingCode.MALFORMED, "no shouting")]


class Raising(Record):
    """An observer that is broken."""

    def ended(self, client: hubbub.Client[Any]) -> None:
        super().ended(client)
        raise ZeroDivisionError


async def test_a_slow_ending_is_a_warning_and_an_observer_that_raises_at_it_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = hubbub.Settings(retention=64 * KIB, pace=None)
    async with serving(observer=Raising(), settings=settings) as (server, record), Peer.of(server) as stalled:
        (slow,) = await record.wait_for_clients(1)
        stalled.stall()
        async with asyncio.timeout(WAIT_TIME):
            # It is ended for its lag in the middle of a flush, and later flushes go on.
            while slow.ending is None:
                await server.broadcast("x" * KIB)
        assert slow.ending.code is hubbub.EndingCode.SLOW
        assert "behind, more than room root retains" in slow.ending.reason
        assert (slow in server.clients, slow.rooms) == (False, frozenset())
        async with Peer.of(server) as peer:
            await record.wait_for_clients(2)
            await server.broadcast("still there")
            assert await peer.line() == b"still there\n"
    logged = [(entry.levelno, entry.getMessage()) for entry in caplog.records if entry.name == "hubbub"]
    assert logged[0] == (logging.WARNING, f"{slow} ended: {slow.ending}")
    assert logged[1] == (logging.ERROR, "an observer raised")
