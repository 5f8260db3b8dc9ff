"""One reader's place in a log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.framing import BytesFraming
from hubbub.log.chunk import Buffer, CannotTell
from hubbub.log.clock import NEVER
from hubbub.log.cursor import Lag

from support.logs import AMPLE, FRAMING, OTHER_FRAMING, TOKENS, Failing, Seat, Source, leave, messages_in, offset_of

ME, OTHER = TOKENS[:2]

FRAMINGS = pytest.mark.parametrize("framing", [FRAMING, OTHER_FRAMING], ids=["own", "other"])


def heard(cursor: Seat, tick: int = NEVER) -> list[bytes]:
    """What the next reads give, up to the one that gives nothing."""
    messages: list[bytes] = []
    while buffers := cursor.read(tick):
        messages += messages_of(cursor, buffers)
    return messages


def messages_of(cursor: Seat, buffers: Sequence[Buffer]) -> list[bytes]:
    framing = cursor.rendering.framing
    assert isinstance(framing, BytesFraming)
    return messages_in(buffers, framing)


@FRAMINGS
def test_a_cursor_reads_what_is_flushed_after_it_and_no_more(framing: BytesFraming) -> None:
    source = Source(retention=AMPLE)
    source.say(b"before")
    cursor = source.cursor(framing=framing)
    source.say(b"a")
    source.say(b"b", flush=False)
    assert heard(cursor) == [b"a"]
    assert not cursor.waiting
    source.flush()
    assert cursor.waiting
    assert heard(cursor) == [b"b"]
    assert not cursor.waiting


@FRAMINGS
def test_a_cursor_reads_at_most_a_chunk_at_once(framing: BytesFraming) -> None:
    source = Source()
    cursor = source.cursor(framing=framing)
    source.say(b"a", b"b")
    source.say(b"c")
    assert messages_of(cursor, cursor.read(NEVER)) == [b"a", b"b"]
    assert messages_of(cursor, cursor.read(NEVER)) == [b"c"]


@FRAMINGS
def test_a_cursor_reads_what_was_broadcast_before_a_tick_and_no_more(framing: BytesFraming) -> None:
    source = Source(retention=AMPLE)
    cursor = source.cursor(framing=framing)
    source.say(b"a")
    tick = source.clock.place()
    source.say(b"b")
    assert heard(cursor, tick) == [b"a"]
    assert cursor.waiting
    assert cursor.tick == tick
    assert heard(cursor, tick + 1) == [b"b"]


def test_the_tick_of_a_cursor_is_that_of_what_it_reads_next_or_of_its_joining() -> None:
    source = Source(retention=AMPLE)
    ticks = []
    for message in (b"a", b"b", b"c"):
        ticks.append(source.clock.place())
        source.say(message)
    late = source.cursor(since=0)
    joined = late.joined
    assert joined > ticks[-1]
    assert late.tick == joined
    source.clock.place()
    source.say(b"d")
    heard(late, joined + 1)
    assert late.tick == source.log.batch_at(late.at).tick == joined + 1


def test_the_tick_of_a_cursor_that_retention_has_passed_is_that_of_its_joining() -> None:
    source = Source()
    cursor = source.cursor()
    source.say(b"a")
    source.clock.place()
    source.say(b"b")
    assert source.drop()
    assert cursor.tick == cursor.joined
    heard(cursor)
    # At the oldest message it is one like any other.
    source.say(b"c")
    assert source.drop()
    assert cursor.at == source.log.oldest
    assert cursor.tick == source.log.batch_at(cursor.at).tick > cursor.joined


def test_lag_is_the_head_minus_the_cursor_and_counts_what_is_pending() -> None:
    source = Source()
    cursor = source.cursor()
    assert cursor.lag == Lag(0, 0)
    source.say(b"a", b"b")
    source.say(b"c", flush=False)
    assert cursor.lag == Lag(3, offset_of([b"a", b"b"], [b"c"]))
    heard(cursor)
    assert cursor.lag == Lag(1, offset_of([b"c"]))


# Leaving.


@FRAMINGS
def test_a_leaving_reader_reads_what_the_room_had_and_no_more(framing: BytesFraming) -> None:
    source = Source()
    cursor = source.cursor(framing=framing)
    source.say(b"a")
    source.say(b"b", flush=False)
    leave(cursor)
    source.say(b"c", flush=False)
    assert cursor.lag.messages == 2
    assert heard(cursor) == [b"a"]
    assert not cursor.finished
    assert not cursor.waiting
    source.flush()
    assert cursor.waiting
    assert heard(cursor) == [b"b"]
    assert cursor.finished
    assert not cursor.waiting


def test_a_reader_that_leaves_when_it_has_read_everything_is_finished_at_once() -> None:
    source = Source()
    cursor = source.cursor()
    assert not cursor.finished
    leave(cursor)
    assert cursor.finished


# Retention.


def test_a_reader_that_retention_has_passed_is_told_how_many_it_missed_and_reads_on() -> None:
    source = Source()
    cursor = source.cursor()
    source.say(b"a", b"b")
    source.say(b"c")
    source.say(b"d")
    source.say(b"e")
    for _ in range(2):
        assert source.drop()
    assert cursor.waiting
    assert heard(cursor) == [b"3 missed", b"d", b"e"]


def test_a_reader_that_is_told_nothing_reads_on_where_the_log_starts() -> None:
    source = Source()
    cursor = source.cursor(notice=None)
    source.say(b"a")
    source.say(b"b")
    source.drop()
    assert cursor.read(NEVER) == [b"b\n"]


def test_a_reader_whose_framing_cannot_tell_it_what_it_missed_is_an_error_once() -> None:
    def fails(message: bytes) -> None:
        if b"missed" in message:
            raise ValueError

    source = Source()
    cursor = source.cursor(framing=Failing(fails))
    source.say(b"a")
    source.say(b"b")
    source.drop()
    with pytest.raises(CannotTell, match="1 messages are missing"):
        cursor.read(NEVER)


def test_what_was_missed_is_told_once_and_what_is_missed_later_by_itself() -> None:
    source = Source()
    cursor = source.cursor()
    for message in (b"a", b"b", b"c"):
        source.say(message, excluded=ME if message == b"a" else 0)
    source.drop()
    source.drop()
    assert messages_of(cursor, cursor.read(NEVER)) == [b"1 missed"]
    source.say(b"d")
    source.drop()
    assert heard(cursor) == [b"1 missed", b"d"]
    assert heard(cursor) == []


def test_a_chunk_that_the_reader_has_read_is_not_passed_over() -> None:
    source = Source()
    cursor = source.cursor()
    source.say(b"its own", excluded=ME)
    source.say(b"a")
    chunk = source.log.chunk_at(cursor.at)
    heard(cursor)
    cursor.pass_over(chunk)
    assert cursor.passed == 0


def test_a_leaving_reader_misses_what_was_said_before_it_left_and_no_more() -> None:
    source = Source()
    cursor = source.cursor()
    source.say(b"a")
    source.say(b"its own", excluded=ME)
    leave(cursor)
    source.say(b"b", excluded=ME)
    source.say(b"c")
    source.say(b"d")
    while source.drop():
        pass
    assert cursor.waiting
    assert not cursor.finished
    assert heard(cursor) == [b"1 missed"]
    assert cursor.finished
    assert not cursor.waiting
    # What is dropped then is nothing to it.
    source.say(b"e")
    source.drop()
    assert heard(cursor) == []


# What the framing of the reader cannot carry.


def test_a_message_that_the_framing_cannot_carry_is_told_as_missed_in_its_place() -> None:
    source = Source()
    cursor = source.cursor(framing=OTHER_FRAMING)
    source.say(b"a", b"b|c", b"d")
    source.say(b"|")
    assert heard(cursor) == [b"a", b"1 missed", b"d", b"1 missed"]


def test_chunks_of_which_the_reader_gets_nothing_are_passed_over_in_one_read() -> None:
    source = Source()
    cursor = source.cursor(ME, framing=OTHER_FRAMING, notice=None)
    source.say(b"b|c")
    source.say(b"its own", excluded=ME)
    source.say(b"|")
    source.say(b"d")
    assert cursor.read(NEVER) == [b"d|"]
    source.say(b"|")
    assert cursor.read(NEVER) == []
    assert cursor.lag == Lag(0, 0)


# Against a naive model.

steps = st.one_of(
    st.tuples(st.just("say"), st.integers(1, 3), st.sampled_from((0, ME, OTHER)), st.booleans()),
    st.tuples(st.just("place")),
    st.tuples(st.just("flush")),
    st.tuples(st.just("drop")),
    st.tuples(st.just("join"), st.sampled_from(TOKENS), st.sampled_from((FRAMING, OTHER_FRAMING)), st.integers(0, 9)),
    st.tuples(st.just("leave"), st.integers(0, 9)),
    st.tuples(st.just("read"), st.integers(0, 9), st.integers(0, 6)),
)


@given(st.lists(steps, max_size=40), st.sampled_from((0, 4000)))
def test_whatever_happens_a_reader_gets_what_is_due_or_is_told_how_much_it_is_not(
    script: list[Any], retention: int
) -> None:
    source = Source(retention=retention)
    said: list[tuple[bytes, int, int]] = []
    """Each message, whom it excludes, and its tick."""

    def due(cursor: Seat, start: int, stop: int, tick: int = NEVER) -> list[bytes]:
        return [message for message, excluded, at in said[start:stop] if excluded != cursor.token and at < tick]

    def read(cursor: Seat, tick: int) -> None:
        before, oldest = cursor.at.seq, source.log.oldest.seq
        stop = source.log.readable.seq if cursor.end is None else min(cursor.end, source.log.readable.seq)
        assert cursor.stop == stop
        assert cursor.waiting is (before < stop)
        buffers = cursor.read(tick)
        messages = messages_of(cursor, buffers)
        missed = len(due(cursor, before, min(oldest, stop)))
        if missed:
            assert messages == [b"%d missed" % missed]
            assert cursor.at.seq == oldest
            return
        start = max(before, oldest)
        assert messages == due(cursor, start, cursor.at.seq, tick)
        assert start <= cursor.at.seq <= max(start, stop)
        if not messages:
            assert not due(cursor, start, stop, tick)
        lag = max(0, (len(said) if cursor.end is None else cursor.end) - cursor.at.seq)
        assert cursor.finished is (cursor.end is not None and not lag)

    for step in script:
        match step:
            case "say", count, excluded, flush:
                messages = [b"%d" % (len(said) + index) for index in range(count)]
                said += [(message, excluded, source.clock.now) for message in messages]
                source.say(*messages, excluded=excluded, flush=flush)
            case ("place",):
                source.clock.place()
            case ("flush",):
                source.flush()
            case ("drop",):
                source.drop()
            case "join", token, framing, back:
                since = max(source.log.oldest.seq, len(said) - back)
                source.cursor(token, framing=framing, since=since)
            case "leave", index if index < len(source.cursors) and source.cursors[index].end is None:
                leave(source.cursors[index])
            case "read", index, back if index < len(source.cursors):
                read(source.cursors[index], source.clock.now + 1 - back)
    source.flush()
    for cursor in source.cursors:
        while cursor.waiting:
            read(cursor, NEVER)
        assert cursor.at.seq >= cursor.stop
