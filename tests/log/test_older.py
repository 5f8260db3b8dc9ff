"""The older end of a log: what memory drops, and for how long it is held. Every older end keeps this contract."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.log.chunk import BATCH_COST, Batch, Chunk, Mark
from hubbub.log.history import entries_in, entries_since
from hubbub.log.older import OlderEnd, OlderInMemory
from hubbub.values.errors import PositionLost

from support.logs import AMPLE, FRAMING, OTHER_FRAMING, Said, Source, broadcasts

MakeOlderEnd: TypeAlias = Callable[[int], OlderEnd]


@pytest.fixture(params=[OlderInMemory])
def make(request: pytest.FixtureRequest) -> MakeOlderEnd:
    """Makes an older end with a retention in counted bytes."""
    made: MakeOlderEnd = request.param
    return made


def chunks_of(counts: list[int]) -> list[Chunk]:
    """Chunks that follow each other, with so many messages of two bytes."""
    chunks, at = [], Mark(0, 0)
    for count in counts:
        chunk = Chunk()
        chunk.begin(Batch(at, 1, 0.0, "", 0, 0))
        chunk.add(b"a\n" * count, count)
        chunks.append(chunk)
        at = chunk.end
    return chunks


async def test_each_message_is_in_the_chunk_that_is_found_for_it(make: MakeOlderEnd) -> None:
    older = make(AMPLE)
    chunks = chunks_of([2, 1, 3])
    assert older.start is None
    for chunk in chunks:
        older.add(chunk)
    assert older.start == 0
    assert [(await older.chunk_at(seq)).data for seq in range(6)] == [
        chunk.data for chunk in chunks for _ in range(chunk.batches[0].count)
    ]


@pytest.mark.parametrize("seq", [0, 1, 6, 7])
async def test_what_is_not_held_is_not_found(make: MakeOlderEnd, seq: int) -> None:
    older = make(2 * BATCH_COST + 8)
    with pytest.raises(LookupError):
        await older.chunk_at(seq)
    for chunk in chunks_of([2, 1, 3]):
        older.add(chunk)
    assert older.start == 2
    with pytest.raises(LookupError):
        await older.chunk_at(seq)


async def test_a_chunk_that_is_larger_than_the_retention_is_not_kept(make: MakeOlderEnd) -> None:
    older = make(BATCH_COST)
    for chunk in chunks_of([2, 1]):
        older.add(chunk)
    assert older.start is None


@given(st.lists(broadcasts(), min_size=1, max_size=30))
def test_a_log_and_its_older_end_hold_all_messages_between_them(said: list[Said]) -> None:
    asyncio.run(check_all_is_held(said))


async def check_all_is_held(said: list[Said]) -> None:
    source, texts = Source(), [text for one in said for text in one.messages]
    log = source.log
    log.older = OlderInMemory(AMPLE)
    for one in said:
        source.repeat([one])
        source.drop()
    assert log.start == 0
    held: list[bytes] = []
    while len(held) < log.oldest.seq:
        chunk = await log.older_chunk(len(held))
        held += [entry.message for entry in entries_in(log, chunk, len(held), log.oldest.seq)]
    assert len(held) == log.oldest.seq
    assert held + [entry.message for entry in entries_since(log, len(held))] == texts
    for seq in range(len(texts) + 1):
        assert (await log.find(log.position(seq))).seq == seq
    for seq in range(log.oldest.seq):
        with pytest.raises(PositionLost):
            log.locate(log.position(seq))


async def test_without_an_older_end_nothing_older_is_found() -> None:
    source = Source()
    for text in (b"a", b"b", b"c"):
        source.say(text)
        source.drop()
    for seq in (0, 1):
        with pytest.raises(PositionLost):
            await source.log.older_chunk(seq)
    with pytest.raises(PositionLost):
        source.log.locate(source.log.position(0))


async def test_another_rendering_is_not_kept_with_a_chunk(make: MakeOlderEnd) -> None:
    source = Source()
    cursor = source.cursor(framing=OTHER_FRAMING)
    source.say(b"a")
    chunk = source.log.chunk_at(cursor.at)
    cursor.rendering.wire_of(chunk)
    assert chunk.renderings
    make(AMPLE).add(chunk)
    assert not chunk.renderings
    assert FRAMING.split(chunk.data) == [b"a"]
