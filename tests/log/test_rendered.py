"""What the renderings of a log take in memory, and that what was dropped is made again."""

from __future__ import annotations

import gc
from weakref import ref

from hypothesis import given
from hypothesis import strategies as st

from hubbub.framing import Delimited, Framing
from hubbub.log.chunk import BATCH_COST, Chunk, Wire
from hubbub.log.rendered import Rendered
from hubbub.log.rendering import Rendering

from support.logs import FRAMING, OTHER_FRAMING, Source

ONE, OTHER = object(), object()


def wire(size: int, batches: int = 1) -> Wire:
    return Wire(b"x" * size, [size] * batches)


def test_the_oldest_are_dropped_beyond_the_limit() -> None:
    rendered = Rendered(3 * (BATCH_COST + 100))
    chunks = [Chunk() for _ in range(5)]
    for chunk in chunks:
        rendered.keep(chunk, ONE, wire(100))
    assert [bool(chunk.renderings) for chunk in chunks] == [False, False, True, True, True]
    # One that is longer than two is in their place, and so is one of many batches.
    rendered.keep(chunks[0], OTHER, wire(2 * (BATCH_COST + 100) - BATCH_COST))
    assert [bool(chunk.renderings) for chunk in chunks] == [True, False, False, False, True]
    rendered.keep(chunks[1], ONE, wire(0, batches=3))
    assert [bool(chunk.renderings) for chunk in chunks] == [False, True, False, False, False]


def test_the_newest_is_kept_however_long_it_is() -> None:
    rendered = Rendered(0)
    first, second = Chunk(), Chunk()
    for chunk in (first, second):
        rendered.keep(chunk, ONE, wire(1000))
    assert not first.renderings
    assert second.renderings == {ONE: wire(1000)}


def test_renderings_of_one_chunk_are_dropped_each_by_itself() -> None:
    rendered = Rendered(2 * BATCH_COST)
    chunk = Chunk()
    for rendering in (ONE, OTHER, None):
        rendered.keep(chunk, rendering, wire(0))
    assert set(chunk.renderings) == {OTHER, None}


def test_a_chunk_that_the_log_drops_is_gone_with_its_renderings() -> None:
    rendered = Rendered(10**6)
    chunk = Chunk()
    rendered.keep(chunk, ONE, wire(1000))
    gone = ref(chunk)
    del chunk
    gc.collect()
    assert gone() is None
    # It is counted until it would have been dropped.
    rendered.keep(Chunk(), ONE, wire(10**6))
    assert rendered.size == 10**6 + BATCH_COST


@given(
    st.lists(st.tuples(st.integers(0, 9), st.sampled_from([ONE, OTHER]), st.integers(0, 500)), max_size=50),
    st.integers(0, 3000),
)
def test_all_that_is_kept_is_never_more_than_the_limit_or_one(keeps: list[tuple[int, object, int]], limit: int) -> None:
    rendered, chunks = Rendered(limit), [Chunk() for _ in range(10)]
    for index, rendering, size in keeps:
        rendered.keep(chunks[index], rendering, wire(size))
        kept = [each for chunk in chunks for each in chunk.renderings.values()]
        assert sum(len(each.data) + BATCH_COST for each in kept) <= rendered.size <= max(limit, size + BATCH_COST)


def test_what_was_dropped_is_made_again_and_is_the_same() -> None:
    made: list[Chunk] = []

    class Counted(Rendering[bytes]):
        def wire_of(self, chunk: Chunk) -> Wire:
            made.extend([] if self in chunk.renderings else [chunk])
            return super().wire_of(chunk)

    framing: Framing[bytes] = OTHER_FRAMING
    source = Source(framing=FRAMING, retention=1000)
    rendering = Counted(source.log, framing, None)
    for number in range(20):
        source.clock.place()
        source.say(b"%d" % number * 100)
        rendering.wire_of(source.log.chunks[-2])
    chunks = source.log.chunks[:-1]
    assert sum(len(wire.data) for chunk in chunks for wire in chunk.renderings.values()) <= 1000
    assert b"".join(rendering.data_of(chunk) for chunk in chunks) == framing.encode(
        [b"%d" % number * 100 for number in range(20)]
    )
    assert len(made) > 20


def test_a_rendering_that_is_kept_is_made_once() -> None:
    source = Source(retention=10**6)
    rendering = Rendering(source.log, Delimited(b"\0"), None)
    source.say(b"a")
    (chunk, _) = source.log.chunks
    assert rendering.wire_of(chunk) is rendering.wire_of(chunk)
