"""`hubbub connect` in a pipe, and what it says when it can't."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubbub import Address

from bench.peer import free_port
from support.programs import HUBBUB, WAIT_TIME, Finished, Program, finish, hubbub_serve, require_ipv6

CONNECT = (*HUBBUB, "connect")


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """A socket that listens: the test is the server."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(WAIT_TIME)
        yield server


def endpoint_of(listening: socket.socket) -> str:
    return str(Address.of(listening.getsockname()))


def accept(listening: socket.socket) -> socket.socket:
    connection, _ = listening.accept()
    connection.settimeout(WAIT_TIME)
    return connection


def test_it_sends_its_input_and_prints_what_arrives_until_the_server_ends() -> None:
    with hubbub_serve("echo") as server:
        finished = finish(*CONNECT, str(server.endpoint), input=b"Hey\r\nHo")
    assert (finished.status, finished.errors) == (0, "")
    assert finished.output == "We got your message: Hey\nWe got your message: Ho\n"


def test_megabytes_go_through_unchanged(listening: socket.socket, tmp_path: Path) -> None:
    data = bytes(range(256)) * 16_384
    path = tmp_path / "data"
    path.write_bytes(data)
    with path.open("rb") as file, Program(*CONNECT, endpoint_of(listening), stdin=file.fileno()) as program:
        with accept(listening) as connection, connection.makefile("rb") as stream:
            assert stream.read() == data
            connection.sendall(data)
        assert program.output.rest() == data
        assert program.wait() == 0


def test_the_end_of_its_input_ends_only_its_own_direction(listening: socket.socket) -> None:
    with Program(*CONNECT, endpoint_of(listening)) as program, accept(listening) as connection:
        program.end()
        assert connection.recv(1) == b""
        connection.sendall(b"still here\n")
        assert program.output.line() == b"still here\n"
        assert program.running
        connection.close()
        assert program.wait() == 0


def test_it_ends_with_the_server_though_its_input_goes_on(listening: socket.socket) -> None:
    with Program(*CONNECT, endpoint_of(listening)) as program:
        with accept(listening) as connection:
            connection.sendall(b"bye\n")
        assert program.wait() == 0
        assert program.output.rest() == b"bye\n"


def test_it_sends_a_line_while_its_input_goes_on(listening: socket.socket) -> None:
    with Program(*CONNECT, endpoint_of(listening)) as program, accept(listening) as connection:
        program.send(b"Hey\n")
        assert connection.recv(100) == b"Hey\n"


def test_it_ends_quietly_when_nobody_reads_its_output(listening: socket.socket) -> None:
    reading, writing = os.pipe()
    with Program(*CONNECT, endpoint_of(listening), stdout=writing) as program, accept(listening) as connection:
        os.close(writing)
        connection.sendall(b"first\n")
        # As head(1) does.
        assert os.read(reading, 100) == b"first\n"
        os.close(reading)
        connection.sendall(b"second\n")
        assert program.wait() == 1
        assert program.errors.rest() == b""


@pytest.mark.parametrize("input_", ["</dev/null", "<&-"])
def test_without_an_input_it_only_listens(input_: str, listening: socket.socket) -> None:
    script = f'exec "$0" "$@" {input_}'
    with Program("sh", "-c", script, *CONNECT, endpoint_of(listening)) as program, accept(listening) as connection:
        connection.sendall(b"Hey\n")
        assert program.output.line() == b"Hey\n"
        connection.setblocking(False)
        # Its stream has not ended: that would end many a server's side too.
        with pytest.raises(BlockingIOError):
            connection.recv(1)
        connection.close()
        assert program.wait() == 0


def test_without_standard_streams_it_still_waits_for_the_server(listening: socket.socket) -> None:
    script = 'exec "$0" "$@" <&- >&- 2>&-'
    with Program("sh", "-c", script, *CONNECT, endpoint_of(listening)) as program, accept(listening) as connection:
        connection.sendall(b"nobody reads this\n")
        assert program.running
        connection.close()
        assert program.wait() == 0


def test_a_connection_that_breaks_is_one_line_and_status_1(listening: socket.socket) -> None:
    with Program(*CONNECT, endpoint_of(listening)) as program:
        with accept(listening) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert program.wait() == 1
        message = f"hubbub: cannot talk to {endpoint_of(listening)}: Connection reset by peer\n"
        assert program.errors.rest().decode() == message


def test_ctrl_c_ends_it(listening: socket.socket) -> None:
    with Program(*CONNECT, endpoint_of(listening)) as program, accept(listening):
        program.signal(signal.SIGINT)
        # Killed by it, as nc is; a shell says 130.
        assert program.wait() == -signal.SIGINT
        assert program.errors.rest() == b""


def test_a_refused_connection_is_one_line_and_status_1() -> None:
    port = free_port()
    finished = finish(*CONNECT, str(port))
    assert (finished.status, finished.output) == (1, "")
    assert finished.errors == f"hubbub: cannot talk to 127.0.0.1:{port}: Connection refused\n"


def test_an_unknown_host_is_one_line_and_status_1() -> None:
    finished = finish(*CONNECT, "no.such.name.invalid:5000")
    assert (finished.status, finished.output) == (1, "")
    assert finished.errors.startswith("hubbub: cannot talk to no.such.name.invalid:5000: ")
    assert finished.errors.count("\n") == 1


def test_a_server_that_does_not_answer_is_one_line_and_status_1() -> None:
    # No connection fits into the backlog any more, and none is accepted.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.create_connection(full.getsockname()):
        finished = finish(*CONNECT, endpoint_of(full))
        message = f"hubbub: cannot talk to {endpoint_of(full)}: the server does not answer\n"
    assert finished == Finished(status=1, output="", errors=message)


@pytest.mark.parametrize("endpoint", ["99999", "::1", "localhost", "a..b:5000"])
def test_what_is_no_endpoint_is_said_with_status_2(endpoint: str) -> None:
    finished = finish(*CONNECT, endpoint)
    assert (finished.status, finished.output) == (2, "")
    assert f"Error: Invalid value for '[[HOST:]PORT]': '{endpoint.removesuffix(':5000')}' is not " in finished.errors


def test_it_connects_over_ipv6() -> None:
    require_ipv6()
    with hubbub_serve("echo", "--host", "::1") as server:
        finished = finish(*CONNECT, f"[::1]:{server.endpoint.port}", input=b"Hey\n")
    assert finished.output == "We got your message: Hey\n"
