"""The file of a store of SQLite: what it must be to be used."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from hubbub.log.terms import Term
from hubbub.stores.schema import PAGE, StoreFile, connect_to_read, rooms_of
from hubbub.stores.sqlite import SqliteStore
from hubbub.values.errors import StoreError
from hubbub.values.settings import Settings

from support.stores import LINES, Speaker

NOBODY = 65534
MOVE = "move it away, or choose another path"


def make_store(path: Path, count: int = 50) -> Path:
    """A store with a room of so many messages of 10 KB, which was closed."""

    async def make() -> None:
        store = SqliteStore(path)
        log = store.open_log("room", LINES, Settings())
        log.begin("a" * 16, log.head)
        store.start(Settings())
        Speaker(log).fill(count, 10_000)
        await store.close()

    asyncio.run(make())
    return path


def refusal(path: Path) -> str:
    """Why a store is refused, in one line."""
    with pytest.raises(StoreError) as caught:
        SqliteStore(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"cannot use the store {path}: ")
    assert not path.with_name(path.name + "-lock").exists()
    return text.removeprefix(f"cannot use the store {path}: ")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "missing"
    reason = f"there is no folder {folder}; make the folder, or choose another path"
    assert refusal(folder / "log.db") == reason


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "it is a folder; name a file in it"


def test_a_fifo_is_refused(path: Path) -> None:
    os.mkfifo(path)
    assert refusal(path) == "it is not a regular file; choose another path"


@pytest.mark.parametrize("content", [b"garbage", b"x" * 100_000, b"SQLite format 2\0" + bytes(4096)])
def test_garbage_is_refused_and_left_as_it_is(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    assert refusal(path) == f"it is not a store of hubbub; {MOVE}"
    assert path.read_bytes() == content


def test_garbage_behind_a_good_beginning_is_refused(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + os.urandom(20_000))
    assert refusal(path) == f"file is not a database (SQLITE_NOTADB); it is damaged: {MOVE}"


def test_garbage_in_the_tables_is_refused(path: Path) -> None:
    make_store(path)
    with path.open("r+b") as file:
        # The pages of the rooms, the terms and the chunks, but not the first one.
        file.seek(PAGE)
        file.write(os.urandom(20 * PAGE))
    assert refusal(path) == f"database disk image is malformed (SQLITE_CORRUPT); it is damaged: {MOVE}"


@pytest.mark.parametrize("pragma", ["application_id = 7", "user_version = 7", "page_size = 4096"])
def test_a_database_of_another_program_is_refused_and_left_as_it_is(pragma: str, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TABLE theirs (value)")
    content = path.read_bytes()
    assert refusal(path) == f"it is a database of another program; {MOVE}"
    assert path.read_bytes() == content


def test_a_newer_version_is_refused(path: Path) -> None:
    make_store(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")
    reason = "a newer hubbub made it (version 2; this one knows 1); update hubbub, or choose another path"
    assert refusal(path) == reason


@pytest.mark.parametrize("kept", [5000, 100_000, 400_000])
def test_a_truncated_file_is_refused(kept: int, path: Path) -> None:
    make_store(path)
    missing = path.stat().st_size - kept
    os.truncate(path, kept)
    text = refusal(path)
    assert text == f"it is truncated: {missing} bytes are missing; restore a copy of it, or {MOVE}"


def test_a_truncated_file_with_a_wal_is_refused(path: Path) -> None:
    make_store(path)
    os.truncate(path, 100_000)
    path.with_name("log.db-wal").write_bytes(b"garbage")
    assert refusal(path) == f"database disk image is malformed (SQLITE_CORRUPT); it is damaged: {MOVE}"


@contextmanager
def as_nobody() -> Iterator[None]:
    """Be a user who may do nothing, where these tests are root's."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def shared_path() -> Iterator[Path]:
    """A path in a folder that every user can see."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    yield folder / "log.db"
    folder.chmod(0o755)
    shutil.rmtree(folder)


PERMISSION = "permission denied; give this user the permission to write it and its folder"


def test_a_folder_that_may_not_be_written_is_refused(shared_path: Path) -> None:
    shared_path.parent.chmod(0o555)
    with as_nobody():
        assert refusal(shared_path) == PERMISSION


def test_a_file_that_may_only_be_read_is_refused(shared_path: Path) -> None:
    make_store(shared_path)
    shared_path.chmod(0o444)
    shared_path.parent.chmod(0o777)
    with as_nobody():
        assert refusal(shared_path) == PERMISSION


def test_a_file_that_may_not_be_read_is_refused(shared_path: Path) -> None:
    make_store(shared_path)
    shared_path.chmod(0)
    shared_path.parent.chmod(0o777)
    with as_nobody():
        assert refusal(shared_path) == PERMISSION


def test_a_store_in_use_is_refused(path: Path) -> None:
    store = SqliteStore(path)
    with pytest.raises(StoreError) as caught:
        SqliteStore(path)
    assert str(caught.value) == (
        f"cannot use the store {path}: in use by process {os.getpid()}; close that hubbub, or choose another path"
    )
    asyncio.run(store.close())
    asyncio.run(SqliteStore(path).close())


def test_a_store_in_use_by_another_process_is_refused_until_that_is_killed(path: Path) -> None:
    program = "import sys, time; from hubbub.stores.sqlite import SqliteStore; store = SqliteStore(sys.argv[1])"
    with subprocess.Popen(
        (sys.executable, "-c", program + "; print('open', flush=True); time.sleep(100)", str(path)),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(StoreError, match=f"in use by process {process.pid}; close that hubbub"):
            SqliteStore(path)
        process.kill()
    # Its lock file is still there, and in nobody's way.
    assert path.with_name("log.db-lock").exists()
    asyncio.run(SqliteStore(path).close())
    assert [one.name for one in path.parent.iterdir()] == ["log.db"]


def test_a_lock_that_is_removed_while_another_waits_for_it_is_taken_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever closes a store removes its lock before it lets go. The next one may have opened that file already."""
    lock = path.with_name("log.db-lock")
    flock = fcntl.flock
    removals = iter((True, False))

    def remove_first(descriptor: int, operation: int) -> None:
        made_again = next(removals, None)
        if made_again is not None:
            lock.unlink()
        if made_again:
            lock.touch()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    store = SqliteStore(path)
    with pytest.raises(StoreError, match="in use"):
        SqliteStore(path)
    asyncio.run(store.close())


def test_a_lock_without_a_number_is_respected(path: Path) -> None:
    store = SqliteStore(path)
    path.with_name("log.db-lock").write_text("")
    with pytest.raises(StoreError, match="in use by another process; close"):
        SqliteStore(path)
    asyncio.run(store.close())


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.touch()
    asyncio.run(SqliteStore(path).close())
    with closing(connect_to_read(path)) as connection:
        assert rooms_of(connection) == []


def test_an_empty_database_becomes_a_store(path: Path) -> None:
    # As a process leaves it that is killed at the first start.
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    asyncio.run(SqliteStore(path).close())
    with closing(connect_to_read(path)) as connection:
        assert rooms_of(connection) == []


@pytest.mark.parametrize("name", ["a b.db", "a?b#c%20.db", "\N{SNOWMAN}.db"])
def test_any_name_will_do(name: str, tmp_path: Path) -> None:
    make_store(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    asyncio.run(SqliteStore(tmp_path / name).close())


def test_a_relative_path_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = SqliteStore("log.db")
    assert repr(store) == "SqliteStore('log.db')"
    asyncio.run(store.close())
    assert (tmp_path / "log.db").exists()


def test_the_tables_are_as_they_were_documented(path: Path) -> None:
    make_store(path, count=3)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA page_size").fetchone() == (16 * 1024,)
        assert connection.execute("PRAGMA application_id").fetchone() == (int.from_bytes(b"hubb", "big"),)
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (room,) = rooms_of(connection)
    assert (room.name, room.framing, room.start) == ("room", "ByteLines(keepends=False)", (0, 0))
    assert room.end.seq == 3
    assert room.terms == [Term("a" * 16, 0, 3)]


def test_the_wal_is_in_the_database_once_it_is_open(path: Path) -> None:
    make_store(path)
    file = StoreFile(path)
    wal = path.with_name("log.db-wal")
    assert not wal.exists() or wal.stat().st_size == 0
    assert re.fullmatch(r"\d+", str(file.last_room))
    file.close()
