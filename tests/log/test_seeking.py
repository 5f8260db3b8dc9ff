"""Finding a place in a log: against the plainest search, with an older end and without, wherever memory begins."""

from __future__ import annotations

import asyncio
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from hubbub.log.chunk import Batch, Chunk, Mark
from hubbub.log.history import batches_since
from hubbub.log.seeking import find, seek
from hubbub.values.since import Since

from support.logs import AMPLE, Said, Source, broadcasts
from support.stored import StoredInMemory

NOW = 100.0

places = st.one_of(
    st.builds(Since, st.just("messages"), st.integers(0, 40) | st.just(inf)),
    st.builds(Since, st.just("bytes"), st.integers(0, 6000)),
    st.builds(Since, st.just("seconds"), st.integers(0, 120)),
    st.builds(Since, st.just("date"), st.integers(-5, 120)),
)


def expected(since: Since, batches: list[Batch], head: Mark) -> Mark:
    """Where reading begins, found by looking at each batch that is held."""
    if since.kind == "messages":
        seq = int(max(head.seq - since.amount, batches[0].start.seq))
        return next((Mark(seq, batch.start.offset) for batch in batches if seq < batch.end.seq), head)
    if since.kind == "bytes":
        return next((batch.start for batch in batches if batch.end.offset > head.offset - since.amount), head)
    least = since.amount if since.kind == "date" else NOW - since.amount
    return next((batch.start for batch in batches if batch.time >= least), head)


@given(
    st.lists(st.tuples(broadcasts(), st.integers(0, 9)), min_size=1, max_size=20),
    st.booleans(),
    st.integers(0, 9),
    places,
)
def test_a_place_is_found_wherever_memory_begins(
    said: list[tuple[Said, int]], is_stored: bool, drops: int, since: Since
) -> None:
    source = Source(older=StoredInMemory(AMPLE) if is_stored else None)
    log = source.log
    everything: list[Batch] = []
    for one, pause in said:
        # Now and then the wall clock jumps back.
        source.now += pause if pause < 8 else -3
        source.repeat([one])
    everything = [batch for batch, _ in batches_since(log, 0)]
    for _ in range(drops):
        source.drop()
    held = [batch for batch in everything if batch.end.seq > log.start]
    assert [batch.time for batch in held] == sorted(batch.time for batch in held)
    mark = expected(since, held, log.head)
    assert asyncio.run(find(log, since, NOW)) == mark
    assert seek(log, since, NOW) in (mark, None)
    if not is_stored:
        assert seek(log, since, NOW) == mark


def test_what_nobody_has_said_yet_is_behind_a_place_at_the_head() -> None:
    """A reader that joins at the head must not stand in a batch that grows."""
    for since in (Since("messages", 0), Since("bytes", 0), Since("date", NOW)):
        source = Source()
        source.say(b"a", flush=False)
        mark = seek(source.log, since, NOW)
        source.say(b"b", flush=False)
        assert [batch.start for batch, _ in batches_since(source.log, 1)] == [mark]


async def test_a_place_that_retention_passes_while_it_is_looked_for_is_where_retention_stands() -> None:
    older = Passing(AMPLE)
    source = Source(older=older)
    for text in (b"a", b"b", b"c"):
        source.say(text)
        source.drop()
    assert (await find(source.log, Since("messages", inf), NOW)).seq == 1


class Passing(StoredInMemory):
    """A stored log whose retention passes the oldest chunk as somebody reads it."""

    async def chunk_at(self, seq: int) -> Chunk:
        if self.start == 0:
            del self._chunks[0]
        return await super().chunk_at(seq)


async def test_messages_of_the_same_time_are_found_where_memory_has_dropped_the_first() -> None:
    source = Source(older=StoredInMemory(AMPLE))
    source.now = 5.0
    for text in (b"a", b"b", b"c"):
        source.say(text)
    source.drop()
    since = Since("date", 5.0)
    assert seek(source.log, since, NOW) is None
    assert (await find(source.log, since, NOW)).seq == 0


def test_bytes_that_are_whole_batches_begin_with_the_first_of_them() -> None:
    source = Source(retention=AMPLE)
    for text in (b"a", b"b", b"c"):
        source.say(text)
    for seq in (0, 1, 2):
        size = source.log.head.offset - source.log.mark_of(seq).offset
        assert seek(source.log, Since("bytes", size), NOW) == source.log.mark_of(seq)
        assert seek(source.log, Since("bytes", size - 1), NOW) == source.log.mark_of(seq)
