"""`hubbub connect` in a pipe, and what it says when it can't."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hubbub import Address
from hubbub.cli import main

from bench.peer import free_port
from support.certificates import Certificates
from support.keys import secret_of, write_keys
from support.programs import HUBBUB, WAIT_TIME, Finished, Program, finish, hubbub_serve, wait_until

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


def waiting_in(pipe: int) -> int:
    """The bytes that wait in a pipe (pipe(7))."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_a_server_that_asks_for_tls_says_so(certificates: Certificates) -> None:
    with hubbub_serve("echo", *certificates.options) as server:
        finished = finish(*CONNECT, str(server.endpoint), input=b"Hey\n")
    reason = "this port speaks TLS, and what the client sent is not TLS"
    assert finished == Finished(1, "", f"hubbub: cannot talk to {server.endpoint}: {reason}\n")


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


def test_input_that_the_server_did_not_wait_for_is_status_1(listening: socket.socket) -> None:
    with connected(listening, stdin=os.open("/dev/zero", os.O_RDONLY)) as (program, connection):
        connection.recv(10)
        connection.shutdown(socket.SHUT_WR)
        program.errors.expect(rb"^hubbub: the server closed the connection before all of the input was sent\n$")
        # It waits for a server that takes what is on its way.
        connection.close()
        assert program.wait() == 1


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


def test_non_blocking_input_and_output_are_waited_for(listening: socket.socket) -> None:
    """Node, ssh and others leave a pipe that they share so. nc, ncat and socat wait then, too."""
    (stdin, writing), (reading, stdout) = os.pipe(), os.pipe()
    for descriptor in (stdin, stdout):
        os.set_blocking(descriptor, False)
    with connected(listening, stdin=stdin, stdout=stdout) as (program, connection):
        os.close(stdin)
        os.close(stdout)
        for line in (b"one\n", b"two\n"):
            # It has found nothing to read before.
            os.write(writing, line)
            assert connection.recv(100) == line
        data = bytes(range(256)) * 4_096
        sending = threading.Thread(target=connection.sendall, args=(data,))
        sending.start()
        # Nobody reads before the pipe is full.
        size = fcntl.fcntl(reading, fcntl.F_GETPIPE_SZ)
        wait_until(lambda: waiting_in(reading) == size, "full pipe")
        with os.fdopen(reading, "rb") as output:
            assert output.read(len(data)) == data
        sending.join()
        connection.close()
        assert program.wait() == 0
        os.close(writing)


def test_an_input_that_cannot_be_read_is_told_and_ends_the_stream(listening: socket.socket, tmp_path: Path) -> None:
    unreadable = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
    with connected(listening, stdin=unreadable) as (program, connection):
        os.close(unreadable)
        assert connection.recv(1) == b""
        assert program.errors.line() == b"hubbub: cannot read standard input: Bad file descriptor\n"
        connection.sendall(b"what still comes\n")
        connection.close()
        assert program.wait() == 1
        assert program.output.rest() == b"what still comes\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has it")
def test_an_output_that_cannot_be_written_is_told(listening: socket.socket) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with connected(listening, stdout=full) as (program, connection):
        os.close(full)
        connection.sendall(b"Hey\n")
        assert program.wait() == 1
        assert program.errors.rest() == b"hubbub: cannot write standard output: No space left on device\n"


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
            assert finish(*CONNECT, "--timeout=1", endpoint) == Finished(status=1, output="", errors=message)


def test_what_is_no_endpoint_is_said_with_status_2() -> None:
    result = CliRunner().invoke(main, ["connect", "a..b:5000"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("hubbub: 'a..b' is not ")


# Where to, and how.


@pytest.mark.parametrize("by_variable", [False, True])
def test_a_host_and_a_port_are_two_words_and_the_port_may_be_a_variable(by_variable: bool) -> None:
    with hubbub_serve("echo") as server:
        host, port = server.endpoint
        words, env = ((), {"HUBBUB_PORT": str(port)}) if by_variable else ((host, str(port)), {})
        finished = finish(*CONNECT, *words, input=b"Hey\n", env=env)
    assert finished == Finished(0, "We got your message: Hey\n", "")


def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "hub one.sock"
    with Program(*HUBBUB, "serve", "echo", "--listen", f"unix://{path}".replace(" ", "%20")) as server:
        server.output.expect(b"Server started at: ")
        finished = finish(*CONNECT, f"unix://{path}".replace(" ", "%20"), input=b"Hey\n")
        assert finished == Finished(0, "We got your message: Hey\n", "")
        message = f"hubbub: no TLS through the Unix socket {path}; leave out tls\n"
        assert finish(*CONNECT, f"unix://{path}".replace(" ", "%20"), "--tls") == Finished(2, "", message)


def test_tls_with_an_authority_and_a_certificate(certificates: Certificates) -> None:
    options = (*certificates.options, f"--tls-client-ca={certificates.client_ca}")
    with hubbub_serve("echo", *options) as server:
        ours = (f"--ca={certificates.ca}", f"--cert={certificates.client}")
        for where in (f"tls://{server.endpoint}", str(server.endpoint)):
            finished = finish(*CONNECT, where, *ours, "-v", input=b"Hey\n")
            assert (finished.status, finished.output) == (0, "We got your message: Hey\n")
            connected, ended = finished.errors.splitlines()
            assert connected.startswith(f"hubbub: {server.endpoint}: connected to {server.endpoint} with TLS, the ")
            assert ended.endswith("the connection has ended (left: the server closed the connection)")
        for options, reason in (
            (("--tls",), "the TLS handshake failed: certificate verify failed: "),
            (ours[:1], "the server refused: "),
        ):
            for _ in range(5):
                finished = finish(*CONNECT, str(server.endpoint), *options, input=b"Hey\n")
                # The server closes with "Hey" unread, so TCP resets the connection, and now and then before the alert
                # of TLS was read (RFC 9293, 3.10.7.4).
                if not finished.errors.endswith((": Broken pipe\n", ": Connection reset by peer\n")):
                    break
            assert (finished.status, finished.output, finished.errors.count("\n")) == (1, "", 1)
            assert finished.errors.startswith(f"hubbub: cannot talk to {server.endpoint}: {reason}")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--ca", "missing.pem"], "hubbub: --ca: cannot read missing.pem: No such file or directory\n"),
        (["--secret-file", "missing"], "hubbub: --secret-file: cannot read missing: No such file or directory\n"),
        (["--secret-file", os.devnull], "hubbub: --secret-file: there is no secret in /dev/null; write one into it\n"),
        (["--key", "key.pem"], "hubbub: --key is the key of a certificate; give that with --cert\n"),
        (["--timeout", "0"], "hubbub: --timeout is 0.0; it must be "),
    ],
)
def test_options_that_cannot_be_are_told_with_status_2(options: list[str], error: str) -> None:
    result = CliRunner().invoke(main, ["connect", "1", *options])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(error)


def test_it_waits_for_a_server_no_longer_than_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.create_connection(full.getsockname()):
        message = f"hubbub: cannot talk to {endpoint_of(full)}: the server does not answer\n"
        assert finish(*CONNECT, endpoint_of(full), "--timeout", "0.1") == Finished(1, "", message)


# Refusals, and trying again.


def test_a_refusal_is_told_on_standard_error_with_status_1() -> None:
    with hubbub_serve("chat", "--clients-limit", "1") as server, server.new_peer():
        finished = finish(*CONNECT, str(server.endpoint), input=b"Hey\n" * 100)
        message = f"hubbub: cannot talk to {server.endpoint}: server full: limit of 1 clients reached\n"
        assert finished == Finished(1, "", message)


def test_with_retry_it_comes_back_and_says_so(tmp_path: Path) -> None:
    port = free_port()
    endpoint = f"127.0.0.1:{port}"
    with Program(*CONNECT, endpoint, "--retry") as program:
        program.errors.expect(rb"cannot connect: Connection refused; trying again in \d\.\d s\n")
        with hubbub_serve("echo", "--port", str(port)):
            program.errors.expect(b"hubbub: %s: connected\n" % endpoint.encode())
            program.send(b"one\n")
            assert program.output.line() == b"We got your message: one\n"
        assert program.output.line() == b"server is closing\n"
        program.errors.expect(rb"the connection has ended \(left: the server closed the connection\); trying again")
        program.send(b"two\n")
        with hubbub_serve("echo", "--port", str(port)):
            program.errors.expect(b"hubbub: %s: connected again\n" % endpoint.encode())
            assert program.output.line() == b"We got your message: two\n"
            # Its own end is the end.
            program.end()
            assert program.wait() == 0


def test_a_secret_is_said_first_on_each_connection(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("open sesame\n")
    secret = ("--secret-file", str(tmp_path / "secret"))
    with hubbub_serve("echo", *secret) as server:
        finished = finish(*CONNECT, str(server.endpoint), *secret, input=b"Hey\n")
        assert finished == Finished(0, "We got your message: Hey\n", "")
        finished = finish(*CONNECT, str(server.endpoint), input=b"Hey\n")
        message = f"hubbub: cannot talk to {server.endpoint}: not authenticated\n"
        assert finished == Finished(1, "", message)


def test_a_key_is_said_as_a_secret_is(tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys.toml", boat="read write")
    (tmp_path / "secret").write_bytes(secret_of("boat") + b"\n")
    with hubbub_serve("echo", f"--keys={keys}") as server:
        finished = finish(*CONNECT, str(server.endpoint), "--secret-file", str(tmp_path / "secret"), input=b"Hey\n")
        assert finished == Finished(0, "We got your message: Hey\n", "")


def test_with_retry_it_does_not_come_back_where_that_makes_no_sense() -> None:
    with hubbub_serve("echo", "--deny", "127.0.0.1") as server:
        message = f"hubbub: cannot talk to {server.endpoint}: 127.0.0.1 may not connect here\n"
        with Program(*CONNECT, str(server.endpoint), "--retry") as program:
            assert program.wait() == 1
            assert (program.output.rest(), program.errors.rest().decode()) == (b"", message)
