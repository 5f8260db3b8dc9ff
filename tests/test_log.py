"""The bounded log of a room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.exceptions import PositionLost
from hubbub.framing import ByteLines, BytesFraming, Delimited, Framing, LengthPrefixed, Lines, M, Raw
from hubbub.log import BATCH_COST, SMALL_CHUNK, Buffer, Entry, Log, Mark, Position, Renderer

AMPLE = 2**30
FRAMING = Lines()


@dataclass(frozen=True)
class Said:
    """One broadcast, as the plainest record of it."""

    lines: list[str]
    exclude: str | None
    flush: bool


def append(log: Log[str], *lines: str, exclude: object = None) -> None:
    log.append(FRAMING.encode(lines), len(lines), time=0.0, exclude=exclude)


def flush(log: Log[str], *lines: str, exclude: object = None) -> bytes:
    if lines:
        append(log, *lines, exclude=exclude)
    wire = log.flush().wire
    log.compact()
    return wire


def joined(buffers: list[Buffer]) -> bytes:
    return b"".join(buffers)


def history(log: Log[str], seq: int = 0) -> list[str]:
    return [entry.message for entry in log.entries_since(seq)]


said = st.builds(
    Said,
    st.lists(st.sampled_from(["", "a", "bc", "déf"]), min_size=1, max_size=3),
    st.sampled_from([None, "alice", "bob"]),
    st.booleans(),
)


def test_what_is_appended_is_pending_until_it_is_flushed() -> None:
    log = Log(FRAMING, AMPLE)
    append(log, "a", "b")
    assert (log.head.seq, log.flushed.seq) == (2, 0)
    assert log.flush().wire == b"a\nb\n"
    assert log.head == log.flushed
    assert log.flush().wire == b""


def test_what_is_pending_is_counted() -> None:
    log = Log(FRAMING, AMPLE)
    assert log.pending_size == 0
    append(log, "x" * 1000, exclude="alice")
    append(log, "y")
    assert log.pending_size == 1001 + 2 + 2 * BATCH_COST
    log.flush()
    assert log.pending_size == 0


def test_messages_of_one_sender_in_a_row_share_a_batch() -> None:
    log = Log(FRAMING, AMPLE)
    append(log, *"ab" * 50)
    append(log, "c")
    assert log.head == Mark(seq=101, offset=202 + BATCH_COST)
    assert log.pending_size == log.head.offset


def test_another_sender_starts_a_batch() -> None:
    log = Log(FRAMING, AMPLE)
    log.append(b"a\n", 1, time=0.0, sender="alice", exclude="alice's cursor")
    log.append(b"b\n", 1, time=0.0, sender="alice", exclude="alice's new cursor")
    log.append(b"c\n", 1, time=0.0, sender="alice")
    log.append(b"d\n", 1, time=0.0, sender="bob")
    assert [batch.count for batch, _ in log.batches_since(0)] == [1, 1, 1, 1]


def test_a_mark_is_where_a_batch_starts() -> None:
    log = Log(FRAMING, AMPLE)
    append(log, "a")
    mark = log.mark()
    append(log, "b", "c")
    assert [batch.start for batch, _ in log.batches_since(0)] == [Mark(0, 0), mark]


def test_a_flush_ends_a_batch() -> None:
    log = Log(FRAMING, AMPLE)
    flush(log, "a")
    append(log, "b")
    assert [wire for _, wire in log.batches_since(0)] == [b"a\n", b"b\n"]


@given(st.lists(said, min_size=1, max_size=12), st.data())
@settings(max_examples=100, deadline=None)
def test_each_reader_gets_all_but_what_it_is_excluded_from(broadcasts: list[Said], data: st.DataObject) -> None:
    log = Log(FRAMING, AMPLE)
    lines = [(line, one.exclude) for one in broadcasts for line in one.lines]
    marks = {0}
    for one in broadcasts:
        append(log, *one.lines, exclude=one.exclude)
        # Without a mark, what one sender says next shares the batch.
        if data.draw(st.booleans(), label="mark"):
            marks.add(log.mark().seq)
        if one.flush:
            flush(log)
    flush(log)
    marks.add(log.mark().seq)
    chunk = log.chunk_at(Mark(0, 0))
    assert (chunk.start, chunk.end, chunk.size) == (Mark(0, 0), log.head, log.head.offset)
    start = data.draw(st.sampled_from(sorted(marks)[:-1]), label="start")
    stop = data.draw(st.sampled_from([mark for mark in sorted(marks) if mark > start]), label="stop")
    for reader in ("alice", "bob", "carol"):
        due = [line for line, exclude in lines[start:stop] if exclude != reader]
        buffers, after = chunk.read(start, stop, reader)
        assert joined(buffers) == FRAMING.encode(due)
        assert all(buffers)
        assert after.seq == stop
        assert chunk.count_for(start, stop, reader) == len(due)


def test_a_chunk_that_concerns_all_is_read_without_a_copy() -> None:
    log = Log(FRAMING, AMPLE)
    append(log, "a")
    append(log, "b", exclude="alice")
    chunk = log.flush()
    wire = chunk.wire
    assert log.chunk_at(Mark(0, 0)) is chunk
    assert chunk.read(0, 2, "bob")[0][0] is wire
    (buffer,), _ = chunk.read(0, 2, "alice")
    assert isinstance(buffer, memoryview)
    assert buffer.obj is wire


def test_messages_outside_of_a_chunk_are_not_counted_with_it() -> None:
    log = Log(FRAMING, AMPLE)
    flush(log, "x" * SMALL_CHUNK)
    flush(log, "a", "b")
    chunk = log.chunk_at(log.oldest)
    assert chunk.count_for(0, 3, "alice") == 1
    assert chunk.count_for(1, 3, "alice") == 0
    assert log.chunk_at(Mark(1, 0)).count_for(0, 3, "alice") == 2


def test_a_flush_says_whom_it_excludes() -> None:
    log = Log(FRAMING, AMPLE)
    append(log, "a", exclude="alice")
    assert set(log.flush().excluded) == {"alice"}
    append(log, "b")
    assert not log.flush().excluded


def test_small_flushes_share_a_chunk_once_compacted_and_large_ones_do_not() -> None:
    log = Log(FRAMING, AMPLE)
    flush(log, "a")
    append(log, "b")
    assert log.flush() is log.chunk_at(Mark(1, 0)) is not log.chunk_at(Mark(0, 0))
    log.compact()
    assert log.chunk_at(Mark(0, 0)) is log.chunk_at(Mark(1, 0))
    flush(log, "x" * SMALL_CHUNK)
    assert log.chunk_at(Mark(2, 0)).start.seq == 2
    flush(log, "c")
    assert log.chunk_at(Mark(3, 0)).start.seq == 3


def test_nothing_is_overdue_before_retention_is_passed() -> None:
    log = Log(FRAMING, retention=3 * (SMALL_CHUNK + BATCH_COST))
    line = "x" * (SMALL_CHUNK - 1)
    for _ in range(3):
        flush(log, line)
        assert log.overdue() is None
    flush(log, line)
    chunk = log.overdue()
    assert chunk is not None
    assert (chunk.start.seq, chunk.end.seq) == (0, 1)
    log.drop()
    assert log.oldest.seq == 1
    assert log.overdue() is None


def test_the_newest_chunk_is_kept_however_large_it_is() -> None:
    log = Log(FRAMING, retention=1000)
    flush(log, "x" * 5000)
    assert log.overdue() is None
    flush(log, "y" * 5000)
    assert log.overdue() is not None
    log.drop()
    assert log.overdue() is None
    assert history(log, log.oldest.seq) == ["y" * 5000]


@pytest.mark.parametrize("size", [1, 300, 5000])
@pytest.mark.parametrize("retention", [64 * 1024, 1024 * 1024])
def test_retention_is_kept_but_for_an_eighth(size: int, retention: int) -> None:
    log = Log(FRAMING, retention)
    wire = b"x" * size + b"\n"
    while log.head.offset < 2 * retention:
        log.append(wire, 1, time=0.0)
        log.flush()
        while log.overdue():
            log.drop()
        kept = log.head.offset - log.oldest.offset
        assert min(log.head.offset, retention * 7 // 8) <= kept <= retention


def test_history_is_what_was_said_pending_messages_included() -> None:
    log = Log(FRAMING, AMPLE)
    log.append(b"a\nb\n", 2, time=1.5, sender="alice", exclude="cursor")
    log.flush()
    log.append(b"c\n", 1, time=2.5)
    assert list(log.entries_since(0)) == [
        Entry(Position(log.epoch, 0), 1.5, "alice", "a"),
        Entry(Position(log.epoch, 1), 1.5, "alice", "b"),
        Entry(Position(log.epoch, 2), 2.5, "", "c"),
    ]


@given(st.lists(said, max_size=12))
@settings(max_examples=50, deadline=None)
def test_history_starts_at_any_message(broadcasts: list[Said]) -> None:
    log = Log(FRAMING, AMPLE)
    lines: list[str] = []
    for one in broadcasts:
        append(log, *one.lines, exclude=one.exclude)
        lines += one.lines
        if one.flush:
            log.flush()
    for seq in range(len(lines) + 1):
        assert history(log, seq) == lines[seq:]


@given(st.lists(said, max_size=12))
@settings(max_examples=50, deadline=None)
def test_from_any_message_it_is_the_rest_of_a_batch_to_the_next_mark(broadcasts: list[Said]) -> None:
    log = Log(FRAMING, AMPLE)
    lines: list[str] = []
    for one in broadcasts:
        append(log, *one.lines, exclude=one.exclude)
        lines += one.lines
        if one.flush:
            log.flush()
    for seq in range(len(lines) + 1):
        mark, rest = log.mark_after(seq)
        starts = [batch.start for batch, _ in log.batches_since(0)]
        assert mark == next((start for start in starts if start.seq >= seq), log.head)
        assert rest == lines[seq : mark.seq]


def test_a_mark_that_was_taken_stays_the_boundary_of_a_batch() -> None:
    log = Log(FRAMING, AMPLE)
    append(log, "a", "b")
    mark, rest = log.mark_after(1)
    append(log, "c")
    assert rest == ["b"]
    assert [batch.start for batch, _ in log.batches_since(0)] == [Mark(0, 0), mark]


def test_history_starts_at_the_oldest_retained_message() -> None:
    log = Log(FRAMING, retention=1000)
    flush(log, "x" * 5000)
    flush(log, "y")
    log.drop()
    assert history(log) == ["y"]
    append(log, "z")
    assert history(log) == ["y", "z"]


def test_history_of_a_framing_that_cannot_tell_messages_apart_has_each_batch() -> None:
    log = Log(Raw(), AMPLE)
    for wire in (b"a\nb", b"c"):
        log.append(wire, 1, time=0.0)
    log.flush()
    assert [entry.message for entry in log.entries_since(0)] == [b"a\nb", b"c"]


def test_batches_come_whole_from_the_one_that_holds_a_message() -> None:
    log = Log(FRAMING, AMPLE)
    flush(log, "a", "b", "c")
    append(log, "d")
    found = [(batch.start.seq, batch.end.seq, batch.count, wire) for batch, wire in log.batches_since(1)]
    assert found == [(0, 3, 3, b"a\nb\nc\n"), (3, 4, 1, b"d\n")]
    assert list(log.batches_since(4)) == []
    log.flush()
    assert [wire for _, wire in log.batches_since(3)] == [b"d\n"]


def test_a_position_says_which_life_of_the_log_it_is_of() -> None:
    assert Log(FRAMING, AMPLE).epoch != Log(FRAMING, AMPLE).epoch
    log = Log(FRAMING, AMPLE)
    assert log.position(Mark(7, 1000)) == Position(log.epoch, 7)
    assert str(Position("0badcafe", 7)) == "0badcafe:7"


def test_a_position_is_found_from_the_oldest_message_to_the_head() -> None:
    log = Log(FRAMING, retention=1000)
    flush(log, "x" * 5000)
    flush(log, "y")
    log.drop()
    append(log, "z")
    assert [log.locate(Position(log.epoch, seq)) for seq in (1, 2, 3)] == [1, 2, 3]


@pytest.mark.parametrize("seq", [-1, 0, 4])
def test_a_position_that_the_log_does_not_hold_is_lost(seq: int) -> None:
    log = Log(FRAMING, retention=1000)
    flush(log, "x" * 5000)
    flush(log, "y", "z")
    log.drop()
    with pytest.raises(PositionLost) as raised:
        log.locate(Position(log.epoch, seq))
    assert raised.value.position == Position(log.epoch, seq)
    assert raised.value.oldest == Position(log.epoch, 1)
    assert raised.value.head == Position(log.epoch, 3)


def test_a_position_of_another_life_of_the_log_is_lost() -> None:
    log = Log(FRAMING, AMPLE)
    with pytest.raises(PositionLost):
        log.locate(Position("another", 0))


def test_an_empty_log_has_its_head_as_its_oldest_place() -> None:
    log = Log(FRAMING, AMPLE)
    assert log.oldest == log.head == Mark(0, 0)
    assert log.locate(log.position(log.head)) == 0
    append(log, "a")
    assert log.oldest == Mark(0, 0)


# Other framings than the log's own.

CRLF = Lines(crlf=True)


class CountingRenderer(Renderer[M]):
    """Remembers what it was asked for."""

    def __init__(self, source: Framing[M], target: Framing[M], missed: bytes) -> None:
        super().__init__(source, target, missed)
        self.rendered: list[bytes] = []

    def render(self, wire: bytes) -> bytes:
        self.rendered.append(wire)
        return super().render(wire)


@given(st.lists(said, min_size=1, max_size=12), st.data())
@settings(max_examples=100, deadline=None)
def test_each_reader_in_another_framing_gets_the_same_messages(broadcasts: list[Said], data: st.DataObject) -> None:
    log = Log(FRAMING, AMPLE)
    renderer = Renderer(FRAMING, CRLF, b"?")
    lines = [(line, one.exclude) for one in broadcasts for line in one.lines]
    for one in broadcasts:
        append(log, *one.lines, exclude=one.exclude)
        if one.flush:
            # So that later flushes come to a chunk that was rendered already.
            log.flush()
            log.chunk_at(log.oldest).rendered(renderer)
            log.compact()
    flush(log)
    chunk = log.chunk_at(Mark(0, 0))
    rendering = chunk.rendered(renderer)
    marks = [*(batch.start.seq for batch in chunk.batches), chunk.end.seq]
    start = data.draw(st.sampled_from(marks[:-1]), label="start")
    stop = data.draw(st.sampled_from([mark for mark in marks if mark > start]), label="stop")
    for reader in ("alice", "bob", "carol"):
        due = [line for line, exclude in lines[start:stop] if exclude != reader]
        buffers, after = rendering.read(start, stop, reader)
        assert joined(buffers) == CRLF.encode(due)
        assert after.seq == stop
        assert rendering.count_for(start, stop, reader) == len(due)


def test_a_rendering_has_the_batches_of_its_chunk() -> None:
    log = Log(FRAMING, AMPLE)
    log.append(b"a\nb\n", 2, time=1.5, sender="alice", exclude="alice's cursor")
    log.append(b"c\n", 1, time=2.5)
    rendering = log.flush().rendered(Renderer(FRAMING, CRLF, b""))
    found = [(one.start.seq, one.count, one.time, one.sender, one.excluded) for one in rendering.batches]
    assert found == [(0, 2, 1.5, "alice", "alice's cursor"), (2, 1, 2.5, "", None)]
    assert rendering.wire == b"a\r\nb\r\nc\r\n"
    assert joined(rendering.read(0, 3, "alice's cursor")[0]) == b"c\r\n"


def test_a_chunk_is_rendered_once_for_all_readers_in_one_framing() -> None:
    log = Log(FRAMING, AMPLE)
    renderer = CountingRenderer(FRAMING, CRLF, b"")
    append(log, "a", "b")
    append(log, "c", exclude="alice")
    chunk = log.flush()
    assert chunk.rendered(renderer) is chunk.rendered(renderer)
    assert renderer.rendered == [b"a\nb\n", b"c\n"]
    # Another framing has its own.
    assert chunk.rendered(CountingRenderer(FRAMING, CRLF, b"")) is not chunk.rendered(renderer)
    assert len(renderer.rendered) == 2


def test_a_chunk_that_takes_in_the_next_one_is_rendered_anew() -> None:
    log = Log(FRAMING, AMPLE)
    renderer = CountingRenderer(FRAMING, CRLF, b"")
    flush(log, "a")
    assert log.chunk_at(log.oldest).rendered(renderer).wire == b"a\r\n"
    flush(log, "b")
    chunk = log.chunk_at(log.oldest)
    assert chunk.rendered(renderer).wire == b"a\r\nb\r\n"
    assert renderer.rendered == [b"a\n", b"a\n", b"b\n"]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (Delimited(b"\0"), LengthPrefixed(2)),
        (LengthPrefixed(2), Delimited(b"\0")),
        (ByteLines(), Delimited(b"\0")),
        (LengthPrefixed(1), Raw()),
    ],
    ids=str,
)
def test_messages_of_bytes_are_put_into_any_framing(source: BytesFraming, target: BytesFraming) -> None:
    messages = [b"one", b"", b"two"]
    assert Renderer(source, target, b"?").render(source.encode(messages)) == target.encode(messages)
    assert Renderer(source, target, b"?").encode(messages) == target.encode(messages)
    assert Renderer(source, target, b"?").render(b"") == b""


def test_a_message_of_a_framing_that_cannot_tell_messages_apart_is_put_into_another_whole() -> None:
    log = Log(Raw(), AMPLE)
    for wire in (b"a\nb", b"c"):
        log.append(wire, 1, time=0.0)
    assert log.flush().rendered(Renderer(Raw(), LengthPrefixed(1), b"?")).wire == b"\3a\nb\1c"


@pytest.mark.parametrize(
    ("messages", "wire"),
    [
        ([b"a\0b"], b"missed\0"),
        ([b"one", b"a\0b", b"two"], b"one\0missed\0two\0"),
        ([b"\0", b"one", b"\0\0"], b"missed\0one\0missed\0"),
    ],
)
def test_a_message_that_the_other_framing_cannot_carry_gives_way_to_the_notice_alone(
    messages: Sequence[bytes], wire: bytes
) -> None:
    source, target = LengthPrefixed(), Delimited(b"\0")
    renderer = Renderer(source, target, b"missed\0")
    assert renderer.encode(messages) == wire
    assert renderer.render(source.encode(messages)) == wire


@given(st.lists(st.lists(st.sampled_from([b"", b"a", b"\0", b"bc\0", b"def"]), min_size=1, max_size=4), max_size=6))
@settings(max_examples=100, deadline=None)
def test_whatever_is_said_each_message_or_its_notice_has_its_place(batches: list[list[bytes]]) -> None:
    source, target = LengthPrefixed(1), Delimited(b"\0")
    log = Log(source, AMPLE)
    for batch in batches:
        log.append(source.encode(batch), len(batch), time=0.0)
        log.mark()
    rendering = log.flush().rendered(Renderer(source, target, b"?\0"))
    wanted = [b"?" if b"\0" in message else message for batch in batches for message in batch]
    assert target.decoder(AMPLE).feed(rendering.wire) == wanted
