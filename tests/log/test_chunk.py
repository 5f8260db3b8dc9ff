"""A run of batches, and what each reader is written of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.framing import BytesFraming, Decoder
from hubbub.log.chunk import BATCH_COST, Batch, CannotTell, Chunk, Mark
from hubbub.log.rendering import Rendering

from support.logs import FRAMING, OTHER_FRAMING, TOKENS, Said, broadcasts, joined, messages_in, offset_of, rendering_of

ALL = 10**9
"""A `seq`, and a tick, behind all there are."""

ORIGIN = Mark(0, 0)
OWN = rendering_of(FRAMING, FRAMING, None)
OTHER = rendering_of(FRAMING, OTHER_FRAMING, None)


def chunk_of(*batches: Said, start: Mark = ORIGIN, tick: int = 0) -> Chunk:
    """A chunk that starts at `start`; whatever was placed before a batch takes the next tick."""
    chunk = Chunk()
    for said in batches:
        tick += said.placed
        chunk.begin(Batch(start, tick, 0.0, "", 0, said.excluded))
        for message in said.messages:
            chunk.add(FRAMING.encode([message]), 1)
        start = chunk.end
    return chunk


def said(*messages: bytes, excluded: int = 0) -> Said:
    """A batch of its own tick."""
    return Said(list(messages), excluded, placed=True, flushed=False)


def mark_of(chunk: Chunk, seq: int) -> Mark:
    """The place before a message, as `Log.locate` gives it."""
    return next((Mark(seq, batch.start.offset) for batch in chunk.batches if seq < batch.end.seq), chunk.end)


chunks = st.lists(broadcasts(), min_size=1, max_size=8)


@given(chunks)
def test_a_batch_starts_where_the_one_before_it_ends(batches: list[Said]) -> None:
    chunk = chunk_of(*batches, start=Mark(5, 1000))
    assert chunk.start == Mark(5, 1000)
    ends = [batch.end for batch in chunk.batches]
    assert [batch.start for batch in chunk.batches] == [chunk.start, *ends[:-1]]
    assert [end.seq for end in ends] == list(
        accumulate([5 + len(batches[0].messages)] + [len(s.messages) for s in batches[1:]])
    )
    assert chunk.end == Mark(
        5 + sum(len(s.messages) for s in batches), 1000 + offset_of(*(s.messages for s in batches))
    )
    assert chunk.size == chunk.end.offset - 1000 - BATCH_COST * len(batches)


@given(chunks)
def test_the_bytes_of_a_chunk_are_those_of_its_batches(batches: list[Said]) -> None:
    chunk = chunk_of(*batches)
    wires = [FRAMING.encode(one.messages) for one in batches]
    assert [chunk.bytes_of(index) for index in range(len(batches))] == wires
    assert chunk.wire.data == b"".join(wires)
    assert [chunk.wire.start(index) for index in range(len(batches))] == [0, *chunk.wire.ends[:-1]]
    # They are joined once.
    assert chunk.wire is chunk.wire


def test_what_is_added_later_is_read_too() -> None:
    chunk = chunk_of(said(b"a"))
    assert chunk.wire.data == b"a\n"
    chunk.add(b"b\n", 1)
    assert chunk.wire.data == b"a\nb\n"
    assert chunk.wire.ends == [4]
    chunk.begin(Batch(chunk.end, 9, 0.0, "", 0, 0))
    chunk.add(b"c\n", 1)
    assert chunk.wire.data == b"a\nb\nc\n"
    assert chunk.wire.ends == [4, 6]


@pytest.mark.parametrize("rendering", [OWN, OTHER], ids=["own", "other"])
@given(st.data())
def test_a_reader_gets_all_up_to_its_bounds_but_what_it_is_excluded_from(
    rendering: Rendering[bytes], data: st.DataObject
) -> None:
    batches = data.draw(chunks)
    split = data.draw(st.integers(1, len(batches)), label="split")
    chunk = chunk_of(*batches[:split])
    if split < len(batches):
        if data.draw(st.booleans(), label="read before"):
            rendering.wire_of(chunk)
        chunk.extend(chunk_of(*batches[split:], start=chunk.end, tick=chunk.batches[-1].tick))
    token = data.draw(st.sampled_from(TOKENS), label="token")
    start = data.draw(st.integers(0, chunk.end.seq - 1), label="start")
    stop = data.draw(st.sampled_from([0, *(batch.end.seq for batch in chunk.batches), ALL]), label="stop")
    tick = data.draw(st.sampled_from([*(batch.tick for batch in chunk.batches), ALL]), label="tick")
    messages = [(message, batch) for batch, one in zip(chunk.batches, batches, strict=True) for message in one.messages]

    at, heard = mark_of(chunk, start), []
    while at.seq < chunk.end.seq:
        before = at
        buffers, at = chunk.read(rendering, before, stop, tick, token)
        assert all(buffers)
        heard += messages_in(buffers, rendering.framing)  # type: ignore[arg-type]
        if at is before:
            assert not buffers
            break
        assert before.seq < at.seq
        assert at in [batch.end for batch in chunk.batches]
    due = [(message, batch) for message, batch in messages[start:] if batch.start.seq < stop and batch.tick < tick]
    assert heard == [message for message, batch in due if batch.excluded != token]
    assert at.seq == start + len(due)


@given(chunks, st.data())
def test_what_excludes_a_connection_is_counted_between_two_places(batches: list[Said], data: st.DataObject) -> None:
    chunk = chunk_of(*batches, start=Mark(3, 0))
    excluded = [one.excluded for one in batches for _ in one.messages]
    start = data.draw(st.integers(0, chunk.end.seq + 2))
    stop = data.draw(st.integers(0, chunk.end.seq + 2))
    for token in TOKENS:
        among = [seq for seq, other in enumerate(excluded, start=3) if other == token and start <= seq < stop]
        assert chunk.count_excluded(token, start, stop) == len(among)


@pytest.mark.parametrize("rendering", [OWN, OTHER], ids=["own", "other"])
def test_a_chunk_that_excludes_nobody_is_written_as_it_is(rendering: Rendering[bytes]) -> None:
    chunk = chunk_of(said(b"a"), said(b"b"))
    (buffer,), at = chunk.read(rendering, ORIGIN, ALL, ALL, TOKENS[0])
    assert buffer is rendering.wire_of(chunk).data
    assert at == chunk.end


@pytest.mark.parametrize("rendering", [OWN, OTHER], ids=["own", "other"])
def test_what_is_cut_out_of_a_chunk_is_not_copied(rendering: Rendering[bytes]) -> None:
    chunk = chunk_of(said(b"a"), said(b"b", excluded=TOKENS[0]), said(b"c"), said(b"d"))
    buffers, _ = chunk.read(rendering, ORIGIN, ALL, ALL, TOKENS[0])
    assert [messages_in([buffer], rendering.framing) for buffer in buffers] == [[b"a"], [b"c", b"d"]]  # type: ignore[arg-type]
    assert all(isinstance(buffer, memoryview) and buffer.obj is rendering.wire_of(chunk).data for buffer in buffers)


def test_a_reader_between_two_bounds_gets_nothing_and_stays() -> None:
    chunk = chunk_of(said(b"a"), said(b"b"), said(b"c"))
    at = chunk.batches[1].start
    for stop, tick in ((at.seq, ALL), (0, ALL), (ALL, chunk.batches[1].tick), (ALL, 0)):
        buffers, after = chunk.read(OWN, at, stop, tick, TOKENS[0])
        assert not buffers
        assert after is at


def test_the_rest_of_a_batch_is_made_for_one_reader_alone() -> None:
    chunk = chunk_of(said(b"a", b"b", b"c"), said(b"d"))
    for rendering in (OWN, OTHER):
        framing = rendering.framing
        assert isinstance(framing, BytesFraming)
        buffers, at = chunk.read(rendering, mark_of(chunk, 1), ALL, ALL, TOKENS[0])
        assert messages_in(buffers, framing) == [b"b", b"c"]
        assert at == chunk.batches[1].start
    assert not chunk.renderings


def test_a_chunk_of_which_a_rendering_has_nothing_is_read_all_the_same() -> None:
    """A framing may carry none of it, and tell nothing."""
    chunk = chunk_of(said(b"|"), said(b"|", b"|"))
    assert chunk.read(OTHER, ORIGIN, ALL, ALL, TOKENS[0]) == ([], chunk.end)
    # Of a part of it, too, and in the middle of a batch.
    assert chunk.read(OTHER, ORIGIN, 1, ALL, TOKENS[0]) == ([], chunk.batches[1].start)
    assert chunk.read(OTHER, mark_of(chunk, 2), ALL, ALL, TOKENS[0]) == ([], chunk.end)


@given(chunks, chunks, st.booleans())
def test_a_chunk_that_takes_in_the_next_one_is_as_if_it_had_been_one(
    batches: list[Said], later: list[Said], was_read: bool
) -> None:
    whole = chunk_of(*batches, *later)
    chunk = chunk_of(*batches)
    following = chunk_of(*later, start=chunk.end, tick=chunk.batches[-1].tick)
    if was_read:
        for one in (chunk, following):
            OWN.wire_of(one)
            OTHER.wire_of(one)
    chunk.extend(following)
    assert chunk.batches == whole.batches
    assert chunk.size == whole.size
    assert chunk.wire == whole.wire
    assert chunk.excluded == whole.excluded
    assert OTHER.wire_of(chunk) == OTHER.wire_of(whole)
    # What was taken in is still there for those who iterate over it.
    assert joined([following.wire.data]) == FRAMING.encode([message for one in later for message in one.messages])


class Muted(BytesFraming):
    """Frames as `OTHER_FRAMING` does, but can say nothing of what it cannot carry."""

    def decoder(self, limit: int) -> Decoder[bytes]:
        return OTHER_FRAMING.decoder(limit)

    def encode(self, messages: Sequence[bytes]) -> bytes:
        return OTHER_FRAMING.encode(messages)


MUTED = rendering_of(FRAMING, Muted(), "{missed} missed")


def test_a_gap_ends_the_readers_that_it_concerns_and_no_other() -> None:
    chunk = chunk_of(said(b"a"), said(b"|", excluded=TOKENS[0]), said(b"b"))
    assert MUTED.wire_of(chunk).gaps.keys() == {1}
    # It excludes the first reader; another one stops before it, or has it behind it.
    assert messages_in(chunk.read(MUTED, ORIGIN, ALL, ALL, TOKENS[0])[0], OTHER_FRAMING) == [b"a", b"b"]
    assert messages_in(chunk.read(MUTED, ORIGIN, 1, ALL, TOKENS[1])[0], OTHER_FRAMING) == [b"a"]
    assert messages_in(chunk.read(MUTED, mark_of(chunk, 2), ALL, ALL, TOKENS[1])[0], OTHER_FRAMING) == [b"b"]
    for start, stop in ((0, ALL), (0, 2), (1, ALL), (1, 2)):
        with pytest.raises(CannotTell, match="1 messages are missing"):
            chunk.read(MUTED, mark_of(chunk, start), stop, ALL, TOKENS[1])


@pytest.mark.parametrize("rendering", [OWN, OTHER], ids=["own", "other"])
@given(chunks)
def test_a_chunk_without_what_excludes_a_connection_is_what_that_connection_reads(
    rendering: Rendering[bytes], batches: list[Said]
) -> None:
    chunk = chunk_of(*batches)
    for token in TOKENS:
        buffers = chunk.without(rendering.wire_of(chunk), token)
        assert buffers == chunk.read(rendering, ORIGIN, ALL, ALL, token)[0]


def test_a_chunk_without_what_excludes_a_connection_has_no_gap_that_it_is_excluded_from() -> None:
    chunk = chunk_of(said(b"a"), said(b"|", excluded=TOKENS[0]))
    wire = MUTED.wire_of(chunk)
    assert messages_in(chunk.without(wire, TOKENS[0]), OTHER_FRAMING) == [b"a"]
    with pytest.raises(CannotTell):
        chunk.without(wire, TOKENS[1])
