"""`hubbub serve`: where it listens, who may come in, and how it ends."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import ssl
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from hubbub import Address, Settings
from hubbub.cli import main

from bench.peer import free_port
from support.certificates import CLIENT_NAME, SERVER_NAME, Certificates
from support.keys import secret_of, write_keys
from support.programs import (
    HUBBUB,
    WAIT_TIME,
    Finished,
    Peer,
    Program,
    ServerProgram,
    TerminalProgram,
    address_in,
    assert_relays,
    finish,
    hubbub_serve,
    refuses,
    require_ipv6,
    require_program,
    serving_program,
    wait_until,
)
from support.terminals import Terminal

# Where it listens.


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "::", ""])
def test_it_listens_where_it_is_told_to_and_on_one_port_only(host: str) -> None:
    if ":" in host:
        require_ipv6()
    with hubbub_serve("relay", "--quiet", "--host", host) as server:
        assert_relays(server.endpoint)
        others = [address_in(line.encode()) for line in server.stop().splitlines()]
    assert {other.port for other in others} <= {server.endpoint.port}


# Who may come in.


def tell(server: ServerProgram, data: bytes) -> bytes:
    """What a peer hears that says `data`, and then nothing more."""
    with server.peer() as peer:
        peer.send(data)
        peer.end()
        return peer.rest()


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (["--deny", "127.0.0.0/8"], b"denied: 127.0.0.1 may not connect here\n"),
        (["--allow", "192.0.2.1"], b"denied: 127.0.0.1 may not connect here\n"),
        (["--allow", "192.0.2.1", "--allow", "127.0.0.1", "--deny", "::1"], b"We got your message: Hey\n"),
    ],
)
def test_a_client_that_may_not_connect_is_told_so(options: list[str], answer: bytes) -> None:
    with hubbub_serve("echo", *options) as server, server.peer() as peer:
        if answer.startswith(b"We"):
            peer.send(b"Hey\n")
            peer.end()
        assert peer.rest() == answer


def test_a_proxy_says_whose_connection_it_is() -> None:
    with hubbub_serve("echo", "--proxy-from", "127.0.0.1") as server:
        with server.peer() as proxy:
            proxy.send(b"PROXY TCP4 192.0.2.9 192.0.2.1 40000 5000\r\nHey\n")
            assert server.new_client() == "192.0.2.9:40000"
            assert proxy.line() == b"We got your message: Hey\n"
        assert tell(server, b"Hey\n") == b"bad-proxy: it does not begin with a PROXY header\n"


def tls(certificates: Certificates) -> list[str]:
    """The options for a server with a certificate."""
    return ["--tls-cert", str(certificates.server), "--tls-key", str(certificates.server_key)]


def test_a_client_without_a_certificate_of_the_authority_is_not_accepted(certificates: Certificates) -> None:
    with hubbub_serve("echo", *tls(certificates), "--tls-client-ca", str(certificates.client_ca)) as server:
        with tls_peer(server, certificates, certificates.client) as peer:
            peer.sendall(b"Hey\n")
            assert peer.recv(100) == b"We got your message: Hey\n"
            assert server.output.line().decode().endswith(f" connected with the certificate of {CLIENT_NAME}.\n")
        for certificate in (None, certificates.stranger):
            with pytest.raises(ssl.SSLError), tls_peer(server, certificates, certificate) as peer:
                peer.recv(100)
            server.output.expect(rb" was not let in \(bad-tls: the TLS handshake failed: ")


def tls_peer(server: ServerProgram, certificates: Certificates, certificate: Path | None = None) -> ssl.SSLSocket:
    plain = socket.create_connection(server.endpoint, WAIT_TIME)
    return certificates.client_context(certificate).wrap_socket(plain, server_hostname=SERVER_NAME)


def shown_certificate(server: ServerProgram) -> str:
    """The certificate that the server shows to a new client."""
    return ssl.get_server_certificate(server.endpoint, timeout=WAIT_TIME)


# What it does at SIGHUP and SIGUSR1.


def hang_up(server: ServerProgram) -> str:
    """Send SIGHUP; what is logged then."""
    server.signal(signal.SIGHUP)
    return server.errors.line().decode().removesuffix("\n")


def test_a_renewed_certificate_is_shown_to_new_clients_and_one_that_is_not_good_is_not(
    certificates: Certificates,
) -> None:
    with hubbub_serve("echo", *tls(certificates)) as server, tls_peer(server, certificates) as old:
        first, second = certificates.server.read_text(), certificates.other.read_text()
        certificates.other.replace(certificates.server)
        problem = f"{certificates.server_key} is not the key of {certificates.server}; give the key that belongs to it"
        assert hang_up(server) == f"{problem}; what was read before holds"
        assert shown_certificate(server) == first
        certificates.other_key.replace(certificates.server_key)
        assert hang_up(server) == f"the certificate of {certificates.server} has changed"
        assert shown_certificate(server) == second
        # Who is connected stays so.
        old.sendall(b"Hey\n")
        assert old.recv(100) == b"We got your message: Hey\n"


def test_a_changed_secret_holds_for_new_clients(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("old\n")
    with hubbub_serve("echo", "--secret-file", str(secret)) as server, server.peer() as inside:
        inside.send(b"old\n")
        assert server.new_client() == inside.name
        secret.write_text("new\n")
        assert hang_up(server) == f"the secrets of {secret} have changed"
        assert tell(server, b"old\n") == b"unauthenticated: not authenticated\n"
        assert tell(server, b"new\nHey\n") == b"We got your message: Hey\n"
        inside.send(b"Ho\n")
        assert inside.line() == b"We got your message: Ho\n"
        secret.write_text("\n")
        assert hang_up(server) == f"there is no secret in {secret}; write one into it; what was read before holds"
        assert tell(server, b"new\nHey\n") == b"We got your message: Hey\n"


def test_a_key_that_is_taken_away_ends_its_connections_and_no_others(tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys.toml", boat="read write", shore="read")
    places = ("--listen=tcp://127.0.0.1:0", "--listen=http://127.0.0.1:0")
    with serving_program(*HUBBUB, "serve", "relay", *places, f"--keys={keys}", "--probe-time=0") as server:
        web = address_in(server.output.line())
        bearer = f"Authorization: Bearer {secret_of('boat').decode()}"
        curl, nc = require_program("curl"), require_program("nc")
        with (
            Program(nc, server.endpoint.host, str(server.endpoint.port)) as boat,
            Program(nc, server.endpoint.host, str(server.endpoint.port)) as shore,
            Program(curl, "-sSN", "-H", bearer, f"http://{web}/root/json") as page,
        ):
            boat.send(secret_of("boat") + b"\n")
            server.output.expect(rb" connected with the key boat\.\n")
            shore.send(secret_of("shore") + b"\n")
            server.output.expect(rb" connected with the key shore\.\n")
            # The stream has begun once it has what is said.
            while not page.output.unread:
                boat.send(b"Hey\n")
                assert shore.output.line() == b"Hey\n"
            server.signal(signal.SIGUSR1)
            server.errors.expect(rb"connections with keys: boat 2, shore 1\n")
            lags = sorted(line.partition("(")[2] for line in server.errors.lines(3))
            assert lags == [f"key {name}) lags by 0 messages, 0 bytes" for name in ("boat", "boat", "shore")]
            write_keys(keys, shore="read")
            assert hang_up(server) == f"the keys of {keys} have changed"
            gone = "connections ended, because their keys do not let them in any more: 2"
            assert server.errors.line().decode() == f"{gone}\n"
            assert boat.output.line() == b"the key boat is not valid any more\n"
            # It waits for its input too.
            boat.end()
            assert boat.wait() == 0
            assert page.wait() == 0
            end = json.loads(page.output.rest().splitlines()[-1])
            assert end == {"end": "unauthenticated", "reason": "the key boat is not valid any more", "retry": False}
            assert shore.running
            keys.write_text("[boat")
            assert hang_up(server).endswith("; what was read before holds")
            assert shore.running


def test_a_file_of_keys_that_is_not_good_is_an_error_in_one_line(tmp_path: Path) -> None:
    keys = tmp_path / "keys.toml"
    keys.write_text("[boat]\nmay = ['read']\n")
    message = f"tcp://127.0.0.1:0: {keys}, line 1: boat has no sha256; `hubbub key new` makes keys"
    finished = finish(*HUBBUB, "serve", "--port=0", f"--keys={keys}")
    assert finished == Finished(2, "", f"hubbub: {message}\n")


def test_what_cannot_be_read_again_is_a_warning(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("old\n")
    with hubbub_serve("echo", "--secret-file", str(secret), "--log-format=json") as server:
        secret.unlink()
        server.signal(signal.SIGHUP)
        event = json.loads(server.errors.line())
        assert (event["level"], event["message"][-26:]) == ("warning", "what was read before holds")


def test_changed_networks_hold_for_new_clients(tmp_path: Path) -> None:
    denied = tmp_path / "denied"
    denied.write_text("192.0.2.0/24\n198.51.100.0/24\n")
    with hubbub_serve("echo", "--quiet", "--deny", f"@{denied}") as server:
        assert tell(server, b"Hey\n") == b"We got your message: Hey\n"
        denied.write_text("127.0.0.0/8\n")
        assert hang_up(server) == f"the networks of @{denied}: 1 more, 2 fewer"
        assert hang_up(server) == "no certificate, secret, key or network has changed; other settings need a restart"
        denied.write_text("300.0.0.0/8\n")
        assert hang_up(server).startswith(f"{denied}, line 1: '300.0.0.0/8' does not appear")
        with server.peer() as peer:
            assert peer.rest() == b"denied: 127.0.0.1 may not connect here\n"


def test_on_a_terminal_it_reads_them_again_too() -> None:
    with TerminalProgram(*HUBBUB, "serve", "--port", "0") as server:
        server.output.expect(rb"Server started at: tcp://127\.0\.0\.1:\d+\r\n")
        server.signal(signal.SIGHUP)
        server.output.expect(rb"no certificate, secret, key or network has changed;")
        assert server.running


def test_it_ends_with_its_terminal(tmp_path: Path) -> None:
    endpoint = Address("127.0.0.1", free_port())
    with ExitStack() as peers:
        with Terminal(tmp_path) as terminal:
            terminal.type(f"{shlex.join(HUBBUB)} serve relay --port {endpoint.port}\n")
            wait_until(lambda: not refuses(endpoint), "server")
            peer = peers.enter_context(Peer(endpoint))
        assert peer.rest() == b"server is closing\n"
    wait_until(lambda: refuses(endpoint), "end of listening")


def test_it_tells_who_is_connected_and_how_far_behind() -> None:
    with hubbub_serve("relay", "--quiet") as server, server.peer() as first, server.peer() as second:
        second.send(b"Hey\n")
        assert first.line() == b"Hey\n"
        server.signal(signal.SIGUSR1)
        assert server.errors.line().startswith(b"clients: 2; rooms: 1; accepted: 2; ended: none; ")
        assert server.errors.line().startswith(b"room root: clients: 2; messages retained: 1; ")
        told = {server.errors.line().decode() for _ in range(2)}
        assert told == {f"{peer.name} lags by 0 messages, 0 bytes\n" for peer in (first, second)}


# What is wrong.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--host", "192.0.2.1"],
            "cannot listen on 192.0.2.1:5000: Cannot assign requested address; "
            "this machine has no such address; choose another host",
        ),
        (
            ["--listen", "fd://999"],
            "cannot listen on descriptor 999: Bad file descriptor; choose another place to listen",
        ),
        (
            ["--listen", "tcp://127.0.0.1:0?framing=raw"],
            "Raw() carries bytes, and the server's Lines(crlf=False) does not",
        ),
        (
            ["--host", "127.0.0.1:5010"],
            "--host: the host is '127.0.0.1:5010'; give host '127.0.0.1' and port 5010 separately",
        ),
        (["--retention", "1K"], "retention is 1024; it must be at least 4096"),
    ],
)
def test_what_cannot_be_served_is_one_line_that_says_what_to_do(options: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["serve", *options])
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"hubbub: {message}\n")


def assert_port_is_refused(port: int, message: str, *through: str) -> None:
    errors = f"hubbub: cannot listen on 127.0.0.1:{port}: {message}\n"
    assert finish(*through, *HUBBUB, "serve", "--port", str(port)) == Finished(status=2, output="", errors=errors)


def test_a_port_in_use_is_one_line_that_says_what_to_do() -> None:
    advice = "stop the program that listens there, or choose another port"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert_port_is_refused(listening.getsockname()[1], f"Address already in use; {advice}")


def test_a_privileged_port_is_one_line_that_says_what_to_do() -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 1:
        pytest.skip("every port is free to use here")
    # Root may listen there, but for this.
    unprivileged = [] if os.geteuid() else ["setpriv", "--bounding-set=-net_bind_service"]
    advice = "ports below 1024 are for privileged programs; choose another port"
    assert_port_is_refused(1, f"Permission denied; {advice}", *unprivileged)


@pytest.mark.parametrize("taken", [False, True])
def test_a_unix_socket_without_permission_is_one_line_that_says_what_to_do(tmp_path: Path, taken: bool) -> None:
    path = tmp_path / "hub.sock"
    error = f"Permission denied; let this user write into the directory {tmp_path}, or choose another path"
    with socket.socket(socket.AF_UNIX) as other:
        if taken:
            # By a user who lets nobody else connect.
            other.bind(str(path))
            path.chmod(0)
            error = "Address already in use; stop the program that listens there, or choose another path"
        tmp_path.chmod(0o500)
        # Root may do everything, but for this.
        unprivileged = [] if os.geteuid() else ["setpriv", "--bounding-set=-dac_override"]
        finished = finish(*unprivileged, *HUBBUB, "serve", "--listen", f"unix://{path}")
    assert finished == Finished(status=2, output="", errors=f"hubbub: cannot listen on {path}: {error}\n")


@pytest.mark.parametrize("host", ["no.such.name.invalid", "a..b"])
def test_an_unknown_name_is_one_line_that_says_what_to_do(host: str) -> None:
    result = CliRunner().invoke(main, ["serve", "--host", host])
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith(f"hubbub: cannot listen on {host}:5000: ")
    assert result.stderr.endswith("choose another host\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "99999"], "--port: 99999 is not in the range 0<=x<=65535"),
        (["--port", "http"], "--port: 'http' is not a valid whole number"),
        (["--connect-rate", "x"], "--connect-rate: 'x' is not a valid number"),
        (
            ["--idle-time", "5x"],
            "--idle-time: '5x' is not a time; write seconds, or a unit, as in 30, 0.5s, 5m, 2h or 1d",
        ),
        (["--log-format", "xml"], "--log-format: 'xml' is not one of 'text', 'timed', 'json'"),
        (["--listen", "tcp://h"], "--listen: 'tcp://h': write it as"),
        (["--tls-cert", "missing"], "--tls-cert: file 'missing' does not exist"),
        (["--prt", "1"], "no such option '--prt'; did you mean '--port'?"),
        (["--xyz"], "no such option '--xyz'; see main serve --help"),
        (["--quiet=3"], "option '--quiet' does not take a value; see main serve --help"),
        (["echo", "5010"], "got unexpected extra argument (5010); see main serve --help"),
        (["--allow", "localhost"], "--allow: 'localhost' does not appear to be an IPv4 or IPv6 network"),
        (["--deny", "192.0.2.1/24"], "--deny: 192.0.2.1/24 has host bits set"),
        (["--proxy-from", "@missing"], "--proxy-from: cannot read the networks of missing: "),
    ],
)
def test_what_is_wrong_with_the_options_is_one_line_that_names_the_option(options: list[str], message: str) -> None:
    assert_is_one_line(["serve", *options], f"hubbub: {message}")


def test_a_bad_value_of_a_variable_is_named_with_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBBUB_PORT", "http")
    assert_is_one_line(["serve"], "hubbub: HUBBUB_PORT: 'http' is not a valid whole number")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--xyz"], "no such option '--xyz'; see main --help"),
        (["srve"], "no such command 'srve'; did you mean 'serve'?"),
        (["bench"], "missing argument '[HOST:]PORT|URL'; see main bench --help"),
        (["bench", "::1:5000"], "'::1:5000' is not an endpoint; write it as 5000, localhost:5000, "),
    ],
)
def test_a_command_that_cannot_be_run_is_one_line_too(arguments: list[str], message: str) -> None:
    assert_is_one_line(arguments, f"hubbub: {message}")


def assert_is_one_line(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), result.output
    assert result.stderr.startswith(message)


@pytest.mark.parametrize(
    ("limit", "allowed", "words"),
    [
        ("-Sn", 564, b""),
        ("-n", 100, b"only 100 files may be open, and clients_limit needs more; raise the limit (ulimit -n, "),
    ],
)
def test_as_many_files_may_be_open_as_the_clients_need_where_that_can_be(
    limit: str, allowed: int, words: bytes
) -> None:
    script = f'ulimit {limit} 100; exec "$0" "$@"'
    with serving_program("sh", "-c", script, *HUBBUB, "serve", "--port", "0", "--clients-limit", "500") as server:
        limits = Path(f"/proc/{server.pid}/limits").read_text()
        assert re.search(rf"Max open files +{allowed} ", limits)
        server.stop()
        assert server.errors.line().startswith(words)
        assert server.errors.rest() == b""


# How it ends.

BACKLOG = b"".join(b"%079d\n" % number for number in range(75_000))
"""Six megabytes: more than sockets hold, and less than what a reader may lag before its senders are held back."""


def leave_backlog(server: ServerProgram, reader: Peer) -> None:
    """Bring `BACKLOG` into the log for `reader`, which does not read yet."""
    with server.new_peer() as sender:
        sender.send(BACKLOG)
        sender.end()
        # Its handler has ended, so all is in the log.
        server.output.expect(b"%s disconnected" % sender.name.encode())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_the_server_and_ends_it_with_status_0(number: signal.Signals) -> None:
    with hubbub_serve("relay") as server, server.new_peer(receive_buffer=65_536) as reader:
        leave_backlog(server, reader)
        server.signal(number)
        wait_until(lambda: refuses(server.endpoint), "end of listening")
        assert reader.rest() == BACKLOG + b"server is closing\n"
        reader.close()
        assert server.wait() == 0
        # The last line may be that of a connection that looked whether the server still listens.
        assert f"\n{reader.name} disconnected.\n" in server.output.rest().decode()
        assert server.errors.rest() == b""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 1), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_second_signal_ends_the_server_at_once(number: signal.Signals, status: int) -> None:
    with hubbub_serve("relay") as server, server.new_peer(receive_buffer=65_536) as reader:
        leave_backlog(server, reader)
        server.signal(number)
        wait_until(lambda: refuses(server.endpoint), "end of listening")
        start = time.monotonic()
        server.signal(number)
        assert server.wait() == status
        assert time.monotonic() - start < Settings().drain_time / 2
        assert b"Traceback" not in server.errors.rest()


@pytest.mark.parametrize(
    ("options", "words"),
    [([], b"server is closing\n"), (["--farewell", "Bis später"], "Bis später\n".encode()), (["--farewell", ""], b"")],
)
def test_clients_are_told_that_the_server_closes(options: list[str], words: bytes) -> None:
    with hubbub_serve("relay", *options) as server, server.new_peer() as peer:
        server.signal(signal.SIGTERM)
        assert peer.rest() == words
        peer.close()
        assert server.wait() == 0
