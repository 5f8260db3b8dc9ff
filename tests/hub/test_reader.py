"""A client's connection as the rooms see it: what waits, and the transport that takes it."""

from __future__ import annotations

from typing import Any

import pytest

from hubbub.hub import reader as reader_module
from hubbub.hub.client import Client
from hubbub.log.cursor import Lag
from hubbub.log.outbox import SPLICE_COST
from hubbub.values.ending import Ending, EndingCode
from hubbub.values.errors import ConnectionClosed

from support.stepping import FakeHub, SteppedLoop, hub_of, left_over

KIB = 1024
CLOSED = Ending(EndingCode.CLOSED, "enough")


# What is written, and when.


def test_a_private_message_leaves_at_once_and_what_follows_in_that_turn_together_in_the_next(loop: SteppedLoop) -> None:
    hub = hub_of(loop)
    client, transport = hub.connect()
    for message in (b"a", b"b", b"c"):
        loop.do(client.send(message))
    assert transport.taken == b"a\n"
    loop.turn()
    assert transport.taken == b"a\nb\nc\n"
    assert transport.writes == 2
    loop.turn()
    loop.do(client.send(b"d"))
    assert transport.taken == b"a\nb\nc\nd\n"


def test_a_private_message_comes_behind_what_was_broadcast_before_and_ahead_of_what_comes_later(
    loop: SteppedLoop,
) -> None:
    hub = hub_of(loop)
    client, transport = hub.joined()
    loop.do(hub.root.broadcast(b"a"))
    loop.do(client.send(b"b"))
    loop.do(hub.root.broadcast(b"c"))
    loop.settle()
    assert transport.taken == b"a\nb\nc\n"


def test_a_private_message_that_cannot_be_written_ends_its_client(loop: SteppedLoop) -> None:
    hub = hub_of(loop)
    client, transport = hub.connect()
    transport.failure = LookupError()
    loop.do(client.send(b"a"))
    assert client.ending == Ending(EndingCode.UNDELIVERABLE, "LookupError")


@pytest.mark.parametrize("join_size", [0, 64 * KIB], ids=["in pieces", "joined"])
def test_what_waits_is_written_in_one_go_without_what_excludes_the_client(
    loop: SteppedLoop, monkeypatch: pytest.MonkeyPatch, join_size: int
) -> None:
    monkeypatch.setattr(reader_module, "JOIN_SIZE", join_size)
    hub = hub_of(loop)
    client, transport = hub.joined(credit=0)
    for number in range(30):
        hub.say(b"%d" % number, exclude=client if number % 3 == 1 else None)
    assert transport.writes == 1
    transport.take()
    loop.turn()
    assert transport.writes == 2
    assert transport.taken.split() == [b"%d" % number for number in range(30) if number % 3 != 1]


@pytest.mark.parametrize(("name", "value"), [("PUMP_READS", 1), ("PUMP_SIZE", 1)])
def test_what_is_too_much_for_one_turn_goes_on_in_the_next(
    loop: SteppedLoop, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    monkeypatch.setattr(reader_module, name, value)
    hub = hub_of(loop, retention=8 * KIB)
    _, transport = hub.joined(credit=0)
    hub.say(*[b"x" * 500] * 5)
    transport.take()
    lengths = []
    for _ in range(5):
        loop.turn()
        lengths.append(len(transport.taken))
    assert lengths == [1002, 1503, 2004, 2505, 2505]


@pytest.mark.parametrize(("size", "at_once"), [(5000, 2), (500, 1)])
def test_a_reader_that_is_written_many_bytes_takes_more_of_a_turn(
    loop: SteppedLoop, monkeypatch: pytest.MonkeyPatch, size: int, at_once: int
) -> None:
    monkeypatch.setattr(reader_module, "READ_SIZE", size)
    hub = hub_of(loop, retention=8 * KIB, flush_slice=6)
    transports = [hub.joined(credit=0)[1] for _ in range(2)]
    hub.say(b"first")
    hub.say(b"x" * 3000)
    for transport in transports:
        transport.take()
    loop.turn()
    assert sum(len(transport.taken) > 3000 for transport in transports) == at_once
    loop.turn()
    assert all(len(transport.taken) > 3000 for transport in transports)


# Backpressure.


def test_those_who_wait_for_space_go_on_in_their_order_and_as_far_as_there_is_some(loop: SteppedLoop) -> None:
    hub = hub_of(loop, outbox_limit=SPLICE_COST)
    client, transport = hub.connect(credit=0)
    loop.do(client.send(b"0"))
    loop.do(client.send(b"1"))
    cancelled = loop.start(client.send(b"never"))
    tasks = [loop.start(client.send(b"%d" % number)) for number in (2, 3)]
    cancelled.cancel()
    joining = loop.start(client.join(hub.root))
    loop.turn(3)
    assert not any(task.done() for task in (*tasks, joining))
    assert client.try_send(b"never") is False
    transport.take(2)
    loop.turn(2)
    assert [task.done() for task in tasks] == [True, False]
    transport.take()
    loop.settle()
    assert transport.taken == b"0\n1\n2\n3\n"
    assert joining.result() is hub.root


def test_those_who_wait_for_space_learn_that_the_client_has_ended(loop: SteppedLoop) -> None:
    hub = hub_of(loop, outbox_limit=SPLICE_COST)
    client, transport = hub.connect(credit=0)
    loop.do(client.send(b"0"))
    loop.do(client.send(b"1"))
    waiting = loop.start(client.send(b"2"))
    transport.break_off(None)
    loop.settle()
    with pytest.raises(ConnectionClosed) as closed:
        waiting.result()
    assert (closed.value.peer, closed.value.ending) == (client.name, client.ending)
    for too_late in (client.send(b"3"), client.join(hub.root)):
        with pytest.raises(ConnectionClosed):
            loop.do(too_late)


def test_the_lag_is_what_the_client_has_not_been_sent_of_all_its_rooms(loop: SteppedLoop) -> None:
    hub = hub_of(loop)
    client, transport = hub.joined(credit=0)
    news = hub.room("news")
    loop.do(client.join(news))
    # Its transport has the first.
    hub.say(b"0", b"1")
    before = client.lag
    assert before.messages == 1
    loop.do(news.broadcast(b"x" * 1023))
    loop.do(hub.root.broadcast(b"x" * 2047))
    assert client.lag.messages == 3
    # What the log keeps beside the bytes counts too.
    assert 3 * KIB <= client.lag.bytes - before.bytes < 4 * KIB
    transport.take()
    loop.settle()
    assert client.lag == Lag(0, 0)


def test_a_client_that_leaves_rooms_it_still_reads_waits_in_the_end(loop: SteppedLoop) -> None:
    hub = hub_of(loop, outbox_limit=8 * SPLICE_COST)
    client, transport = hub.joined(credit=0)
    hub.say(b"a", b"b")
    left = 0
    while (leaving := loop.start(client.leave(hub.root))).done():
        left += 1
        loop.do(client.join(hub.root, since=hub.root.oldest))
    assert 0 < left < 8
    transport.take()
    loop.settle()
    assert leaving.done()
    assert not client._reader.full
    assert not client._reader.leaving
    assert transport.taken == b"a\nb\n" * (left + 1)


# Leaving and lagging.


def test_a_reader_that_left_a_room_while_it_lagged_reads_on_to_there_and_is_forgotten(loop: SteppedLoop) -> None:
    hub = hub_of(loop)
    client, transport = hub.joined(credit=0)
    hub.say(b"a", b"b")
    loop.do(client.leave(hub.root))
    assert client.rooms == frozenset()
    assert client.lag.messages == 1
    hub.say(b"too late")
    transport.take()
    loop.do(client.send(b"end"))
    loop.settle()
    assert transport.taken == b"a\nb\nend\n"
    assert client._reader.exhausted
    assert not left_over(hub.root)


def test_a_client_in_many_rooms_leaves_any_of_them(loop: SteppedLoop) -> None:
    hub = hub_of(loop)
    client, transport = hub.connect()
    rooms = [hub.room(name) for name in "abcd"]
    for room in rooms:
        loop.do(client.join(room))
    for room in (rooms[1], rooms[3], rooms[0]):
        loop.do(client.leave(room))
    for room in rooms:
        loop.do(room.broadcast(room.name.encode()))
    loop.settle()
    assert client.rooms == {rooms[2]}
    assert transport.taken == b"c\n"


def overrun(loop: SteppedLoop, hub: FakeHub, client: Client[Any], *, leaves: bool) -> int:
    """Broadcast more than is retained; how many messages were for the client, the first of which its transport has."""
    hub.say(*[b"x" * 200] * 4)
    if leaves:
        loop.do(client.leave(hub.root))
    hub.say(*[b"y" * 200] * 30)
    return 4 if leaves else 34


@pytest.mark.parametrize("leaves", [False, True])
def test_a_skip_is_told_exactly_while_leaving_too(loop: SteppedLoop, leaves: bool) -> None:
    hub = hub_of(loop, retention=4 * KIB, when_slow="skip")
    client, transport = hub.joined(credit=0)
    total = overrun(loop, hub, client, leaves=leaves)
    transport.take()
    loop.settle()
    first, notice, *rest = transport.taken.splitlines()
    assert first == b"x" * 200
    assert int(notice[1:].split()[0]) == total - 1 - len(rest)
    assert rest == [b"y" * 200] * len(rest)
    assert client._reader.exhausted == leaves
    assert not left_over(hub.root)


@pytest.mark.parametrize(
    ("room", "own", "ends"),
    [("skip", None, False), ("skip", "disconnect", True), ("disconnect", None, True), ("disconnect", "skip", False)],
)
def test_the_policy_of_a_client_comes_before_that_of_the_room(
    loop: SteppedLoop, room: str, own: str | None, ends: bool
) -> None:
    hub = hub_of(loop, retention=4 * KIB, when_slow=room)
    client, _ = hub.joined(credit=0)
    client.when_slow = own
    overrun(loop, hub, client, leaves=False)
    assert (client.ending is not None) == ends
    if client.ending:
        assert client.ending.code is EndingCode.SLOW
        assert "more than room root retains" in client.ending.reason


def test_a_client_that_is_being_closed_gets_no_skip_but_what_it_may_still_have(loop: SteppedLoop) -> None:
    hub = hub_of(loop, retention=4 * KIB, when_slow="skip")
    client, transport = hub.joined(credit=0)
    hub.say(b"a", b"b")
    closing = loop.start(client.close("enough"))
    hub.say(*[b"y" * 200] * 30)
    transport.take()
    loop.settle()
    assert transport.taken == b"a\n"
    assert transport.at_end
    assert closing.done()
    assert client.ending == CLOSED


def test_what_a_client_was_sent_before_it_joined_does_not_wait_for_a_flush_of_that_room(loop: SteppedLoop) -> None:
    """The client is behind in that room, so the end of the flush would not wake it."""
    hub = hub_of(loop, flush_slice=1)
    for _ in range(3):
        hub.joined()
    client, transport = hub.connect()
    # The flush takes many turns, and meanwhile something more is pending.
    hub.say(b"flushed")
    loop.do(hub.root.broadcast(b"pending"))
    loop.do(client.send(b"private"))
    loop.do(client.join(hub.root, since=2))
    loop.settle()
    assert transport.taken == b"private\nflushed\npending\n"
    assert client._reader.outbox.idle
