"""A framing that raises where the server has something to say keeps no connection from ending."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

import hubbub

from support.helpers import Peer, serving


@dataclass(frozen=True)
class Wordless(hubbub.Delimited):
    """Carries messages that begin with an "m", and notices. By a fault of its own it raises for all else."""

    @property
    def textual(self) -> bool:
        return True

    def encode(self, messages: Sequence[bytes]) -> bytes:
        if messages[0][:1] not in (b"m", b"["):
            raise KeyError(messages[0])
        return super().encode(messages)


async def test_a_closing_server_ends_all_clients_in_peace(caplog: pytest.LogCaptureFixture) -> None:
    async with AsyncExitStack() as stack:
        async with serving(framing=Wordless(b"|")) as (server, record):
            peers = [await stack.enter_async_context(Peer.of(server)) for _ in range(3)]
            await record.wait_for_clients(3)
            await peers[0].send(b"message|")
            assert await peers[1].exactly(8) == await peers[2].exactly(8) == b"message|"
        for peer in peers:
            assert await peer.rest() == b""
    endings = await record.wait_for_endings(3)
    assert {ending.code for ending in endings} == {hubbub.EndingCode.SHUTDOWN}
    assert caplog.text.count("'server is closing' cannot be encoded by Wordless") == 3


@pytest.mark.parametrize(
    ("settings", "said", "code"),
    [
        (hubbub.Settings(message_time=0.05), b"unfinished", "unfinished"),
        (hubbub.Settings(idle_time=0.05), b"", "idle"),
        (hubbub.Settings(message_limit=5), b"messages", "too-long"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_all_who_break_a_rule_at_once_are_ended(settings: hubbub.Settings, said: bytes, code: str) -> None:
    async with AsyncExitStack() as stack, serving(framing=Wordless(b"|"), settings=settings) as (server, record):
        for _ in range(3):
            peer = await stack.enter_async_context(Peer.of(server))
            await peer.send(said)
        assert {ending.code.value for ending in await record.wait_for_endings(3)} == {code}


async def test_those_who_are_turned_away_leave_no_trace() -> None:
    async with serving(framing=Wordless(b"|"), settings=hubbub.Settings(clients_limit=1)) as (server, record):
        async with Peer.of(server) as first, Peer.of(server) as second:
            assert await second.rest() == b""
            await record.wait_for_refusals(1)
            first.end()
            await record.wait_for_endings(1)
        async with Peer.of(server):
            await record.wait_for_clients(2)


async def test_those_who_are_not_authenticated_end(caplog: pytest.LogCaptureFixture) -> None:
    async def reject(arrival: hubbub.Arrival[bytes]) -> bool:
        return await arrival.receive() == b"never"

    listener = hubbub.Listener(endpoint=hubbub.Address("127.0.0.1", 0), authenticate=reject)
    async with serving(framing=Wordless(b"|"), listeners=[listener]) as (server, _), Peer.of(server) as peer:
        await peer.send(b"message|")
        assert await peer.rest() == b""
    assert "'unauthenticated: not authenticated' cannot be encoded by Wordless" in caplog.text
