"""`hubbub top`: on a terminal, in a pipe, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import termios
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from hubbub.cli import main

from support.keys import secret_of, write_keys
from support.programs import HUBBUB, WAIT_TIME, Finished, Peer, Program, TerminalProgram, finish, wait_until
from support.tmux import Tmux
from support.web_programs import WebProgram, web_program

TOP = (*HUBBUB, "top")


def url_of(server: WebProgram) -> str:
    return f"http://{server.web}"


@pytest.fixture(scope="module")
def server() -> Iterator[WebProgram]:
    """One in which requests make rooms."""
    with web_program("--rooms=*") as started:
        yield started


# In a pipe.


def test_in_a_pipe_the_state_is_printed_once_as_text(server: WebProgram) -> None:
    done = finish(*TOP, url_of(server))
    assert (done.status, done.errors) == (0, "")
    assert re.match(rf"{url_of(server)}   up \d+s\nclients \d+   rooms \d+   accepted \d+\n", done.output)
    assert re.search(r"\nROOM   READERS .*\nroot  ", done.output)
    assert "\nCONNECTION " in done.output
    assert "\x1b" not in done.output


def test_a_terminal_that_can_only_print_lines_gets_the_same(server: WebProgram) -> None:
    with TerminalProgram("env", "TERM=dumb", *TOP, url_of(server)) as terminal:
        assert terminal.wait() == 0
        written = terminal.output.rest()
    assert b"\r\nclients " in written
    assert b"\x1b" not in written


@pytest.mark.long
def test_a_key_is_read_from_a_file(tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys.toml", desk="watch")
    (tmp_path / "desk.secret").write_bytes(secret_of("desk") + b"\n")
    with web_program(f"--keys={keys}") as server:
        done = finish(*TOP, url_of(server), env={"HUBBUB_TOP_SECRET_FILE": str(tmp_path / "desk.secret")})
        assert done.status == 0, done.errors
        done = finish(*TOP, url_of(server))
    words = "it needs a key that may watch; give --secret-file, a file with its secret"
    assert done == Finished(1, "", f"hubbub: cannot watch {url_of(server)}: {words}\n")


@pytest.mark.long
def test_where_nobody_reads_the_output_there_is_nobody_to_tell(server: WebProgram) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        assert finish(*TOP, url_of(server), stdout=pipe.fileno()) == Finished(1, "", "")


@pytest.mark.long
def test_ctrl_c_ends_it_while_it_waits() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(WAIT_TIME)
        with Program(*TOP, "http://{}:{}".format(*listening.getsockname())) as program:
            connection, _ = listening.accept()
            with connection:
                connection.recv(1)
                program.signal(signal.SIGINT)
                assert program.wait() == 130


# What is wrong.


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (
            ["tcp://127.0.0.1:5000"],
            2,
            "'tcp://127.0.0.1:5000' is not the URL of a place that speaks HTTP; write it as in http://127.0.0.1:8080",
        ),
        (["http://h", "--ca=ca.pem"], 2, "--ca is for TLS; write https:// in the URL"),
        (["https://h", "--ca=missing"], 2, "--ca: cannot read missing: No such file or directory"),
        (["--secret-file=missing"], 2, "--secret-file: cannot read missing: No such file or directory"),
        (["--secret-file=empty"], 2, "--secret-file: there is no secret in empty; write one into it"),
        (["--secret-file=bad"], 2, "--secret-file: the secret has characters that a header of HTTP cannot have"),
        (
            ["http://127.0.0.1:1"],
            1,
            "cannot watch http://127.0.0.1:1: Connection refused; "
            "start a server with --listen http://127.0.0.1:1, or check the URL",
        ),
    ],
)
def test_an_error_is_one_line(arguments: list[str], status: int, message: str, directory: Path) -> None:
    Path("bad").write_bytes(b"open\0sesame")
    result = CliRunner().invoke(main, ["top", *arguments])
    assert (result.exit_code, result.output) == (status, f"hubbub: {message}\n")


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "h11.py").write_text("raise ModuleNotFoundError(\"No module named 'h11'\", name='h11')")
    finished = finish(*TOP, env={"PYTHONPATH": str(tmp_path)})
    message = "hubbub: `hubbub top` needs h11; install it with: pip install 'hubbub[web]'\n"
    assert finished == Finished(2, "", message)


# On a terminal.


@contextmanager
def watching(server: WebProgram) -> Iterator[TerminalProgram]:
    """`hubbub top` on a terminal, once it shows the server."""
    with TerminalProgram(*TOP, url_of(server)) as terminal:
        wait_until(lambda: b"scroll" in terminal.output.unread, "screen")
        yield terminal


def leave(terminal: TerminalProgram) -> bytes:
    """See that it ends, and leaves the terminal as it was: the other screen, a cursor, and echo; what it wrote."""
    assert terminal.wait() == 0
    written = terminal.output.rest()
    assert written.index(b"\x1b[?1049h") < written.index(b"\x1b[?1049l")
    assert written.rindex(b"\x1b[?25l") < written.rindex(b"\x1b[?25h")
    assert termios.tcgetattr(terminal._screen)[3] & termios.ECHO
    return written


@pytest.mark.parametrize(
    ("key", "no_color"), [(b"q", ""), (b"\x03", "1")], ids=["q with colors", "ctrl-c without colors"]
)
def test_a_key_ends_it_and_the_terminal_is_as_before(
    key: bytes, no_color: str, server: WebProgram, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    with watching(server) as terminal:
        terminal.send(key)
        written = leave(terminal)
    # SGR (ECMA-48), which may have several parameters.
    assert (re.search(rb"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9\d)(?:;\d+)*m", written) is None) == bool(no_color)
    assert re.search(rb"\x1b\[(?:\d+;)*1m", written)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_a_signal_ends_it_and_the_terminal_is_as_before(number: signal.Signals, server: WebProgram) -> None:
    with watching(server) as terminal:
        terminal.signal(number)
        leave(terminal)


def test_what_is_pasted_filters_and_ctrl_l_draws_all_again(server: WebProgram) -> None:
    with watching(server) as terminal:
        terminal.send(b"/\x1b[200~pasted\x1b[201~")
        wait_until(lambda: b"pasted" in terminal.output.unread, "filter")
        terminal.send(b"\x0c")
        wait_until(lambda: terminal.output.unread.count(b"pasted") == 2, "another drawing")
        terminal.send(b"\r\x03")
        leave(terminal)


@pytest.mark.long
def test_only_what_changes_is_written(server: WebProgram) -> None:
    with watching(server) as terminal:
        shown = len(terminal.output.unread)
        with Peer(server.program.endpoint) as peer:
            wait_until(lambda: peer.name.encode() in terminal.output.unread[shown:], "another connection")
            assert len(terminal.output.unread) - shown < shown / 2
        terminal.send(b"q")
        leave(terminal)


def first_words(screen: Tmux) -> list[str]:
    """Those of the rows: the lines between the titles and the keys."""
    lines = screen.shown
    above = [number for number, line in enumerate(lines) if line.startswith(("CONNECTION", "ROOM "))]
    return [line.split()[0] for line in lines[above[0] + 1 : -2]] if above else []


@contextmanager
def rooms(server: WebProgram, *names: str) -> Iterator[None]:
    """Readers of these rooms over HTTP, which make them."""
    with ExitStack() as stack:
        for name in names:
            peer = stack.enter_context(Peer(server.web))
            peer.send(f"GET /{name}/raw HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert peer.line().startswith(b"HTTP/1.1 200")
        yield


def start(screen: Tmux, server: WebProgram) -> None:
    """Run `hubbub top`, which says when it has ended."""
    # In a shell of its own, it goes on with `echo` also after it was stopped.
    screen.type(f"({' '.join(TOP)} {url_of(server)}; echo en''ded)", "Enter")
    wait_until(lambda: any("CONNECTION" in line for line in screen.shown), "list")


@pytest.mark.real
def test_lists_are_chosen_sorted_and_filtered_and_the_shell_is_there_afterwards(
    server: WebProgram, tmp_path: Path
) -> None:
    with rooms(server, "b", "a", "aq"), Tmux(tmp_path) as screen:
        start(screen, server)
        assert screen.shown[0].startswith(f"{url_of(server)}   up ")
        screen.type("Tab")
        wait_until(lambda: first_words(screen) == ["a", "aq", "b", "root"], "rooms")
        screen.type("r")
        wait_until(lambda: first_words(screen) == ["root", "b", "aq", "a"], "rooms in the other order")
        screen.type("e")
        wait_until(lambda: first_words(screen)[-1:] == ["root"], "rooms by their readers")
        screen.type("n", "/", "A")
        wait_until(lambda: first_words(screen) == ["a", "aq"], "rooms with an a")
        assert screen.shown[-1] == "Enter done  Esc all rows"
        # In a filter, this is a letter.
        screen.type("q")
        wait_until(lambda: first_words(screen) == ["aq"], "the room with a q")
        screen.type("Escape")
        wait_until(lambda: len(first_words(screen)) == 4, "all rooms")
        screen.type("q")
        wait_until(lambda: "ended" in screen.shown, "end")
        assert not any("READERS" in line for line in screen.shown)


@pytest.mark.real
@pytest.mark.long
def test_it_goes_on_when_the_server_is_gone_the_terminal_resized_and_the_program_stopped(tmp_path: Path) -> None:
    with Tmux(tmp_path) as screen:
        with web_program() as server:
            start(screen, server)
            with Peer(server.program.endpoint) as peer:
                wait_until(lambda: first_words(screen) == [peer.name], "next look")
        gone = re.compile(r"nothing new since \d\d:\d\d:\d\d: Connection refused")
        wait_until(lambda: any(map(gone.fullmatch, screen.shown)), "why nothing is new")
        screen.resize(50)
        wait_until(lambda: any(line.endswith("Up Down P~") for line in screen.shown), "smaller screen")
        screen.type("C-z")
        wait_until(lambda: any("Stopped" in line for line in screen.shown), "shell")
        assert not any("CONNECTION" in line for line in screen.shown)
        screen.type("fg", "Enter")
        wait_until(lambda: any("CONNECTION" in line for line in screen.shown), "list")
        screen.resize(80)
        with web_program(ports=server.ports):
            wait_until(lambda: not any(map(gone.fullmatch, screen.shown)), "new look")
            wait_until(lambda: any(line.endswith("scroll") for line in screen.shown), "wider screen")
        wait_until(lambda: any(map(gone.fullmatch, screen.shown)), "why nothing is new")
        screen.type("C-c")
        wait_until(lambda: "ended" in screen.shown, "end")
