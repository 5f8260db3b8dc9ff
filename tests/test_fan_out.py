"""The readers of one room: the flush, retention, and what holds senders back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hubbub.client import Client
from hubbub.endings import EndingCode
from hubbub.framing import ByteLines
from hubbub.room import Room
from hubbub.settings import Settings

from logs import Failing
from stepping import FakeHub, FakeTransport, SteppedLoop, left_over, new_loop

KIB = 1024


@pytest.fixture
def loop() -> Iterator[SteppedLoop]:
    with new_loop() as loop:
        yield loop


def hub_of(loop: SteppedLoop, **options: Any) -> FakeHub:
    return FakeHub(loop, ByteLines(), Settings(**{"pace": None, **options}))


def joined(loop: SteppedLoop, room: Room[Any], **options: Any) -> tuple[Client[Any], FakeTransport]:
    """A client that is in a room, and its transport."""
    hub = options.pop("hub")
    client, transport = hub.connect(**options)
    loop.do(client.join(room))
    return client, transport


def test_the_last_words_of_a_closed_room_come_before_the_first_of_its_successor(loop: SteppedLoop) -> None:
    """Although the flush of the closed room takes several turns."""
    hub = hub_of(loop, flush_slice=1)
    room = hub.room("news")
    members = [joined(loop, room, hub=hub) for _ in range(4)]
    loop.do(room.broadcast(b"first"))
    loop.turn(2)
    loop.do(room.broadcast(b"last"))
    room.close()
    successor = hub.room("news")
    for client, _ in members:
        loop.do(client.join(successor))
    loop.do(successor.broadcast(b"next"))
    loop.settle()
    assert [bytes(transport.taken) for _, transport in members] == [b"first\nlast\nnext\n"] * 4


def test_a_client_with_two_places_in_a_chunk_is_ended_once_when_retention_passes_them(
    loop: SteppedLoop, caplog: pytest.LogCaptureFixture
) -> None:
    hub = hub_of(loop, retention=4 * KIB)
    client, _ = joined(loop, hub.root, hub=hub, credit=0)
    other, _ = joined(loop, hub.root, hub=hub)
    loop.do(hub.root.broadcast(b"it takes none of this"))
    loop.turn()
    before = hub.root.head
    loop.do(hub.root.broadcast(b"it stands before this"))
    loop.turn()
    loop.do(client.leave(hub.root))
    loop.do(client.join(hub.root, since=before))
    for _ in range(20):
        loop.do(hub.root.broadcast(b"x" * 200))
        loop.turn()
    assert client.ending
    assert client.ending.code is EndingCode.SLOW
    assert not left_over(hub.root)
    assert hub.root.clients == {other}
    assert [record.message for record in caplog.records] == []


def test_a_message_that_a_framing_can_neither_carry_nor_tell_of_ends_only_those_it_is_for(loop: SteppedLoop) -> None:
    def fails(message: bytes) -> None:
        if message != b"fine":
            raise ValueError(message)

    hub, framing = hub_of(loop), Failing(fails)
    (excluded, its), (other, _), (late, later) = [joined(loop, hub.root, hub=hub, framing=framing) for _ in range(3)]
    loop.do(late.leave(hub.root))
    loop.do(hub.root.broadcast(b"not so", exclude=excluded))
    loop.do(late.join(hub.root, since=hub.root.head))
    loop.do(hub.root.broadcast(b"fine"))
    loop.settle()
    assert other.ending
    assert other.ending.code is EndingCode.UNDELIVERABLE
    assert [client.ending for client in (excluded, late)] == [None, None]
    assert [bytes(transport.taken) for transport in (its, later)] == [b"fine|", b"fine|"]
    assert not left_over(hub.root)
