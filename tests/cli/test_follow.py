"""`hubbub connect http://…`: what it prints, where it goes on, and what it refuses."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import shutil
import signal
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import hubbub
from hubbub import Position
from hubbub.cli import main
from hubbub.cli.failure import Failure, Unreachable
from hubbub.cli.follow import _Printer, as_bytes, as_text, follow, words_for
from hubbub.cli.position_file import PositionFile

from bench.peer import free_port
from support.certificates import Certificates
from support.figures import scaled
from support.helpers import eventually
from support.keys import secret_of, write_keys
from support.programs import HUBBUB, Finished, Peer, Program, TerminalProgram, finish, serving_program, wait_until
from support.web import KIB, url_of, web_serving
from support.web_programs import WebProgram, web_program

CONNECT = (*HUBBUB, "connect")

KILLING_TIME = 60.0
"""Seconds after which no reader is killed any more: on a busy machine each takes long to start."""


@contextmanager
def following(url: str, *options: str, **more: Any) -> Iterator[Program]:
    """`hubbub connect` with a room."""
    with Program(*CONNECT, url, *options, **more) as program:
        yield program


def room_of(server: WebProgram) -> str:
    return f"http://{server.web}/root"


def noted(file: Path) -> int:
    """The number of messages before the position in a file; 0 without one."""
    return Position.parse(file.read_text().strip()).seq if file.exists() else 0


def test_messages_go_into_a_pipe_as_they_are_and_nothing_is_sent() -> None:
    with web_program() as server:
        server.say("one", "\x1b[2Jtwo", "drei ä")
        with following(room_of(server), "--since", "2") as program:
            assert program.output.lines(2) == ["\x1b[2Jtwo", "drei ä"]
            program.send(b"not sent\n")
            program.end()
            server.say("four")
            assert program.output.line() == b"four\n"
            program.signal(signal.SIGINT)
            assert program.wait() == -signal.SIGINT
            assert program.errors.rest() == b""


@pytest.mark.long
def test_bytes_that_are_not_text_are_the_same_bytes() -> None:
    with web_program("--framing", "byte-lines") as server:
        with Peer(server.program.endpoint) as sender, following(room_of(server), "--since", "all") as program:
            sender.send(b"\xff\x00\xe4\r\n")
            # What comes over HTTP has no ends of lines.
            assert program.output.line() == b"\xff\x00\xe4\n"
        with TerminalProgram(*CONNECT, room_of(server), "--since", "all") as program:
            program.wait_for_screen(r"\xff\x00\xe4")


def test_a_terminal_is_shown_what_cannot_act_on_it() -> None:
    with web_program() as server:
        server.say("\x1b[2Jone", "\u202etwo")
        with TerminalProgram(*CONNECT, room_of(server), "--since", "all") as program:
            program.wait_for_screen("\\x1b[2Jone", "\\u202etwo")


def test_without_a_place_it_begins_with_the_next_message() -> None:
    with web_program() as server:
        server.say("old")
        with following(room_of(server), "-v") as program:
            program.errors.expect(rb"the stream is open, since 0\n")
            server.say("new")
            assert program.output.line() == b"new\n"


@pytest.mark.long
def test_a_gap_is_told_on_standard_error(tmp_path: Path) -> None:
    with web_program("--retention", "4K") as server:
        server.say("first")
        file = tmp_path / "place"
        with following(room_of(server), "--since", "all", "--resume", str(file)) as program:
            assert program.output.line() == b"first\n"
            wait_until(lambda: noted(file) == 1, "position")
        server.say(*(f"{number} {'.' * 100}" for number in range(2, 101)))
        with following(room_of(server), "--resume", str(file)) as program:
            missed = int(program.errors.expect(rb"^hubbub: messages that are missing here: (\d+)\n")[1])
            assert program.output.line().startswith(b"%d " % (missed + 2))
        file.write_text("0123456789abcdef:7")
        with following(room_of(server), "--resume", str(file)) as program:
            program.errors.expect(b"^hubbub: messages are missing here, and nobody knows how many\n")


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_goes_on_behind_what_it_has_printed(end: signal.Signals, tmp_path: Path) -> None:
    file = tmp_path / "place"
    with web_program() as server:
        server.say("one", "two")
        for expected in (["one", "two"], ["three"]):
            with following(room_of(server), "--since", "all", "--resume", str(file)) as program:
                assert program.output.lines(len(expected)) == expected
                program.signal(end)
                assert program.wait() == -end
                assert (program.output.rest(), program.errors.rest()) == (b"", b"")
            server.say("three")
        assert noted(file) == 3
        assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_a_place_that_was_read_is_not_written_again_before_something_is_printed(tmp_path: Path) -> None:
    file = tmp_path / "place"
    with web_program() as server:
        server.say("one")
        with following(room_of(server), "--since", "all", "--resume", str(file)) as program:
            assert program.output.line() == b"one\n"
            wait_until(lambda: noted(file) == 1, "position")
        written = file.stat().st_ino
        with following(room_of(server), "-v", "--resume", str(file)) as program:
            program.errors.expect(b"the stream is open")
            program.signal(signal.SIGTERM)
            assert program.wait() == -signal.SIGTERM
        # Each time it is written, it is another file.
        assert file.stat().st_ino == written


def test_nohup_keeps_it_running(tmp_path: Path) -> None:
    file = tmp_path / "place"
    with web_program() as server:
        command = ("nohup", *CONNECT, room_of(server), "-v", "--resume", str(file))
        with Program(*command) as program:
            program.errors.expect(b"the stream is open")
            program.signal(signal.SIGHUP)
            server.say("one")
            assert program.output.line() == b"one\n"
            program.signal(signal.SIGTERM)
            assert program.wait() == -signal.SIGTERM
    assert noted(file) == 1


@pytest.mark.parametrize("end", [None, signal.SIGTERM])
async def test_a_signal_does_what_it_would_have_done_behind_the_position(
    end: signal.Signals | None, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """As in a program, but in the process of the test, which another handler keeps alive."""
    file, seen = tmp_path / "place", list[int]()
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(noted(file)))
    try:
        async with web_serving() as (server, _):
            position = await server.broadcast("one")
            place = hubbub.Position("0123456789abcdef", 7)
            entries = hubbub.subscribe(url_of(server), since=place)
            following = asyncio.create_task(follow(entries, PositionFile(file)))
            shown: list[str] = []

            def is_shown() -> bool:
                shown.extend(capfd.readouterr())
                return "one\n" in shown

            await eventually(is_shown)
            gap = "hubbub: messages are missing here, and nobody knows how many\n"
            assert sorted(filter(None, shown)) == [gap, "one\n"]
            if end is None:
                following.cancel()
            else:
                # Another one changes nothing.
                for _ in range(2):
                    os.kill(os.getpid(), end)
            with pytest.raises(asyncio.CancelledError):
                await following
            assert file.read_text() == f"{position}\n"
        assert seen == ([] if end is None else [1])
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_where_nothing_is_noted_signals_are_not_held_back() -> None:
    ends = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
    before = [signal.getsignal(end) for end in ends]
    async with web_serving() as (server, _):
        following = asyncio.create_task(follow(hubbub.subscribe(url_of(server)), None))
        await eventually(lambda: len(server.root) == 1)
        assert [signal.getsignal(end) for end in ends] == before
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following


@pytest.mark.parametrize(
    ("message", "shown", "piped"),
    [
        ("\x1b[2Jä", b"\\x1b[2J\xc3\xa4\n", b"\x1b[2J\xc3\xa4\n"),
        (b"\xff\x1b", b"\\xff\\x1b\n", b"\xff\x1b\n"),
        ("\ud800", b"\\ud800\n", b"?\n"),
    ],
)
def test_a_message_is_shown_safely_and_piped_as_it_is(message: str | bytes, shown: bytes, piped: bytes) -> None:
    assert (as_text(message), as_bytes(message)) == (shown, piped)


def test_a_gap_says_how_many_messages_are_missing() -> None:
    gap = hubbub.Missed(hubbub.Position("0123456789abcdef", 7), 3)
    assert words_for(gap) == "messages that are missing here: 3"


async def test_a_gap_is_told_between_the_messages_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[bytes | str] = []

    async def write_output(data: bytes) -> None:
        told.append(data)

    monkeypatch.setattr("hubbub.cli.follow.write_output", write_output)
    monkeypatch.setattr("hubbub.cli.follow.click.echo", lambda words, **_: told.append(words))
    places = [Position("0123456789abcdef", seq) for seq in (1, 4, 5)]
    one, two = (hubbub.Entry[str | bytes](place, 0.0, "", f"{place.seq}") for place in places[::2])
    await _Printer(None)._print([one, hubbub.Missed(places[1], 3), two])
    assert told == [b"1\n", "hubbub: messages that are missing here: 3", b"5\n"]


def test_a_link_to_the_file_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "place")
    with web_program() as server:
        server.say("one")
        with following(room_of(server), "--since", "all", "--resume", str(tmp_path / "link")) as program:
            assert program.output.line() == b"one\n"
            wait_until(lambda: noted(tmp_path / "place") == 1, "position")
    assert (tmp_path / "link").is_symlink()


def test_a_run_that_prints_nothing_notes_where_the_next_one_begins(tmp_path: Path) -> None:
    file = tmp_path / "place"
    with web_program() as server:
        server.say("old")
        with following(room_of(server), "--since", "none", "--resume", str(file)) as program:
            wait_until(file.exists, "position")
            assert noted(file) == 1
            program.signal(signal.SIGKILL)
            program.wait()
        server.say("meanwhile")
        with following(room_of(server), "--since", "none", "--resume", str(file)) as program:
            assert program.output.line() == b"meanwhile\n"


async def test_where_the_stream_began_is_noted_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hubbub.cli.follow.NOTE_TIME", 60.0)
    file = PositionFile(tmp_path / "place")
    async with web_serving() as (server, _):
        position = await server.broadcast("old")
        entries = hubbub.subscribe(url_of(server))
        following = asyncio.create_task(follow(entries, file))
        await eventually(lambda: entries.position is not None)
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following
    assert file.position == position


async def test_what_was_received_and_not_printed_is_not_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    received = asyncio.Event()

    async def write_output(data: bytes) -> None:
        if data:
            received.set()
            await asyncio.Event().wait()

    monkeypatch.setattr("hubbub.cli.follow.write_output", write_output)
    file = PositionFile(tmp_path / "place")
    async with web_serving() as (server, _):
        await server.broadcast("one")
        following = asyncio.create_task(follow(hubbub.subscribe(url_of(server), since="all"), file))
        await received.wait()
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following
    assert file.position is None or file.position.seq == 0


PLACE_7 = Position("0123456789abcdef", 7)


def test_other_files_stay_as_they_are(tmp_path: Path) -> None:
    other, planted = tmp_path / "place.new", tmp_path / "link.new"
    other.write_text("mine")
    planted.symlink_to(other)
    for name in ("place", "link"):
        PositionFile(tmp_path / name).write(PLACE_7)
        assert PositionFile(tmp_path / name).position == PLACE_7
    assert (other.read_text(), planted.is_symlink()) == ("mine", True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "link.new", "place", "place.new"]


def test_a_file_keeps_its_permissions_and_a_new_one_has_the_usual_ones(tmp_path: Path) -> None:
    file = tmp_path / "place"
    before = os.umask(0o027)
    try:
        for mode in (0o640, 0o604):
            PositionFile(file).write(PLACE_7)
            assert stat.S_IMODE(file.stat().st_mode) == mode
            file.chmod(0o604)
    finally:
        mask = os.umask(before)
    assert mask == 0o027


def test_a_name_may_be_as_long_as_names_are_and_nothing_stays_open(tmp_path: Path) -> None:
    path, descriptors = tmp_path / ("x" * 255), Path("/dev/fd")
    before = len(list(descriptors.iterdir()))
    PositionFile(path).write(PLACE_7)
    assert len(list(descriptors.iterdir())) == before
    assert PositionFile(path).position == PLACE_7


def test_a_position_is_synced_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, synced = tmp_path / "place", list[tuple[bytes, bool]]()
    with (tmp_path / "output").open("w+b") as output:
        monkeypatch.setattr("hubbub.cli.stdio.STDOUT", output.fileno())
        monkeypatch.setattr(os, "fsync", lambda number: synced.append((os.pread(number, KIB, 0), file.exists())))
        PositionFile(file).write(PLACE_7)
    # The output comes first.
    assert synced == [(b"", False), (f"{PLACE_7}\n".encode(), False)]


def test_a_new_file_that_cannot_be_written_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = PositionFile(tmp_path / "place")
    fail(monkeypatch, "hubbub.cli.position_file.os.fchmod")
    with pytest.raises(Unreachable, match=r"^cannot write .*place: Input/output error$"):
        file.write(PLACE_7)
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_synced_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = PositionFile(tmp_path / "place")
    fail(monkeypatch, "hubbub.cli.position_file.os.fsync")
    with (tmp_path / "output").open("wb") as output:
        monkeypatch.setattr("hubbub.cli.stdio.STDOUT", output.fileno())
        with pytest.raises(Unreachable, match=r"^cannot write standard output: Input/output error$"):
            file.write(PLACE_7)
    assert not (tmp_path / "place").exists()


def fail(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have a function fail as with a broken disk."""

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(name, broken)


def test_links_in_a_circle_are_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(Failure, match=r"^--resume: cannot read .*a: Too many levels of symbolic links$"):
        PositionFile(tmp_path / "a")


@pytest.mark.timeout(10)
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(Failure, match=r"^--resume: .*fifo is not a regular file; name another one$"):
        PositionFile(tmp_path / "fifo")


def test_what_is_no_text_is_refused_however_much_it_is(tmp_path: Path) -> None:
    file = tmp_path / "place"
    file.write_bytes(b"\xff")
    # A hole takes no space, and would not fit into the memory.
    os.truncate(file, 2**40)
    with pytest.raises(Failure, match=r"^--resume: .*place has no position in it; remove it to begin at --since"):
        PositionFile(file)


def test_what_a_server_says_cannot_act_on_the_terminal() -> None:
    end = b'{"end": "slow", "reason": "\\u001b[2J away\\n", "retry": true}\n'
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = "http://{}:{}/root".format(*server.getsockname())
        with following(url) as program:
            peer, _ = server.accept()
            with peer:
                peer.recv(KIB)
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n\r\n" + end)
            said = program.errors.expect(rb".*trying again.*\n")
    assert rb"(slow: \x1b[2J away\n)" in said[0]


@pytest.mark.long
def test_an_output_that_is_a_file_is_written_before_the_position(tmp_path: Path) -> None:
    file, output = tmp_path / "place", tmp_path / "output"
    with web_program() as server, output.open("wb") as stdout:
        server.say("one")
        with following(room_of(server), "--since=all", "--resume", str(file), stdout=stdout.fileno()):
            wait_until(lambda: noted(file) == 1, "position")
            assert output.read_bytes() == b"one\n"


@pytest.mark.long
def test_it_comes_back_to_a_server_that_was_killed(tmp_path: Path) -> None:
    store = ("--store", str(tmp_path / "log.db"), "--durable", "ack")
    with web_program(*store, ports=(free_port(), free_port())) as server:
        server.say("one")
        with following(room_of(server), "--since", "all") as program:
            assert program.output.line() == b"one\n"
            server.program.signal(signal.SIGKILL)
            server.program.wait()
            program.errors.expect(rb"^hubbub: %s: the stream has ended \(" % room_of(server).encode())
            with web_program(*store, ports=server.ports) as again:
                again.say("two")
                assert program.output.line() == b"two\n"
                program.errors.expect(b": connected again\n")


def kill_again_and_again(folder: Path, times: int) -> None:
    """Kill a reader so many times while messages come; nothing is missed, and what comes twice was not noted yet."""
    chance, file, begun = random.Random(3), folder / "place", time.monotonic()
    with web_program() as server, socket.create_connection(server.program.endpoint) as sender:
        said, heard = 0, 0
        for number in range(times + 1):
            last = number == times or time.monotonic() - begun > KILLING_TIME
            begin = noted(file)
            # It has printed at least what it has noted.
            assert begin <= heard
            sender.sendall(b"".join(b"%d\n" % each for each in range(said, said + 200)))
            said += 200
            with following(room_of(server), "--since", "all", "--resume", str(file)) as program:
                if last:
                    lines = [int(line) for line in program.output.lines(said - begin)]
                else:
                    first = program.output.lines(chance.randint(1, said - begin))
                    program.signal(signal.SIGKILL)
                    program.wait()
                    rest = program.output.rest().decode().split("\n")[:-1]
                    lines = [int(line) for line in (*first, *rest)]
            assert lines[0] == begin
            assert all(after == before + 1 for before, after in pairwise(lines))
            heard = max(heard, lines[-1] + 1)
            if last:
                break
        assert heard == said


def test_a_reader_that_is_killed_misses_nothing(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, 3)


@pytest.mark.long
def test_a_reader_that_is_killed_again_and_again_misses_nothing(tmp_path: Path) -> None:
    kill_again_and_again(tmp_path, scaled(100, 20))


@pytest.mark.long
def test_a_secret_is_shown_in_a_header(tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys.toml", boat="read write")
    (tmp_path / "secret").write_bytes(secret_of("boat") + b"\n")
    with web_program(f"--keys={keys}") as server:
        url = room_of(server)
        with following(url, "-v", "--secret-file", str(tmp_path / "secret")) as program:
            program.errors.expect(b"the stream is open")
        reason = "401 Unauthorized: a key is needed here; send Authorization: Bearer KEY"
        assert finish(*CONNECT, url) == Finished(1, "", f"hubbub: cannot read {url}: {reason}\n")


@pytest.mark.long
def test_tls(certificates: Certificates) -> None:
    command = (*HUBBUB, "serve", "relay", "--quiet", "--listen=https://127.0.0.1:0", *certificates.options)
    with serving_program(*command) as server:
        url = f"https://{server.endpoint}/root"
        with following(url, "-v", "--ca", str(certificates.ca)) as program:
            program.errors.expect(b"the stream is open")
        finished = finish(*CONNECT, url)
        assert (finished.status, finished.output, finished.errors.count("\n")) == (1, "", 1)
        message = f"hubbub: cannot talk to {server.endpoint}: the TLS handshake failed: certificate verify failed: "
        assert finished.errors.startswith(message)


@pytest.mark.long
def test_a_server_that_says_not_to_come_back_is_one_line_and_status_1() -> None:
    with web_program() as server:
        url = f"http://{server.web}/nowhere"
        message = f"hubbub: cannot read {url}: 404 Not Found: the room 'nowhere' does not exist\n"
        assert finish(*CONNECT, url) == Finished(1, "", message)


@pytest.mark.long
def test_it_ends_quietly_when_nobody_reads_its_output(tmp_path: Path) -> None:
    file = tmp_path / "place"
    reading, writing = os.pipe()
    with web_program() as server:
        server.say("one")
        with following(room_of(server), "--since=all", "--resume", str(file), stdout=writing) as program:
            os.close(writing)
            assert os.read(reading, 100) == b"one\n"
            os.close(reading)
            server.say("two")
            assert program.wait() == 1
            assert program.errors.rest() == b""
    assert noted(file) == 1


@pytest.mark.long
def test_a_position_that_cannot_be_noted_ends_it(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with web_program() as server, following(room_of(server), "-v", "--resume", str(folder / "place")) as program:
        wait_until((folder / "place").exists, "position")
        shutil.rmtree(folder)
        server.say("one")
        assert program.wait() == 1
        assert program.errors.rest().endswith(
            f"hubbub: cannot write {folder / 'place'}: No such file or directory\n".encode()
        )


PLACE = "write none, all, 100 (messages), 64K (bytes), 10m (a time), 2026-11-28T08:00:00Z or a position"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["1", "--resume", "place"], "--resume needs a room over HTTP, as in http://127.0.0.1:8080/ais: "),
        (["tcp://127.0.0.1:1", "--since", "1"], "--since needs a room over HTTP, as in http://127.0.0.1:8080/ais: "),
        (["http://127.0.0.1:1"], "the URL 'http://127.0.0.1:1' names no room; write it as in http"),
        (["http://me:sesame@h/ais"], "the URL has a name or a password in it; give a key apart from the URL"),
        (["http://h/ais?since=1"], "the URL 'http://h/ais?since=1' goes on behind its path"),
        (["http://h/ais", "--since", "soon"], f"--since: 'soon' is not a place in a log; {PLACE}"),
        (
            ["http://h/ais", "--resume", "garbage"],
            "--resume: garbage has no position in it; remove it to begin at --since, or name another one",
        ),
        (["http://h/ais", "--resume", "empty"], "--resume: empty has no position in it; remove it"),
        (["http://h/ais", "--resume", "no/place"], "--resume: cannot write no/place: No such file or directory"),
        (["http://h/ais", "--resume", "empty/place"], "--resume: cannot read empty/place: Not a directory"),
        (["http://h/ais", "--ca", "missing.pem"], "--ca: cannot read missing.pem: No such file or directory"),
        (["http://h/ais", "--tls"], "no TLS with http://h/ais; write https://, or leave out tls"),
        (["http://h/ais", "--key", "key.pem"], "--key is the key of a certificate; give that with --cert"),
        (["http://h/ais", "--timeout", "0"], "--timeout is 0.0; it must be "),
        (
            ["http://h/ais", "--secret-file", "bell"],
            "--secret-file is empty, or has characters that a header cannot carry",
        ),
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in (("garbage", "one\ntwo"), ("empty", ""), ("bell", "a\x07")):
        Path(name).write_text(text)
    result = CliRunner().invoke(main, ["connect", *arguments])
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith(f"hubbub: {message}")
    assert "sesame" not in result.stderr


def test_without_the_extra_it_says_how_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "h11.py").write_text("raise ModuleNotFoundError('no module', name='h11')")
    finished = finish(*CONNECT, "http://h/ais", env={"PYTHONPATH": str(tmp_path)})
    assert finished == Finished(2, "", "hubbub: HTTP needs h11; install it with: pip install 'hubbub[web]'\n")
