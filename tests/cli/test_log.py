"""`hubbub log`: the rooms of a store, their messages, and how it ends."""

from __future__ import annotations

import asyncio
import base64
import fcntl
import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import struct
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from click._termui_impl import ProgressBar
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from hubbub.cli import main
from hubbub.framing import ByteLines, BytesFraming, Decoder, Delimited, Framing, LengthPrefixed, Lines, Raw
from hubbub.stores import verifying
from hubbub.stores.reading import StoreReader
from hubbub.stores.sqlite import SqliteStore
from hubbub.values.settings import Settings

from support.programs import (
    HUBBUB,
    WAIT_TIME,
    Finished,
    Program,
    ServerProgram,
    TerminalProgram,
    finish,
    hubbub_serve,
    require_program,
    wait_until,
)
from support.store_files import (
    PAGE_PART,
    TIME,
    Rooms,
    Said,
    break_chain,
    change,
    garble_index,
    long_messages,
    replace_row,
    write_store,
)

# As an attribute of its package, that name is the command.
log_module = import_module("hubbub.cli.log")

KIB = 1024
MIB = 1024 * KIB
LOG = (*HUBBUB, "log")

A = 16 * "a"
B = 16 * "b"


@dataclass
class Output:
    """How the command has ended, and what it wrote."""

    status: int
    out: bytes
    errors: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        assert (self.status, self.errors) == (0, "")
        return [json.loads(line) for line in self.out.splitlines()]


Log = Callable[..., Output]


@pytest.fixture
def log(capfdbinary: pytest.CaptureFixture[bytes]) -> Iterator[Log]:
    """Runs the command in this process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def run(*arguments: object) -> Output:
        result = CliRunner().invoke(main, ["log", *map(str, arguments)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return Output(result.exit_code, capfdbinary.readouterr().out, result.stderr)

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def error_of(output: Output, status: int) -> str:
    """The line that it wrote, which is all it wrote."""
    assert output.out == b""
    return error_beside(output, status)


def error_beside(output: Output, status: int) -> str:
    """The line that it wrote besides its output."""
    assert output.status == status, output
    assert output.errors.startswith("hubbub: ")
    assert output.errors.count("\n") == 1
    return output.errors.removeprefix("hubbub: ").removesuffix("\n")


# Its rooms.

TWO_ROOMS: Rooms = {
    "weather": (ByteLines(keepends=True), [Said(b"sunny\r\n"), Said(b"rain\r\nsnow\n", 2, time=60.5, sender="bob")]),
    "root": (Lines(), [Said(b"hello\n")]),
}


def test_the_rooms_are_a_table(log: Log, path: Path) -> None:
    write_store(path, TWO_ROOMS)
    write_store(path, {"weather": (ByteLines(keepends=True), [Said(b"x" * 3 * MIB + b"\n", time=3600)])}, term="b")
    output = log(path)
    assert (output.status, output.errors) == (0, "")
    assert output.out.decode().splitlines() == [
        "ROOM     MESSAGES     SIZE  TERMS  FIRST                   LAST                    FRAMING",
        "root            1    262 B      1  1 2023-11-14T22:13:20Z  1 2023-11-14T22:13:20Z  Lines(crlf=False)",
        "weather         4  3.0 MiB      2  1 2023-11-14T22:13:20Z  4 2023-11-14T23:13:20Z  ByteLines(keepends=True)",
    ]


def test_the_rooms_are_objects_for_programs(log: Log, path: Path) -> None:
    write_store(path, TWO_ROOMS)
    write_store(path, {"weather": (ByteLines(keepends=True), [Said(b"fog\n", time=3600)])}, term="b")
    root, weather = log(path, "--json").objects
    assert root == {
        "room": "root",
        "framing": "Lines(crlf=False)",
        "messages": 1,
        "size": 256 + 6,
        "first": {"position": f"{A}:1", "time": "2023-11-14T22:13:20.250000Z"},
        "last": {"position": f"{A}:1", "time": "2023-11-14T22:13:20.250000Z"},
        "terms": [{"term": A, "first": 0, "last": 1}],
    }
    assert weather == {
        "room": "weather",
        "framing": "ByteLines(keepends=True)",
        "messages": 4,
        "size": 3 * 256 + 22,
        "first": {"position": f"{A}:1", "time": "2023-11-14T22:13:20.250000Z"},
        "last": {"position": f"{B}:4", "time": "2023-11-14T23:13:20.250000Z"},
        "terms": [{"term": A, "first": 0, "last": 3}, {"term": B, "first": 3, "last": 4}],
    }


def test_a_store_without_rooms_and_a_room_without_messages_are_shown(log: Log, path: Path) -> None:
    write_store(path, {})
    assert log(path).out == b"ROOM  MESSAGES  SIZE  TERMS  FIRST  LAST  FRAMING\n"
    assert log(path, "--json").objects == []
    write_store(path, TWO_ROOMS)
    change(path, "DELETE FROM chunks", "UPDATE rooms SET start_seq = 3, start_offset = 534")
    assert log(path).out.splitlines()[1].split() == [b"root", b"0", b"0", b"B", b"1", b"-", b"-", b"Lines(crlf=False)"]
    assert log(path, "--json").objects[0]["first"] is None
    assert log(path, "root").out == b""


def test_a_room_that_is_deleted_meanwhile_is_not_listed(log: Log, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_store(path, TWO_ROOMS)
    monkeypatch.setattr(StoreReader, "names", lambda store: ["deleted", "root"])
    assert [each["room"] for each in log(path, "--json").objects] == ["root"]


def test_the_name_of_a_room_cannot_act_on_a_terminal(log: Log, path: Path) -> None:
    write_store(path, {"a\x1b[2Jb\x7f": (Lines(), [Said(b"x\n")])})
    assert log(path).out.splitlines()[1].startswith(b"a\\x1b[2Jb\\x7f ")
    assert b"\x7f" not in log(path, "--json").out
    assert log(path, "--json").objects[0]["room"] == "a\x1b[2Jb\x7f"


# Messages, as bytes.


class Mine(BytesFraming):
    """A framing of a user."""

    def __eq__(self, other: object) -> bool:
        return type(other) is Mine

    def __hash__(self) -> int:
        return 1

    def decoder(self, limit: int) -> Decoder[bytes]:
        return Raw().decoder(limit)

    def encode(self, messages: Any) -> bytes:
        return b"".join(messages)


FRAMINGS: list[tuple[Framing[Any], list[str | bytes]]] = [
    (Lines(), ["one", "zwö", "\x1b[31m", "a\rb", ""]),
    (Lines(crlf=True), ["one", "zwö", ""]),
    (ByteLines(), [b"one", b"\xff\0\x1b", b""]),
    (ByteLines(keepends=True), [b"one\r\n", b"\xff\0\x1b\n", b"\n"]),
    (Delimited(b"\0"), [b"one", b"t\nwo", b""]),
    (LengthPrefixed(2, "little"), [b"one", b"t\nwo", b"", b"x" * 1000]),
]


@pytest.mark.parametrize(("framing", "messages"), FRAMINGS, ids=lambda value: repr(value)[:30])
def test_messages_are_the_bytes_in_which_they_were_framed_from_any_message_on(
    framing: Framing[Any], messages: list[Any], log: Log, path: Path
) -> None:
    # Batches of two messages.
    pairs = [messages[at : at + 2] for at in range(0, len(messages), 2)]
    write_store(path, {"root": (framing, [Said(framing.encode(pair), len(pair)) for pair in pairs])}, apart=True)
    assert log(path, "root").out == framing.encode(messages)
    for count in range(len(messages) + 1):
        position = f"{A}:{len(messages) - count}"
        wanted = Output(0, framing.encode(messages[len(messages) - count :]), "")
        assert log(path, "root", "--since", count) == log(path, "root", "--since", position) == wanted
        assert log(path, "root", "--until", count).out == framing.encode(messages[: len(messages) - count])


def test_bytes_that_are_not_delimited_are_kept_piece_by_piece(log: Log, path: Path) -> None:
    write_store(path, {"root": (Raw(), [Said(b"on"), Said(b"\0e\n"), Said(b"two")])})
    assert log(path, "root").out == b"on\0e\ntwo"
    assert log(path, "root", "--since", 1).out == b"two"
    assert [each["message"] for each in log(path, "root", "--json").objects] == ["on", "\0e\n", "two"]


def test_a_framing_that_is_not_hubbubs_own_gives_whole_batches_of_bytes(log: Log, path: Path) -> None:
    write_store(path, {"root": (Mine(), [Said(b"<a><b>", 2), Said(b"\xff<c>", 1)])})
    assert log(path, "root").out == b"<a><b>\xff<c>"
    assert log(path, "root", "--since", 1).out == b"\xff<c>"
    assert log(path, "root", "--since", 2).out == b"<a><b>\xff<c>"
    error = (
        f"room root has the framing {Mine.__module__}.Mine, which is not hubbub's own, so its messages cannot be told "
        "apart; leave out --json to print their bytes"
    )
    assert error_of(log(path, "root", "--json"), 2) == error
    assert error_of(log(path, "--export", "-"), 2) == error


def test_a_large_log_is_printed_whole(log: Log, path: Path) -> None:
    lines = [b"%07d %s\n" % (number, b"x" * (number * 7919 % 3000)) for number in range(3000)]
    write_store(path, {"root": (Lines(), [Said(line, time=number) for number, line in enumerate(lines)])})
    assert log(path, "root").out == b"".join(lines)
    assert log(path, "root", "--since", 2001, "--until", 999).out == b"".join(lines[999:2001])
    output = log(path, "root", "--json").objects
    assert [f"{each['message']}\n".encode() for each in output] == lines


# Messages, as JSON.


def test_json_has_position_time_sender_and_message(log: Log, path: Path) -> None:
    write_store(
        path, {"root": (ByteLines(keepends=True), [Said("zwö\r\n\x7f\xff\n".encode("latin-1") + b"\xff\n", 3)])}
    )
    objects = log(path, "root", "--json").objects
    known = {"time": "2023-11-14T22:13:20.250000Z", "sender": "alice"}
    assert objects == [
        {"position": f"{A}:1", **known, "message": base64.b64encode(b"zw\xf6\r\n").decode(), "base64": True},
        {"position": f"{A}:2", **known, "message": base64.b64encode(b"\x7f\xff\n").decode(), "base64": True},
        {"position": f"{A}:3", **known, "message": base64.b64encode(b"\xff\n").decode(), "base64": True},
    ]
    write_store(path, {"news": (ByteLines(keepends=True), [Said("zwö \x1b[31m\x7f\r\n".encode(), sender="böb\n")])})
    output = log(path, "news", "--json")
    assert output.objects == [
        {"position": f"{A}:1", "time": known["time"], "sender": "böb\n", "message": "zwö \x1b[31m\x7f\r\n"}
    ]
    # Nothing in it can act on a terminal.
    assert output.out.isascii()
    assert output.out[:-1].decode().isprintable()


def test_positions_are_of_the_term_in_which_a_message_was_said(log: Log, path: Path) -> None:
    write_store(path, {"root": (Lines(), [Said(b"1\n2\n", 2)])})
    write_store(path, {"root": (Lines(), [Said(b"3\n")])}, term="b")
    write_store(path, {"root": (Lines(), [Said(b"4\n")])}, term="c")
    positions = [each["position"] for each in log(path, "root", "--json").objects]
    assert positions == [f"{A}:1", f"{A}:2", f"{B}:3", f"{16 * 'c'}:4"]
    for count, position in enumerate(positions, start=1):
        assert log(path, "root", "--since", position).out == b"1\n2\n3\n4\n"[2 * count :]


def test_a_time_finds_its_own_message_again(log: Log, path: Path) -> None:
    # Not all of these fractions have as many digits as a time of JSON.
    said = [Said(b"%d\n" % number, time=number / 3 + number / 1_000_000) for number in range(20)]
    write_store(path, {"root": (Lines(), said)})
    objects = log(path, "root", "--json").objects
    for number, each in enumerate(objects):
        assert log(path, "root", "--since", each["time"], "--json").objects == objects[number:]


def test_it_feeds_jq(path: Path) -> None:
    jq = require_program("jq")
    write_store(path, TWO_ROOMS)
    command = f'{" ".join(LOG)} "$0" weather --json | {jq} -j \'select(.sender == "bob") | .message\''
    assert finish("sh", "-c", command, str(path)) == Finished(0, "rain\r\nsnow\n", "")


# A part of them.

FIVE: Rooms = {"root": (Lines(), [Said(b"%d\n" % number, time=10 * number) for number in range(5)])}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ([], "01234"),
        (["--since", "all"], "01234"),
        (["--since", "2"], "34"),
        (["--since", "99"], "01234"),
        (["--since", "none"], ""),
        (["--since", "1B"], "4"),
        (["--since", "258B"], "4"),
        (["--since", "259B"], "34"),
        (["--since", "1M"], "01234"),
        (["--since", "0K"], ""),
        (["--since", "2023-11-14T22:13:40Z"], "234"),
        (["--since", "2023-11-14T23:13:40.25+01:00"], "234"),
        (["--since", "2030-01-01T00:00:00Z"], ""),
        (["--since", f"{A}:0"], "01234"),
        (["--since", f"{A}:3"], "34"),
        (["--since", f"{A}:5"], ""),
        (["--until", "2"], "012"),
        (["--until", "none"], "01234"),
        (["--until", "all"], ""),
        (["--until", f"{A}:1"], "0"),
        (["--until", "2023-11-14T22:13:40Z"], "01"),
        (["--since", "3", "--until", "1"], "23"),
        (["--since", "1", "--until", "3"], ""),
    ],
)
def test_since_and_until_are_places_in_the_log(options: list[str], wanted: str, log: Log, path: Path) -> None:
    write_store(path, FIVE, apart=True)
    assert log(path, "root", *options) == Output(0, "".join(f"{number}\n" for number in wanted).encode(), "")


def test_a_time_back_counts_from_now(log: Log, path: Path) -> None:
    now = datetime.now(UTC).timestamp() - TIME
    write_store(path, {"root": (Lines(), [Said(b"old\n", time=now - 7000), Said(b"new\n", time=now - 3000)])})
    assert log(path, "root", "--since", "1h").out == b"new\n"
    assert log(path, "root", "--until", "1h").out == b"old\n"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (
            ["--since", "x"],
            "--since: 'x' is not a place in a log; write none, all, 100 (messages), 64K (bytes), 10m (a time), ",
        ),
        (["--until", "2023-11-14T22:13:40"], "--until: '2023-11-14T22:13:40' is not a place in a log; "),
        (["--since", f"{A}:6"], f"--since: the log holds {A}:5 to {A}:5, not {A}:6"),
        (["--until", f"{B}:1"], f"--until: the log holds {A}:0 to {A}:5, not {B}:1"),
    ],
)
def test_a_place_that_is_none_or_is_lost_is_told(options: list[str], error: str, log: Log, path: Path) -> None:
    write_store(path, FIVE)
    assert error_of(log(path, "root", *options), 2).startswith(error)


def test_a_position_that_retention_has_passed_says_how_many_messages_are_gone(log: Log, path: Path) -> None:
    write_store(path, FIVE, apart=True)
    change(path, "DELETE FROM chunks WHERE seq < 2", "UPDATE rooms SET start_seq = 2, start_offset = 516")
    error = f"--since: the log holds {A}:2 to {A}:5, not {A}:1; messages after that which are gone: 1"
    assert error_of(log(path, "root", "--since", f"{A}:1"), 2) == error
    assert log(path, "root").out == b"2\n3\n4\n"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--since", "1"], "--since is about the messages of a room; name the room after the path"),
        (["--follow"], "--follow is about the messages of a room; name the room after the path"),
        (["root", "--verify"], "--verify is about the whole store; give it alone, without a room and other options"),
        (["--verify", "--json"], "--verify is about the whole store; give it alone, without a room and other options"),
        (
            ["--verify", "--export", "x"],
            "--verify is about the whole store; give it alone, without a room and other options",
        ),
        (
            ["--export", "x", "--since", "1"],
            "--export is about the whole store; give it alone, without a room and other options",
        ),
        (
            ["root", "--follow", "--until", "1"],
            "--follow never ends, and --until says where to end; choose one of them",
        ),
        (["rot"], "{path} has no room 'rot'; did you mean 'root'?"),
        (["something"], "{path} has no room 'something'; hubbub log {path} lists them"),
        (["root", "more"], "got unexpected extra argument (more); see main log --help"),
    ],
)
def test_options_that_do_not_go_together_are_told(arguments: list[str], error: str, log: Log, path: Path) -> None:
    write_store(path, TWO_ROOMS)
    assert error_of(log(path, *arguments), 2) == error.format(path=path)


# Files that are not good.

NAME = "name the file that a hubbub has written"


def test_a_file_that_is_not_a_store_is_told(log: Log, path: Path, tmp_path: Path) -> None:
    def refusal(what: Path) -> str:
        error = error_of(log(what), 2)
        assert error.startswith(f"cannot use the store {what}: ")
        return error.removeprefix(f"cannot use the store {what}: ")

    assert refusal(path) == f"there is no such file; {NAME}"
    assert refusal(tmp_path / "no" / "log.db") == f"there is no such file; {NAME}"
    assert refusal(tmp_path) == "it is a folder; name a file in it"
    path.touch()
    assert refusal(path) == f"it is empty; {NAME}"
    assert refusal(path / "log.db") == f"there is no such file; {NAME}"
    path.write_text("hello")
    assert refusal(path) == "it is not a store of hubbub; move it away, or choose another path"
    os.mkfifo(tmp_path / "fifo")
    assert refusal(tmp_path / "fifo") == "it is not a file; name the file of a store"
    path.unlink()
    change(path, "CREATE TABLE t (x)")
    assert refusal(path) == "it is a database of another program; move it away, or choose another path"
    # Nothing of that has left anything behind.
    assert sorted(tmp_path.iterdir()) == [tmp_path / "fifo", path]


def test_a_store_of_a_newer_hubbub_is_told(log: Log, path: Path) -> None:
    write_store(path, TWO_ROOMS)
    change(path, "PRAGMA user_version = 99")
    assert "a newer hubbub made it (version 99; this one knows " in error_of(log(path), 2)


def test_serve_tells_in_one_line_what_store_it_cannot_use(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["serve", "--store", str(tmp_path)])
    assert result.exit_code == 2
    assert result.stderr == f"hubbub: cannot use the store {tmp_path}: it is a folder; name a file in it\n"


@pytest.mark.parametrize("text", ["postgres:x", "sqlite:", ""])
def test_a_path_is_written_as_for_serve(text: str, log: Log, path: Path) -> None:
    write_store(path, TWO_ROOMS)
    assert log(f"sqlite:{path}", "root").out == b"hello\n"
    serve = CliRunner().invoke(main, ["serve", "--store", text]).stderr
    assert error_of(log(text), 2) == serve.removeprefix("hubbub: --store: ").removesuffix("\n")


@pytest.mark.parametrize("what", ["its checksum is another one", "database disk image is malformed (SQLITE_CORRUPT)"])
def test_damage_in_the_middle_is_told_after_what_is_before_it(what: str, log: Log, path: Path) -> None:
    write_store(path, {"root": (Lines(), long_messages(5))}, apart=True)
    content = bytearray(path.read_bytes())
    if "checksum" in what:
        content[content.index(b"d" * PAGE_PART)] ^= 1
        path.write_bytes(content)
    else:
        break_chain(path, b"d" * PAGE_PART)
    for options in ([], ["--json"]):
        output = log(path, "root", *options)
        assert output.out.count(b"\n") == 3
        assert error_beside(output, 1) == (
            f"the store {path} is damaged: room root, after {A}:3: {what}; see hubbub log {path} --verify"
        )
    # What is behind it can still be had.
    assert log(path, "root", "--since", 1).out.startswith(b"4 eee")


def test_messages_that_are_missing_in_the_middle_are_told(log: Log, path: Path) -> None:
    write_store(path, FIVE, apart=True)
    change(path, "DELETE FROM chunks WHERE seq = 2")
    output = log(path, "root")
    assert output.out == b"0\n1\n"
    assert f"room root, after {A}:2: messages are missing; " in error_beside(output, 1)


def test_a_page_that_is_damaged_is_told(log: Log, path: Path) -> None:
    write_store(
        path, {"root": (Lines(), [Said(b"%d %s\n" % (number, b"x" * 6000)) for number in range(5)])}, apart=True
    )
    content = garble_index(path)
    assert "database disk image is malformed (SQLITE_CORRUPT)" in error_of(log(path, "root"), 1)
    assert "database disk image is malformed (SQLITE_CORRUPT)" in error_of(log(path), 1)
    # Garbage behind a good beginning.
    path.write_bytes(content[:100] + b"\x55" * (len(content) - 100))
    assert "database disk image is malformed (SQLITE_CORRUPT)" in error_of(log(path), 1)
    path.write_bytes(content[:5000])
    assert "it is truncated: " in error_of(log(path), 2)


@pytest.mark.parametrize(
    ("wire", "reason"),
    [(b"1\n", "a batch has 2 messages, and 1 are in its bytes"), (b"1", "batches and their bytes do not fit")],
)
def test_bytes_that_do_not_fit_their_batch_are_told(wire: bytes, reason: str, log: Log, path: Path) -> None:
    write_store(path, {"root": (Lines(), [Said(b"1\n2\n" if len(wire) == 1 else b"11", 2)])})
    replace_row(path, 0, data=wire)
    assert f"room root, after {A}:0: {reason}; " in error_of(log(path, "root", "--json"), 1)


def test_a_length_that_goes_wild_is_told(log: Log, path: Path) -> None:
    write_store(path, {"root": (LengthPrefixed(4), [Said(b"\0\0\0\1x")])})
    replace_row(path, 0, data=b"\xff\0\0\1x")
    assert "message longer than 5 bytes" in error_of(log(path, "root", "--json"), 1)


def test_a_time_that_is_none_is_told(log: Log, path: Path) -> None:
    write_store(path, {"root": (Lines(), [Said(b"1\n", time=1e300)])})
    assert " is not a time; " in error_of(log(path), 1)
    assert " is not a time; " in error_of(log(path, "root", "--json"), 1)


def test_a_room_without_a_term_is_told(log: Log, path: Path) -> None:
    write_store(path, TWO_ROOMS)
    change(path, "DELETE FROM terms")
    assert "room root has no term" in error_of(log(path, "root"), 1)


@pytest.mark.parametrize("column", ["rooms SET framing", "rooms SET start_seq", "terms SET term", "terms SET first"])
def test_a_column_with_something_else_is_told(column: str, log: Log, path: Path) -> None:
    write_store(path, TWO_ROOMS)
    change(path, f"UPDATE {column} = x'00'")
    for arguments in ([], ["root"]):
        assert "a column has a wrong type; " in error_of(log(path, *arguments), 1)
    faults = "room root: a column has a wrong type\nroom weather: a column has a wrong type\n"
    assert log(path, "--verify") == Output(1, faults.encode(), "")


@pytest.mark.parametrize("unreadable", ["file", "folder"])
def test_a_store_that_this_user_may_not_read_is_told(unreadable: str, tmp_path: Path) -> None:
    path = tmp_path / "in" / "log.db"
    path.parent.mkdir()
    write_store(path, TWO_ROOMS)
    (path if unreadable == "file" else path.parent).chmod(0)
    finished = finish(*unprivileged(), *LOG, str(path))
    path.parent.chmod(0o700)
    error = f"hubbub: cannot use the store {path}: permission denied; give this user the permission to read it\n"
    assert finished == Finished(2, "", error)


def unprivileged() -> list[str]:
    """What makes root a user who may do only what files allow."""
    return [] if os.geteuid() else [require_program("setpriv"), "--bounding-set=-dac_override,-dac_read_search"]


def test_a_store_that_was_closed_is_read_without_a_trace_also_where_nothing_may_be_written(path: Path) -> None:
    write_store(path, TWO_ROOMS)
    path.chmod(0o400)
    path.parent.chmod(0o500)
    before = path.stat()
    finished = finish(*unprivileged(), *LOG, str(path), "root")
    path.parent.chmod(0o700)
    assert finished == Finished(0, "hello\n", "")
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mtime_ns == before.st_mtime_ns


# Beside a hubbub.


def say(server: ServerProgram, *lines: bytes) -> None:
    """Say lines in a server's room, and wait until they have been received."""
    with server.new_peer() as peer:
        for line in lines:
            peer.send(line)
            server.output.expect(rb" said: ")


def stored(path: Path, count: int, room: str = "root") -> None:
    """Wait until a room has so many messages."""

    def count_now() -> bool:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            (end,) = connection.execute("SELECT max(end_seq) FROM chunks").fetchone()
            return bool(end == count)

    wait_until(count_now, "such count")


def files(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir())


@pytest.mark.parametrize("ending", ["running", "killed", "closed", "copied"])
def test_it_is_read_while_a_hubbub_writes_it_and_however_that_has_ended(ending: str, log: Log, path: Path) -> None:
    with hubbub_serve("relay", "--store", str(path)) as server:
        say(server, b"one\n", b"two\r\n")
        stored(path, 2)
        assert files(path) == ["log.db", "log.db-lock", "log.db-shm", "log.db-wal"]
        if ending == "killed":
            server.signal(signal.SIGKILL)
            server.wait()
            assert files(path) == ["log.db", "log.db-lock", "log.db-shm", "log.db-wal"]
        elif ending == "closed":
            server.stop()
            assert files(path) == ["log.db"]
        elif ending == "copied":
            # A copy of what a backup may have found.
            to = path.with_name("copy")
            to.mkdir()
            for name in ("log.db", "log.db-wal"):
                shutil.copy(path.with_name(name), to / name)
            path = to / "log.db"
        before = files(path)
        assert log(path, "root").out == b"one\ntwo\r\n"
        assert [each["messages"] for each in log(path, "--json").objects] == [2]
        assert log(path, "--verify").out.startswith(b"good: rooms: 1, messages: 2, ")
        if ending != "copied":
            assert files(path) == before
    if ending == "killed":
        with hubbub_serve("relay", "--store", str(path)) as server:
            say(server, b"three\n")
        assert log(path, "root").out == b"one\ntwo\r\nthree\n"


def test_what_a_killed_hubbub_has_left_in_a_folder_that_may_not_be_written_is_read_or_told(path: Path) -> None:
    with hubbub_serve("relay", "--store", str(path)) as server:
        say(server, b"one\n")
        stored(path, 1)
        server.signal(signal.SIGKILL)
        server.wait()
    path.parent.chmod(0o500)
    for name in files(path):
        path.with_name(name).chmod(0o400)
    finished = finish(*unprivileged(), *LOG, str(path), "root")
    assert finished == Finished(0, "one\n", "")
    # Without the index of its WAL, which SQLite would make.
    path.parent.chmod(0o700)
    path.with_name("log.db-shm").unlink()
    path.parent.chmod(0o500)
    finished = finish(*unprivileged(), *LOG, str(path), "root")
    path.parent.chmod(0o700)
    error = (
        f"hubbub: cannot use the store {path}: unable to open database file (SQLITE_CANTOPEN); give this user the "
        "permission to write its folder, or copy it and log.db-wal elsewhere\n"
    )
    assert finished == Finished(2, "", error)


def test_a_reader_that_stands_still_holds_no_lock_of_the_store(path: Path) -> None:
    line = b"x" * 1000 + b"\n"
    write_store(path, {"root": (Lines(), [Said(line * 1000, 1000)] * 3)})
    asyncio.run(_assert_wal_can_start_again(path))


async def _assert_wal_can_start_again(path: Path) -> None:
    store = SqliteStore(path)
    store.start(Settings())
    # It has printed what fits in its pipe, and waits for the pipe.
    with Program(*LOG, str(path), "root", stdout=(pipe := os.pipe())[1]) as program:
        os.close(pipe[1])
        await asyncio.to_thread(wait_until, lambda: unread(pipe[0]) >= 64 * KIB, "full pipe")
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE rooms SET time = 1.0")
            connection.execute("COMMIT")
            busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            assert not busy
        os.close(pipe[0])
        assert await asyncio.to_thread(program.wait) == 1
        assert program.errors.rest() == b""
    await store.close()


def unread(descriptor: int) -> int:
    """The bytes that wait in a pipe."""
    return int(struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"\0" * 4))[0])


def test_what_retention_forgets_before_it_is_printed_is_told(path: Path) -> None:
    line = b"x" * 1000 + b"\n"
    write_store(path, {"root": (Lines(), [Said(line * 200, 200)] * 30)}, apart=True)
    reading, writing = os.pipe()
    with Program(*LOG, str(path), "root", stdout=writing) as program:
        os.close(writing)
        wait_until(lambda: unread(reading) >= 64 * KIB, "full pipe")
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DELETE FROM chunks WHERE end_seq <= 4000")
            connection.execute("UPDATE rooms SET start_seq = 4000, start_offset = 20 * (200 * 1001 + 256)")
            connection.commit()
        with os.fdopen(reading, "rb") as file:
            count = sum(1 for _ in file)
        assert program.wait() == 1
        gone = 6000 - count
        assert 2000 < gone < 4000
        assert program.errors.rest().decode() == f"hubbub: messages before {A}:4000 are gone: {gone}\n"


def test_a_hub_is_fed_from_another_ones_store(path: Path, tmp_path: Path) -> None:
    nc = require_program("nc")
    other = tmp_path / "other.db"
    write_store(path, {"root": (Lines(), [Said(b"line %d\n" % number) for number in range(1000)])})
    with hubbub_serve("relay", "--quiet", "--store", str(other)) as server:
        host, port = server.endpoint
        finished = finish("sh", "-c", f'{" ".join(LOG)} "$0" root | {nc} -N {host} {port}', str(path))
        assert (finished.status, finished.errors) == (0, "")
        stored(other, 1000)
    assert finish(*LOG, str(other), "root") == finish(*LOG, str(path), "root")


# Following.


def test_it_follows_what_is_stored_over_a_restart_of_the_server(path: Path) -> None:
    write_store(path, {"root": (ByteLines(keepends=True), [Said(b"0\n"), Said(b"1\n")])})
    with Program(*LOG, str(path), "root", "--follow", "--since", "1", "--json") as program:

        def next_message() -> tuple[str, str]:
            each = json.loads(program.output.line())
            return each["position"], each["message"]

        assert next_message() == (f"{A}:2", "1\n")
        terms = set()
        for seq, ending in enumerate(("killed", "closed"), start=3):
            with hubbub_serve("relay", "--store", str(path)) as server:
                say(server, b"%d\n" % seq)
                position, message = next_message()
                assert message == f"{seq}\n"
                assert position.endswith(f":{seq}")
                terms.add(position.partition(":")[0])
                if ending == "killed":
                    server.signal(signal.SIGKILL)
                    server.wait()
        # Where it reads just as the server closes, the WAL stays until the next start.
        assert set(files(path)) <= {"log.db", "log.db-shm", "log.db-wal"}
        assert len(terms) == 2
        program.signal(signal.SIGINT)
        assert program.wait() == -signal.SIGINT
        assert (program.output.rest(), program.errors.rest()) == (b"", b"")


def test_following_ends_quietly_when_nobody_reads_any_more(path: Path) -> None:
    write_store(path, TWO_ROOMS)
    reading, writing = os.pipe()
    with Program(*LOG, str(path), "root", "-f", stdout=writing) as program:
        os.close(writing)
        assert os.read(reading, 100) == b"hello\n"
        assert program.running
        os.close(reading)
        assert program.wait() == 1
        assert program.errors.rest() == b""


def test_following_into_a_file_goes_on(path: Path, tmp_path: Path) -> None:
    write_store(path, TWO_ROOMS)
    to = tmp_path / "out"
    with to.open("wb") as file, Program(*LOG, str(path), "root", "-f", stdout=file.fileno()) as program:
        wait_until(lambda: to.read_bytes() == b"hello\n", "first line")
        write_store(path, {"root": (Lines(), [Said(b"again\n")])}, term="b")
        wait_until(lambda: to.read_bytes() == b"hello\nagain\n", "second line")
        assert program.running


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("deleted", "room root was deleted meanwhile"),
        ("another", "room root was deleted meanwhile"),
        (
            "shorter",
            "the store {path} is damaged: room root, after {A}:3: the log ends there now; the file was replaced; ",
        ),
        ("gone", "cannot use the store {path}: there is no such file; "),
    ],
)
def test_following_ends_if_the_room_is_not_what_it_was(what: str, error: str, path: Path, tmp_path: Path) -> None:
    three = {"root": (Lines(), [Said(b"1\n2\n3\n", 3)])}
    write_store(path, three)
    with Program(*LOG, str(path), "root", "-f") as program:
        assert program.output.lines(3) == ["1", "2", "3"]
        if what == "deleted":
            change(path, "DELETE FROM rooms")
        elif what == "another":
            change(path, "UPDATE rooms SET id = 7", "UPDATE chunks SET room = 7", "UPDATE terms SET room = 7")
        elif what == "shorter":
            write_store(tmp_path / "other", {"root": (Lines(), [Said(b"1\n2\n", 2)])})
            (tmp_path / "other").rename(path)
        else:
            path.unlink()
        assert program.wait() == 1
        said = program.errors.rest().decode()
        assert said.startswith(f"hubbub: {error.format(path=path, A=A)}")
        assert said.count("\n") == 1


def test_following_tells_each_time_that_messages_were_forgotten(path: Path) -> None:
    write_store(path, FIVE, apart=True)
    with Program(*LOG, str(path), "root", "-f") as program:
        assert program.output.lines(5) == list("01234")
        change(
            path,
            "UPDATE chunks SET seq = seq + 10, end_seq = end_seq + 10, offset = offset + 9000, "
            "end_offset = end_offset + 9000",
            "UPDATE rooms SET start_seq = 10, start_offset = 9000",
        )
        assert program.output.lines(5) == list("01234")
        assert program.errors.line().decode() == f"hubbub: messages before {A}:10 are gone: 5\n"
        assert program.running


# Standard output.


def test_on_a_terminal_control_characters_are_escaped(path: Path) -> None:
    write_store(
        path,
        {
            "text": (Lines(), [Said("zwö \x1b[31m\x9b\u202e\n".encode())]),
            "bytes": (ByteLines(keepends=True), [Said(b"\xff\x1b[2J\r\n")]),
            "mine": (Mine(), [Said(b"a\x1b\nb\xff")]),
        },
    )

    def shown(*arguments: str) -> bytes:
        with TerminalProgram(*LOG, str(path), *arguments) as program:
            assert program.wait() == 0
            wait_until(lambda: program.output.unread.endswith(b"\n"), "output")
            return program.output.unread

    assert shown("text").decode() == "zwö \\x1b[31m\\x9b\\u202e\r\n"
    assert shown("bytes") == b"\\xff\\x1b[2J\r\n"
    assert shown("mine") == b"a\\x1b\r\nb\\xff\r\n"
    assert b"\x1b" not in shown("text", "--json")


@pytest.mark.long
@pytest.mark.parametrize("options", [[], ["root"], ["root", "--json"], ["root", "--follow"], ["--export", "-"]])
def test_a_reader_that_has_enough_is_no_error(options: list[str], path: Path) -> None:
    write_store(path, {"root": (Lines(), [Said(b"%d\n" % number) for number in range(50_000)])})
    command = f'{" ".join(LOG)} "$@" | head -c 1'
    finished = finish("sh", "-c", command, "sh", str(path), *options)
    assert (finished.status, len(finished.output), finished.errors) == (0, 1, "")


@pytest.mark.parametrize(
    "options", [[], ["root"], ["root", "--json"], ["root", "--follow"], ["--export", "-"], ["--verify"]]
)
def test_a_full_disk_behind_standard_output_is_told(options: list[str], path: Path) -> None:
    write_store(path, TWO_ROOMS)
    with Path("/dev/full").open("wb") as full:
        finished = finish(*LOG, str(path), *options, stdout=full.fileno())
    assert finished == Finished(1, "", "hubbub: cannot write standard output: No space left on device\n")


def test_a_pipe_that_does_not_block_gets_all_of_it(path: Path) -> None:
    lines = b"".join(b"%d\n" % number for number in range(100_000))
    write_store(path, {"root": (Lines(), [Said(lines, 100_000)])})
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with Program(*LOG, str(path), "root", stdout=writing) as program:
        os.close(writing)
        wait_until(lambda: unread(reading) >= 60 * KIB, "full pipe")
        with os.fdopen(reading, "rb") as file:
            assert file.read() == lines
        assert program.wait() == 0


@pytest.mark.long
def test_memory_stays_the_same_whatever_the_store_holds(path: Path) -> None:
    write_store(path, {"root": (Lines(), [Said(b"x" * 999 + b"\n")] * 5)})
    little = peak(path)
    line = b"x" * 999 + b"\n"
    write_store(path, {"root": (Lines(), [Said(line * 50, 50)] * 2000)}, term="b")
    for options in (["root"], ["root", "--json"], ["--export", "-"], ["--verify"]):
        assert peak(path, *options) < little + 16 * MIB


def peak(path: Path, *options: str) -> int:
    """The most memory that the command has, in bytes."""
    program = (
        "import os, subprocess, sys\n"
        "child = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
        "_, status, usage = os.wait4(child.pid, 0)\n"
        "assert status == 0\n"
        "print(usage.ru_maxrss)"
    )
    finished = finish(sys.executable, "-c", program, *LOG, str(path), *options)
    assert finished.status == 0, finished
    return int(finished.output) * KIB


# Verifying and exporting; what is verified is in `tests/stores/test_verifying.py`.


def test_a_good_store_is_good(log: Log, path: Path) -> None:
    write_store(path, TWO_ROOMS)
    assert log(path, "--verify") == Output(0, b"good: rooms: 2, messages: 4, file: 112.0 KiB\n", "")


def test_faults_are_a_line_each(log: Log, path: Path) -> None:
    write_store(path, FIVE, apart=True)
    change(path, "DELETE FROM chunks WHERE seq IN (1, 3)", "UPDATE rooms SET name = 'a' || char(27)")
    faults = [f"room a\\x1b: after {A}:{seq}, messages are missing: 1\n" for seq in (1, 3)]
    assert log(path, "--verify") == Output(1, "".join(faults).encode(), "")


def test_only_the_first_faults_are_listed(log: Log, path: Path) -> None:
    write_store(path, {"root": (Lines(), [Said(b"%d\n" % number) for number in range(240)])}, apart=True)
    change(path, "DELETE FROM chunks WHERE seq % 2 = 1")
    output = log(path, "--verify")
    assert output.status == 1
    *lines, last = output.out.splitlines()
    assert len(lines) == 100
    assert last == b"perhaps more: only the first faults are listed"


@pytest.mark.parametrize("option", ["--verify", "--export"])
def test_progress_is_shown_on_a_terminal(option: str, path: Path, tmp_path: Path) -> None:
    line = b"x" * 999 + b"\n"
    write_store(path, {"root": (Lines(), [Said(line * 50, 50)] * 100)})
    arguments = [option, str(tmp_path / "out")] if option == "--export" else [option]
    with TerminalProgram(*LOG, str(path), *arguments) as program:
        program.output.expect(rb"(checking|exporting)  \[.*100%")
        assert program.wait() == 0


def test_progress_is_shown_while_sqlite_checks_the_file(log: Log, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_store(path, TWO_ROOMS)
    shown = threading.Event()

    def note(bar: Any) -> None:
        if re.fullmatch("SQLite's own check, [0-9]+ s", bar.label):
            shown.set()

    def check(connection: sqlite3.Connection) -> list[str]:
        return [] if shown.wait(WAIT_TIME) else ["nothing was shown"]

    monkeypatch.setattr(ProgressBar, "render_progress", note)
    monkeypatch.setattr(verifying, "_integrity", check)
    assert log(path, "--verify").out.startswith(b"good: ")


def test_all_messages_are_exported_with_their_rooms(log: Log, path: Path, tmp_path: Path) -> None:
    write_store(path, TWO_ROOMS)
    known = {"time": "2023-11-14T22:13:20.250000Z", "sender": "alice"}
    wanted = [
        {"room": "root", "position": f"{A}:1", **known, "message": "hello"},
        {"room": "weather", "position": f"{A}:1", **known, "message": "sunny\r\n"},
        {
            "room": "weather",
            "position": f"{A}:2",
            "time": "2023-11-14T22:14:20.750000Z",
            "sender": "bob",
            "message": "rain\r\n",
        },
        {
            "room": "weather",
            "position": f"{A}:3",
            "time": "2023-11-14T22:14:20.750000Z",
            "sender": "bob",
            "message": "snow\n",
        },
    ]
    assert log(path, "--export", "-").objects == wanted
    to = tmp_path / "out.ndjson"
    assert log(path, "--export", to) == Output(0, b"", "")
    assert [json.loads(line) for line in to.read_bytes().splitlines()] == wanted
    mask = os.umask(0)
    os.umask(mask)
    assert to.stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_file_that_is_there_is_not_overwritten(log: Log, path: Path, tmp_path: Path) -> None:
    write_store(path, TWO_ROOMS)
    to = tmp_path / "out"
    to.write_text("mine")
    error = f"--export: {to} is there already; choose another name, or remove it"
    assert error_of(log(path, "--export", to), 2) == error
    assert to.read_text() == "mine"


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_comes_meanwhile_is_not_overwritten(
    links: bool, log: Log, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_store(path, TWO_ROOMS)
    to = tmp_path / "out"
    size_of = log_module._size

    def come(room: Any) -> int:
        to.write_text("mine")
        return int(size_of(room))

    def no_link(self: Path, other: Path) -> None:
        raise PermissionError

    if not links:
        monkeypatch.setattr(Path, "hardlink_to", no_link)
        # Where nothing comes, the file gets its name.
        assert log(path, "--export", tmp_path / "other") == Output(0, b"", "")
        assert len((tmp_path / "other").read_text().splitlines()) == 4
    monkeypatch.setattr(log_module, "_size", come)
    assert "is there already" in error_of(log(path, "--export", to), 2)
    assert to.read_text() == "mine"
    assert not list(tmp_path.glob("*.part"))


def test_an_export_without_a_folder_or_permission_is_told(log: Log, path: Path, tmp_path: Path) -> None:
    write_store(path, TWO_ROOMS)
    to = tmp_path / "no" / "out"
    assert error_of(log(path, "--export", to), 2) == f"--export: cannot write {to}: No such file or directory"


def test_an_export_on_a_full_disk_is_told_and_leaves_nothing(log: Log, path: Path, tmp_path: Path) -> None:
    write_store(path, {"root": (Lines(), [Said(b"x" * 999 + b"\n")] * 100)})
    to = tmp_path / "out"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # It is as good as a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (20 * KIB, limits[1]))
    try:
        output = log(path, "--export", to)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert error_of(output, 1) == f"cannot write {to}: File too large"
    assert files(path) == ["log.db"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_export_that_is_stopped_leaves_nothing(number: signal.Signals, path: Path, tmp_path: Path) -> None:
    line = b"x" * 99 + b"\n"
    write_store(path, {"root": (Lines(), [Said(line * 500, 500)] * 1000)})
    to = tmp_path / "out"
    with Program(*LOG, str(path), "--export", str(to)) as program:
        wait_until(lambda: any(each.stat().st_size for each in tmp_path.glob("out.*.part")), "begun file")
        program.signal(number)
        assert program.wait() == 130
        assert program.errors.rest() == b""
    assert files(path) == ["log.db"]


def test_a_damaged_store_is_not_exported(log: Log, path: Path, tmp_path: Path) -> None:
    write_store(path, FIVE, apart=True)
    change(path, "DELETE FROM chunks WHERE seq = 2")
    error = error_of(log(path, "--export", tmp_path / "out"), 1)
    assert f"room root, after {A}:2: messages are missing; " in error
    assert files(path) == ["log.db"]


def test_an_export_tells_what_was_forgotten_meanwhile(log: Log, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_store(path, FIVE, apart=True)
    size_of = log_module._size

    def forget(room: Any) -> int:
        change(path, "DELETE FROM chunks WHERE seq < 2", "UPDATE rooms SET start_seq = 2, start_offset = 516")
        return int(size_of(room))

    monkeypatch.setattr(log_module, "_size", forget)
    output = log(path, "--export", "-")
    assert error_beside(output, 1) == "messages are gone that were to be exported: 2"
    assert output.out.count(b"\n") == 3


# Completion.


def complete(*words: str) -> list[str]:
    shell = ShellComplete(main, {}, "hubbub", "_HUBBUB_COMPLETE")
    return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]


def test_rooms_and_options_are_completed(path: Path) -> None:
    write_store(path, TWO_ROOMS)
    assert complete("lo") == ["log"]
    assert complete("log", str(path), "") == ["root", "weather"]
    assert complete("log", str(path), "we") == ["weather"]
    assert complete("log", str(path.parent / "no.db"), "we") == []
    assert complete("log", "--f") == ["--follow"]
