"""`hubbub connect` in a pipe, and what it says when it can't."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hubbub import Address
from hubbub.cli import main

from bench.peer import free_port
from support.programs import HUBBUB, WAIT_TIME, Finished, Program, finish, hubbub_serve

CONNECT = (*HUBBUB, "connect")


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A socket that listens: the test is the server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(WAIT_TIME)
        yield server


def endpoint_of(listening: socket.socket) -> str:
    return str(Address.of(listening.getsockname()))


@contextmanager
def connected(listening: socket.socket, *through: str, **options: Any) -> Iterator[tuple[Program, socket.socket]]:
    """`hubbub connect`, and the server's end of its connection."""
    with Program(*through, *CONNECT, endpoint_of(listening), **options) as program:
        connection, _ = listening.accept()
        with connection:
            connection.settimeout(WAIT_TIME)
            yield program, connection


def test_it_sends_its_input_and_prints_what_arrives_until_the_server_ends() -> None:
    with hubbub_serve("echo") as server:
        finished = finish(*CONNECT, str(server.endpoint), input=b"Hey\r\nHo")
    assert finished == Finished(0, "We got your message: Hey\nWe got your message: Ho\n", "")


def test_megabytes_go_through_unchanged(listening: socket.socket, tmp_path: Path) -> None:
    data = bytes(range(256)) * 16_384
    path = tmp_path / "data"
    path.write_bytes(data)
    with path.open("rb") as file, connected(listening, stdin=file.fileno()) as (program, connection):
        with connection.makefile("rb") as stream:
            assert stream.read() == data
        connection.sendall(data)
        connection.close()
        assert program.output.rest() == data
        assert program.wait() == 0


def test_each_direction_ends_by_itself_and_the_servers_ends_it(listening: socket.socket) -> None:
    with connected(listening) as (program, connection):
        program.send(b"Hey\n")
        assert connection.recv(100) == b"Hey\n"
        program.end()
        assert connection.recv(1) == b""
        connection.sendall(b"still here\n")
        assert program.output.line() == b"still here\n"
        assert program.running
        connection.close()
        assert program.wait() == 0


def test_it_ends_with_the_server_though_its_input_goes_on(listening: socket.socket) -> None:
    with connected(listening) as (program, connection):
        connection.sendall(b"bye\n")
        connection.close()
        assert program.wait() == 0
        assert program.output.rest() == b"bye\n"


def test_it_ends_quietly_when_nobody_reads_its_output(listening: socket.socket) -> None:
    reading, writing = os.pipe()
    with connected(listening, stdout=writing) as (program, connection):
        os.close(writing)
        connection.sendall(b"first\n")
        # As head(1) does.
        assert os.read(reading, 100) == b"first\n"
        os.close(reading)
        connection.sendall(b"second\n")
        assert program.wait() == 1
        assert program.errors.rest() == b""


@pytest.mark.parametrize("input_", ["</dev/null", "<&- 2>&-"])
def test_without_an_input_it_only_listens(input_: str, listening: socket.socket) -> None:
    script = f'exec "$0" "$@" {input_}'
    with connected(listening, "sh", "-c", script) as (program, connection):
        connection.sendall(b"Hey\n")
        assert program.output.line() == b"Hey\n"
        connection.setblocking(False)
        # Its stream has not ended: that would end many a server's side too.
        with pytest.raises(BlockingIOError):
            connection.recv(1)
        connection.close()
        assert program.wait() == 0


def test_ctrl_c_ends_it(listening: socket.socket) -> None:
    with connected(listening) as (program, _):
        program.signal(signal.SIGINT)
        # Killed by it, as nc is; a shell says 130.
        assert program.wait() == -signal.SIGINT
        assert program.errors.rest() == b""


def test_a_connection_that_breaks_is_one_line_and_status_1(listening: socket.socket) -> None:
    with connected(listening) as (program, connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        assert program.wait() == 1
        message = f"hubbub: cannot talk to {endpoint_of(listening)}: Connection reset by peer\n"
        assert program.errors.rest().decode() == message


def test_an_unknown_host_is_one_line_and_status_1() -> None:
    finished = finish(*CONNECT, "no.such.name.invalid:5000")
    assert (finished.status, finished.output, finished.errors.count("\n")) == (1, "", 1)
    assert finished.errors.startswith("hubbub: cannot talk to no.such.name.invalid:5000: ")


def test_a_server_that_is_not_there_or_does_not_answer_is_one_line_and_status_1() -> None:
    # No connection fits into the backlog any more, and none is accepted.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.create_connection(full.getsockname()):
        for endpoint, reason in (
            (f"127.0.0.1:{free_port()}", "Connection refused"),
            (endpoint_of(full), "the server does not answer"),
        ):
            message = f"hubbub: cannot talk to {endpoint}: {reason}\n"
            assert finish(*CONNECT, endpoint) == Finished(status=1, output="", errors=message)


def test_what_is_no_endpoint_is_said_with_status_2() -> None:
    result = CliRunner().invoke(main, ["connect", "a..b:5000"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("hubbub: 'a..b' is not ")
