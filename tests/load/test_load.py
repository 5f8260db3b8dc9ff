"""The load of `hubbub bench`, on servers that broadcast and on some that do it badly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import cast

import pytest

import hubbub
from hubbub.apps.chat import chat
from hubbub.apps.echo import echo
from hubbub.apps.relay import relay
from hubbub.load.check import Faults
from hubbub.load.load import Load, LoadFailure
from hubbub.load.plan import Plan

from support.helpers import eventually, serving

Change = Callable[[int, bytes], Sequence[bytes]]
"""What a server makes of a line, by its number from 0; probes are passed on without."""

PACED = Plan(readers=2, rate=1_000, time=0.05, patience=0.3)
"""Fifty lines."""

FAST = Plan(readers=3, time=0.05)


class Broadcaster:
    """A server that may do what it should not.

    Args:
        change: what it makes of a line.
    """

    def __init__(self, change: Change) -> None:
        self._change = change
        self._count = 0
        self.transports: list[asyncio.Transport] = []

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[hubbub.Address]:
        server = await asyncio.get_running_loop().create_server(lambda: Side(self), "127.0.0.1", 0)
        try:
            yield hubbub.Address.of(server.sockets[0].getsockname())
        finally:
            server.close()
            for transport in self.transports:
                transport.abort()
            await eventually(lambda: not self.transports)

    def pass_on(self, speaker: asyncio.Transport, line: bytes) -> None:
        lines: Sequence[bytes] = [line]
        if not line.endswith(b"probe\n"):
            lines = self._change(self._count, line)
            self._count += 1
        for transport in self.transports:
            if transport is not speaker:
                transport.writelines(lines)


class Side(asyncio.Protocol):
    """The server's side of a connection."""

    def __init__(self, server: Broadcaster) -> None:
        self._server = server
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.transports.append(self._transport)

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._server.pass_on(self._transport, line + b"\n")

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.transports.remove(self._transport)


async def run(change: Change, plan: Plan = PACED) -> Load:
    """A run against a server that makes this of its lines."""
    async with Broadcaster(change).serve() as endpoint:
        load = Load(endpoint, plan)
        await load.run()
    return load


def assert_all_is_well(load: Load) -> None:
    figures = load.figures
    assert not figures.faults
    assert (figures.outstanding, figures.unsaid) == (0, 0)
    assert figures.messages > 0
    assert figures.deliveries == figures.messages * load.plan.readers
    assert figures.seconds > 0


# Servers that broadcast.


@pytest.mark.parametrize(
    "plan",
    [
        FAST,
        replace(FAST, senders=3),
        replace(FAST, senders=2, size=70_000),
        PACED,
        replace(PACED, senders=3, rate=2_000),
        # The second sender has nothing to say.
        replace(PACED, senders=2, rate=10),
    ],
    ids=["fast", "senders", "large", "paced", "paced senders", "silent sender"],
)
async def test_a_relay_delivers_all_lines_and_adds_nothing(plan: Plan) -> None:
    settings = hubbub.Settings(message_limit=100_000)
    async with serving(relay, framing=hubbub.ByteLines(keepends=True), settings=settings) as (server, _):
        load = Load(server.addresses[0], plan)
        assert load.elapsed is None
        await load.run()
        assert_all_is_well(load)
        assert load.elapsed is not None
        figures = load.figures
        if plan.rate is None:
            assert load.elapsed >= figures.seconds
        else:
            # The last line's share of the time may be still to come.
            assert load.elapsed >= plan.due(figures.messages - 1)
            assert figures.seconds >= figures.messages / plan.rate
            assert figures.messages == max(1, round(plan.rate * plan.time))
            assert figures.latencies is not None
            assert len(figures.latencies) == figures.messages
        assert figures.cpu_time == load.figures.cpu_time > 0


@pytest.mark.parametrize("framing", [hubbub.Lines(), hubbub.Lines(crlf=True)], ids=["lf", "crlf"])
async def test_a_chat_may_name_the_speaker_and_tell_who_joins(framing: hubbub.Lines) -> None:
    async with serving(chat, framing=framing) as (server, _):
        load = Load(server.addresses[0], replace(FAST, senders=2))
        await load.run()
        assert_all_is_well(load)
        assert load.figures.foreign > 0
        assert load.figures.received > load.figures.deliveries * load.plan.size


async def test_many_connections_are_made() -> None:
    async with serving(relay) as (server, _):
        load = Load(server.addresses[0], replace(PACED, readers=150, patience=10.0))
        await load.run()
        assert_all_is_well(load)


async def test_two_runs_at_once_do_not_mix() -> None:
    async with serving(relay) as (server, _):
        loads = [Load(server.addresses[0], PACED) for _ in range(2)]
        async with asyncio.TaskGroup() as group:
            for load in loads:
                group.create_task(load.run())
        for load in loads:
            assert_all_is_well(load)


async def test_a_server_may_end_a_sender_that_has_said_all() -> None:
    server = Broadcaster(lambda number, line: [line])

    def end_sender(number: int, line: bytes) -> Sequence[bytes]:
        if number == 49:
            server.transports[speaker].close()
        return [line]

    # In the order in which they were dialled.
    speaker = PACED.readers
    server._change = end_sender
    async with server.serve() as endpoint:
        load = Load(endpoint, PACED)
        await load.run()
    assert_all_is_well(load)


# Servers that do it badly.


async def test_a_lost_line_is_found() -> None:
    load = await run(lambda number, line: [] if number == 7 else [line])
    assert load.figures.faults == Faults(lost=2)


async def test_a_repeated_line_is_found() -> None:
    load = await run(lambda number, line: [line, line] if number == 7 else [line])
    assert load.figures.faults == Faults(repeated=2)


async def test_swapped_lines_are_found() -> None:
    held: list[bytes] = []

    def swap(number: int, line: bytes) -> Sequence[bytes]:
        if number == 7:
            held.append(line)
            return []
        return [line, *held] if number == 8 else [line]

    load = await run(swap)
    assert load.figures.faults == Faults(reordered=2)


async def test_a_torn_line_is_found() -> None:
    load = await run(lambda number, line: [line[:50], line[51:]] if number == 7 else [line])
    assert load.figures.faults == Faults(torn=2)


@pytest.mark.parametrize("plan", [PACED, replace(FAST, time=30.0, patience=0.3)], ids=["paced", "fast"])
async def test_a_server_that_stalls_is_told_from_one_that_is_slow(plan: Plan) -> None:
    stopped = rf"the server stopped delivering: reader 1 of {plan.readers} has 10 of [\d,]+ messages"
    with pytest.raises(LoadFailure, match=stopped):
        await run(lambda number, line: [line] if number < 10 else [], plan)


async def test_a_server_that_loses_the_last_line_has_not_delivered_it() -> None:
    with pytest.raises(LoadFailure, match="the server stopped delivering: reader 1 of 2 has 49 of 50 messages"):
        await run(lambda number, line: [] if number == 49 else [line])


async def listen(client: hubbub.Client) -> None:
    """Say nothing."""
    async for _ in client:
        pass


async def test_a_server_that_never_answers_is_no_broadcaster() -> None:
    async with serving(listen) as (server, _):
        load = Load(server.addresses[0], PACED)
        message = f"reader 1 of 2 heard nothing within 0.3 s: is {server.addresses[0]} a line broadcaster?"
        with pytest.raises(LoadFailure) as failure:
            await load.run()
        assert str(failure.value) == message


async def test_a_server_that_answers_only_the_speaker_is_no_broadcaster() -> None:
    async with serving(echo) as (server, _):
        with pytest.raises(LoadFailure, match=r"reader 1 of 2 heard nothing within 0\.3 s"):
            await Load(server.addresses[0], PACED).run()


@pytest.mark.parametrize(
    ("index", "who"), [(0, r"reader 1 of 2 has \d+ of \d+ messages"), (2, "sender 1 of 1")], ids=["reader", "sender"]
)
async def test_a_server_that_ends_a_connection_is_told(index: int, who: str) -> None:
    server = Broadcaster(lambda number, line: [line])

    def end_one(number: int, line: bytes) -> Sequence[bytes]:
        if number == 7:
            server.transports[index].abort()
        return [line]

    server._change = end_one
    async with server.serve() as endpoint:
        with pytest.raises(LoadFailure, match=rf"^{who}: the connection to {endpoint} has ended \("):
            await Load(endpoint, replace(PACED, time=0.5)).run()


async def test_a_rate_that_the_server_does_not_take_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its senders stop, and what they could not say is counted."""
    monkeypatch.setattr("hubbub.load.load.CATCH_UP_TIME", 0.05)
    settings = hubbub.Settings(inbox_limit=1_000)

    async def sleepy(client: hubbub.Client[bytes]) -> None:
        async for line in client:
            await client.server.broadcast(line, exclude=client)
            if b"probe" not in line:
                await asyncio.sleep(0.005)

    plan = Plan(readers=1, size=64_000, rate=1_000, time=0.5)
    async with serving(sleepy, framing=hubbub.ByteLines(keepends=True), settings=settings) as (server, _):
        load = Load(server.addresses[0], plan)
        await load.run()
        figures = load.figures
        assert not figures.faults
        assert figures.unsaid == 500 - figures.messages > 0
