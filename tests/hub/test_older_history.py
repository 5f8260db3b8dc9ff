"""Joins and histories that begin in the older end of a log."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any

import pytest

from hubbub.hub.fetches import HISTORY_SLICE
from hubbub.values.errors import ConnectionClosed, PositionLost

from support.older import KIB, Stage, texts_of
from support.stepping import SteppedLoop


def test_history_repeats_nothing_where_the_older_end_joins_chunks(loop: SteppedLoop) -> None:
    stage = Stage(loop, turns=500)
    stage.say(60)
    task = loop.start(texts_of(stage.room.history()))
    stage.say(100)
    assert not task.done()
    first, *others = stage.older._chunks
    for chunk in others:
        first.extend(chunk)
    stage.older._chunks = [first]
    loop.settle()
    assert task.result() == stage.said[:60]


@pytest.mark.parametrize("seq", [0, 1, 50, 99, 100])
def test_a_client_joins_at_a_position_in_the_older_end(loop: SteppedLoop, seq: int) -> None:
    stage = Stage(loop)
    stage.say(100)
    assert stage.room.holds(stage.since(seq))
    assert stage.room.oldest == stage.since(0)
    client, transport = stage.hub.connect()
    loop.do(client.join(stage.room, since=stage.since(seq)))
    loop.settle()
    assert transport.taken == stage.wire(seq)


def test_a_position_that_the_older_end_has_lost_is_lost(loop: SteppedLoop) -> None:
    stage = Stage(loop, held=16 * KIB)
    stage.say(100)
    client, _ = stage.hub.connect()
    assert not stage.room.holds(stage.since(0))
    with pytest.raises(PositionLost) as lost:
        loop.do(client.join(stage.room, since=stage.since(0)))
    assert lost.value.first == stage.room.oldest
    stage.older.failure = LookupError("gone")
    with pytest.raises(PositionLost):
        loop.do(client.join(stage.room, since=stage.room.oldest))
    assert stage.room.clients == frozenset()


def test_a_position_that_takes_too_long_to_find_is_not_waited_for(loop: SteppedLoop) -> None:
    stage = Stage(loop, turns=10**9, fetch_time=5)
    stage.say(100)
    client, _ = stage.hub.connect()
    task = loop.start(client.join(stage.room, since=stage.since(0)))
    loop.turn(3)
    loop.spend(6)
    assert isinstance(task.exception(), TimeoutError)
    assert stage.room.clients == frozenset()


@pytest.mark.parametrize("what", ["the client ends", "the room closes", "it joins elsewhere"])
def test_what_changes_while_a_position_is_looked_for_counts(loop: SteppedLoop, what: str) -> None:
    stage = Stage(loop, turns=5)
    stage.room = stage.hub.room("news")
    stage.say(100)
    client, transport = stage.hub.connect()
    task = loop.start(client.join(stage.room, since=stage.since(0)))
    if what == "the client ends":
        transport.break_off(None)
    elif what == "the room closes":
        stage.room.close()
    else:
        loop.do(client.join(stage.room))
    loop.settle()
    error = task.exception()
    assert isinstance(error, ConnectionClosed if what == "the client ends" else ValueError)
    assert transport.taken == b""


@pytest.mark.parametrize(
    ("options", "start"), [({}, 0), ({"last": 3}, 97), ({"last": 70}, 30), ({"since": 0}, 0), ({"since": 45}, 45)]
)
def test_history_begins_in_the_older_end(loop: SteppedLoop, options: dict[str, Any], start: int) -> None:
    stage = Stage(loop, turns=1)
    stage.say(100)
    if "since" in options:
        options = {"since": stage.since(options["since"])}
    task = loop.start(texts_of(stage.room.history(**options)))
    loop.settle()
    assert task.result() == stage.said[start:]


def test_history_is_that_of_the_call_though_memory_drops_some_of_it_meanwhile(loop: SteppedLoop) -> None:
    stage = Stage(loop, turns=3)
    stage.say(100)
    task = loop.start(texts_of(stage.room.history()))
    stage.say(100)
    loop.settle()
    assert task.result() == stage.said[:100]


def test_a_long_history_of_the_older_end_lets_the_loop_turn(loop: SteppedLoop) -> None:
    stage = Stage(loop, retention=64 * KIB)
    loop.do(stage.room.broadcast_many([b""] * 5 * HISTORY_SLICE))
    stage.say(1)
    for _ in range(500):
        loop.do(stage.room.broadcast(b"x" * 1000))
        loop.turn()
    assert stage.room._log.oldest.seq > 5 * HISTORY_SLICE
    task: asyncio.Task[Any] = loop.start(texts_of(stage.room.history()))
    turns = 0
    while not task.done():
        loop.turn()
        turns += 1
    assert turns >= 5
    assert len(task.result()) == stage.room.head.seq


def test_a_history_whose_next_part_is_lost_says_so(loop: SteppedLoop) -> None:
    stage = Stage(loop, turns=2, fetch_time=inf)
    stage.say(100)
    stage.older.failure = LookupError("gone")
    task = loop.start(texts_of(stage.room.history()))
    loop.settle()
    assert isinstance(task.exception(), PositionLost)
