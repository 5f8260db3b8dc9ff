"""A store of SQLite: what only it can get wrong."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from hubbub.framing import BytesFraming, Delimited
from hubbub.log.chunk import Batch, Chunk, Mark
from hubbub.stores import age, rows
from hubbub.stores.readers import Cache
from hubbub.stores.sqlite import SqliteStore
from hubbub.stores.writer import PACE
from hubbub.values.errors import NotStored, StoreError
from hubbub.values.settings import Settings

import support
from support.stores import LINES, Speaker, SqliteBench, bytes_from, line, read_all, until

KIB = 1024
MIB = 1024 * KIB
TESTS = Path(support.__path__[0]).parent


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def started(path: Path, **limits: Any) -> SqliteStore:
    store = SqliteStore(path)
    store.start(Settings(**limits))
    return store


def begin(store: SqliteStore, room: str = "room", *, term: str = "a", **limits: Any) -> Speaker:
    log = store.open_log(room, LINES, Settings(**limits))
    log.begin(term * 16, log.head)
    return Speaker(log)


def size_on_disk(path: Path) -> int:
    return sum(
        path.with_name(name).stat().st_size for name in (path.name, path.name + "-wal") if path.with_name(name).exists()
    )


@pytest.mark.parametrize("kills", [5, pytest.param(100, marks=pytest.mark.long)])
@pytest.mark.timeout(600)
def test_nothing_acknowledged_is_lost_when_the_process_is_killed(kills: int, path: Path) -> None:
    random = Random(kills)
    for count in range(kills):
        acknowledged = _record_and_kill(path, random.uniform(0.0, 0.15))
        asyncio.run(_check_record(path, acknowledged, terms=count + 1))


def _record_and_kill(path: Path, seconds: float) -> int:
    """Let a process record, and kill it after its first commit and so many seconds; what it said is committed."""
    with subprocess.Popen(
        (sys.executable, "-m", "support.storing", str(path), "room"),
        cwd=TESTS,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        bufsize=0,
    ) as process:
        assert process.stdout is not None
        said = process.stdout.read(8)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(seconds)
        process.send_signal(signal.SIGKILL)
        said += process.stdout.read()
    assert process.returncode == -signal.SIGKILL
    return int.from_bytes(said[len(said) // 8 * 8 - 8 :][:8], "big")


async def _check_record(path: Path, acknowledged: int, terms: int) -> None:
    store = started(path)
    try:
        log = store.open_log("room", LINES, Settings())
        assert log.end >= acknowledged
        wire = await bytes_from(log)
        assert wire == b"".join(line(seq) for seq in range(log.start, log.end))
        assert 0 < len(log.terms) <= terms
        assert log.terms[-1].last == log.end
        firsts = [term.first for term in log.terms]
        # A term ends where the next one begins: nothing was given up.
        assert [term.last for term in log.terms[:-1]] == firsts[1:]
    finally:
        await store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_a_wal_that_was_cut_anywhere_leaves_a_beginning_of_what_was_said(tmp_path: Path) -> None:
    bench = SqliteBench(tmp_path)
    store = bench.store()
    store.start(Settings())
    speaker = begin(store)
    for _ in range(40):
        speaker.say(line(speaker.at.seq))
        await speaker.committed()
    image = bench.crash().path
    await store.close()
    wal = image.with_name(image.name + "-wal").read_bytes()
    random = Random(1)
    ends = set()
    for cut in [0, 1, 31, 32, 33, len(wal), *(random.randrange(len(wal)) for _ in range(60))]:
        damaged = random.random() < 0.3
        kept = wal[:cut] + (os.urandom(len(wal) - cut) if damaged else b"")
        ends.add(await _open_with_wal(image, kept, tmp_path / "cut"))
    assert {0, 40} <= ends
    assert len(ends) > 10


async def _open_with_wal(image: Path, wal: bytes, folder: Path) -> int:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()  # noqa: ASYNC240 - nobody waits
    shutil.copy(image, folder / "log.db")
    (folder / "log.db-wal").write_bytes(wal)
    store = started(folder / "log.db")
    try:
        log = store.open_log("room", LINES, Settings())
        wire = await bytes_from(log)
        assert wire == b"".join(line(seq) for seq in range(log.end))
        # It goes on from there.
        log.begin("b" * 16, log.head)
        speaker = Speaker(log)
        speaker.fill(3)
        await speaker.committed()
        return log.head.seq
    finally:
        await store.close()


@pytest.mark.parametrize("limit", [1 * MIB, *(pytest.param(size * MIB, marks=pytest.mark.long) for size in (5, 20))])
async def test_the_file_stays_below_its_limit(limit: int, path: Path) -> None:
    store = started(path, store_size=limit)
    speaker, other = begin(store), begin(store, "other")
    most = 0
    for turn in range(50):
        speaker.fill(10, min(100 * KIB, limit // 100))
        other.fill(300, 50)
        if turn % 3 == 0:
            await speaker.committed()
            await other.committed()
            most = max(most, size_on_disk(path))
    assert limit // 3 < most <= limit
    assert store.statistics().size <= limit
    # It holds about as much as it may.
    held = speaker.log.end - speaker.log.start
    assert held > 10
    await store.close()


async def test_a_store_with_a_lower_limit_than_before_forgets_down_to_it(path: Path) -> None:
    store = started(path)
    speaker = begin(store)
    speaker.fill(200, 100 * KIB)
    await store.close()
    before = size_on_disk(path)
    store = started(path, store_size=4 * MIB)
    log = store.open_log("room", LINES, Settings())
    await until(lambda: log.start > 170)
    assert (await read_all(log, 190))[-1].end == log.head
    await store.close()
    # Freed pages are used again, and the file stays as long as it was.
    assert size_on_disk(path) == before


async def test_another_program_that_reads_for_long_lets_the_wal_grow_no_longer_than_it_reads(path: Path) -> None:
    store = started(path, store_size=16 * MIB)
    speaker = begin(store)
    speaker.fill(1)
    await speaker.committed()
    wal = path.with_name("log.db-wal")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM chunks").fetchone()
        for _ in range(20):
            speaker.fill(10, 100 * KIB)
            await speaker.committed()
        assert wal.stat().st_size > 6 * MIB

    async def say_more() -> None:
        speaker.fill(1)
        await speaker.committed()

    async with asyncio.timeout(20):
        while wal.stat().st_size > 4 * MIB:
            await say_more()
    await store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ("mount", "-t", "tmpfs", "-o", f"size={12 * MIB}", "tmpfs", str(folder))
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount a small disk")
    yield folder
    subprocess.run(("umount", "-l", str(folder)), check=True)


def fill_disk(folder: Path, size: int = 100 * MIB) -> bool:
    """Let another file take so many bytes of the disk, or all that are left; whether there were enough."""
    with (folder / "other").open("ab", buffering=0) as file, suppress(OSError):
        for _ in range(size // (4 * KIB)):
            file.write(bytes(4 * KIB))
        return True
    return False


@pytest.mark.long
async def test_on_a_disk_that_others_fill_it_keeps_less_and_goes_on(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = small_disk / "log.db"
    store = started(path, store_size=10 * MIB)
    speaker = begin(store)
    for _ in range(8):
        speaker.fill(10, 60 * KIB)
        await speaker.committed()
    assert speaker.log.start == 0
    while fill_disk(small_disk, 100 * KIB):
        speaker.fill(2, 60 * KIB)
        await speaker.committed()
    for _ in range(20):
        speaker.fill(5, 60 * KIB)
        await speaker.committed()
    assert speaker.log.taking
    assert speaker.log.start > 0
    assert "is nearly full: less is kept than the settings allow" in caplog.text
    assert (await read_all(speaker.log))[-1].end == speaker.at
    await store.close()


async def test_on_a_full_disk_it_says_so_once_and_comes_back(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = small_disk / "log.db"
    store = started(path, store_patience=1.5)
    speaker = begin(store)
    await speaker.committed()
    assert not fill_disk(small_disk)
    speaker.fill(100, 60 * KIB)
    with pytest.raises(NotStored, match="full") as caught:
        await speaker.committed()
    assert caught.value.full
    failures = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert failures == [
        f"the store {path} cannot be written: database or disk is full (SQLITE_FULL); make room on its disk",
        f"the store {path} is out: database or disk is full (SQLITE_FULL); the server goes on in memory, and nothing "
        "is stored until the store is back",
    ]
    (small_disk / "other").unlink()
    await until(lambda: speaker.log.ready)
    assert f"the store {path} is back after" in caplog.text
    speaker.log.begin("b" * 16, speaker.at)
    speaker.fill(3)
    await speaker.committed()
    await store.close()


def test_no_store_is_made_on_a_full_disk(small_disk: Path) -> None:
    assert not fill_disk(small_disk)
    with pytest.raises(StoreError, match=r"full .*; make room on its disk"):
        SqliteStore(small_disk / "log.db")


def test_a_read_only_disk_is_refused(small_disk: Path) -> None:
    subprocess.run(("mount", "-o", "remount,ro", str(small_disk)), check=True)
    with pytest.raises(StoreError) as caught:
        SqliteStore(small_disk / "log.db")
    assert str(caught.value).endswith(": read-only file system; choose a path on a file system that can be written")


async def test_a_stalled_disk_holds_neither_the_loop_nor_readers(tmp_path: Path) -> None:
    bench = SqliteBench(tmp_path)
    store = bench.store()
    store.start(Settings(store_patience=1.5))
    speaker = begin(store)
    speaker.fill(10)
    await speaker.committed()
    bench.stall()
    # In one piece, which the writer takes at once.
    speaker.say(*[b"x\n"] * 10)
    assert len(await read_all(speaker.log)) == 20
    with pytest.raises(NotStored, match=r"its disk has not answered for 1\.5 s") as caught:
        await speaker.committed()
    assert not caught.value.full
    assert speaker.log.end == 10
    assert len(await read_all(speaker.log)) == 10
    # What it had got is there after all when it answers.
    bench.heal()
    await until(lambda: speaker.log.ready)
    assert speaker.log.end == 20
    assert len(await read_all(speaker.log)) == 20
    speaker.log.begin("b" * 16, speaker.at)
    assert speaker.log.start == 0
    speaker.fill(1)
    await store.close()
    with closing(sqlite3.connect(bench.path)) as connection:
        terms = connection.execute("SELECT term, first, last FROM terms").fetchall()
    # The last one ends where the messages do.
    assert terms == [("a" * 16, 0, 20), ("b" * 16, 20, 20)]


async def test_a_store_is_closed_late_where_its_disk_does_not_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = SqliteBench(tmp_path)
    store = bench.store()
    store.start(Settings(store_patience=1.5))
    speaker = begin(store)
    await speaker.committed()
    bench.stall()
    speaker.fill(10)
    await store.close()
    assert "is closed late: its disk does not answer" in caplog.text
    # Nobody else may have it: what is being written may still arrive.
    with pytest.raises(StoreError, match="in use"):
        SqliteStore(bench.path)
    bench.heal()
    await until(store._writer_ended.is_set)
    await store.close()
    await SqliteStore(bench.path).close()


async def test_a_fault_that_passes_is_told_twice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bench = SqliteBench(tmp_path)
    store = bench.store()
    store.start(Settings())
    speaker = begin(store)
    await speaker.committed()
    bench.fill()
    speaker.fill(1)
    await until(lambda: "cannot be written" in caplog.text)
    bench.heal()
    await speaker.committed()
    messages = [record.getMessage() for record in caplog.records if record.levelname != "INFO"]
    assert messages == [
        f"the store {bench.path} cannot be written: database or disk is full (SQLITE_FULL); make room on its disk",
        f"the store {bench.path} can be written again",
    ]
    await store.close()


async def test_readers_share_what_they_read(path: Path) -> None:
    store = started(path)
    speaker = begin(store)
    speaker.fill(100, 100 * KIB)
    await speaker.committed()
    both = await asyncio.gather(*(speaker.log.chunk_at(50) for _ in range(10)))
    assert len(set(map(id, both))) == 1
    held = await speaker.log.chunk_at(0)
    await read_all(speaker.log, 1)
    assert await speaker.log.chunk_at(0) is held
    assert store.statistics().reads == {"room": 111}
    await store.close()


def test_what_is_kept_for_the_next_reader_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubbub.stores.readers.CACHE_SIZE", 1000)
    cache = Cache()

    def chunk(seq: int, count: int = 1) -> rows.StoredChunk:
        batch = Batch(Mark(seq, seq * 300), 0, 0.0, "", 0, 0, count, 44 * count)
        return rows.StoredChunk([batch], b"x" * 44 * count)

    for seq in range(5):
        cache.add(1, chunk(seq))
    assert [seq for seq in range(5) if cache.get(1, seq)] == [2, 3, 4]
    held = cache.get(1, 2)
    for seq in range(5, 9):
        cache.add(1, chunk(seq))
    assert cache.get(1, 2) is held
    # One that was known is used again, and a longer one is better.
    assert cache.add(1, chunk(8)) is cache.get(1, 8)
    longer = chunk(8, 2)
    assert cache.add(1, longer) is longer
    assert cache.get(1, 8) is longer
    assert cache.get(2, 8) is None


async def test_a_chunk_of_large_batches_is_stored_in_small_rows(path: Path) -> None:
    """Each of many readers that catch up may hold another row."""
    store = started(path)
    speaker = begin(store)
    sizes = [10 * KIB, 30 * KIB, 23 * KIB, 10 * KIB, 200 * KIB, 1, 63 * KIB, 63 * KIB]
    speaker.say(*(b"x" * (size - 1) + b"\n" for size in sizes))
    await speaker.committed()
    with closing(sqlite3.connect(path)) as connection:
        rows_there = connection.execute("SELECT end_seq - seq, length(data) FROM chunks ORDER BY seq").fetchall()
    assert rows_there == [(3, 63 * KIB), (1, 10 * KIB), (1, 200 * KIB), (2, 63 * KIB + 1), (1, 63 * KIB)]
    assert await bytes_from(speaker.log) == speaker.said[0].data
    await store.close()


async def test_nothing_is_cached_of_what_is_before_a_hole(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubbub.stores.sqlite_log.LARGEST", 50 * KIB)
    store = started(path)
    speaker = begin(store)
    speaker.fill(10)
    with pytest.raises(ValueError, match="larger than"):
        speaker.fill(1, 60 * KIB)
    speaker.log.begin("b" * 16, speaker.at)
    speaker.fill(3)
    assert [speaker.log.cached(seq) is not None for seq in range(9, 15)] == [False, False, True, True, True, False]
    await store.close()


async def test_a_reader_has_what_another_one_has_just_read_without_waiting(path: Path) -> None:
    store = started(path)
    speaker = begin(store)
    speaker.fill(3, 100 * KIB)
    await speaker.committed()
    assert speaker.log.cached(0) is None
    read = await speaker.log.chunk_at(0)
    assert speaker.log.cached(0) is read
    assert store.statistics().reads == {"room": 2}
    await store.close()


async def test_small_messages_are_read_together(path: Path) -> None:
    store = started(path)
    speaker = begin(store)
    for _ in range(60):
        speaker.fill(1, 100)
        await speaker.committed()
    with closing(sqlite3.connect(path)) as connection:
        (rows_there,) = connection.execute("SELECT count(*) FROM chunks").fetchone()
    assert rows_there == 60
    chunk = await speaker.log.chunk_at(0)
    assert len(chunk.batches) == 60
    await store.close()


async def test_a_damaged_row_is_an_error_of_its_readers_only(path: Path) -> None:
    store = started(path)
    speaker = begin(store)
    speaker.fill(3, 100 * KIB)
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE chunks SET batches = x'01' WHERE seq = 1")
        connection.commit()
    store = started(path)
    log = store.open_log("room", LINES, Settings())
    with pytest.raises(OSError, match="is damaged"):
        await log.chunk_at(1)
    for seq in (2, 0):
        assert (await log.chunk_at(seq)).start.seq == seq
    await store.close()


def change_a_byte(path: Path, within: bytes) -> None:
    content = path.read_bytes()
    at = content.index(within) + len(within) // 2
    path.write_bytes(content[:at] + b"1" + content[at + 1 :])


async def test_a_byte_that_was_changed_is_noticed(path: Path) -> None:
    store = started(path)
    speaker = begin(store)
    speaker.fill(3, 100 * KIB)
    await store.close()
    change_a_byte(path, within=b"0" * 3000)
    store = started(path)
    log = store.open_log("room", LINES, Settings())
    results = await asyncio.gather(*(log.chunk_at(seq) for seq in range(3)), return_exceptions=True)
    (error,) = [result for result in results if isinstance(result, BaseException)]
    assert isinstance(error, OSError)
    assert "is damaged: the messages from " in str(error)
    await store.close()


async def test_rows_that_were_deleted_are_no_longer_held(path: Path) -> None:
    store = started(path)
    speaker = begin(store)
    speaker.fill(5, 100 * KIB)
    await store.close()
    store = started(path)
    log = store.open_log("room", LINES, Settings())
    # As retention does just before the loop hears of it.
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM chunks WHERE seq < 3")
    with pytest.raises(LookupError):
        await log.chunk_at(1)
    assert await log.first("seq", 0) == speaker.said[3].start
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM chunks")
    assert await log.first("seq", 0) == log.head
    await store.close()


async def test_a_row_in_the_middle_that_is_missing_ends_what_is_read_together(path: Path) -> None:
    store = started(path)
    speaker = begin(store)
    speaker.fill(3, 100 * KIB)
    await store.close()
    store = started(path)
    log = store.open_log("room", LINES, Settings())
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM chunks WHERE seq = 1")
    assert (await log.chunk_at(0)).end.seq == 1
    with pytest.raises(LookupError):
        await log.chunk_at(1)
    assert (await log.chunk_at(2)).end.seq == 3
    await store.close()


async def test_a_file_that_is_gone_is_an_error_of_its_readers(path: Path) -> None:
    store = started(path)
    speaker = begin(store)
    speaker.fill(3, 100 * KIB)
    await speaker.committed()
    shutil.move(path, path.with_name("elsewhere.db"))
    with pytest.raises(OSError, match="cannot be read: unable to open database file"):
        await speaker.log.chunk_at(0)
    shutil.move(path.with_name("elsewhere.db"), path)
    assert (await speaker.log.chunk_at(0)).end.seq == 1
    await store.close()


async def test_whoever_reads_while_the_store_is_closed_is_told(path: Path) -> None:
    store = started(path)
    speaker = begin(store)
    speaker.fill(50, 100 * KIB)
    await speaker.committed()
    reads = [asyncio.create_task(speaker.log.chunk_at(seq)) for seq in range(0, 50, 2)]
    unwanted = asyncio.create_task(speaker.log.chunk_at(49))
    await asyncio.sleep(0)
    unwanted.cancel()
    await store.close()
    for result in await asyncio.gather(*reads, return_exceptions=True):
        assert isinstance(result, Chunk) or str(result) == "[Errno 9] the store was closed"
    with pytest.raises(OSError, match="the store was closed"):
        await reads[-1]


async def test_a_room_is_trimmed_slice_by_slice(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubbub.stores.retention.SLICE", 7)
    store = started(path)
    speaker = begin(store)
    for _ in range(40):
        speaker.fill(1)
        await speaker.committed()
    await store.close()
    store = started(path, store_count=5)
    log = store.open_log("room", LINES, Settings(store_count=5))
    await until(lambda: log.start == 35)
    await store.close()


async def test_a_closed_room_whose_messages_were_all_too_old_is_forgotten(path: Path) -> None:
    store = started(path, store_age=0.5)
    speaker, other = begin(store, store_age=0.5), begin(store, "other", store_age=0.5)
    other.say(b"old\n", time=1.0)
    speaker.say(b"old soon\n", time=time.time())
    await speaker.committed()
    speaker.log.release()
    speaker.log.release()
    await until(lambda: set(store.statistics().committed) == {"other"})
    # The other one is open, so it is known where it ended.
    await until(lambda: other.log.start == 1)
    looked = store._retention._looked if store._retention else 0.0
    await until(lambda: store._retention is not None and store._retention._looked > looked)
    other.say(b"new\n", time=time.time() + 100)
    await other.committed()
    assert await bytes_from(other.log) == b"new\n"
    await store.close()


async def test_a_room_may_be_forgotten_before_it_is_stored(tmp_path: Path) -> None:
    bench = SqliteBench(tmp_path)
    store = bench.store()
    limits: Any = {"rooms_limit": 1}
    store.start(Settings())
    speaker = begin(store, **limits)
    bench.stall()
    speaker.fill(5)
    speaker.log.release()
    other = begin(store, "other", **limits)
    other.fill(1)
    bench.heal()
    await other.committed()
    await until(lambda: store.statistics().pending == 0)
    await store.close()


async def test_a_term_in_which_nothing_was_said_before_the_disk_failed_is_replaced(tmp_path: Path) -> None:
    bench = SqliteBench(tmp_path)
    store = bench.store()
    store.start(Settings(store_patience=1.5))
    silent, speaker = begin(store, "silent"), begin(store)
    bench.fill()
    speaker.fill(1)
    waiting = asyncio.create_task(speaker.committed())
    cancelled = asyncio.create_task(speaker.committed())
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(NotStored):
        await waiting
    bench.heal()
    await until(lambda: silent.log.ready)
    silent.log.begin("b" * 16, silent.at)
    silent.fill(1)
    await silent.committed()
    await store.close()
    again = SqliteStore(bench.path)
    assert tuple(again.open_log("silent", LINES, Settings()).terms) == (("b" * 16, 0, 1),)
    await again.close()


async def test_a_disk_that_fails_at_the_start_is_noticed_although_nothing_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = SqliteBench(tmp_path)
    store = bench.store()
    bench.fill()
    store.start(Settings())
    await until(lambda: "cannot be written: database or disk is full" in caplog.text)
    bench.heal()
    speaker = begin(store)
    speaker.fill(1)
    await speaker.committed()
    assert speaker.log.taking
    await store.close()


@pytest.mark.parametrize(
    ("token", "reason"), [(-1, "error('int too large to convert')"), ("x", "required argument is not an integer")]
)
async def test_what_cannot_be_written_at_all_is_given_up_in_time(
    token: Any, reason: str, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = started(path, store_patience=1.5)
    speaker = begin(store)
    speaker.say(b"a\n", token=token)
    with pytest.raises(NotStored):
        await speaker.committed()
    await until(lambda: speaker.log.ready)
    speaker.log.begin("b" * 16, speaker.at)
    speaker.fill(1)
    await speaker.committed()
    await store.close()


async def test_a_page_that_cannot_be_read_is_an_error_of_its_readers_only(path: Path) -> None:
    store = started(path)
    speaker = begin(store)
    speaker.fill(50, 100 * KIB)
    await store.close()
    store = started(path)
    log = store.open_log("room", LINES, Settings())
    with path.open("r+b") as file:
        file.seek(size_on_disk(path) // 2)
        file.write(b"\xff" * 300 * KIB)
    results = await asyncio.gather(*(log.chunk_at(seq) for seq in range(50)), return_exceptions=True)
    errors = [str(result) for result in results if isinstance(result, OSError)]
    assert 2 <= len(errors) < 25
    assert all("cannot be read: database disk image is malformed (SQLITE_CORRUPT)" in error for error in errors)
    assert [result.start.seq for result in results[:20] if isinstance(result, Chunk)] == list(range(20))
    await store.close()


async def test_a_reader_that_does_not_wait_any_more_costs_no_read(path: Path) -> None:
    store = started(path)
    speaker = begin(store)
    speaker.fill(100, 100 * KIB)
    await speaker.committed()
    for _ in range(20):
        reads = [asyncio.create_task(speaker.log.chunk_at(seq)) for seq in range(0, 100, 10)]
        await asyncio.sleep(0)
        for read in reads[1:]:
            read.cancel()
        again = [asyncio.create_task(speaker.log.chunk_at(seq)) for seq in (50, 60)]
        assert (await reads[0]).start.seq == 0
        assert [(await task).start.seq for task in again] == [50, 60]
    await store.close()


async def test_the_room_that_was_silent_longest_makes_way_for_a_new_one(path: Path) -> None:
    limits: Any = {"rooms_limit": 3}
    store = started(path, **limits)
    for index, room in enumerate(("old", "older", "open")):
        speaker = begin(store, room, **limits)
        speaker.say(b"x\n", time=10.0 + (index != 1))
        await speaker.committed()
        if room != "open":
            speaker.log.release()
    await store.close()
    store = started(path, **limits)
    store.open_log("open", LINES, Settings(**limits))
    begin(store, "new", **limits).fill(1)
    begin(store, "newer", **limits).fill(1)
    # All are open, and one more is not this store's matter.
    begin(store, "newest", **limits).fill(1)
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM rooms WHERE name IS NOT NULL ORDER BY id").fetchall() == [
            ("open",),
            ("new",),
            ("newer",),
            ("newest",),
        ]


async def test_a_large_room_is_forgotten_slice_by_slice(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubbub.stores.retention.SLICE", 7)
    store = started(path)
    speaker = begin(store)
    for _ in range(30):
        speaker.fill(1)
        await speaker.committed()
    speaker.log.release()
    store._forget(store._logs["room"])
    # A room of that name can be made at once.
    again = begin(store, term="b")
    again.fill(1)
    await again.committed()
    assert len(await read_all(again.log)) == 1
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        left = connection.execute("SELECT count(*) FROM rooms").fetchone()[0]
        assert left in {1, 2}
    store = started(path)
    with closing(sqlite3.connect(path)) as connection:
        await until(lambda: connection.execute("SELECT count(*) FROM rooms").fetchone() == (1,))
        assert connection.execute("SELECT count(*) FROM chunks").fetchone() == (1,)
    await store.close()


async def test_a_room_that_was_not_forgotten_whole_at_a_crash_is_not_known_and_then_deleted(path: Path) -> None:
    store = started(path)
    begin(store).fill(50)
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE rooms SET name = NULL")
        connection.commit()
    store = SqliteStore(path)
    assert store.open_log("room", LINES, Settings()).head == (0, 0)
    store.start(Settings())
    with closing(sqlite3.connect(path)) as connection:
        await until(lambda: connection.execute("SELECT count(*) FROM chunks").fetchone() == (0,))
        await until(lambda: connection.execute("SELECT count(*) FROM terms").fetchone() == (0,))
    await store.close()


async def test_a_room_of_that_name_that_was_not_forgotten_in_time_makes_way(tmp_path: Path) -> None:
    bench = SqliteBench(tmp_path)
    store = bench.store()
    store.start(Settings(store_patience=1.5))
    speaker, waiting = begin(store), begin(store, "waiting")
    await waiting.committed()
    bench.fill()
    speaker.log.release()
    waiting.fill(1)
    with pytest.raises(NotStored):
        await waiting.committed()
    bench.heal()
    await until(lambda: waiting.log.ready)
    again = begin(store, term="b")
    again.fill(1)
    await again.committed()
    await store.close()
    with closing(sqlite3.connect(bench.path)) as connection:
        terms = connection.execute("SELECT term, last FROM terms, rooms WHERE room = rooms.id AND name = 'room'")
        assert terms.fetchall() == [("b" * 16, 0)]


async def test_a_term_that_was_given_up_whole_is_known_all_the_same(tmp_path: Path) -> None:
    bench = SqliteBench(tmp_path)
    store = bench.store()
    store.start(Settings(store_patience=1.5))
    bench.fill()
    speaker = begin(store)
    speaker.fill(5)
    with pytest.raises(NotStored):
        await speaker.committed()
    bench.heal()
    await until(lambda: speaker.log.ready)
    speaker.at = speaker.log.head
    speaker.log.begin("b" * 16, speaker.at)
    speaker.fill(1)
    await store.close()
    again = SqliteStore(bench.path)
    log = again.open_log("room", LINES, Settings())
    assert tuple(log.terms) == (("a" * 16, 0, 0), ("b" * 16, 0, 1))
    await again.close()


async def test_as_many_terms_are_kept_as_there_may_be(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("jobs", "sqlite_log"):
        monkeypatch.setattr(f"hubbub.stores.{module}.TERMS_LIMIT", 3)
    for number in range(5):
        store = started(path)
        speaker = begin(store, term=str(number))
        speaker.fill(1)
        await store.close()
    store = SqliteStore(path)
    log = store.open_log("room", LINES, Settings())
    assert [term.name[0] for term in log.terms] == ["2", "3", "4"]
    await store.close()


class Unnamed(BytesFraming):
    """A framing without a text of its own."""

    def decoder(self, limit: int) -> Any:
        return LINES.decoder(limit)

    def encode(self, messages: Any) -> bytes:
        return LINES.encode(messages)


async def test_a_framing_is_known_again_by_its_text_or_its_class(path: Path) -> None:
    for _ in range(2):
        store = started(path)
        for room, framing in (("a", Unnamed()), ("b", Delimited(b"|"))):
            log = store.open_log(room, framing, Settings())
            log.begin(os.urandom(8).hex(), log.head)
            Speaker(log).fill(1)
        await store.close()


async def test_statistics_say_what_it_did(path: Path) -> None:
    store = started(path)
    before = store.statistics()
    assert (before.committed, before.commits, before.commit_p50, before.size, before.out) == ({}, 0, 0.0, 0, False)
    speaker = begin(store)
    for _ in range(10):
        speaker.fill(1)
        await speaker.committed()
    after = store.statistics()
    assert after.committed == {"room": 10}
    assert 1 <= after.commits <= 11
    assert 0 < after.commit_p50 <= after.commit_p99 <= after.commit_time
    assert after.size == size_on_disk(path)
    assert after.pending == 0
    await store.close()


async def test_a_log_is_not_read_before_the_store_is_started(path: Path) -> None:
    store = started(path)
    begin(store).fill(1)
    await store.close()
    store = SqliteStore(path)
    log = store.open_log("room", LINES, Settings())
    with pytest.raises(OSError, match="was not started"):
        await log.chunk_at(0)
    await store.close()


async def test_a_chunk_too_large_for_a_row_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubbub.stores.sqlite_log.LARGEST", 1000)
    store = started(path)
    speaker = begin(store)
    with pytest.raises(ValueError, match="a chunk of 2000 bytes is larger than 1000"):
        speaker.fill(1, 2000)
    assert not speaker.log.taking
    assert speaker.log.ready
    await store.close()


def test_a_loop_that_was_closed_before_its_store_is_no_trouble(path: Path) -> None:
    async def leave() -> SqliteStore:
        store = started(path)
        begin(store).fill(100)
        return store

    store = asyncio.run(leave())
    assert store._writer is not None
    store._writer.stop()
    assert store._shared.readers is not None
    store._shared.readers.stop()


async def test_a_room_of_a_name_that_is_no_text_is_refused(path: Path) -> None:
    store = started(path)
    with pytest.raises(ValueError, match="cannot be the name of a room that is stored: it is not text"):
        store.open_log("\udc80", LINES, Settings())
    await store.close()


async def test_rooms_that_come_and_go_without_a_word_leave_nothing_behind(path: Path) -> None:
    store = started(path)
    for number in range(1000):
        begin(store, f"room-{number}", store_count=5).log.release()
    assert not store._logs
    assert store._retention is not None
    assert not store._retention._limits
    assert store._recorder.pending == 0
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM rooms").fetchone() == (0,)


async def test_what_cannot_be_written_for_whatever_reason_does_not_end_the_writer(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Exception):
        pass

    def write(*_: object) -> None:
        raise Broken("no such luck")

    store = started(path, store_patience=1.5)
    speaker = begin(store)
    with monkeypatch.context() as broken:
        broken.setattr("hubbub.stores.jobs.Transaction.add", write)
        speaker.say(b"a\n")
        with pytest.raises(NotStored, match="no such luck"):
            await speaker.committed()
    await until(lambda: speaker.log.ready)
    speaker.log.begin("b" * 16, speaker.at)
    speaker.say(b"b\n")
    await speaker.committed()
    await store.close()
    assert any("cannot be written: no such luck" in line for line in caplog.messages)


async def test_commits_for_which_nobody_waits_come_now_and_then_and_others_at_once(path: Path) -> None:
    store = started(path)
    speaker = begin(store)
    start = asyncio.get_running_loop().time()
    for number in range(100):
        speaker.say(line(number))
        await asyncio.sleep(0.001)
    lasted = asyncio.get_running_loop().time() - start
    assert store.statistics().commits <= lasted / PACE + 2
    before = store.statistics().commits
    for number in range(20):
        speaker.say(line(number))
        await speaker.committed()
    # Each of them waited for its own, beside the one that was under way.
    assert store.statistics().commits - before >= 20
    await store.close()


async def test_senders_that_wait_for_room_wait_for_no_pause_between_commits(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hubbub.stores.writer.PACE", 3600)
    store = started(path, store_pending=64 * KIB, store_patience=3600)
    speaker = begin(store)
    for _ in range(5):
        speaker.fill(10, 10 * KIB)
        assert speaker.log.full
        await speaker.log.wait_until_not_full()
    await store.close()


async def test_a_pause_between_commits_is_no_outage(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("hubbub.stores.writer.PACE", 3600)
    store = started(path, store_patience=0.4)
    speaker = begin(store)
    for number in range(3):
        speaker.say(line(number))
        await until(lambda: not store.statistics().pending)
    await store.close()
    assert not caplog.messages


async def test_who_waits_for_a_commit_before_the_start_waits_for_the_start(path: Path) -> None:
    store = SqliteStore(path)
    speaker = begin(store)
    speaker.say(b"a\n")
    waiting = asyncio.create_task(speaker.committed())
    await asyncio.sleep(0)
    store.start(Settings())
    await waiting
    await store.close()


async def test_a_room_that_made_way_is_let_go_of_when_the_store_is_out(tmp_path: Path) -> None:
    bench = SqliteBench(tmp_path)
    store = bench.store()
    store.start(Settings(store_patience=1.5))
    kept = begin(store, "kept", rooms_limit=1)
    kept.say(b"a\n")
    await kept.committed()
    kept.log.release()
    bench.stall()
    gone = begin(store, "gone", rooms_limit=1)
    gone.say(b"b\n")
    gone.log.release()
    last = begin(store, "last", rooms_limit=1)
    last.say(b"c\n")
    with pytest.raises(NotStored):
        await last.committed()
    bench.heal()
    # What was being written is told late.
    await until(lambda: last.log.ready)
    assert set(store._logs) == {"last"}
    await store.close()


def test_a_clock_that_jumps_ahead_is_believed_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, steady = [1000.0], [0.0]
    monkeypatch.setattr("time.time", lambda: wall[0])
    monkeypatch.setattr(age, "_steady_time", lambda: steady[0])
    clock = age.AgeClock()
    wall[0] += age.STEP + 1
    assert [clock.now(), clock.now()] == [1000, 1000]
    steady[0] += age.JUMP_TIME
    wall[0] += age.JUMP_TIME
    assert clock.now() == wall[0]


async def test_a_commit_is_asked_for_when_somebody_waits_and_when_its_messages_come(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = started(path)
    asked = 0
    ask = store._recorder.ask

    def count() -> None:
        nonlocal asked
        asked += 1
        ask()

    monkeypatch.setattr(store._recorder, "ask", count)
    speaker = begin(store)
    speaker.say(b"a\n")
    assert asked == 0
    waiting = asyncio.create_task(speaker.log.wait_committed(2))
    await until(lambda: asked == 1)
    # What was asked for may have been another commit.
    speaker.say(b"b\n")
    assert asked == 2
    await waiting
    await store.close()
