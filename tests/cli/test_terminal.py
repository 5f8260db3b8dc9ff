"""`hubbub connect` on a terminal."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hubbub import Address

from bench.peer import free_port
from support.programs import HUBBUB, WAIT_TIME, TerminalProgram, hubbub_serve
from support.screens import render


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


def assert_ended(terminal: TerminalProgram, typed: str, *lines: str) -> None:
    """See that it ends, and shows these lines; the last of them may come before or after its prompt is gone."""
    assert terminal.wait() == 0
    shown = render(terminal.output.rest())
    assert typed in shown
    shown.remove(typed)
    assert shown == list(lines)


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
        connection.sendall(b"somebody speaks\nand again\n")
        terminal.wait_for_screen(connected, "somebody speaks", "and again", "> half a")
        terminal.send(b" line\r")
        assert connection.recv(100) == b"half a line\n"
        terminal.wait_for_screen(connected, "somebody speaks", "and again", "> half a line", ">")


def test_control_characters_from_the_network_are_shown_escaped() -> None:
    with talking() as (terminal, connection, connected):
        connection.sendall(b"\x1b]0;mine\x07\x1b[2J\n")
        terminal.wait_for_screen(connected, r"\x1b]0;mine\x07\x1b[2J", ">")


def test_pasted_lines_are_sent_as_lines() -> None:
    with talking() as (terminal, connection, _):
        # As a terminal marks what is pasted.
        terminal.send(b"\x1b[200~one\ntwo\x1b[201~\r")
        assert connection.recv(100) == b"one\ntwo\n"


def test_typed_bytes_that_are_no_text_are_replaced() -> None:
    with talking() as (terminal, connection, _):
        terminal.send(b"caf\xe9!\r")
        assert connection.recv(100).decode() == "caf\ufffd!\n"


@pytest.mark.parametrize("key", [b"\x04", b"\x03"], ids=["ctrl-d", "ctrl-c"])
def test_a_key_ends_it(key: bytes) -> None:
    with talking() as (terminal, connection, connected):
        terminal.send(key)
        assert connection.recv(1) == b""
        connection.close()
        assert terminal.wait() == 0
        terminal.wait_for_screen(connected, ">")


def test_that_the_server_closed_the_connection_is_said() -> None:
    with talking() as (terminal, connection, connected):
        name = Address.of(connection.getsockname())
        terminal.send(b"half a line")
        terminal.wait_for_screen(connected, "> half a line")
        connection.sendall(b"last words")
        connection.close()
        assert_ended(terminal, "> half a line", connected, "last words", f"{name} closed the connection.")


def test_that_the_connection_broke_is_said() -> None:
    with talking() as (terminal, connection, connected):
        name = Address.of(connection.getsockname())
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        reason = "Connection reset by peer"
        assert_ended(terminal, ">", connected, f"the connection to {name} has ended (lost: {reason}).")


def test_a_line_that_is_too_long_ends_it_with_its_reason() -> None:
    with talking() as (terminal, connection, connected):
        name = Address.of(connection.getsockname())
        connection.sendall(b"x" * 70_000 + b"\n")
        assert connection.recv(1) == b""
        connection.close()
        reason = "message longer than 65536 bytes"
        assert_ended(terminal, ">", connected, f"{name} sent data that is not a message: {reason}.")


def test_a_refused_connection_is_one_line_and_status_1() -> None:
    port = free_port()
    with TerminalProgram(*HUBBUB, "connect", str(port)) as terminal:
        assert terminal.wait() == 1
        terminal.wait_for_screen(f"hubbub: cannot talk to 127.0.0.1:{port}: Connection refused")
