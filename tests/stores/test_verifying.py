"""What is found wrong with a store."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from hubbub.framing import Lines
from hubbub.log.chunk import Batch, Mark
from hubbub.stores import verifying
from hubbub.stores.reading import StoreReader
from hubbub.stores.rows import rows_of
from hubbub.stores.verifying import Verification, check_structure
from hubbub.values.errors import StoreError

from support.store_files import (
    PAGE_PART,
    Said,
    break_chain,
    change,
    garble_index,
    long_messages,
    replace_row,
    write_store,
)
from support.stores import chunk_after

A = 16 * "a"
ROOM = "room root: "
KIB = 1024

readers = ExitStack()


def reading(path: Path) -> StoreReader:
    """A reader, which is closed at the end of the test."""
    return readers.enter_context(StoreReader(path))


@pytest.fixture(autouse=True)
def close_readers() -> Iterator[None]:
    with readers:
        yield


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of five rows, each of two batches with two messages."""
    path = tmp_path / "log.db"
    said = [Said(b"%d\n%d\n" % (number, number + 1), 2, time=number) for number in range(0, 20, 2)]
    for number in range(0, 10, 2):
        write_store(path, {"root": (Lines(), said[number : number + 2])}, term="a" if number == 0 else f"{number}")
    return path


def faults_of(path: Path) -> list[str]:
    """What is wrong with it, beside what SQLite finds."""
    return list(Verification(reading(path), lambda size: None).faults())


def batches_of_row(start: Mark, *batches: tuple[bytes, float]) -> bytes:
    chunk = chunk_after(start, batches[0][0], time=batches[0][1])
    for data, time in batches[1:]:
        chunk.begin(Batch(chunk.end, 1, time, "", 0, 0))
        chunk.add(data, data.count(b"\n"))
    (row,) = rows_of(1, chunk)
    return bytes(row[-2])


def test_a_good_store_has_no_faults(path: Path) -> None:
    sizes: list[int] = []
    check = Verification(reading(path), sizes.append)
    assert list(check.faults()) == []
    assert (check.rooms, check.messages) == (1, 20)
    with closing(sqlite3.connect(path)) as connection:
        assert sum(sizes) == connection.execute("SELECT max(end_offset) FROM chunks").fetchone()[0]
    assert check_structure(reading(path), lambda: None) == []


@pytest.mark.parametrize(
    ("statement", "faults"),
    [
        ("DELETE FROM chunks WHERE seq = 4", ["after {a}:4, messages are missing: 4"]),
        ("DELETE FROM chunks WHERE seq >= 4 AND seq < 12", ["after {a}:4, messages are missing: 8"]),
        ("DELETE FROM chunks WHERE seq = 0", ["after {a}:0, messages are missing: 4"]),
        (
            "UPDATE chunks SET offset = offset + 1 WHERE seq = 4",
            [
                "after {a}:4, a row does not begin where the one before it ends",
                "after {a}:4, batches do not fit their row",
            ],
        ),
        (
            "UPDATE chunks SET end_seq = 5 WHERE seq = 0",
            [
                "after {a}:0, batches do not fit their row",
                "after {a}:4, a row does not begin where the one before it ends",
            ],
        ),
        (
            "UPDATE chunks SET time = time + 1 WHERE seq = 4",
            ["after {a}:4, the time of a row is not that of its last batch"],
        ),
        (
            "UPDATE chunks SET checksum = 1 WHERE seq = 4",
            ["after {a}:4, a row is damaged: its checksum is another one"],
        ),
        (
            "UPDATE chunks SET data = x'30' WHERE seq = 4",
            ["after {a}:4, a row is damaged: its checksum is another one"],
        ),
        (
            "UPDATE chunks SET data = 'x' WHERE seq = 4",
            ["after {a}:4, a row cannot be read: a column has a wrong type"],
        ),
        (
            "UPDATE chunks SET data = 'x' WHERE seq = 16",
            ["after {a}:16, a row cannot be read: a column has a wrong type"],
        ),
        ("UPDATE terms SET term = 'x' WHERE id = 2", ["'x' is not the name of a term"]),
        ("UPDATE terms SET first = first - 1 WHERE id = 2", ["the term {2} does not follow the one before it"]),
        ("UPDATE terms SET last = first - 1 WHERE id = 2", ["the term {2} does not follow the one before it"]),
        ("UPDATE terms SET last = 30 WHERE id = 4", ["the term {8} does not follow the one before it"]),
        ("DELETE FROM terms WHERE id = 1", ["the term of the messages before 4 is missing"]),
        ("UPDATE terms SET first = 25 WHERE id = 5", ["the term {8} does not follow the one before it"]),
    ],
)
def test_what_does_not_fit_is_found(statement: str, faults: list[str], path: Path) -> None:
    change(path, statement)
    names = {str(number): 16 * str(number) for number in range(10)}
    found = []
    for fault in faults:
        text = fault
        for number, name in names.items():
            text = text.replace("{" + number + "}", name)
        found.append(text)
    # The term in which a position is depends on the row.
    assert [strip(fault) for fault in faults_of(path)] == [strip(ROOM + fault) for fault in found]


def strip(fault: str) -> str:
    """A fault without the term of its position."""
    head, colon, rest = fault.partition("after ")
    return f"{head}{colon}{rest.partition(':')[2]}" if colon else fault


@pytest.mark.parametrize(
    ("batches", "data", "faults"),
    [
        ([(b"4\n5\n", 5.0), (b"6\n7\n", 4.0)], None, ["a time is earlier than the one before it"]),
        ([(b"4\n5\n", 5.0), (b"6\n7\n", float("nan"))], None, ["a time is earlier than the one before it"]),
        ([(b"4\n5\n", 5.0), (b"6\n7\n", 6.0)], b"4\n5\n6\n", ["batches and their bytes do not fit"]),
        ([(b"4\n5\n", 5.0), (b"6\n7\n", 6.0)], b"4\n5\n67\n\n", ["a batch has 2 messages, and 2 are in its bytes"]),
        ([(b"4\n5\n", 5.0), (b"6\n7\n", 6.0)], b"4\n5\n678\n", ["a batch has 2 messages, and 1 are in its bytes"]),
    ],
)
def test_batches_that_do_not_fit_are_found_also_where_the_checksum_fits(
    batches: list[tuple[bytes, float]], data: bytes | None, faults: list[str], path: Path
) -> None:
    base = 1_700_000_000.0
    made = batches_of_row(Mark(4, 1044), *((each, base + time) for each, time in batches))
    replace_row(path, 4, batches=made, data=data)
    found = [fault.partition(", ")[2] for fault in faults_of(path)]
    if "2 are" in faults[0]:
        # Four lines are four lines.
        assert all("in its bytes" not in fault for fault in found)
    else:
        assert faults[0] in found


def test_a_page_that_is_garbage_is_one_row_and_the_others_are_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    write_store(path, {"root": (Lines(), long_messages(5))}, apart=True)
    break_chain(path, b"c" * PAGE_PART)
    check = Verification(reading(path), lambda size: None)
    fault, *others = check.faults()
    assert others == []
    assert fault.startswith(f"{ROOM}after {A}:2, a row cannot be read: ")
    assert check.messages == 5
    assert len(check_structure(reading(path), lambda: None)) == 2


def test_an_index_that_is_garbage_is_found(path: Path) -> None:
    garble_index(path)
    malformed = "database disk image is malformed (SQLITE_CORRUPT)"
    assert faults_of(path) == [f"{ROOM}{malformed}", f"the rows of all rooms: {malformed}"]
    assert check_structure(reading(path), lambda: None) == [malformed]


def test_rows_of_no_room_are_found(path: Path) -> None:
    columns = "seq, end_seq, offset, end_offset, time, checksum, batches, data"
    change(path, f"INSERT INTO chunks SELECT id + 100, 9, {columns} FROM chunks")
    assert faults_of(path) == ["rows that belong to no room: 5"]


def test_what_is_being_forgotten_is_no_fault(path: Path) -> None:
    # Rows before the start are left from before messages that were not stored, and rooms without a name are deleted.
    change(path, "UPDATE rooms SET start_seq = 8, start_offset = (SELECT offset FROM chunks WHERE seq = 8)")
    assert faults_of(path) == []
    change(path, "UPDATE rooms SET name = NULL")
    assert faults_of(path) == []


def test_many_terms_need_not_reach_back_to_the_first_message(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "TERMS_LIMIT", 4)
    change(path, "DELETE FROM terms WHERE id = 1")
    assert faults_of(path) == []


@pytest.mark.parametrize("what", ["retention", "deleted", "deleted early"])
def test_what_changes_meanwhile_is_no_fault(what: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "SLICE", 1)
    store = reading(path)
    changed = False

    def meanwhile(size: int = 0) -> None:
        nonlocal changed
        if changed:
            return
        changed = True
        if what == "retention":
            change(
                path,
                "UPDATE rooms SET start_seq = 12, start_offset = (SELECT offset FROM chunks WHERE seq = 12)",
                "DELETE FROM chunks WHERE seq < 12",
            )
        else:
            change(path, "DELETE FROM chunks", "DELETE FROM rooms")

    if what == "deleted early":
        names = store.names

        def names_before() -> list[str]:
            found = names()
            meanwhile()
            return found

        monkeypatch.setattr(store, "names", names_before)
    check = Verification(store, meanwhile)
    assert list(check.faults()) == []
    assert changed
    assert check.rooms == (what == "retention")


@pytest.mark.long
def test_a_lock_of_another_program_is_an_error_and_no_fault(path: Path) -> None:
    store = reading(path)
    with closing(sqlite3.connect(path)) as connection:
        # From the rollback journal on, a writer may keep everybody out.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        path.with_name("log.db-wal").touch()
        with pytest.raises(StoreError, match=r"database is locked \(SQLITE_BUSY\); let no other program write it"):
            list(Verification(store, lambda size: None).faults())
        connection.execute("ROLLBACK")


def test_the_check_of_sqlite_is_left_alone_if_the_wal_grows_too_much(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifying, "LOOK_TIME", 0.001)
    wal = path.with_name("log.db-wal")
    begun, goes_on = threading.Event(), threading.Event()

    def slowly(connection: sqlite3.Connection) -> list[str]:
        begun.set()
        goes_on.wait()
        return []

    def grow() -> None:
        begun.wait()
        wal.write_bytes(b"x" * path.stat().st_size)

    monkeypatch.setattr(verifying, "_integrity", slowly)
    try:
        with pytest.raises(StoreError, match="would have to wait for SQLite's check; verify a copy of it"):
            check_structure(reading(path), grow)
    finally:
        wal.unlink()
        goes_on.set()


def test_a_file_that_sqlite_cannot_read_at_all_is_a_fault_and_no_file_is_an_error(path: Path) -> None:
    store = reading(path)
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\x55" * (len(content) - 100))
    assert check_structure(store, lambda: None) == ["database disk image is malformed (SQLITE_CORRUPT)"]
    path.unlink()
    with pytest.raises(StoreError, match="there is no such file"):
        check_structure(store, lambda: None)


def test_a_fault_that_is_no_damage_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(connection: sqlite3.Connection) -> list[str]:
        raise sqlite3.OperationalError("out of memory")

    monkeypatch.setattr(verifying, "_integrity", fail)
    with pytest.raises(StoreError, match="out of memory; look at its disk"):
        check_structure(reading(path), lambda: None)


def test_messages_of_a_framing_that_is_not_hubbubs_own_are_not_counted(tmp_path: Path) -> None:
    path = write_store(tmp_path / "log.db", {"root": (Lines(), [Said(b"<a><b>", 2)])})
    assert faults_of(path) == [f"{ROOM}after {A}:0, a batch has 2 messages, and 0 are in its bytes"]
    change(path, "UPDATE rooms SET framing = 'mine'")
    assert faults_of(path) == []
