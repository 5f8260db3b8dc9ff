"""Reading a store from outside while it changes. `tests/cli/test_log.py` has what a user sees of it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hubbub.framing import Lines
from hubbub.stores.reading import Damage, NoSuchRoom, StoreReader
from hubbub.stores.room_reading import RoomReader
from hubbub.stores.sqlite import SqliteStore
from hubbub.values.errors import StoreError
from hubbub.values.settings import Settings
from hubbub.values.since import Since

from support.store_files import Said, change, write_store
from support.stores import Speaker

COUNT = "SELECT count(*) FROM chunks"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_store(
        tmp_path / "log.db", {"root": (Lines(), [Said(b"%d\n" % number) for number in range(3)])}, apart=True
    )


@pytest.fixture
def store(path: Path) -> Iterator[StoreReader]:
    with StoreReader(path) as store:
        yield store


def count(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute(COUNT).fetchone()
    return int(number)


def test_a_read_is_done_again_if_a_writer_has_started_meanwhile(store: StoreReader, path: Path) -> None:
    seen: list[int] = []

    def read(connection: sqlite3.Connection) -> int:
        seen.append(count(connection))
        if len(seen) == 1:
            write_store(path, {"root": (Lines(), [Said(b"3\n")])}, term="b")
        return seen[-1]

    assert store.read(read) == 4
    assert seen == [3, 4]


@pytest.mark.parametrize(
    "error", [Damage("torn"), StoreError("p", "r", "a"), sqlite3.OperationalError(), KeyError("x")]
)
def test_a_read_that_failed_because_a_writer_has_started_is_done_again(
    error: Exception, store: StoreReader, path: Path
) -> None:
    times = 0

    def read(connection: sqlite3.Connection) -> int:
        nonlocal times
        times += 1
        if times == 1:
            write_store(path, {"root": (Lines(), [Said(b"3\n")])}, term="b")
            raise error
        return count(connection)

    assert store.read(read) == 4


def test_what_goes_wrong_without_a_change_is_told(store: StoreReader, path: Path) -> None:

    def fail(connection: sqlite3.Connection) -> None:
        raise KeyError

    with pytest.raises(Damage, match=r"KeyError\(\)"):
        store.read(fail)
    with pytest.raises(StoreError, match=r"no such table: x .*; look at its disk"):
        store.read(lambda connection: connection.execute("SELECT * FROM x"))
    with pytest.raises(NoSuchRoom):
        RoomReader(store, "other")
    # It goes on.
    assert store.read(count) == 3


async def test_a_reader_sees_each_commit_of_a_writer(store: StoreReader, path: Path) -> None:
    writer = SqliteStore(path)
    writer.start(Settings())
    log = writer.open_log("root", Lines(), Settings())
    log.begin(16 * "b", log.head)
    speaker = Speaker(log)
    room = RoomReader(store, "root")
    for number in range(3, 50):
        speaker.say(b"%d\n" % number)
        await speaker.committed()
        (chunk,) = await asyncio.to_thread(room.read, number)
        assert chunk.data == b"%d\n" % number
        assert str(room.position(number + 1)) == f"{16 * 'b'}:{number + 1}"
    # Whoever closes a store removes its WAL, unless a reader is connected.
    store.release()
    assert store.wal_size() > 0
    await writer.close()
    assert store.wal_size() == 0
    assert list(path.parent.iterdir()) == [path]
    assert store.read(count) == 50


def test_a_writer_that_closes_beside_a_reader_leaves_its_wal_and_all_is_read(store: StoreReader, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE rooms SET time = 5")
        connection.commit()
        assert store.read(count) == 3
    assert store.wal_size() > 0
    assert RoomReader(store, "root").head.seq == 3


def test_all_is_found_also_if_retention_goes_on_meanwhile(
    store: StoreReader, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = RoomReader(store, "root")
    read = room.read

    def forget(at: int) -> object:
        monkeypatch.setattr(room, "read", read)
        change(path, "DELETE FROM chunks WHERE seq = 0", "UPDATE rooms SET start_seq = 1, start_offset = 258")
        return read(at)

    monkeypatch.setattr(room, "read", forget)
    assert room.find(Since.parse("all"), 0.0) == 1


def test_a_folder_of_which_nothing_is_known_is_told(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(StoreError, match="too many levels of symbolic links; look at its disk"):
        StoreReader(loop)


def test_any_name_will_do(path: Path) -> None:
    odd = path.rename(path.with_name("a ?#%20 b'\udcff.db"))
    with StoreReader(odd) as store:
        assert store.names() == ["root"]
