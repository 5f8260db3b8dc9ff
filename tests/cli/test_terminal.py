"""`hubbub connect` on a terminal."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hubbub import Address
from hubbub.framing.telnet import DO, IAC, WONT

from support.programs import HUBBUB, WAIT_TIME, TerminalProgram, hubbub_serve, wait_until
from support.screens import render
from support.tmux import Tmux


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the history is kept."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


@contextmanager
def talking() -> Iterator[tuple[TerminalProgram, socket.socket, str]]:
    """`hubbub connect` on a terminal, at its first prompt; the server's end of its connection, and its first line."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(WAIT_TIME)
        name = str(Address.of(listening.getsockname()))
        with TerminalProgram(*HUBBUB, "connect", name) as terminal:
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(WAIT_TIME)
                connected = f"Connected to {name}. Ctrl-D ends the connection."
                terminal.wait_for_screen(connected, ">")
                yield terminal, connection, connected


def test_what_is_typed_is_sent_and_what_arrives_is_printed() -> None:
    with hubbub_serve("echo") as server, TerminalProgram(*HUBBUB, "connect", str(server.endpoint)) as terminal:
        connected = f"Connected to {server.endpoint}. Ctrl-D ends the connection."
        terminal.wait_for_screen(connected, ">")
        terminal.send(b"Hey\r")
        terminal.wait_for_screen(connected, "> Hey", "We got your message: Hey", ">")
        terminal.send(b"\x04")
        assert terminal.wait() == 0


def test_what_arrives_is_printed_above_the_line_being_typed() -> None:
    with talking() as (terminal, connection, connected):
        terminal.send(b"half a")
        terminal.wait_for_screen(connected, "> half a")
        connection.sendall(b"somebody speaks\n\x1b]0;mine\x07\x1b[2J\n")
        # What could act on the terminal is escaped.
        heard = ("somebody speaks", r"\x1b]0;mine\x07\x1b[2J")
        terminal.wait_for_screen(connected, *heard, "> half a")
        terminal.send(b" line\r")
        assert connection.recv(100) == b"half a line\n"
        terminal.wait_for_screen(connected, *heard, "> half a line", ">")
        # Bytes that are no text are replaced.
        terminal.send(b"caf\xe9!\r")
        assert connection.recv(100).decode() == "caf\ufffd!\n"


def test_what_arrives_after_the_width_has_changed_and_before_the_signal_leaves_no_fragments() -> None:
    with talking() as (terminal, connection, connected):
        terminal.resize(60)
        connection.sendall(b"somebody speaks\n")
        terminal.wait_for_screen(connected, "somebody speaks", ">")
        terminal.send(b"\x04")
        assert connection.recv(1) == b""
        connection.close()
        assert terminal.wait() == 0


def test_what_is_typed_after_the_width_has_changed_and_before_the_signal_erases_all_rows_of_the_line() -> None:
    with talking() as (terminal, _, connected):
        typed = "x" * 50
        terminal.send(typed.encode())
        terminal.wait_for_screen(connected, f"> {typed}")
        already = len(terminal.output.unread)
        terminal.resize(20)
        terminal.send(b"y")
        # The terminal shows the 52 characters in three rows now, and the cursor goes up to the first (CUU, ECMA-48).
        wait_until(lambda: b"\x1b[2A" in terminal.output.unread[already:], "way up")


@pytest.mark.parametrize("key", [b"\x04", b"\x03"], ids=["ctrl-d", "ctrl-c"])
def test_a_key_ends_it(key: bytes) -> None:
    with talking() as (terminal, connection, connected):
        terminal.send(key)
        assert connection.recv(1) == b""
        connection.close()
        assert terminal.wait() == 0
        terminal.wait_for_screen(connected, ">")


def test_ctrl_c_clears_a_half_typed_line_first() -> None:
    with talking() as (terminal, connection, connected):
        terminal.send(b"half a line")
        terminal.wait_for_screen(connected, "> half a line")
        terminal.send(b"\x03")
        terminal.wait_for_screen(connected, ">")
        terminal.send(b"Hey\r")
        assert connection.recv(100) == b"Hey\n"
        terminal.send(b"\x03")
        assert connection.recv(1) == b""
        connection.close()
        assert terminal.wait() == 0


def test_a_prompt_of_the_server_is_shown_after_a_moment_and_what_is_typed_stands_behind_it() -> None:
    with talking() as (terminal, connection, connected):
        connection.sendall(b"login: ")
        terminal.wait_for_screen(connected, "login:")
        terminal.send(b"bob\r")
        assert connection.recv(100) == b"bob\n"
        terminal.wait_for_screen(connected, "login: bob", ">")
        # It is escaped, and goes on where it has stopped.
        connection.sendall(b"Loading\x1b...")
        terminal.wait_for_screen(connected, "login: bob", r"Loading\x1b...")
        connection.sendall(b" done\r\nBye")
        terminal.wait_for_screen(connected, "login: bob", r"Loading\x1b... done", "Bye")
        connection.close()
        assert terminal.wait() == 0
        name = connected.split()[2].removesuffix(".")
        lines = render(terminal.output.rest())
        assert [line for line in lines[-3:] if line != ">"] == ["Bye", f"{name} closed the connection."]


def test_telnet_negotiation_is_refused_and_not_shown() -> None:
    with talking() as (terminal, connection, connected):
        connection.sendall(bytes([IAC, DO, 24]) + b"Hey\n")
        assert connection.recv(3) == bytes([IAC, WONT, 24])
        terminal.wait_for_screen(connected, "Hey", ">")


def test_a_line_without_end_is_shown_in_pieces() -> None:
    with talking() as (terminal, connection, _):
        connection.sendall(b"x" * 150_000)
        terminal.output.expect(b"x" * 64 * 1024)
        connection.close()
        assert terminal.wait() == 0


def test_what_was_typed_is_remembered_in_the_next_run(state: Path) -> None:
    with talking() as (terminal, connection, _):
        terminal.send(b"one\r two\r")
        assert connection.recv(100).startswith(b"one\n")
    assert (state / "hubbub" / "history").stat().st_mode & 0o777 == 0o600
    with talking() as (terminal, _, connected):

        def recall() -> bool:
            terminal.send(b"\x1b[A")
            return render(terminal.output.unread)[-1] == "> one"

        # The file is read behind the first prompt. The line that begins with a space is not there.
        wait_until(recall, "recalled line")
        terminal.wait_for_screen(connected, "> one")


@pytest.mark.real
def test_ctrl_z_suspends_and_a_narrower_terminal_shows_no_fragments(tmp_path: Path) -> None:
    typed = "a line that is longer than a window with thirty columns"
    with hubbub_serve("echo") as server, Tmux(tmp_path) as terminal:
        terminal.type(f"{' '.join(HUBBUB)} connect {server.endpoint} 2>&1", "Enter")
        connected = f"Connected to {server.endpoint}. Ctrl-D ends the connection."
        terminal.wait_for(connected, ">")
        terminal.type(typed)
        terminal.wait_for(connected, f"> {typed}")
        terminal.resize(30)
        terminal.wait_for("> a line that is longer than a", " window with thirty columns")
        wait_until(lambda: sum("line" in line for line in terminal.shown) == 1, "end of fragments")
        terminal.resize(80)
        terminal.wait_for(f"> {typed}")
        wait_until(lambda: sum("line" in line for line in terminal.shown) == 1, "end of fragments")
        terminal.type("C-z")
        wait_until(lambda: any("Stopped" in line for line in terminal.shown), "suspension")
        terminal.type("fg", "Enter")
        terminal.wait_for(f"> {typed}")
        terminal.type("Enter")
        terminal.wait_for(f"> {typed}", f"We got your message: {typed}", ">")


@pytest.mark.parametrize(
    ("last_words", "linger", "shown"),
    [
        (b"last words\n", b"\0" * 8, ["last words", "{name} closed the connection."]),
        (b"", b"\1" + b"\0" * 7, ["hubbub: cannot talk to {name}: Connection reset by peer"]),
        (b"denied: not you\n", b"\0" * 8, ["hubbub: cannot talk to {name}: not you"]),
    ],
    ids=["closed", "lost", "refused"],
)
def test_why_the_connection_has_ended_is_said(last_words: bytes, linger: bytes, shown: list[str]) -> None:
    with talking() as (terminal, connection, connected):
        name = Address.of(connection.getsockname())
        terminal.send(b"half a line")
        terminal.wait_for_screen(connected, "> half a line")
        connection.sendall(last_words)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.close()
        assert terminal.wait() == (0 if b"last" in last_words else 1)
        lines = render(terminal.output.rest())
        # The last line may come before or after its prompt is gone.
        lines.remove("> half a line")
        assert lines == [connected, *(line.format(name=name) for line in shown)]
