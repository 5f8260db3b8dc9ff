"""`hubbub connect` on a terminal."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hubbub import Address

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


@pytest.mark.parametrize("key", [b"\x04", b"\x03"], ids=["ctrl-d", "ctrl-c"])
def test_a_key_ends_it(key: bytes) -> None:
    with talking() as (terminal, connection, connected):
        terminal.send(key)
        assert connection.recv(1) == b""
        connection.close()
        assert terminal.wait() == 0
        terminal.wait_for_screen(connected, ">")


@pytest.mark.parametrize(
    ("last_words", "linger", "shown"),
    [
        (b"last words", b"\0" * 8, ["last words", "{name} closed the connection."]),
        (b"", b"\1" + b"\0" * 7, ["the connection to {name} has ended (lost: Connection reset by peer)."]),
        (
            b"x" * 70_000 + b"\n",
            b"\0" * 8,
            ["{name} sent data that is not a message: message longer than 65536 bytes."],
        ),
    ],
    ids=["closed", "lost", "too long"],
)
def test_why_the_connection_has_ended_is_said(last_words: bytes, linger: bytes, shown: list[str]) -> None:
    with talking() as (terminal, connection, connected):
        name = Address.of(connection.getsockname())
        terminal.send(b"half a line")
        terminal.wait_for_screen(connected, "> half a line")
        connection.sendall(last_words)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.close()
        assert terminal.wait() == 0
        lines = render(terminal.output.rest())
        # The last line may come before or after its prompt is gone.
        lines.remove("> half a line")
        assert lines == [connected, *(line.format(name=name) for line in shown)]
