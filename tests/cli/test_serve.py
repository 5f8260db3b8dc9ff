"""`hubbub serve`: its options, where it listens, and how it ends."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import signal
import socket
import ssl
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from hubbub import Address, Settings
from hubbub.cli import main
from hubbub.cli.options import SETTINGS
from hubbub.cli.serve import serve
from hubbub.framing.names import find_names
from hubbub.hub import policies

from bench.peer import free_port
from support.certificates import CLIENT_NAME, SERVER_NAME, Certificates, make_certificates
from support.programs import (
    HUBBUB,
    WAIT_TIME,
    Peer,
    ServerProgram,
    TerminalProgram,
    address_in,
    assert_relays,
    finish,
    hubbub_serve,
    refuses,
    require_ipv6,
    serving_program,
    wait_until,
)
from support.terminals import Terminal

PROBE = """
import dataclasses
import json

import hubbub

async def probe(client: hubbub.Client) -> None:
    server = client.server
    await client.send(json.dumps({**dataclasses.asdict(server.settings), "framing": repr(server.framing)}))
"""

CHOSEN = {
    "framing": "Lines(crlf=True)",
    "pace": None,
    "when_slow": "skip",
    "patience": 2.5,
    "retention": 512 * 1024,
    "notice": "{missed} gone",
    "clients_limit": 1234,
    "clients_per_address": None,
    "clients_per_subnet": 3_000,
    "connect_rate": 0.5,
    "connect_burst": 7,
    "message_limit": 1_000,
    "message_rate": 20.0,
    "byte_rate": 64 * 1024,
    "message_time": 4.0,
    "idle_time": 3_600.0,
    "handshake_time": 3.0,
    "unauthenticated_limit": 4_096,
    "drain_time": 6.0,
    "spread_time": 5.0,
    "farewell": "bye",
}
"""What `OPTIONS` chooses."""

OPTIONS = {
    "host": "127.0.0.2",
    "framing": "crlf-lines",
    "pace": "none",
    "when-slow": "skip",
    "patience": "2.5",
    "retention": "512K",
    "notice": "{missed} gone",
    "clients-limit": "1234",
    "clients-per-address": "none",
    "clients-per-subnet": "3000",
    "connect-rate": "0.5",
    "connect-burst": "7",
    "message-limit": "1000",
    "message-rate": "20",
    "byte-rate": "64KiB",
    "message-time": "4",
    "idle-time": "3600",
    "handshake-time": "3",
    "unauthenticated-limit": "4K",
    "drain-time": "6",
    "spread-time": "5",
    "farewell": "bye",
    "log-format": "json",
}


@pytest.fixture
def probe(tmp_path: Path) -> Path:
    """A directory with an app that tells how it is served."""
    (tmp_path / "module.py").write_text(PROBE)
    return tmp_path


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


def settings_of(endpoint: Address) -> dict[str, Any]:
    """What the app tells."""
    with Peer(endpoint) as peer:
        told: dict[str, Any] = json.loads(peer.line())
        return told


def test_without_options_it_is_served_with_the_defaults(probe: Path) -> None:
    with hubbub_serve("module:probe", cwd=probe) as server:
        assert server.endpoint.host == "127.0.0.1"
        assert settings_of(server.endpoint) == {**dataclasses.asdict(Settings()), "framing": "Lines(crlf=False)"}


def test_without_arguments_it_is_chat_on_port_5000() -> None:
    defaults = {parameter.name: parameter.default for parameter in serve.params}
    assert (defaults["app"], defaults["port"]) == ("chat", 5000)


def test_each_option_takes_effect(probe: Path) -> None:
    port = free_port()
    options = [f"--{name}={value}" for name, value in {**OPTIONS, "port": port}.items()]
    with ServerProgram(*HUBBUB, "serve", "module:probe", *options, "--quiet", "--verbose", cwd=probe) as server:
        assert_chosen(server, port)


def test_each_variable_takes_effect(probe: Path) -> None:
    port = free_port()
    values = {**OPTIONS, "app": "module:probe", "port": str(port), "quiet": "1", "verbose": "1"}
    variables = {f"HUBBUB_{name.upper().replace('-', '_')}": value for name, value in values.items()}
    with ServerProgram(*HUBBUB, "serve", cwd=probe, env=variables) as server:
        assert_chosen(server, port)


def assert_chosen(server: ServerProgram, port: int) -> None:
    server.wait_until_started()
    # As JSON, as it was chosen.
    assert json.loads(server.started)["address"] == f"127.0.0.2:{port}"
    settings = settings_of(server.endpoint)
    assert {name: settings[name] for name in CHOSEN} == CHOSEN
    # It is verbose.
    assert "ended: finished" in json.loads(server.errors.line())["message"]
    # It is quiet.
    assert server.stop() == ""


def test_none_of_the_settings_that_are_options_is_left_out_here() -> None:
    assert CHOSEN.keys() == SETTINGS.keys() | {"framing"}
    # None is chosen as it would be anyway.
    assert not CHOSEN.items() & dataclasses.asdict(Settings()).items()


def test_an_option_beats_its_variable(probe: Path) -> None:
    with hubbub_serve("module:probe", "--patience", "2", cwd=probe, env={"HUBBUB_PATIENCE": "3"}) as server:
        assert settings_of(server.endpoint)["patience"] == 2.0


@pytest.mark.parametrize("name", ["notice", "farewell"])
@pytest.mark.parametrize("word", ["none", ""])
def test_what_the_server_says_can_be_off(probe: Path, name: str, word: str) -> None:
    with hubbub_serve("module:probe", f"--{name}", word, cwd=probe) as server:
        assert settings_of(server.endpoint)[name] is None


def test_the_help_names_every_option_and_its_variable() -> None:
    result = CliRunner().invoke(main, ["serve", "--help"])
    assert result.exit_code == 0
    words = result.stdout.replace("]", " ").replace(";", " ").replace(",", " ").split()
    for parameter in serve.params:
        if isinstance(parameter, click.Option) and parameter.name != "help":
            assert parameter.opts[-1] in words
        assert parameter.envvar in words
    # The apps and the framings stand below each other.
    assert "\n    relay           messages go to all others unchanged: for feeds\n" in result.stdout
    for framing, named in find_names().items():
        assert f"\n    {framing:10}  {named.help}\n" in result.stdout


@pytest.mark.parametrize("name", SETTINGS)
def test_the_option_of_a_setting_is_made_of_its_declaration(name: str) -> None:
    (parameter,) = (one for one in serve.params if one.name == name)
    assert isinstance(parameter, click.Option)
    assert (parameter.opts, parameter.envvar) == ([f"--{name.replace('_', '-')}"], f"HUBBUB_{name.upper()}")
    declaration, context = SETTINGS[name], click.Context(serve)
    assert (parameter.help or "").startswith(declaration.meaning)
    # The default is shown as it may be written.
    default, shown = getattr(Settings(), name), parameter.get_default(context)
    assert isinstance(shown, str)
    assert parameter.type.convert(shown, parameter, context) == default
    if declaration.none is not None:
        assert (parameter.metavar or "").endswith("|none")
        assert f" none: {declaration.none}." in (parameter.help or "")
        assert parameter.type.convert("none", parameter, context) is None


def test_defaults_are_shown_as_a_user_writes_them() -> None:
    shown = {parameter.name: parameter.default for parameter in serve.params}
    names = ("retention", "patience", "connect_rate", "clients_limit", "idle_time", "when_slow")
    assert [shown[name] for name in names] == ["16MiB", "30", "100", "10000", "none", "disconnect"]


@pytest.mark.parametrize("command", [["--help"], ["-h"], ["serve", "-h"], ["connect", "--help"]])
def test_help_is_to_be_had_everywhere(command: list[str]) -> None:
    result = CliRunner().invoke(main, command)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: ")


# Where it listens.


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "::", ""])
def test_it_listens_where_it_is_told_to_and_on_one_port_only(host: str) -> None:
    if ":" in host:
        require_ipv6()
    with hubbub_serve("relay", "--quiet", "--host", host) as server:
        assert_relays(server.endpoint)
        others = [address_in(line.encode()) for line in server.stop().splitlines()]
    assert {other.port for other in others} <= {server.endpoint.port}


def test_ipv6_and_ipv4_meet_on_all_addresses() -> None:
    require_ipv6()
    with hubbub_serve("relay", "--host", "::") as server:
        assert server.started.decode() == f"Server started at: [::]:{server.endpoint.port}\n"
        with (
            Peer(Address("::1", server.endpoint.port)) as new,
            Peer(Address("127.0.0.1", server.endpoint.port)) as old,
        ):
            assert server.output.line().decode() == f"{new.name} connected.\n"
            assert server.output.line().decode() == f"{old.name} connected.\n"
            assert new.name.startswith("[::1]:")
            old.send(b"Hey\n")
            assert new.line() == b"Hey\n"


# Who may come in.


def tell(server: ServerProgram, data: bytes) -> bytes:
    """What a peer hears that says `data`, and then nothing more."""
    with server.peer() as peer:
        peer.send(data)
        peer.end()
        return peer.rest()


def test_a_client_that_knows_the_secret_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("open sesame\n")
    with hubbub_serve("echo", "--secret-file", str(tmp_path / "secret")) as server:
        assert tell(server, b"open sesame\nHey\n") == b"We got your message: Hey\n"
        assert tell(server, b"open barley\nHey\n") == b"not authenticated\n"


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (["--deny", "127.0.0.0/8"], b"127.0.0.1 may not connect here\n"),
        (["--allow", "192.0.2.1"], b"127.0.0.1 may not connect here\n"),
        (["--allow", "192.0.2.1", "--allow", "127.0.0.1"], b"We got your message: Hey\n"),
        (["--allow", "127.0.0.1", "--deny", "::/0", "--deny", "127.0.0.1"], b"127.0.0.1 may not connect here\n"),
    ],
)
def test_a_client_that_may_not_connect_is_told_so(options: list[str], answer: bytes) -> None:
    with hubbub_serve("echo", *options) as server, server.peer() as peer:
        if answer.startswith(b"We"):
            peer.send(b"Hey\n")
            peer.end()
        assert peer.rest() == answer


@pytest.mark.parametrize(
    "options", [["--allow", "localhost"], ["--deny", "192.0.2.1/24"], ["--proxy-from", "@missing"]]
)
def test_a_network_that_is_not_valid_is_an_error_that_names_the_option(options: list[str]) -> None:
    result = CliRunner().invoke(main, ["serve", *options])
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"Error: Invalid value for '{options[0]}'" in result.stderr


def test_a_proxy_says_whose_connection_it_is() -> None:
    with hubbub_serve("echo", "--proxy-from", "127.0.0.1") as server:
        with server.peer() as proxy:
            proxy.send(b"PROXY TCP4 192.0.2.9 192.0.2.1 40000 5000\r\nHey\n")
            assert server.new_client() == "192.0.2.9:40000"
            assert proxy.line() == b"We got your message: Hey\n"
        assert tell(server, b"Hey\n") == b"it starts with no PROXY header\n"


def test_with_a_certificate_it_speaks_tls(certificates: Certificates) -> None:
    options = ["--tls-cert", str(certificates.server), "--tls-key", str(certificates.server_key)]
    with hubbub_serve("echo", *options) as server, tls_peer(server, certificates) as peer:
        peer.sendall(b"Hey\n")
        assert peer.recv(100) == b"We got your message: Hey\n"
        assert shown_certificate(server) == certificates.server.read_text()


def test_a_client_without_a_certificate_of_the_authority_is_not_accepted(certificates: Certificates) -> None:
    options = ["--tls-cert", str(certificates.server), "--tls-key", str(certificates.server_key)]
    with hubbub_serve("echo", *options, "--tls-client-ca", str(certificates.client_ca)) as server:
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


# What is read again at SIGHUP.


def test_a_renewed_certificate_is_shown_to_new_clients(certificates: Certificates) -> None:
    options = ["--tls-cert", str(certificates.server), "--tls-key", str(certificates.server_key)]
    with hubbub_serve("echo", *options) as server, tls_peer(server, certificates) as old:
        assert shown_certificate(server) == certificates.server.read_text()
        certificates.other_key.replace(certificates.server_key)
        certificates.other.replace(certificates.server)
        server.signal(signal.SIGHUP)
        assert server.errors.line().decode() == f"the certificate of {certificates.server} has changed\n"
        assert shown_certificate(server) == certificates.server.read_text()
        # Who is connected stays so.
        old.sendall(b"Hey\n")
        assert old.recv(100) == b"We got your message: Hey\n"


def test_a_certificate_that_is_not_good_is_logged_and_the_old_one_holds(certificates: Certificates) -> None:
    options = ["--tls-cert", str(certificates.server), "--tls-key", str(certificates.server_key)]
    with hubbub_serve("echo", *options) as server:
        before = certificates.server.read_text()
        certificates.other.replace(certificates.server)
        server.signal(signal.SIGHUP)
        problem = f"{certificates.server} and its key are not valid: key values mismatch"
        assert server.errors.line().decode() == f"{problem}; what was read before holds\n"
        assert shown_certificate(server) == before


def test_a_changed_secret_holds_for_new_clients(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("old\n")
    with hubbub_serve("echo", "--secret-file", str(secret)) as server, server.peer() as inside:
        inside.send(b"old\n")
        assert server.new_client() == inside.name
        secret.write_text("new\n")
        server.signal(signal.SIGHUP)
        assert server.errors.line().decode() == f"the secrets of {secret} have changed\n"
        assert tell(server, b"old\n") == b"not authenticated\n"
        assert tell(server, b"new\nHey\n") == b"We got your message: Hey\n"
        inside.send(b"Ho\n")
        assert inside.line() == b"We got your message: Ho\n"
        secret.write_text("\n")
        server.signal(signal.SIGHUP)
        problem = f"there is no secret in {secret}; write one into it; what was read before holds\n"
        assert server.errors.line().decode() == problem
        assert tell(server, b"new\nHey\n") == b"We got your message: Hey\n"


def test_changed_networks_hold_for_new_clients(tmp_path: Path) -> None:
    denied = tmp_path / "denied"
    denied.write_text("192.0.2.0/24\n198.51.100.0/24\n")
    with hubbub_serve("echo", "--deny", f"@{denied}") as server:
        assert tell(server, b"Hey\n") == b"We got your message: Hey\n"
        denied.write_text("127.0.0.0/8\n")
        server.signal(signal.SIGHUP)
        assert server.errors.line().decode() == f"the networks of @{denied}: 1 more, 2 fewer\n"
        with server.peer() as peer:
            assert peer.rest() == b"127.0.0.1 may not connect here\n"
        denied.write_text("300.0.0.0/8\n")
        server.signal(signal.SIGHUP)
        assert server.errors.line().decode().startswith(f"{denied}, line 1: '300.0.0.0/8' does not appear")
        with server.peer() as peer:
            assert peer.rest() == b"127.0.0.1 may not connect here\n"


@pytest.mark.parametrize("options", [(), ("--quiet",)])
def test_where_nothing_has_changed_that_is_said(options: tuple[str, ...]) -> None:
    with hubbub_serve(*options) as server:
        server.signal(signal.SIGHUP)
        assert server.errors.line() == b"nothing has changed\n"
        assert_serves(server.endpoint)


def assert_serves(endpoint: Address) -> None:
    """See that the server announces a new client."""
    with Peer(endpoint) as first, Peer(endpoint) as second:
        assert first.line() == f"{second.name} connected.\n".encode()


def test_on_a_terminal_it_reads_them_again_too() -> None:
    with TerminalProgram(*HUBBUB, "serve", "--port", "0") as server:
        server.output.expect(rb"Server started at: 127\.0\.0\.1:\d+\r\n")
        server.signal(signal.SIGHUP)
        server.output.expect(rb"nothing has changed\r\n")
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


# What it tells when asked.


def test_it_tells_who_is_connected_and_how_far_behind() -> None:
    with hubbub_serve("relay", "--quiet") as server, server.peer() as first, server.peer() as second:
        second.send(b"Hey\n")
        assert first.line() == b"Hey\n"
        server.signal(signal.SIGUSR1)
        assert server.errors.line().startswith(b"2 clients in 1 rooms; 2 accepted; ended: none; ")
        assert re.fullmatch(rb"room <Room 'root': .*>: retains 1 messages\n", server.errors.line())
        told = {server.errors.line().decode() for _ in range(2)}
        assert told == {f"{peer.name} lags by 0 messages, 0 bytes\n" for peer in (first, second)}


# What is wrong.


def assert_one_line(arguments: list[str], message: str, *, through: Sequence[str] = ()) -> None:
    finished = finish(*through, *HUBBUB, "serve", *arguments)
    assert (finished.status, finished.output, finished.errors) == (2, "", f"hubbub: {message}\n")


def test_a_port_in_use_is_one_line_that_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = Address.of(listening.getsockname()).port
        assert_one_line(
            ["--port", str(port)],
            f"cannot listen on 127.0.0.1:{port}: Address already in use; "
            "stop the program that listens there, or choose another --port",
        )


def test_an_address_of_another_machine_is_one_line_that_says_what_to_do() -> None:
    assert_one_line(
        ["--host", "192.0.2.1"],
        "cannot listen on 192.0.2.1:5000: Cannot assign requested address; "
        "this machine has no such address; choose another --host",
    )


@pytest.mark.parametrize("host", ["no.such.name.invalid", "256.0.0.1", "a..b", "x" * 64])
def test_an_unknown_name_is_one_line_that_says_what_to_do(host: str) -> None:
    result = CliRunner().invoke(main, ["serve", "--host", host])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith(f"hubbub: cannot listen on {host}:5000: ")
    assert result.stderr.endswith("choose another --host\n")
    assert result.stderr.count("\n") == 1


def test_a_privileged_port_is_one_line_that_says_what_to_do() -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 1:
        pytest.skip("every port is free to use here")
    # Root may listen there, but for this.
    unprivileged = [] if os.geteuid() else ["setpriv", "--bounding-set=-net_bind_service"]
    assert_one_line(
        ["--port", "1"],
        "cannot listen on 127.0.0.1:1: Permission denied; "
        "ports below 1024 are for privileged programs; choose another --port",
        through=unprivileged,
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--retention", "1K"], "retention is 1024; it must be at least 4096"),
        (["--notice", "{x}"], "notice is '{x}'; {missed} is the only field it may have"),
        (["--notice", "{"], "notice is '{'; {missed} is the only field it may have"),
        (["--patience", "nan"], "patience is nan; it must be more than 0"),
        (["--patience", "0"], "patience is 0.0; it must be more than 0"),
        (["--clients-limit", "0"], "clients_limit is 0; it must be at least 1"),
        (
            ["--notice", "two\nlines"],
            r"notice is 'two\nlines', and the framing Lines(crlf=False) cannot carry it: "
            "a line cannot contain a line end (LF); set notice to another text, or to none",
        ),
    ],
)
def test_a_setting_out_of_range_is_one_line_that_says_what_it_may_be(options: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["serve", *options])
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"hubbub: {message}\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--port", "99999"], "99999 is not in the range 0<=x<=65535."),
        (["--port", "-1"], "-1 is not in the range 0<=x<=65535."),
        (["--port", "http"], "'http' is not a valid integer range."),
        (["--retention", "12X"], "'12X' is not a size; write bytes, as in 65536, 64K or 16MiB"),
        (["--pace", "fast"], "'fast' is not a size; write bytes, as in 65536, 64K or 16MiB"),
        (["--framing", "frames"], "'frames' is not one of 'byte-lines', "),
        (["--when-slow", "wait"], "'wait' is not one of 'disconnect', 'skip'."),
        (["--log-format", "xml"], "'xml' is not one of 'text', 'json'."),
    ],
)
def test_a_bad_value_is_named_with_its_option_and_what_it_may_be(options: list[str], message: str) -> None:
    result = CliRunner().invoke(main, ["serve", *options])
    assert (result.exit_code, result.stdout) == (2, "")
    usage, hint, _, error = result.stderr.splitlines()
    assert usage.startswith("Usage: ")
    assert hint.endswith(" serve --help' for help.")
    assert error.startswith(f"Error: Invalid value for '{options[0]}'")
    assert message in error


@pytest.mark.parametrize("option", ["--tls-key", "--tls-client-ca"])
def test_what_is_for_tls_does_not_serve_plain_text_to_everybody(option: str, certificates: Certificates) -> None:
    assert_one_line(
        [option, str(certificates.client_ca)],
        "no listener speaks TLS, so --tls-... has no effect; give --tls-cert, and write tls:// in --listen",
    )


def test_a_farewell_that_the_framing_cannot_carry_is_one_line() -> None:
    result = CliRunner().invoke(main, ["serve", "--farewell", "two\nlines"])
    message = r"farewell is 'two\nlines', and the framing cannot carry it: a line cannot contain a line end (LF)"
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"hubbub: {message}\n")


def test_the_soft_limit_of_open_files_is_raised_to_what_the_clients_need() -> None:
    command = ("sh", "-c", 'ulimit -Sn 100; exec "$0" "$@"', *HUBBUB, "serve", "--port", "0", "--clients-limit", "500")
    with serving_program(*command) as server:
        limits = Path(f"/proc/{server.pid}/limits").read_text()
        assert re.search(r"Max open files +564 ", limits)
        server.stop()
        assert server.errors.rest() == b""


def test_where_too_few_files_may_be_open_it_is_logged() -> None:
    command = ("sh", "-c", 'ulimit -n 100; exec "$0" "$@"', *HUBBUB, "serve", "--port", "0", "--clients-limit", "500")
    with serving_program(*command) as server:
        server.stop()
        expected = (
            "only 100 files may be open, and clients_limit needs more; raise the limit (ulimit -n, LimitNOFILE=)\n"
        )
        assert server.errors.rest().decode() == expected


# How it ends.

BACKLOG = b"".join(b"%07d\n" % number for number in range(750_000))
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


def test_the_drain_has_an_end() -> None:
    with hubbub_serve("relay", "--drain-time", "0.5") as server, server.new_peer(receive_buffer=65_536) as reader:
        leave_backlog(server, reader)
        start = time.monotonic()
        server.signal(signal.SIGTERM)
        # It reads nothing.
        assert server.wait() == 0
        assert 0.5 <= time.monotonic() - start < Settings().drain_time / 2


def test_clients_are_sent_away_one_after_the_other() -> None:
    with hubbub_serve("relay", "--drain-time", "4", "--spread-time", "2") as server, ExitStack() as peers:
        crowd = [peers.enter_context(server.new_peer()) for _ in range(4)]
        start = time.monotonic()
        server.signal(signal.SIGTERM)
        for peer in crowd:
            assert peer.rest() == b"server is closing\n"
        # The last of four, when three quarters of the time are over.
        assert time.monotonic() - start >= 1.5
        for peer in crowd:
            peer.close()
        assert server.wait() == 0


def test_when_slow_may_be_any_policy() -> None:
    (parameter,) = (each for each in main.commands["serve"].params if each.name == "when_slow")
    assert isinstance(parameter.type, click.Choice)
    assert list(parameter.type.choices) == policies.names()
