"""Which clients an observer is told of, and which are only counted: probes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import hubbub

from support.helpers import Peer, Record, eventually, serving

FOREVER = hubbub.Settings(probe_time=60)


class Log(Record):
    """Remembers also what it would log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def noticed(self, client: hubbub.Client[Any]) -> None:
        self.lines.append("noticed")

    def received(self, client: hubbub.Client[Any], messages: Any) -> None:
        super().received(client, messages)
        self.lines.append("received")

    def ended(self, client: hubbub.Client[Any]) -> None:
        super().ended(client)
        self.lines.append("ended")


async def finish_at_once(client: hubbub.Client) -> None:
    """A handler that serves without being asked."""


async def never_read(client: hubbub.Client) -> None:
    await client.wait_closed()


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
async def test_a_client_that_leaves_soon_and_without_a_word_is_counted_as_a_probe_and_not_noticed(reset: bool) -> None:
    async with serving(observer=Log(), settings=FOREVER) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        assert client in server.root.clients
        peer.reset() if reset else peer.end()
        (ending,) = await record.wait_for_endings()
        assert ending.code is (hubbub.EndingCode.LOST if reset else hubbub.EndingCode.LEFT)
        assert server.statistics().endings == {hubbub.EndingCode.PROBE: 1}
    assert isinstance(record, Log)
    assert record.lines == ["ended"]


async def test_a_client_that_stays_is_noticed_when_the_time_is_over() -> None:
    log = Log()
    async with serving(observer=log, settings=hubbub.Settings(probe_time=0.1)) as (server, _), Peer.of(server) as peer:
        (client,) = await log.wait_for_clients(1)
        await eventually(lambda: log.lines == ["noticed"])
        assert client.age > 0.099
        peer.end()
        await log.wait_for_endings()
        assert server.statistics().endings == {hubbub.EndingCode.LEFT: 1}
    assert log.lines == ["noticed", "ended"]


async def test_a_client_that_was_noticed_is_no_probe_even_if_the_loop_was_early() -> None:
    log = Log()
    async with serving(observer=log, settings=FOREVER) as (server, _), Peer.of(server) as peer:
        (client,) = await log.wait_for_clients(1)
        server._sessions._notices.notice(client)
        peer.end()
        await log.wait_for_endings()
        assert server.statistics().endings == {hubbub.EndingCode.LEFT: 1}
    assert log.lines == ["noticed", "ended"]


async def test_a_client_is_noticed_at_its_first_message_and_once() -> None:
    log = Log()
    async with serving(observer=log, settings=FOREVER) as (server, _), Peer.of(server) as peer:
        await peer.send(b"Hey\n")
        await eventually(lambda: "received" in log.lines)
        await peer.send(b"Ho\n")
        await eventually(lambda: log.lines.count("received") == 2)
        peer.end()
        await log.wait_for_endings()
        assert server.statistics().endings == {hubbub.EndingCode.LEFT: 1}
    assert log.lines == ["noticed", "received", "received", "ended"]


@pytest.mark.parametrize(
    ("handler", "says", "code"),
    [
        (finish_at_once, b"", hubbub.EndingCode.FINISHED),
        # It was not heard, but it said something.
        (never_read, b"Hey\n", hubbub.EndingCode.LOST),
    ],
)
async def test_a_client_that_was_served_or_said_something_is_noticed_before_its_end(
    handler: Any, says: bytes, code: hubbub.EndingCode
) -> None:
    log = Log()
    async with serving(handler, observer=log, settings=FOREVER) as (server, _), Peer.of(server) as peer:
        (client,) = await log.wait_for_clients(1)
        if says:
            await peer.send(says)
            await eventually(lambda: not client._reader.link.silent)
            peer.reset()
        await log.wait_for_endings()
        assert server.statistics().endings == {code: 1}
    assert log.lines == ["noticed", "ended"]


async def test_a_server_that_closes_tells_of_those_who_are_there() -> None:
    log = Log()
    async with serving(observer=log, settings=FOREVER) as (server, _), Peer.of(server) as peer:
        await log.wait_for_clients(1)
        closing = asyncio.create_task(server.close())
        await peer.rest()
        peer.end()
        await closing
    assert log.lines == ["noticed", "ended"]
