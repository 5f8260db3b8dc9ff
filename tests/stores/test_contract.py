"""What every store promises: `hubbub.log.store`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hubbub.framing import Delimited
from hubbub.log.chunk import Chunk, Mark
from hubbub.log.store import Store, StoredLog
from hubbub.values.errors import NotStored, StoreError
from hubbub.values.settings import Settings

from support.stores import BENCHES, KEYS, LINES, Bench, Speaker, bytes_from, read_all, until

KIB = 1024
ROOM = "room"


@pytest.fixture(params=BENCHES)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    return BENCHES[request.param](tmp_path)


@asynccontextmanager
async def opened(bench: Bench, **limits: Any) -> AsyncIterator[Store]:
    """A store that is started, and is closed in the end."""
    settings = Settings(**limits)
    store = bench.store()
    store.start(settings)
    try:
        yield store
    finally:
        await store.close()


def begin(store: Store, room: str = ROOM, *, term: str = "a", settings: Settings | None = None) -> Speaker:
    """Open a log and begin a term in it."""
    log = store.open_log(room, LINES, settings or Settings())
    log.begin(term * 16, log.head)
    return Speaker(log)


def marks(chunks: list[Chunk]) -> list[Mark]:
    return [batch.start for chunk in chunks for batch in chunk.batches]


async def test_a_new_log_is_empty_and_takes_messages_from_its_first_term_on(bench: Bench) -> None:
    async with opened(bench) as store:
        log = store.open_log(ROOM, LINES, Settings())
        assert (log.head, log.time, tuple(log.terms)) == ((0, 0), 0.0, ())
        assert (log.start, log.end, log.full) == (0, 0, False)
        assert not log.taking
        assert log.ready
        log.begin("a" * 16, log.head)
        assert log.taking
        assert not log.ready
        assert await log.first("seq", 0) == (0, 0)


async def test_what_is_appended_can_be_read_before_and_after_its_commit(bench: Bench) -> None:
    async with opened(bench) as store:
        speaker = begin(store)
        speaker.say(b"one\n", b"two\nthree\n", sender="Ann", token=7, excluded=9, time=5.0, tick=4)
        speaker.say(b"four\n", sender="Bob", time=6.0, tick=5)
        before = await read_all(speaker.log)
        await speaker.committed()
        after = await read_all(speaker.log)
        for batches in (before, after):
            assert [(one.start, one.count, one.size) for one in batches] == [
                ((0, 0), 1, 4),
                ((1, 260), 2, 10),
                ((3, 526), 1, 5),
            ]
            assert [(one.sender, one.token, one.excluded) for one in batches] == [("Ann", 7, 9)] * 2 + [("Bob", 0, 0)]
            assert [(one.time, one.tick) for one in batches] == [(5.0, 4)] * 2 + [(6.0, 5)]
        assert await bytes_from(speaker.log) == b"one\ntwo\nthree\nfour\n"


async def test_what_is_read_knows_whom_each_batch_excludes(bench: Bench) -> None:
    async with opened(bench) as store:
        speaker = begin(store)
        speaker.say(b"a\n", excluded=1)
        speaker.say(b"b\n")
        speaker.say(b"c\n", b"d\n", excluded=1)
        await speaker.committed()
        found = []
        at = 0
        while at < 4:
            chunk = await speaker.log.chunk_at(at)
            found += [chunk.batches[index].start.seq for index in chunk.excluded.get(1, ())]
            at = chunk.end.seq
        assert found == [0, 2, 3]


async def test_a_chunk_is_taken_as_it_is_when_it_is_appended(bench: Bench) -> None:
    async with opened(bench) as store:
        speaker = begin(store)
        first = speaker.say(b"a\n")
        first.extend(speaker.say(b"b\n"))
        assert (await speaker.log.chunk_at(0)).end.seq == 1 or (await bytes_from(speaker.log)) == b"a\nb\n"
        await speaker.committed()
        assert await bytes_from(speaker.log) == b"a\nb\n"


async def test_names_and_tokens_of_any_kind_are_kept(bench: Bench) -> None:
    async with opened(bench) as store:
        speaker = begin(store, "räume/\0/\N{SNOWMAN}")
        names = ["", "ä\0b", "\udc80", "\N{SNOWMAN}" * 100]
        for name in names:
            speaker.say(b"x\n", sender=name, token=2**64 - 1, excluded=2**64 - 2)
        await speaker.committed()
        batches = await read_all(speaker.log)
        assert [one.sender for one in batches] == names
        assert {(one.token, one.excluded) for one in batches} == {(2**64 - 1, 2**64 - 2)}


async def test_logs_of_many_rooms_do_not_mix(bench: Bench) -> None:
    async with opened(bench) as store:
        speakers = [begin(store, f"room {index}") for index in range(5)]
        for turn in range(20):
            for index, speaker in enumerate(speakers):
                speaker.say(b"%d in room %d\n" % (turn, index))
        for index, speaker in enumerate(speakers):
            await speaker.committed()
            assert await bytes_from(speaker.log) == b"".join(b"%d in room %d\n" % (turn, index) for turn in range(20))


@pytest.mark.parametrize("size", [10, 300, 40 * KIB, 300 * KIB])
async def test_messages_of_all_sizes_are_read_from_anywhere(size: int, bench: Bench) -> None:
    async with opened(bench) as store:
        speaker = begin(store)
        count = min(600, 4_000_000 // size)
        speaker.fill(count, size)
        await speaker.committed()
        assert [one.start for one in await read_all(speaker.log)] == marks(speaker.said)
        for at in range(0, count, max(1, count // 7)):
            wire = await bytes_from(speaker.log, at)
            assert wire == b"".join(chunk.data for chunk in speaker.said[at:])


async def test_it_is_read_while_it_is_written(bench: Bench) -> None:
    async with opened(bench) as store:
        speaker = begin(store)
        rounds = 200

        async def read() -> bytes:
            pieces: list[bytes] = []
            at = 0
            while at < rounds:
                if at == speaker.log.end:
                    await asyncio.sleep(0)
                    continue
                chunk = await speaker.log.chunk_at(at)
                first = chunk.batches.index(chunk.batch_at(at))
                pieces += [chunk.bytes_of(index) for index in range(first, len(chunk.batches))]
                at = chunk.end.seq
            return b"".join(pieces)

        readers = [asyncio.create_task(read()) for _ in range(10)]
        for index in range(rounds):
            speaker.say(b"%d\n" % index)
            if index % 3 == 0:
                await asyncio.sleep(0)
            if index % 20 == 0:
                await speaker.committed()
        wire = b"".join(b"%d\n" % index for index in range(rounds))
        assert await asyncio.gather(*readers) == [wire] * 10


async def test_what_is_cached_is_what_is_read(bench: Bench) -> None:
    async with opened(bench) as store:
        speaker = begin(store)
        assert speaker.log.cached(0) is None
        speaker.fill(50, 10 * KIB)
        # Before the commit and behind it.
        for _ in range(2):
            for seq in range(50):
                read = await speaker.log.chunk_at(seq)
                for chunk in (speaker.log.cached(seq), speaker.log.cached(read.start.seq)):
                    if chunk is not None:
                        assert chunk.start.seq <= seq < chunk.end.seq
                        assert chunk.bytes_of(seq - chunk.start.seq) == speaker.said[seq].data
            await speaker.committed()
        assert [speaker.log.cached(seq) for seq in (-1, 50, 51)] == [None] * 3


async def test_a_message_that_is_not_held_is_an_error(bench: Bench) -> None:
    async with opened(bench) as store:
        speaker = begin(store)
        with pytest.raises(LookupError):
            await speaker.log.chunk_at(0)
        speaker.say(b"a\n")
        await speaker.committed()
        for seq in (-1, 1, 2):
            with pytest.raises(LookupError):
                await speaker.log.chunk_at(seq)


async def test_waiting_for_a_commit_ends_with_it(bench: Bench) -> None:
    async with opened(bench) as store:
        speaker = begin(store)
        await speaker.log.wait_committed(0)
        bench.stall()
        # It may wait for what is said a moment later.
        waits = [asyncio.create_task(speaker.log.wait_committed(seq)) for seq in (3, 1, 2)]
        for _ in range(3):
            speaker.say(b"a\n")
            await asyncio.sleep(0)
        waits[1].cancel()
        done, _ = await asyncio.wait(waits, timeout=0.05)
        assert done == {waits[1]}
        bench.heal()
        await asyncio.gather(waits[0], waits[2])
        assert store.statistics().committed == {ROOM: 3}


KEYED = st.lists(
    st.lists(
        st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=3),
        min_size=0,
        max_size=4,
    ),
    max_size=4,
)
"""Runs of chunks of batches, each of some messages and so many seconds after the one before. Between two runs all is
committed."""


@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(runs=KEYED, pad=st.sampled_from((0, 20 * KIB)))
@pytest.mark.parametrize("kind", BENCHES)
def test_the_first_batch_is_found_by_each_key(
    kind: str, runs: Any, pad: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async def check() -> None:
        bench = BENCHES[kind](tmp_path_factory.mktemp("store"))
        async with opened(bench) as store:
            await _check_keys(begin(store), runs, pad)

    asyncio.run(check())


async def _check_keys(speaker: Speaker, runs: Any, pad: int) -> None:
    now = 0.0
    for run in runs:
        await speaker.committed()
        for chunk in run:
            batches = []
            for count, pause in chunk:
                now += pause
                batches.append(b"x\n" * count + (b"y" * pad + b"\n" if pad else b""))
            speaker.say(*batches, time=now)
    stored = [batch for chunk in speaker.said for batch in chunk.batches]
    for key, value in KEYS.items():
        values = sorted({value(batch) for batch in stored})
        for least in [-1.0, *values, *(each + 0.5 for each in values)]:
            expected = next((batch.start for batch in stored if value(batch) >= least), speaker.at)
            assert await speaker.log.first(key, least) == expected


async def test_a_log_goes_on_where_it_ended_when_the_store_is_opened_again(bench: Bench) -> None:
    async with opened(bench) as store:
        speaker = begin(store)
        speaker.say(b"a\n", b"b\n", time=3.0, tick=9)
        speaker.say(b"c\n", time=4.0, tick=10)
    async with opened(bench) as store:
        log = store.open_log(ROOM, LINES, Settings())
        assert (log.head, log.time) == (speaker.at, 4.0)
        assert tuple(log.terms) == (("a" * 16, 0, 3),)
        assert await bytes_from(log) == b"a\nb\nc\n"
        log.begin("b" * 16, log.head)
        again = Speaker(log)
        again.say(b"d\n", time=5.0, tick=2)
        await again.committed()
        batches = await read_all(log)
        # A tick of another process means nothing in this one.
        assert [(one.start.seq, one.time, one.tick) for one in batches] == [
            (0, 3.0, 0),
            (1, 3.0, 0),
            (2, 4.0, 0),
            (3, 5.0, 2),
        ]
    async with opened(bench) as store:
        log = store.open_log(ROOM, LINES, Settings())
        assert tuple(log.terms) == (("a" * 16, 0, 3), ("b" * 16, 3, 4))


async def test_terms_in_which_nothing_was_said_hide_none_before_them(bench: Bench) -> None:
    async with opened(bench) as store:
        speaker = begin(store)
        speaker.say(b"a\n")
    for term in "bc":
        async with opened(bench) as store:
            begin(store, term=term)
    async with opened(bench) as store:
        log = store.open_log(ROOM, LINES, Settings())
        # A store may forget them: nobody has a position of theirs.
        assert log.terms[0] == ("a" * 16, 0, 1)
        assert all(term.first == term.last == 1 for term in log.terms[1:])


async def test_a_lost_tail_leaves_the_terms_as_they_are_stored(bench: Bench) -> None:
    async with opened(bench) as store:
        speaker = begin(store)
        speaker.say(b"a\n")
        await speaker.committed()
        bench.stall()
        speaker.say(b"b\n")
        crashed = bench.crash()
        bench.heal()
        async with opened(crashed) as other:
            log = other.open_log(ROOM, LINES, Settings())
            assert log.head.seq == 1
            assert tuple(log.terms) == (("a" * 16, 0, 1),)
            log.release()
            again = begin(other, term="b")
            again.say(b"c\n")
            assert await bytes_from(again.log) == b"a\nc\n"


async def test_a_room_that_was_closed_can_be_opened_again(bench: Bench) -> None:
    async with opened(bench) as store:
        speaker = begin(store)
        speaker.say(b"a\n", tick=3)
        speaker.log.release()
        # Perhaps it is not committed yet.
        again = begin(store, term="b")
        assert again.log.head == speaker.at
        again.say(b"b\n")
        await again.committed()
        assert await bytes_from(again.log) == b"a\nb\n"
        assert [one.tick for one in await read_all(again.log)] == [3, 1]


async def test_a_room_of_which_nothing_is_stored_is_forgotten(bench: Bench) -> None:
    async with opened(bench) as store:
        speaker = begin(store)
        await speaker.committed()
        speaker.log.release()
        other = begin(store, "other")
        other.say(b"a\n")
        await other.committed()
    async with opened(bench) as store:
        assert tuple(store.open_log(ROOM, LINES, Settings()).terms) == ()
        assert len(store.open_log("other", LINES, Settings()).terms) == 1


async def test_a_room_that_is_open_is_not_opened_again(bench: Bench) -> None:
    async with opened(bench) as store:
        speaker = begin(store)
        with pytest.raises(StoreError):
            begin(store)
        assert speaker.log.taking
    with pytest.raises(StoreError):
        begin(store, "another")


async def test_a_room_may_come_and_go_before_the_store_is_started(bench: Bench) -> None:
    store = bench.store()
    begin(store).log.release()
    begin(store).fill(1)
    store.start(Settings())
    await store.close()
    async with opened(bench) as again:
        assert again.open_log(ROOM, LINES, Settings()).end == 1


async def test_another_framing_is_refused(bench: Bench) -> None:
    async with opened(bench) as store:
        begin(store).say(b"a\n")
    async with opened(bench) as store:
        with pytest.raises(StoreError, match="room room was stored as ByteLines"):
            store.open_log(ROOM, Delimited(b"|"), Settings())


async def test_messages_beyond_the_count_are_forgotten(bench: Bench) -> None:
    async with opened(bench, store_count=50) as store:
        speaker = begin(store, settings=Settings(store_count=50))
        other = begin(store, "other", settings=Settings())
        for _ in range(30):
            speaker.fill(10)
            other.fill(10)
            await speaker.committed()
        assert (await read_all(speaker.log))[-1].end == speaker.at
        assert 250 - 64 <= speaker.log.start <= 250
        assert other.log.start == 0
        with pytest.raises(LookupError):
            await speaker.log.chunk_at(speaker.log.start - 1)
        assert await speaker.log.first("seq", 0) == (speaker.log.start, await offset_at(speaker.log))
        start = speaker.log.start
    async with opened(bench) as store:
        again = store.open_log(ROOM, LINES, Settings())
        assert (again.start, again.end) == (start, 300)


async def offset_at(log: StoredLog) -> int:
    return (await log.chunk_at(log.start)).start.offset


async def test_messages_that_are_too_old_are_forgotten(bench: Bench) -> None:
    now = time.time()
    async with opened(bench, store_age=1000.0) as store:
        speaker = begin(store, settings=Settings(store_age=1000.0))
        speaker.say(b"old\n", time=now - 2000)
        await speaker.committed()
        speaker.say(b"new\n", time=now)
        await speaker.committed()
        await until(lambda: speaker.log.start == 1 or speaker.say(b"more\n", time=now) is None)
        assert (await bytes_from(speaker.log)).startswith(b"new\n")


async def test_a_room_keeps_its_own_share_of_the_store(bench: Bench) -> None:
    own = Settings(store_size=1024 * KIB)
    async with opened(bench) as store:
        speaker = begin(store, settings=own)
        other = begin(store, "other")
        for _ in range(30):
            speaker.fill(2, 50 * KIB)
            other.fill(1, 50 * KIB)
            await speaker.committed()
        await until(lambda: speaker.log.start > 30)
        assert other.log.start == 0
        held = speaker.at.offset - (await speaker.log.chunk_at(speaker.log.start)).start.offset
        assert 900 * KIB <= held <= 1024 * KIB


async def test_the_oldest_messages_go_when_the_store_is_full(bench: Bench) -> None:
    async with opened(bench, store_size=4 * 1024 * KIB) as store:
        first, second = begin(store, "first"), begin(store, "second")
        first.fill(20, 100 * KIB)
        await first.committed()
        for _ in range(200):
            second.fill(1, 100 * KIB)
            await second.committed()
        assert first.log.start == 20
        assert 150 < second.log.start < 200
        assert [one.start for one in await read_all(second.log)] == marks(second.said)[second.log.start :]
    async with opened(bench) as store:
        # Where it ended is known, although nothing of it is left.
        log = store.open_log("second", LINES, Settings())
        assert log.end == 200
        assert log.start == second.log.start


async def test_senders_wait_once_too_much_waits_for_its_commit(bench: Bench) -> None:
    async with opened(bench, store_pending=64 * KIB) as store:
        speaker = begin(store)
        bench.stall()
        speaker.fill(10, 6 * KIB)
        assert not speaker.log.full
        speaker.fill(1, 6 * KIB)
        assert speaker.log.full
        waits = [asyncio.create_task(speaker.log.wait_until_not_full()) for _ in range(3)]
        waits[0].cancel()
        done, _ = await asyncio.wait(waits, timeout=0.05)
        assert done == {waits[0]}
        bench.heal()
        await asyncio.gather(*waits[1:])
        assert not speaker.log.full
        await speaker.log.wait_until_not_full()


FAULTS = {"full": Bench.fill, "stalled": Bench.stall}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_short_fault_of_the_disk_loses_nothing(
    fault: str, bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(bench) as store:
        speaker = begin(store)
        getattr(bench, FAULTS[fault].__name__)()
        speaker.fill(10)
        await asyncio.sleep(0.05)
        speaker.fill(10)
        bench.heal()
        await speaker.committed()
        assert speaker.log.taking
        assert [one.start for one in await read_all(speaker.log)] == marks(speaker.said)


@pytest.mark.parametrize("fault", FAULTS)
async def test_after_a_long_fault_it_comes_back_with_a_new_term(fault: str, bench: Bench) -> None:
    async with opened(bench, store_patience=1.5, store_pending=64 * KIB) as store:
        speaker = begin(store)
        speaker.fill(10)
        await speaker.committed()
        getattr(bench, FAULTS[fault].__name__)()
        speaker.fill(100)
        held = asyncio.create_task(speaker.log.wait_until_not_full())
        with pytest.raises(NotStored, match="room room was delivered and not stored"):
            await speaker.committed()
        await held
        log = speaker.log
        assert not log.taking
        assert not log.ready
        assert not log.full
        assert log.end == 10
        assert store.statistics().out
        with pytest.raises(NotStored):
            await log.wait_committed(11)
        # In the meantime it takes nothing, and a room that is opened now does not either.
        speaker.fill(5)
        late = begin(store, "late")
        late.fill(5)
        assert (log.end, late.log.end) == (10, 0)
        assert not late.log.taking
        bench.heal()
        await until(lambda: log.ready)
        assert late.log.ready
        # Some of what the disk had got before it stalled may be there after all.
        assert 10 <= log.end <= 110
        log.begin("b" * 16, speaker.at)
        assert log.taking
        assert (log.start, log.end) == (115, 115)
        with pytest.raises(NotStored):
            await log.wait_committed(111)
        speaker.fill(5)
        await speaker.committed()
        assert [one.start.seq for one in await read_all(log)] == [115, 116, 117, 118, 119]
        assert (await log.first("seq", 0)).seq == 115
        with pytest.raises(LookupError):
            await log.chunk_at(5)
    async with opened(bench) as store:
        again = store.open_log(ROOM, LINES, Settings())
        assert (again.start, again.end) == (115, 120)
        # The first term ended before what is held, so its positions are lost either way.
        assert again.terms[-1] == ("b" * 16, 115, 120)


async def test_it_goes_on_without_a_hole_if_nothing_was_said_meanwhile(bench: Bench) -> None:
    async with opened(bench, store_patience=1.5) as store:
        speaker = begin(store)
        speaker.fill(10)
        await speaker.committed()
        bench.stall()
        speaker.fill(5)
        with pytest.raises(NotStored):
            await speaker.committed()
        bench.heal()
        await until(lambda: speaker.log.ready)
        if speaker.log.end == speaker.at.seq:
            # A stalled disk that takes its commit late.
            speaker.log.begin("b" * 16, speaker.at)
            assert speaker.log.start == 0
            speaker.fill(1)
            await speaker.committed()
            assert len(await read_all(speaker.log)) == 16


async def test_a_disk_that_fails_while_nothing_waits_is_not_noticed(bench: Bench) -> None:
    async with opened(bench, store_patience=1.5) as store:
        speaker = begin(store)
        speaker.fill(1)
        await speaker.committed()
        bench.fill()
        await asyncio.sleep(1.7)
        assert speaker.log.taking
        bench.heal()
        speaker.fill(1)
        await speaker.committed()


async def test_a_chunk_that_does_not_follow_is_refused_and_a_new_term_may_begin(bench: Bench) -> None:
    async with opened(bench) as store:
        speaker = begin(store)
        speaker.fill(1)
        speaker.at = Mark(5, 5000)
        with pytest.raises(ValueError, match=r"."):
            speaker.fill(1)
        assert not speaker.log.taking
        assert speaker.log.ready
        speaker.log.begin("b" * 16, speaker.at)
        speaker.fill(1)
        await speaker.committed()
        assert (speaker.log.start, speaker.log.end) == (6, 7) or (speaker.log.start, speaker.log.end) == (5, 6)


async def test_a_term_does_not_begin_in_the_past(bench: Bench) -> None:
    async with opened(bench) as store:
        speaker = begin(store)
        speaker.fill(3)
        speaker.log.release()
        log = store.open_log(ROOM, LINES, Settings())
        with pytest.raises(ValueError, match="a term cannot begin"):
            log.begin("b" * 16, Mark(1, 1256))


async def test_cancelling_one_reader_leaves_the_others(bench: Bench) -> None:
    async with opened(bench) as store:
        speaker = begin(store)
        speaker.fill(100)
        await speaker.committed()
        for seq in range(0, 100, 9):
            reads = [asyncio.create_task(speaker.log.chunk_at(seq)) for _ in range(5)]
            await asyncio.sleep(0)
            reads[0].cancel()
            reads[3].cancel()
            results = await asyncio.gather(*reads, return_exceptions=True)
            kept = [results[index] for index in (1, 2, 4)]
            assert all(isinstance(chunk, Chunk) and chunk.start.seq <= seq < chunk.end.seq for chunk in kept)
        everyone = [asyncio.create_task(speaker.log.first("seq", 50)) for _ in range(5)]
        await asyncio.sleep(0)
        for task in everyone:
            task.cancel()
        await asyncio.gather(*everyone, return_exceptions=True)
        assert (await speaker.log.first("seq", 50)).seq == 50


async def test_a_closed_store_takes_and_gives_nothing(bench: Bench) -> None:
    async with opened(bench) as store:
        speaker = begin(store)
        speaker.fill(10)
        waiting = asyncio.create_task(speaker.log.wait_committed(11))
        await asyncio.sleep(0)
        await store.close()
        with pytest.raises(NotStored):
            await waiting
        assert not speaker.log.taking
        assert not speaker.log.ready
        speaker.fill(1)
        assert speaker.log.end == 10
        with pytest.raises(NotStored):
            await speaker.log.wait_committed(11)
        with pytest.raises(OSError, match="the store was closed"):
            await speaker.log.chunk_at(0)
        with pytest.raises(OSError, match="the store was closed"):
            await speaker.log.first("seq", 0)
        await store.close()
    async with opened(bench) as store:
        assert store.open_log(ROOM, LINES, Settings()).end == 10


async def test_it_can_be_used_before_it_is_started(bench: Bench) -> None:
    store = bench.store()
    speaker = begin(store)
    speaker.fill(3)
    store.start(Settings())
    await speaker.committed()
    await store.close()
    async with opened(bench) as again:
        assert again.open_log(ROOM, LINES, Settings()).end == 3


async def test_a_store_that_was_never_started_can_be_closed(bench: Bench) -> None:
    store = bench.store()
    await store.close()
    await store.close()
    async with opened(bench):
        pass
