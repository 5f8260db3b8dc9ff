"""Readers that memory has passed read on from the older end of the log, where it has one."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any

import pytest

from hubbub.framing import ByteLines, Delimited
from hubbub.hub.room import HISTORY_SLICE
from hubbub.log.chunk import Chunk
from hubbub.values.ending import EndingCode
from hubbub.values.errors import ConnectionClosed, PositionLost
from hubbub.values.settings import Settings

from support.older import SlowOlderEnd
from support.stepping import FakeHub, FakeTransport, SteppedLoop, left_over

KIB = 1024
ALL = 2**30


class Stage:
    """A room that keeps little in memory, on a loop that a test turns, and its older end."""

    def __init__(self, loop: SteppedLoop, *, held: int = ALL, turns: int = 0, **options: Any) -> None:
        self.loop = loop
        self.older = SlowOlderEnd(held, turns)
        limits = Settings(**{"retention": 4 * KIB, "pace": None, "notice": "{missed} missed", **options})
        self.hub = FakeHub(loop, ByteLines(), limits, lambda: self.older)
        self.room = self.hub.root
        self.said: list[bytes] = []

    def join(self, **options: Any) -> tuple[Any, FakeTransport]:
        return self.hub.joined(self.room, **options)

    def say(self, count: int, *, exclude: Any = None) -> bytes:
        """Say so many messages, each in a turn of its own; how they look on the wire."""
        start = len(self.said)
        for _ in range(count):
            self.said.append(b"%03d %s\n" % (len(self.said), b"x" * 100))
            self.loop.do(self.room.broadcast(self.said[-1], exclude=exclude))
            self.loop.turn()
        return self.wire(start)

    def wire(self, start: int = 0, stop: int | None = None) -> bytes:
        return b"".join(self.said[start:stop])

    def since(self, seq: int) -> Any:
        return self.room._log.position(seq)


@pytest.mark.parametrize("turns", [0, 3])
def test_a_reader_that_memory_has_passed_misses_nothing_and_is_ready_again(loop: SteppedLoop, turns: int) -> None:
    stage = Stage(loop, turns=turns)
    client, transport = stage.join(credit=0)
    stage.say(100)
    assert client.ending is None
    transport.take()
    loop.settle()
    assert transport.taken == stage.wire()
    assert not left_over(stage.room)
    transport.taken.clear()
    reads = len(stage.older.reads)
    assert stage.say(1) == transport.taken
    assert len(stage.older.reads) == reads > 0


def test_each_chunk_of_the_older_end_is_read_once_and_only_when_the_socket_takes_data(loop: SteppedLoop) -> None:
    stage = Stage(loop)
    _, transport = stage.join(credit=0)
    stage.say(100)
    assert stage.older.reads == []
    transport.take(1000)
    loop.turn(20)
    assert 0 < len(stage.older.reads) < 15
    transport.take()
    loop.settle()
    assert len(stage.older.reads) == len(set(stage.older.reads))


def test_private_messages_and_exclusions_keep_their_place_in_the_older_end(loop: SteppedLoop) -> None:
    stage = Stage(loop, turns=2)
    client, transport = stage.join(credit=0)
    before = stage.say(30)
    loop.do(client.send(b"private"))
    stage.say(5, exclude=client)
    # Within a chunk, too.
    for text in (b"first", b"second"):
        loop.do(stage.room.broadcast(text))
        loop.do(client.send(b"behind it"))
    loop.turn()
    after = stage.say(60)
    transport.take()
    loop.settle()
    within = b"first\nbehind it\nsecond\nbehind it\n"
    assert transport.taken == before + b"private\n" + within + after


def test_a_message_that_is_sent_while_a_reader_catches_up_comes_behind(loop: SteppedLoop) -> None:
    stage = Stage(loop, turns=5)
    stage.say(100)
    client, transport = stage.hub.connect()
    task = loop.start(client.join(stage.room, since=stage.since(0)))
    loop.turn(6)
    assert task.done()
    loop.do(client.send(b"private"))
    assert transport.taken == b""
    later = stage.say(3)
    loop.settle()
    assert transport.taken == stage.wire(0, 100) + b"private\n" + later


def test_readers_of_another_framing_catch_up_too(loop: SteppedLoop) -> None:
    stage = Stage(loop)
    _, transport = stage.join(framing=Delimited(b"|"), credit=0)
    stage.say(100)
    transport.take()
    loop.settle()
    assert transport.taken == stage.wire().replace(b"\n", b"|")


def test_with_skip_a_reader_is_kept_fresh_and_does_not_read_the_older_end(loop: SteppedLoop) -> None:
    stage = Stage(loop, when_slow="skip")
    _, transport = stage.join(credit=0)
    stage.say(100)
    transport.take()
    loop.settle()
    # What the transport had, the notice, and what memory holds.
    oldest = stage.room._log.oldest.seq
    assert transport.taken == stage.wire(0, 1) + b"%d missed in root.0\n" % (oldest - 1) + stage.wire(oldest)
    assert stage.older.reads == []


def test_where_the_older_end_has_lost_it_too_a_reader_is_ended(loop: SteppedLoop) -> None:
    stage = Stage(loop, held=4 * KIB)
    client, transport = stage.join(credit=0)
    stage.say(100)
    transport.take()
    loop.settle()
    assert client.ending
    assert client.ending.code is EndingCode.SLOW
    assert not left_over(stage.room)


def test_a_reader_whose_place_the_older_end_loses_is_ended_whatever_its_policy(loop: SteppedLoop) -> None:
    """Nobody could tell how many of the messages that are lost it was excluded from."""
    stage = Stage(loop, when_slow="skip")
    stage.say(100)
    client, transport = stage.hub.connect()
    loop.do(client.join(stage.room, since=stage.since(0)))
    stage.older.failure = LookupError("gone")
    loop.settle()
    assert client.ending
    assert client.ending.code is EndingCode.SLOW
    assert transport.taken == b""


def test_an_older_end_that_fails_ends_that_reader_and_nobody_else(
    loop: SteppedLoop, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(loop)
    client, transport = stage.join(credit=0)
    other, heard = stage.join()
    stage.say(100)
    stage.older.failure = OSError("the disk is gone")
    transport.take()
    loop.settle()
    assert client.ending
    assert client.ending.code is EndingCode.UNDELIVERABLE
    assert client.ending.reason == "the disk is gone"
    assert other.ending is None
    assert heard.taken == stage.wire()
    assert "cannot be written to" in caplog.text


def test_a_read_that_takes_too_long_ends_that_reader(loop: SteppedLoop) -> None:
    stage = Stage(loop, turns=10**9, fetch_time=5)
    client, transport = stage.join(credit=0)
    stage.say(100)
    transport.take()
    loop.turn(3)
    loop.advance(6)
    loop.turn(5)
    assert client.ending
    assert client.ending.code is EndingCode.UNDELIVERABLE
    assert not stage.hub._pump.tasks


@pytest.mark.parametrize("how", ["leaves", "ends"])
def test_a_reader_may_go_while_a_chunk_is_on_its_way(loop: SteppedLoop, how: str) -> None:
    stage = Stage(loop, turns=5)
    client, transport = stage.join(credit=0)
    stage.say(100)
    transport.take()
    loop.turn(2)
    if how == "leaves":
        loop.do(client.leave(stage.room))
        stage.say(1)
    else:
        transport.break_off(None)
    loop.settle()
    assert not stage.hub._pump.tasks
    assert not left_over(stage.room)
    if how == "leaves":
        assert transport.taken == stage.wire(0, 100)
        assert client.ending is None


# Older ends that do not keep the contract.


def test_an_older_end_that_takes_no_chunk_holds_up_no_sender(
    loop: SteppedLoop, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(loop)
    _, transport = stage.join()
    monkeypatch.setattr(stage.older, "add", None)
    newcomer, heard = stage.hub.connect()
    texts = stage.say(50)
    loop.do(newcomer.join(stage.room))
    texts += stage.say(50)
    assert transport.taken == texts
    assert heard.taken == stage.wire(50)
    assert "the older end of a log takes no chunk" in caplog.text


@pytest.mark.parametrize("wrong", ["empty", "before it"])
def test_a_chunk_without_the_message_that_was_asked_for_ends_the_reader(
    loop: SteppedLoop, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    stage = Stage(loop)
    stage.say(100)
    first = loop.do(stage.older.chunk_at(0))

    async def chunk_at(seq: int) -> Chunk:
        return Chunk() if wrong == "empty" else first

    monkeypatch.setattr(stage.older, "chunk_at", chunk_at)
    client, _ = stage.hub.connect()
    with pytest.raises(PositionLost):
        loop.do(client.join(stage.room, since=stage.since(50)))
    history = loop.start(texts_of(stage.room.history(since=stage.since(50))))
    loop.settle()
    assert isinstance(history.exception(), PositionLost)


def test_an_older_end_that_cannot_say_what_it_holds_ends_those_that_memory_passes(
    loop: SteppedLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(loop)
    client, _ = stage.join(credit=0)
    _, heard = stage.join()
    monkeypatch.setattr(SlowOlderEnd, "start", property(lambda older: older.gone))
    stage.say(100)
    assert client.ending
    assert client.ending.code is EndingCode.UNDELIVERABLE
    assert heard.taken == stage.wire()


def test_a_fetch_that_fails_at_once_ends_the_reader_with_nothing_more_written(
    loop: SteppedLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with eager tasks."""
    stage = Stage(loop)
    client, transport = stage.join(credit=0)
    stage.say(100)
    loop.do(client.send(b"private"))

    (cursor,) = client._reader.cursors

    def start(work: Any) -> None:
        work.close()
        client._reader.lose(cursor)

    monkeypatch.setattr(stage.hub._pump, "start", start)
    transport.take()
    loop.settle()
    assert client.ending
    assert client.ending.code is EndingCode.SLOW
    assert transport.taken == stage.wire(0, 1)


def test_a_fetch_that_is_cancelled_ends_the_reader(loop: SteppedLoop) -> None:
    stage = Stage(loop, turns=10)
    client, transport = stage.join(credit=0)
    stage.say(100)
    transport.take()
    loop.turn(3)
    (task,) = stage.hub._pump.tasks
    task.cancel()
    loop.settle()
    assert client.ending
    assert client.ending.code is EndingCode.SLOW


def test_a_reader_that_takes_nothing_holds_no_chunk(loop: SteppedLoop) -> None:
    stage = Stage(loop)
    client, transport = stage.join(credit=0)
    stage.say(100)
    transport.take(1000)
    loop.settle()
    (cursor,) = client._reader.cursors
    assert cursor.catching_up
    assert cursor.chunk is None
    assert not stage.hub._pump.tasks


def test_what_was_read_of_the_older_end_does_not_count_in_what_is_missed_later(loop: SteppedLoop) -> None:
    stage = Stage(loop)
    client, transport = stage.join(credit=0)
    stage.say(1)
    stage.say(3, exclude=client)
    stage.say(50)
    transport.take()
    loop.settle()
    assert transport.taken == stage.wire(0, 1) + stage.wire(4)
    client.when_slow = "skip"
    transport.stall()
    start = len(stage.said)
    stage.say(100)
    transport.taken.clear()
    transport.take()
    loop.settle()
    oldest = stage.room._log.oldest.seq
    heard = stage.wire(start, start + 1) + b"%d missed in root.0\n" % (oldest - start - 1) + stage.wire(oldest)
    assert transport.taken == heard


# Joining and looking back.


def test_history_repeats_nothing_where_the_older_end_joins_chunks(loop: SteppedLoop) -> None:
    stage = Stage(loop, turns=1)
    stage.say(60)
    task = loop.start(texts_of(stage.room.history()))
    stage.say(100)
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
    stage = Stage(loop, held=4 * KIB)
    stage.say(100)
    client, _ = stage.hub.connect()
    assert not stage.room.holds(stage.since(0))
    with pytest.raises(PositionLost) as lost:
        loop.do(client.join(stage.room, since=stage.since(0)))
    assert lost.value.oldest == stage.room.oldest
    stage.older.failure = LookupError("gone")
    with pytest.raises(PositionLost):
        loop.do(client.join(stage.room, since=stage.room.oldest))
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


async def texts_of(history: Any) -> list[bytes]:
    return [entry.message + b"\n" async for entry in history]


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
