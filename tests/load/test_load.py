"""The load of `hubbub bench`, on servers that broadcast and on some that do it badly."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from math import inf
from operator import attrgetter
from typing import Any

import pytest

import hubbub
from hubbub.apps.chat import chat
from hubbub.apps.echo import echo
from hubbub.apps.relay import relay
from hubbub.load.check import Faults
from hubbub.load.load import Load, LoadFailure
from hubbub.load.plan import Plan

from support.helpers import serving, transport_of

Change = Callable[[int, bytes], Sequence[bytes]]
"""What a server makes of a line, by its number from 0; probes are passed on without."""

PACED = Plan(readers=2, rate=1_000, time=0.05)
"""Fifty lines."""

IMPATIENT = replace(PACED, patience=1.0)
"""For servers that fail."""

FAST = Plan(readers=3, time=0.05)

KEEPENDS = hubbub.ByteLines(keepends=True)


def relaying(change: Change, until: float = inf) -> Callable[[hubbub.Client[bytes]], Coroutine[Any, Any, None]]:
    """The handler of a server that makes this of its lines, and ends the sender of a line of that number."""
    numbers = itertools.count()

    async def handler(client: hubbub.Client[bytes]) -> None:
        number = -1
        while number < until and (lines := await client.receive_many()):
            said: list[bytes] = []
            for line in lines:
                if line.endswith(b"probe\n"):
                    said.append(line)
                else:
                    number = next(numbers)
                    said += change(number, line)
            await client.server.broadcast_many(said, exclude=client)

    return handler


def unchanged(number: int, line: bytes) -> Sequence[bytes]:
    return [line]


async def run(handler: Any, plan: Plan = PACED, framing: Any = KEEPENDS, **settings: Any) -> Load:
    """A run against a server with this handler."""
    async with serving(handler, framing=framing, settings=hubbub.Settings(**settings)) as (server, _):
        load = Load(server.addresses[0], plan)
        assert load.elapsed is None
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
        # What a busy machine leaves of the time may be nothing.
        replace(FAST, senders=2, time=1e-6),
        PACED,
        replace(PACED, senders=3, rate=2_000),
        # The second sender has nothing to say.
        replace(PACED, senders=2, rate=10),
        replace(PACED, readers=150),
    ],
    ids=["fast", "senders", "large", "no time", "paced", "paced senders", "silent sender", "many"],
)
async def test_a_relay_delivers_all_lines_and_adds_nothing(plan: Plan) -> None:
    load = await run(relay, plan, message_limit=100_000)
    assert_all_is_well(load)
    figures = load.figures
    assert load.elapsed is not None
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
    load = await run(chat, replace(FAST, senders=2), framing)
    assert_all_is_well(load)
    assert load.figures.foreign > 0
    assert load.figures.received > load.figures.deliveries * load.plan.size


async def test_two_runs_at_once_do_not_mix() -> None:
    async with serving(relay) as (server, _):
        loads = [Load(server.addresses[0], PACED) for _ in range(2)]
        async with asyncio.TaskGroup() as group:
            for load in loads:
                group.create_task(load.run())
        for load in loads:
            assert_all_is_well(load)


async def test_a_server_may_end_a_sender_that_has_said_all() -> None:
    assert_all_is_well(await run(relaying(unchanged, until=49)))


# Servers that do it badly.


def lose(number: int, line: bytes) -> Sequence[bytes]:
    return [] if number == 7 else [line]


def repeat(number: int, line: bytes) -> Sequence[bytes]:
    return [line, line] if number == 7 else [line]


def tear(number: int, line: bytes) -> Sequence[bytes]:
    return [line[:50] + line[51:] if number == 7 else line]


def swapping() -> Change:
    held: list[bytes] = []

    def swap(number: int, line: bytes) -> Sequence[bytes]:
        if number == 7:
            held.append(line)
            return []
        return [line, *held] if number == 8 else [line]

    return swap


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (lose, Faults(lost=2)),
        (repeat, Faults(repeated=2)),
        (swapping(), Faults(reordered=2)),
        (tear, Faults(torn=2)),
    ],
)
async def test_a_line_that_is_not_passed_on_as_it_was_said_is_found(change: Change, faults: Faults) -> None:
    load = await run(relaying(change))
    assert load.figures.faults == faults


@pytest.mark.long
@pytest.mark.parametrize(
    ("plan", "heard"),
    [
        (IMPATIENT, "10 of 50"),
        (replace(FAST, size=10_000, time=30.0, patience=1.0), r"10 of [\d,]+"),
        # Even of the last line.
        (IMPATIENT, "49 of 50"),
    ],
)
async def test_a_server_that_stalls_is_told_from_one_that_is_slow(plan: Plan, heard: str) -> None:
    stopped = rf"the server stopped delivering: reader 1 of {plan.readers} has {heard} messages"
    with pytest.raises(LoadFailure, match=stopped):
        await run(relaying(lambda number, line: [line] if number < int(heard[:2]) else []), plan)


async def listen(client: hubbub.Client) -> None:
    """Say nothing."""
    await client.wait_closed()


@pytest.mark.parametrize("handler", [listen, echo])
async def test_a_server_that_answers_nobody_or_only_the_speaker_is_no_broadcaster(handler: Any) -> None:
    message = r"^reader 1 of 2 heard nothing within 1 s: is 127\.0\.0\.1:\d+ a line broadcaster\?$"
    with pytest.raises(LoadFailure, match=message):
        await run(handler, IMPATIENT, framing=None)


async def test_what_every_reader_has_heard_just_when_the_time_is_over_counts() -> None:
    load = Load(hubbub.Address("127.0.0.1", 5000), replace(PACED, patience=0.0))
    asyncio.get_running_loop().call_soon(load._all_probed.set)
    await load._wait_until_probed()


@pytest.mark.parametrize(
    ("pick", "who"),
    [(min, r"reader [12] of 2 has \d+ of \d+ messages"), (max, "sender 1 of 1")],
    ids=["reader", "sender"],
)
async def test_a_server_that_ends_a_connection_is_told(pick: Any, who: str) -> None:
    def end_one(number: int, line: bytes) -> Sequence[bytes]:
        if number == 7:
            # The sender is the one who has spoken; all connect at once.
            transport_of(pick(record.clients, key=attrgetter("messages_received"))).abort()
        return [line]

    async with serving(relaying(end_one), framing=KEEPENDS) as (server, record):
        with pytest.raises(LoadFailure, match=rf"^{who}: the connection to {server.addresses[0]} has ended \("):
            await Load(server.addresses[0], replace(PACED, time=0.5)).run()


async def test_a_rate_that_the_server_does_not_take_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its senders stop, and what they could not say is counted."""
    monkeypatch.setattr("hubbub.load.load.CATCH_UP_TIME", 0.05)

    async def sleepy(client: hubbub.Client[bytes]) -> None:
        async for line in client:
            await client.server.broadcast(line, exclude=client)
            if b"probe" not in line:
                await asyncio.sleep(0.005)

    load = await run(sleepy, Plan(readers=1, size=64_000, rate=1_000, time=0.5), inbox_limit=1_000)
    assert not load.figures.faults
    assert load.figures.unsaid == 500 - load.figures.messages > 0
