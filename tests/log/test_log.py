"""The bounded log of a room."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.framing import Lines
from hubbub.log.chunk import BATCH_COST, Mark
from hubbub.log.clock import NEVER, Clock
from hubbub.log.history import Entry, batches_since, entries_since
from hubbub.log.log import SMALL_CHUNK, Log
from hubbub.values.errors import PositionLost
from hubbub.values.position import Position

from support.logs import AMPLE, Said, Source, broadcasts, locate, offset_of

KIB = 1024


def history(log: Log[bytes], seq: int = 0) -> list[bytes]:
    return [entry.message for entry in entries_since(log, seq)]


def sizes(log: Log[bytes]) -> list[int]:
    """How many batches there are in each chunk, from the oldest on."""
    counts: list[int] = []
    at = log.oldest
    while at.seq < log.readable.seq:
        chunk = log.chunk_at(at)
        counts.append(len(chunk.batches))
        at = chunk.end
    return counts


logs = st.lists(broadcasts(), max_size=12)


# Appending, and the flush.


def test_what_is_appended_is_pending_until_a_flush_makes_it_readable() -> None:
    source = Source(retention=AMPLE)
    log = source.log
    source.say(b"a", b"b", flush=False)
    assert (log.head.seq, log.readable.seq) == (2, 0)
    chunk = log.flush()
    assert chunk.wire.data == b"a\nb\n"
    assert log.head == log.readable == chunk.end
    assert log.chunk_at(Mark(0, 0)) is chunk


def test_what_is_pending_is_counted() -> None:
    source = Source()
    log = source.log
    assert (log.pending_size, log.pending_appends) == (0, 0)
    assert log.pending_tick == NEVER
    source.say(b"x" * 1000, excluded=1, flush=False)
    source.say(b"y", flush=False)
    source.say(b"z", flush=False)
    assert log.pending_size == offset_of([b"x" * 1000], [b"y", b"z"])
    assert log.pending_appends == 3
    assert log.pending_tick == 1
    log.flush()
    assert (log.pending_size, log.pending_appends) == (0, 0)
    assert log.pending_tick == NEVER


def test_messages_of_one_sender_in_a_row_share_a_batch() -> None:
    log = Source().log
    for time in (1.5, 2.5):
        log.append(b"a\n", 1, time=time, sender="alice", token=1, excluded=1)
    ((batch, wire),) = batches_since(log, 0)
    assert (batch.time, batch.sender, batch.token, batch.excluded, batch.count) == (1.5, "alice", 1, 1, 2)
    assert wire == b"a\na\n"
    assert log.head == Mark(2, offset_of([b"a", b"a"]))


def test_a_batch_counts_no_more_than_64_kib_unless_a_single_broadcast_does() -> None:
    log = Source().log
    for wire in (b"a" * 32 * KIB, b"b" * (32 * KIB - BATCH_COST), b"c", b"d" * 100 * KIB):
        log.append(wire, 1, time=0.0)
    assert [(batch.count, batch.size) for batch, _ in batches_since(log, 0)] == [
        (2, 64 * KIB - BATCH_COST),
        (1, 1),
        (1, 100 * KIB),
    ]


def test_another_sender_token_or_exclusion_starts_a_batch() -> None:
    log = Source().log
    # An append says how many messages the log has had.
    assert log.append(b"a\n", 1, time=0.0) == 1
    assert log.append(b"b\n", 1, time=0.0, sender="alice") == 2
    log.append(b"c\n", 1, time=0.0, sender="alice", token=1)
    log.append(b"d\n", 1, time=0.0, sender="alice", token=2)
    log.append(b"e\n", 1, time=0.0, sender="alice", token=2, excluded=1)
    log.append(b"f\n", 1, time=0.0, sender="alice", token=2, excluded=2)
    assert [(batch.sender, batch.token, batch.excluded, wire) for batch, wire in batches_since(log, 0)] == [
        ("", 0, 0, b"a\n"),
        ("alice", 0, 0, b"b\n"),
        ("alice", 1, 0, b"c\n"),
        ("alice", 2, 0, b"d\n"),
        ("alice", 2, 1, b"e\n"),
        ("alice", 2, 2, b"f\n"),
    ]


def test_what_is_placed_on_the_clock_and_a_flush_end_a_batch() -> None:
    source = Source()
    source.say(b"a", flush=False)
    source.clock.place()
    source.say(b"b")
    source.say(b"c")
    assert [(batch.tick, wire) for batch, wire in batches_since(source.log, 0)] == [
        (1, b"a\n"),
        (2, b"b\n"),
        (2, b"c\n"),
    ]


def test_a_batch_in_one_room_does_not_end_one_in_another() -> None:
    clock = Clock()
    red, green = Source(clock=clock), Source(clock=clock)
    for source in (red, green, red, green):
        source.say(b"a", flush=False)
    assert [len(list(batches_since(source.log, 0))) for source in (red, green)] == [1, 1]
    # What is placed later lies behind both.
    assert clock.place() > max(batch.tick for source in (red, green) for batch, _ in batches_since(source.log, 0))


@given(logs)
def test_marks_count_all_messages_and_bytes_since_the_log_began(said: list[Said]) -> None:
    source = Source(retention=AMPLE)
    source.repeat(said)
    batches = list(batches_since(source.log, 0))
    assert [wire.count(b"\n") for _, wire in batches] == [batch.count for batch, _ in batches]
    assert [len(wire) for _, wire in batches] == [batch.size for batch, _ in batches]
    for (before, wire), (after, _) in pairwise(batches):
        assert after.start == Mark(before.start.seq + before.count, before.start.offset + BATCH_COST + len(wire))
        assert before.tick <= after.tick
    assert source.log.head == (batches[-1][0].end if batches else Mark(0, 0))


# Chunks, and retention.


def test_a_flush_is_a_chunk_of_its_own_until_it_is_compacted() -> None:
    source = Source(retention=AMPLE)
    log = source.log
    source.say(b"a", flush=False)
    first = log.flush()
    assert log.compact() is None
    source.say(b"b", flush=False)
    later = log.flush()
    assert sizes(log) == [1, 1]
    assert log.chunk_at(Mark(1, 0)) is later
    assert log.compact() == (first, later)
    assert sizes(log) == [2]
    assert log.chunk_at(Mark(1, 0)) is log.chunk_at(Mark(0, 0)) is first


@pytest.mark.parametrize(("first", "later", "joins"), [(1, 1, True), (1, 0, True), (1, 2, False), (0, 1, True)])
def test_chunks_are_joined_up_to_32_kib_and_no_further(first: int, later: int, joins: bool) -> None:
    """The figures are bytes more than half of that, less one."""
    source = Source(retention=AMPLE)
    for more in (first, later):
        source.say(b"x" * (SMALL_CHUNK // 2 - 1 + more - 1), flush=False)
        source.log.flush()
    assert (source.log.compact() is not None) is joins


@pytest.mark.parametrize(("spare", "joins"), [(0, True), (-1, False)])
def test_chunks_are_joined_up_to_an_eighth_of_the_retention_and_no_further(spare: int, joins: bool) -> None:
    source = Source(retention=8 * (offset_of([b"a"], [b"b"]) + spare))
    source.say(b"a")
    source.say(b"b")
    assert sizes(source.log) == ([2] if joins else [1, 1])


def test_a_large_chunk_is_not_joined_to_either_side() -> None:
    source = Source(retention=AMPLE)
    source.say(b"a")
    source.say(b"x" * SMALL_CHUNK)
    source.say(b"b")
    source.say(b"c")
    assert sizes(source.log) == [1, 1, 2]


def test_nothing_is_overdue_up_to_the_retention_and_the_oldest_chunk_is_beyond_it() -> None:
    source = Source(retention=3 * offset_of([b"a"]))
    log = source.log
    for _ in range(3):
        source.say(b"a")
        assert log.drop_overdue() is None
    oldest = log.chunk_at(log.oldest)
    source.say(b"", flush=False)
    # What is not readable yet counts for nothing.
    assert log.drop_overdue() is None
    log.flush()
    assert log.drop_overdue() is oldest
    assert log.oldest == oldest.end
    assert log.drop_overdue() is None


def test_the_newest_chunk_is_kept_however_large_it_is() -> None:
    source = Source(retention=1000)
    source.say(b"x" * 5000)
    assert source.log.drop_overdue() is None
    source.say(b"y" * 5000)
    assert source.drop()
    assert not source.drop()
    assert history(source.log, source.log.oldest.seq) == [b"y" * 5000]


@pytest.mark.parametrize("size", [1, 300, 5000])
@pytest.mark.parametrize("retention", [64 * 1024, 1024 * 1024])
def test_retention_is_kept_but_for_an_eighth(size: int, retention: int) -> None:
    source = Source(retention=retention)
    log = source.log
    while log.head.offset < 2 * retention:
        source.say(b"x" * size)
        while source.drop():
            pass
        kept = log.head.offset - log.oldest.offset
        assert min(log.head.offset, retention * 7 // 8) <= kept <= retention


@given(logs)
def test_each_readable_message_is_found_in_its_chunk_and_its_batch(said: list[Said]) -> None:
    source = Source(retention=12 * BATCH_COST)
    log = source.log
    source.repeat(said)
    source.drop()
    for seq in range(log.oldest.seq, log.readable.seq):
        chunk, batch = log.chunk_at(Mark(seq, 0)), log.batch_at(Mark(seq, 0))
        assert chunk.start.seq <= seq < chunk.end.seq
        assert batch.start.seq <= seq < batch.end.seq
        assert batch in chunk.batches


# History.


def test_history_is_what_was_said_pending_messages_included() -> None:
    log = Source().log
    log.append(b"a\nb\n", 2, time=1.5, sender="alice", excluded=1)
    log.flush()
    log.append(b"c\n", 1, time=2.5)
    term = log.position(0).term
    assert list(entries_since(log, 0)) == [
        Entry(Position(term, 1), 1.5, "alice", b"a"),
        Entry(Position(term, 2), 1.5, "alice", b"b"),
        Entry(Position(term, 3), 2.5, "", b"c"),
    ]


@given(logs)
def test_history_starts_at_any_message_and_goes_on_at_the_position_of_any(said: list[Said]) -> None:
    source = Source(retention=AMPLE)
    source.repeat(said)
    messages = [message for one in said for message in one.messages]
    for seq in range(len(messages) + 2):
        entries = list(entries_since(source.log, seq))
        assert [entry.message for entry in entries] == messages[seq:]
        assert [entry.position.seq for entry in entries] == list(range(seq + 1, len(messages) + 1))
        for entry in entries:
            mark = locate(source.log, entry.position)
            assert mark is not None
            assert mark.seq == entry.position.seq


@given(logs, logs, st.integers(0, 40), st.integers(0, 40), st.sampled_from((16 * BATCH_COST, AMPLE)))
def test_history_is_that_of_the_moment_it_was_asked_for(
    before: list[Said], after: list[Said], start: int, read: int, retention: int
) -> None:
    """Nothing is lost to retention and nothing is added, whether it has begun to be read or not."""
    source = Source(retention=retention)
    source.repeat(before)
    oldest = source.log.oldest.seq
    expected = [message for one in before for message in one.messages][max(start, oldest) :]
    entries = entries_since(source.log, start)
    heard = [entry.message for entry in islice(entries, read)]
    for one in after:
        source.repeat([one])
        while source.drop():
            pass
    source.flush()
    heard += [entry.message for entry in entries]
    assert heard == expected


def test_batches_come_whole_from_the_one_that_holds_a_message() -> None:
    source = Source(retention=AMPLE)
    source.say(b"a", b"b", b"c")
    source.say(b"d", flush=False)
    found = [(batch.start.seq, batch.end.seq, wire) for batch, wire in batches_since(source.log, 1)]
    assert found == [(0, 3, b"a\nb\nc\n"), (3, 4, b"d\n")]
    assert list(batches_since(source.log, 4)) == []
    source.flush()
    assert [wire for _, wire in batches_since(source.log, 3)] == [b"d\n"]


# Positions.


def test_a_position_says_which_life_of_the_log_it_is_of() -> None:
    log, other = Source().log, Source().log
    assert log.position(0).term != other.position(0).term
    assert log.position(7) == Position(log.position(0).term, 7)
    with pytest.raises(PositionLost):
        locate(log, other.position(0))


def test_an_empty_log_has_its_head_as_its_oldest_place() -> None:
    source = Source()
    log = source.log
    assert log.oldest == log.head == log.readable == Mark(0, 0)
    assert locate(log, log.position(0)) == Mark(0, 0)
    source.say(b"a", flush=False)
    assert log.oldest == Mark(0, 0)
    assert locate(log, log.position(1)) == log.head


@given(logs)
def test_a_position_is_located_from_the_oldest_message_to_the_head_and_nowhere_else(said: list[Said]) -> None:
    source = Source(retention=8 * BATCH_COST)
    log = source.log
    source.repeat(said)
    while source.drop():
        pass
    batches = [batch for batch, _ in batches_since(log, 0)]
    for seq in range(-1, log.head.seq + 2):
        position = log.position(0)._replace(seq=seq)
        if log.oldest.seq <= seq <= log.head.seq:
            start = next((batch.start for batch in batches if batch.start.seq <= seq < batch.end.seq), log.head)
            assert locate(log, position) == Mark(seq, start.offset)
            continue
        with pytest.raises(PositionLost) as raised:
            locate(log, position)
        assert raised.value.position == position
        assert raised.value.first.seq == (log.head.seq if seq > log.head.seq else log.oldest.seq)
        assert raised.value.missed == (log.oldest.seq - seq if 0 <= seq < log.oldest.seq else None)
        assert raised.value.head.seq == log.head.seq


def test_what_is_said_after_a_position_was_located_is_behind_it() -> None:
    """A reader that joins at the head must not stand in a batch that grows."""
    source = Source()
    source.say(b"a", flush=False)
    mark = locate(source.log, source.log.position(1))
    source.say(b"b", flush=False)
    assert [batch.start for batch, _ in batches_since(source.log, 1)] == [mark]


def test_a_log_of_text_gives_out_text() -> None:
    log = Log(Lines(), AMPLE, Clock())
    log.append("é\n".encode(), 1, time=0.0)
    assert [entry.message for entry in entries_since(log, 0)] == ["é"]
