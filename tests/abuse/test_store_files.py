"""Abuse 38: files that are no store, or a part of one, or somebody else's: one line, or what there is, and no gap."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import hubbub
from hubbub.stores.schema import PAGE

from support.abuse_stores import FRAMING, all_committed, entries_of, opened, own_disk, storing_server
from support.abuse_tools import KIB
from support.figures import note, scaled
from support.helpers import idle
from support.programs import HUBBUB, Peer, finish

pytestmark = pytest.mark.long


def refused(path: Path, *options: str) -> str:
    """The one line with which `hubbub serve` refuses a store."""
    finished = finish(*HUBBUB, "serve", "relay", "--port=0", f"--store={path}", *options)
    assert finished.status == 2
    assert not finished.output
    assert finished.errors.count("\n") == 1, finished.errors
    assert str(path) in finished.errors
    return finished.errors


def serves(path: Path, *lines: bytes) -> None:
    """See that a server opens a store, replays these lines, and stores another one."""
    with storing_server(path.parent) as server, Peer(server.replaying) as listener:
        assert [listener.line() for _ in lines] == list(lines)
        with Peer(server.desk) as desk:
            desk.send(b"another\n")
            assert desk.line().startswith(b"another ")
        assert listener.line() == b"another\n"


async def fill(path: Path, count: int, *, size: int = 200) -> list[hubbub.Position]:
    """Store so many numbered messages."""
    async with opened(path, retention=64 * KIB) as server:
        positions = [await server.broadcast(b"%0*d" % (size, number)) for number in range(count)]
        await all_committed(server)
    return positions


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "log.db"
    asyncio.run(fill(path, 2000))
    return path


def make_garbage(path: Path) -> None:
    path.write_bytes(random.Random(38).randbytes(64 * KIB))


def make_garbage_of_sqlite(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + random.Random(38).randbytes(64 * KIB))


def make_other_database(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE notes (text)")


def make_newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 1000")


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // PAGE * PAGE)


def make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def remove_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


HARM = [
    make_garbage,
    make_garbage_of_sqlite,
    make_other_database,
    make_newer,
    truncate,
    make_folder,
    remove_folder,
    make_fifo,
]


@pytest.mark.parametrize("harm", HARM, ids=lambda harm: harm.__name__)
def test_38_what_is_no_store_is_refused_in_one_line(store: Path, harm: Callable[[Path], None]) -> None:
    harm(store)
    assert "seekable" not in refused(store)


def test_38_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    (tmp_path / "log.db").touch()
    serves(tmp_path / "log.db")


def test_38_two_hubbubs_on_one_file(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with storing_server(tmp_path) as server:
        assert f"in use by process {server.pid}" in refused(path)
        with Peer(server.desk) as peer:
            peer.send(b"kept\n")
            assert peer.line().startswith(b"kept ")
        # The first one was not disturbed.
        assert f"in use by process {server.pid}" in refused(path)
    serves(path, b"kept\n")


def test_38_a_file_on_a_disk_that_is_read_only(store: Path) -> None:
    disk = store.parent / "disk"
    disk.mkdir()
    command = (*HUBBUB, "serve", "relay", "--port=0", f"--store={disk / 'log.db'}")
    finished = finish(*own_disk(disk, "8m", *command, before=f"cp {store} . && mount -o remount,ro ."))
    assert (finished.status, finished.errors.count("\n")) == (2, 1), finished
    assert "read-only file system; choose a path on a file system that can be written" in finished.errors


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_38_a_file_that_may_not_be_written(store: Path) -> None:
    store.chmod(0o400)
    assert "permission" in refused(store)


def test_38_damaged_anywhere_it_is_refused_or_serves_what_is_right(
    store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Bytes of the file are changed at random. Nobody hears a wrong message, and whoever misses one is told."""
    chance = random.Random(38)
    whole = store.read_bytes()
    due = [b"%0200d" % number for number in range(2000)]
    counts = {"refused": 0, "whole": 0, "told": 0}
    for _ in range(scaled(500, 30)):
        damaged = bytearray(whole)
        for _ in range(chance.choice((1, 1, 20))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        for path in store.parent.glob("log.db*"):
            path.unlink()
        store.write_bytes(damaged)
        counts[asyncio.run(read_damaged(store, due))] += 1
    shown = ", ".join(f"{count} {what}" for what, count in counts.items())
    note(38, "damaged files: refused, whole, or an error on reading", shown, "no wrong or missing message")
    assert "Traceback" not in caplog.text


async def read_damaged(path: Path, due: list[bytes]) -> str:
    try:
        store = hubbub.SqliteStore(path)
    except hubbub.StoreError:
        return "refused"
    try:
        server = hubbub.Server(idle, port=0, framing=FRAMING, settings=hubbub.Settings(store_patience=1), store=store)
    except hubbub.StoreError:
        await store.close()
        return "refused"
    async with server, asyncio.timeout(30):
        try:
            heard = await entries_of(server.root)
        except (OSError, hubbub.PositionLost):
            return "told"
    # What is missing at the beginning was forgotten; no damage may look like that, but for that of its place itself.
    assert [entry.message for entry in heard] == due[len(due) - len(heard) :]
    return "whole" if len(heard) == len(due) else "told"


def test_38_a_wal_that_power_loss_has_cut_anywhere(tmp_path: Path) -> None:
    """What is there is a beginning of what was said; every position means the same place, or is lost; it serves on."""
    chance = random.Random(38)
    folder = tmp_path / "copy"
    folder.mkdir()
    positions, due = asyncio.run(crash(tmp_path / "log.db", folder))
    wal = (folder / "log.db-wal").read_bytes()
    database = (folder / "log.db").read_bytes()
    kept = set()
    for number in range(scaled(300, 20)):
        path = tmp_path / f"cut{number}" / "log.db"
        path.parent.mkdir()
        path.write_bytes(database)
        cut = wal[: chance.randrange(len(wal) + 1)]
        if number % 3 == 0 and cut:
            # A sector of it was never written.
            at = chance.randrange(len(cut)) // 512 * 512
            cut = cut[:at] + bytes(len(cut[at : at + 512])) + cut[at + 512 :]
        path.with_name("log.db-wal").write_bytes(cut)
        kept.add(asyncio.run(look(path, positions, due)))
        shutil.rmtree(path.parent)
    note(38, f"a WAL cut in {scaled(300, 20)} places: kept, of {len(due)} messages", f"{min(kept)} to {max(kept)}", "")
    assert len(kept) > 3


async def crash(path: Path, copy: Path) -> tuple[list[hubbub.Position], list[bytes]]:
    """Let a server store something, and copy its files while it has them open, before any checkpoint."""
    due = [b"%0100d" % number for number in range(1000)]
    positions = []
    async with opened(path) as server:
        for message in due:
            positions.append(await server.broadcast(message))
            if len(positions) % 20 == 0:
                await all_committed(server)
        await all_committed(server)
        for file in (path, path.with_name("log.db-wal")):
            shutil.copy(file, copy / file.name)
    return positions, due


async def look(path: Path, positions: list[hubbub.Position], due: list[bytes]) -> int:
    """How many messages a cut store has."""
    async with opened(path) as server:
        heard = [entry.message for entry in await entries_of(server.root)]
        assert heard == due[: len(heard)]
        for seq, position in enumerate(positions, start=1):
            assert server.root.holds(position) == (seq <= len(heard))
        assert (await server.broadcast(b"new")).seq == len(heard) + 1
        assert [entry.message for entry in await entries_of(server.root)] == [*heard, b"new"]
        # It is not one of those that are lost.
        assert all(not server.root.holds(position) for position in positions[len(heard) :])
    return len(heard)
