"""Readers that memory has passed read on from the older end of the log, where it has one."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from hubbub.framing import Delimited
from hubbub.hub import fetches as fetches_module
from hubbub.hub import reader as reader_module
from hubbub.log.chunk import Chunk
from hubbub.values.ending import Ending, EndingCode
from hubbub.values.errors import PositionLost

from support.older import KIB, Stage, texts_of
from support.stepping import SteppedLoop, left_over
from support.stored import SlowOlderEnd


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


def test_what_need_not_be_read_is_written_without_a_fetch(loop: SteppedLoop) -> None:
    stage = Stage(loop)
    stage.older.caching = 1
    client, transport = stage.join(credit=0)
    stage.say(50)
    loop.do(client.send(b"private"))
    later = stage.say(50)
    transport.take()
    loop.settle()
    assert transport.taken == stage.wire(0, 50) + b"private\n" + later
    assert stage.older.reads == []


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
    loop.spend(6)
    assert client.ending
    reason = "a piece of the older messages of room root took longer than 5 s"
    assert client.ending == Ending(EndingCode.UNDELIVERABLE, reason)
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
    assert client._reader.outbox.idle
    assert client._reader.unsettled == 0
    if how == "leaves":
        assert transport.taken == stage.wire(0, 100)
        assert client.ending is None


# Older ends that do not keep the contract.


def test_an_older_end_that_takes_no_chunk_holds_up_no_sender(
    loop: SteppedLoop, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(loop)
    _, transport = stage.join()
    monkeypatch.setattr(stage.older, "append", None)
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

    monkeypatch.setattr(stage.older, "cached", lambda seq: Chunk() if wrong == "empty" else first)
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


@pytest.mark.parametrize("wrong", ["empty", "before it"])
def test_a_cached_chunk_without_the_message_is_not_read(
    loop: SteppedLoop, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    stage = Stage(loop)
    _, transport = stage.join(credit=0)
    stage.say(100)
    first = Chunk() if wrong == "empty" else loop.do(stage.older.chunk_at(0))
    monkeypatch.setattr(stage.older, "cached", lambda seq: first)
    transport.take()
    loop.settle()
    assert transport.taken == stage.wire()


def test_a_cache_that_raises_ends_the_reader_and_nobody_else(
    loop: SteppedLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(loop)
    client, transport = stage.join(credit=0)
    _, heard = stage.join()

    def cached(seq: int) -> Chunk:
        raise OSError("no memory of it")

    monkeypatch.setattr(stage.older, "cached", cached)
    stage.say(100)
    transport.take()
    loop.settle()
    assert client.ending
    assert client.ending.code is EndingCode.UNDELIVERABLE
    assert heard.taken == stage.wire()


def test_readers_that_wait_for_the_same_piece_share_a_fetch(loop: SteppedLoop) -> None:
    stage = Stage(loop, turns=5)
    readers = [stage.join(credit=0) for _ in range(5)]
    stage.say(100)
    for _, transport in readers:
        transport.take()
    loop.turn(3)
    assert len(stage.hub._pump.tasks) == 1
    loop.settle()
    assert [transport.taken for _, transport in readers] == [stage.wire()] * 5
    assert len(stage.older.reads) == len(set(stage.older.reads))


def test_of_many_readers_whose_fetch_fails_some_are_ended_in_each_turn(
    loop: SteppedLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetches_module, "JUDGED_AT_ONCE", 2)
    stage = Stage(loop)
    readers = [stage.join(credit=0) for _ in range(5)]
    stage.say(100)
    stage.older.failure = LookupError("gone")
    for _, transport in readers:
        transport.take()
    ended = []
    for _ in range(8):
        loop.turn()
        ended.append(len(stage.hub.told.endings))
    assert sorted({*ended}) == [0, 2, 4, 5]
    assert {ending.code for ending in stage.hub.told.endings} == {EndingCode.SLOW}


def test_a_reader_that_cannot_be_placed_again_ends_and_those_that_wait_with_it_read_on(
    loop: SteppedLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(loop, turns=3)
    readers = [stage.join(credit=0) for _ in range(3)]
    stage.say(100)
    fetches = stage.room.fan_out.fetches
    place = fetches._placed

    def placed(cursor: Any) -> None:
        if cursor.reader.client is readers[0][0]:
            raise ValueError("no place for it")
        place(cursor)

    monkeypatch.setattr(fetches, "_placed", placed)
    for _, transport in readers:
        transport.take()
    loop.settle()
    assert readers[0][0].ending == Ending(EndingCode.UNDELIVERABLE, "no place for it")
    assert [transport.taken for _, transport in readers[1:]] == [stage.wire()] * 2


def test_a_fetch_that_fails_at_once_ends_the_reader_with_nothing_more_written(
    loop: SteppedLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with eager tasks."""
    stage = Stage(loop)
    client, transport = stage.join(credit=0)
    stage.say(100)
    loop.do(client.send(b"private"))

    (cursor,) = client._reader.cursors

    def start(work: Any, ended: Any) -> None:
        work.close()
        client._reader.lose(cursor)

    monkeypatch.setattr(stage.hub._pump, "start", start)
    transport.take()
    loop.settle()
    assert client.ending
    assert client.ending.code is EndingCode.SLOW
    assert transport.taken == stage.wire(0, 1)


@pytest.mark.parametrize("begun", [0, 3], ids=["before it has begun", "later"])
def test_a_fetch_that_is_cancelled_ends_the_reader(loop: SteppedLoop, begun: int) -> None:
    stage = Stage(loop, turns=10)
    client, transport = stage.join(credit=0)
    _, later = stage.join(credit=0)
    stage.say(100)
    transport.take()
    while not stage.hub._pump.tasks:
        loop.turn()
    loop.turn(begun)
    (task,) = stage.hub._pump.tasks
    task.cancel()
    loop.settle()
    assert client.ending
    assert client.ending.code is EndingCode.SLOW
    # Who comes to that place later does not wait behind it.
    later.take()
    loop.settle()
    assert later.taken == stage.wire()


def test_readers_are_ended_even_by_an_error_that_cannot_be_told(loop: SteppedLoop) -> None:
    class Unspeakable(OSError):
        def __str__(self) -> str:
            raise ValueError("no words")

    stage = Stage(loop)
    readers = [stage.join(credit=0) for _ in range(3)]
    stage.say(100)
    stage.older.failure = Unspeakable()
    for _, transport in readers:
        transport.take()
    loop.settle()
    assert all(client.ending for client, _ in readers)


def test_a_reader_that_has_gone_is_not_told_of_when_its_fetch_fails(
    loop: SteppedLoop, caplog: pytest.LogCaptureFixture
) -> None:
    stage = Stage(loop, turns=5)
    client, transport = stage.join(credit=0)
    stage.say(100)
    stage.older.failure = OSError("too late to matter")
    transport.take()
    loop.turn(3)
    assert stage.hub._pump.tasks
    transport.break_off(None)
    loop.settle()
    assert client.ending
    assert client.ending.code is not EndingCode.UNDELIVERABLE
    assert "cannot be written to" not in caplog.text


def test_a_reader_that_comes_after_a_failure_has_a_fetch_of_its_own(loop: SteppedLoop) -> None:
    stage = Stage(loop)
    (first, taking), (_, transport) = [stage.join(credit=0) for _ in range(2)]
    stage.say(100)
    stage.older.failure = OSError("only once")
    taking.take()
    while not first.ending:
        loop.turn()
    transport.take()
    loop.settle()
    assert transport.taken == stage.wire()


def test_a_reader_that_is_excluded_from_what_is_cached_reads_it_in_many_turns(
    loop: SteppedLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To pass over a piece takes time too, if only to make it in the framing of the reader."""
    monkeypatch.setattr(reader_module, "PUMP_SIZE", 2000)
    stage = Stage(loop)
    stage.older.caching = 1
    client, transport = stage.join(credit=0)
    first = stage.say(1)
    stage.say(200, exclude=client)
    transport.take()
    (cursor,) = client._reader.cursors
    places: list[int] = []
    while not cursor.finished and (not places or cursor.at.seq < 150):
        places.append(cursor.at.seq)
        loop.turn()
    assert max(later - earlier for earlier, later in pairwise(places)) <= 10
    loop.settle()
    assert transport.taken == first


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
