"""Where `hubbub serve` listens, how users write it, and which clients meet there."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from hubbub import Address, Lines
from hubbub.cli import main
from hubbub.cli.failure import Failure
from hubbub.cli.listeners import ListenUrlType, make_listeners, parse
from hubbub.framing import Delimited

from support.certificates import Certificates, make_certificates
from support.programs import (
    HUBBUB,
    Peer,
    Program,
    ServerProgram,
    address_in,
    assert_relays,
    hubbub_serve,
    require_program,
    serving_program,
)

PASS_3 = 'exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"'
"""Starts a program like systemd with a socket for it, which is standard input here."""

PASS_3_AND_4 = 'exec 3<&0 4<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=2 exec "$0" "$@"'


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return make_certificates(tmp_path)


@pytest.fixture
def passed() -> Iterator[socket.socket]:
    """A socket that listens already."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


# How they are written.


@pytest.mark.parametrize(
    ("text", "scheme", "endpoint"),
    [
        ("tcp://127.0.0.1:5000", "tcp", Address("127.0.0.1", 5000)),
        ("tcp://localhost:0", "tcp", Address("localhost", 0)),
        ("tcp://[::1]:65535", "tcp", Address("::1", 65535)),
        ("tcp://[::]:5000", "tcp", Address("::", 5000)),
        ("tcp://:5000", "tcp", Address("", 5000)),
        ("tls://hub.example:5443", "tls", Address("hub.example", 5443)),
        ("unix:///run/hubbub.sock", "unix", Path("/run/hubbub.sock")),
        ("unix://hubbub.sock", "unix", Path("hubbub.sock")),
        ("unix:/run/hubbub.sock", "unix", Path("/run/hubbub.sock")),
        ("unix:///a%20b%3F", "unix", Path("/a b?")),
        ("fd://3", "fd", 3),
        ("fd://systemd", "fd", None),
    ],
)
def test_a_place_is_taken_apart(text: str, scheme: str, endpoint: Address | Path | int | None) -> None:
    url = parse(text)
    assert (url.text, url.scheme, url.endpoint, url.query) == (text, scheme, endpoint, {})


def test_what_is_different_there_is_behind_a_question_mark() -> None:
    query = "framing=nul&tls-cert=a.pem&tls-key=b.pem&tls-client-ca=c.pem&allow=192.0.2.0/24,::1&deny=@d&proxy-from=::1"
    url = parse(f"unix:///x?{query}&secret-file=%2Fe%20f&mode=600")
    assert url.query == {
        "framing": "nul",
        "tls-cert": "a.pem",
        "tls-key": "b.pem",
        "tls-client-ca": "c.pem",
        "allow": "192.0.2.0/24,::1",
        "deny": "@d",
        "proxy-from": "::1",
        "secret-file": "/e f",
        "mode": "600",
    }


def test_an_empty_value_undoes_an_option_for_one_listener(certificates: Certificates, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("word\n")
    options = {"secret_file": str(secret), "allow": ("192.0.2.0/24",), "tls_cert": str(certificates.client)}
    guarded, free = make_listeners([parse("tls://h:1"), parse("tcp://h:2?secret-file=&allow=")], options)
    assert guarded.authenticate is not None
    assert guarded.access.allow
    assert free.authenticate is None
    assert not free.access.allow


@pytest.mark.parametrize("key", ["tls-key", "tls-client-ca"])
def test_what_is_for_tls_is_no_part_of_a_place_without(key: str) -> None:
    with pytest.raises(Failure, match="tls-key and tls-client-ca need TLS; write tls://, or add tls-cert"):
        make_listeners([parse(f"tcp://h:1?{key}=x")], {})


def test_what_was_taken_apart_stays_so() -> None:
    kind = ListenUrlType()
    url = kind.convert("tcp://h:1", None, None)
    assert kind.convert(url, None, None) is url


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5000", "it must begin with tcp://, tls://, unix:// or fd://"),
        ("http://h:80", "it must begin with tcp://, tls://, unix:// or fd://"),
        ("tcp://127.0.0.1", "write it as tcp://127.0.0.1:5000 or tcp://[::]:5000"),
        ("tls://[::]:1/x", "write it as tls://127.0.0.1:5000 or tls://[::]:5000"),
        ("tcp://h:65536", "Port out of range 0-65535"),
        ("tcp://h:http", "Port could not be cast to integer value as 'http'"),
        ("tcp://[::1", "Invalid IPv6 URL"),
        ("unix://", "write it as unix:///run/hubbub.sock"),
        ("tcp://h:1?frame=nul", "a listener has no 'frame'; did you mean 'framing'?"),
        (
            "tcp://h:1?xyz=1",
            "a listener has no 'xyz'; choose one of framing, tls-cert, tls-key, tls-client-ca, allow, deny, "
            "proxy-from, secret-file, mode",
        ),
        ("tcp://h:1?framing=line", "there is no framing 'line'; did you mean 'lines'?"),
        ("tcp://h:1?framing", "bad query field: 'framing'"),
        ("tcp://h:1?deny=::1&deny=::2", "a key occurs twice; separate several networks by commas"),
        (
            "tcp://h:1?mode=600",
            "mode is three octal digits, and for unix:// only, as in unix:///run/hubbub.sock?mode=660",
        ),
        (
            "unix:///x?mode=1777",
            "mode is three octal digits, and for unix:// only, as in unix:///run/hubbub.sock?mode=660",
        ),
        (
            "unix:///x?mode=rw",
            "mode is three octal digits, and for unix:// only, as in unix:///run/hubbub.sock?mode=660",
        ),
        (
            "unix:///x?mode=8",
            "mode is three octal digits, and for unix:// only, as in unix:///run/hubbub.sock?mode=660",
        ),
        ("fd://x", "write it as fd://3 or fd://systemd"),
        ("fd://", "write it as fd://3 or fd://systemd"),
        ("fd://-1", "write it as fd://3 or fd://systemd"),
        ("fd://9999999", "write it as fd://3 or fd://systemd"),
    ],
)
def test_a_place_that_is_not_valid_is_an_error_that_says_why(text: str, message: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        ListenUrlType().convert(text, None, None)
    assert caught.value.message == f"{text!r}: {message}"


def test_the_option_is_named_where_it_is_wrong() -> None:
    result = CliRunner().invoke(main, ["serve", "--listen", "tcp://h"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Error: Invalid value for '--listen' (env var: 'HUBBUB_LISTEN'): 'tcp://h': write it as" in result.stderr


# What is made of them.


def listeners(*texts: str, **options: Any) -> list[Any]:
    return make_listeners([parse(text) for text in texts], options)


def test_without_more_a_listener_asks_for_nothing() -> None:
    (listener,) = listeners("tcp://h:1")
    assert (listener.endpoint, listener.framing, listener.tls, listener.mode) == (Address("h", 1), None, None, 0o660)
    assert not listener.introduces
    assert listener.access.refusal("192.0.2.1") is None


def test_options_hold_for_all_but_where_a_place_says_otherwise(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    general, special, fixed = listeners(
        "tcp://h:1",
        f"tcp://h:2?framing=nul&deny=::1,::2&allow=192.0.2.7&proxy-from=::3&secret-file={tmp_path}/two",
        "unix:///x?mode=606",
        allow=("192.0.2.1",),
        deny=("192.0.2.2",),
        proxy_from=("192.0.2.3",),
        secret_file=str(tmp_path / "one"),
    )
    assert [str(networks) for networks in (general.access.allow, general.access.deny, general.proxies)] == [
        "192.0.2.1",
        "192.0.2.2",
        "192.0.2.3",
    ]
    assert [str(networks) for networks in (special.access.allow, special.access.deny, special.proxies)] == [
        "192.0.2.7",
        "::1, ::2",
        "::3",
    ]
    assert (general.framing, special.framing) == (None, Delimited(b"\0"))
    assert [one.authenticate.path.name for one in (general, special, fixed)] == ["one", "two", "one"]
    assert (general.mode, fixed.mode) == (0o660, 0o606)


def test_tls_is_spoken_where_it_is_asked_for(certificates: Certificates) -> None:
    own = f"?tls-cert={certificates.other}&tls-key={certificates.other_key}&tls-client-ca={certificates.client_ca}"
    plain, common, other, local = listeners(
        "tcp://h:1",
        "tls://h:2",
        f"tls://h:3{own}",
        f"unix:///x{own}",
        tls_cert=str(certificates.server),
        tls_key=str(certificates.server_key),
    )
    assert plain.tls is None
    assert (common.tls.certificate, common.tls.client_ca) == (certificates.server, None)
    assert (other.tls.certificate, other.tls.client_ca) == (certificates.other, certificates.client_ca)
    assert local.tls is other.tls


def test_listeners_with_the_same_files_share_what_was_read(certificates: Certificates, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("open sesame")
    one, two = listeners(
        "tls://h:1",
        "tls://h:2",
        tls_cert=str(certificates.client),
        secret_file=str(tmp_path / "secret"),
        deny=("192.0.2.1",),
    )
    assert (one.tls, one.authenticate, one.access) == (two.tls, two.authenticate, two.access)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tls://h:1", "TLS needs a certificate; give it with --tls-cert"),
        ("tls://h:1?tls-cert=/missing", "cannot read /missing: No such file or directory"),
        ("tcp://h:1?secret-file=/missing", "cannot read /missing: No such file or directory"),
        ("tcp://h:1?allow=192.0.2", "'192.0.2' does not appear to be an IPv4 or IPv6 network"),
    ],
)
def test_a_place_whose_files_are_not_good_is_named(text: str, message: str) -> None:
    with pytest.raises(Failure) as caught:
        listeners(text)
    assert caught.value.message == f"{text}: {message}"


# Sockets that are passed on.


def test_it_serves_on_a_socket_that_listens_already(passed: socket.socket) -> None:
    with serving_program(*HUBBUB, "serve", "relay", "--listen", "fd://0", stdin=passed.fileno()) as server:
        assert server.endpoint == Address.of(passed.getsockname())
        assert_relays(server.endpoint)


def test_it_serves_on_the_socket_that_systemd_passes(passed: socket.socket) -> None:
    command = ("sh", "-c", PASS_3, *HUBBUB, "serve", "relay", "--listen", "fd://systemd?deny=::1")
    with serving_program(*command, stdin=passed.fileno()) as server:
        assert server.endpoint == Address.of(passed.getsockname())
        assert_relays(server.endpoint)
        server.stop()
    # Who connects now waits for the next process, and is not refused.
    Peer(server.endpoint).close()


def test_it_serves_on_all_sockets_that_systemd_passes(passed: socket.socket) -> None:
    command = ("sh", "-c", PASS_3_AND_4, *HUBBUB, "serve", "relay", "--listen", "fd://systemd")
    with serving_program(*command, stdin=passed.fileno()) as server:
        assert address_in(server.output.line()) == server.endpoint
        assert_relays(server.endpoint)


@pytest.mark.parametrize("variables", ["LISTEN_PID=1 LISTEN_FDS=1", "LISTEN_PID=$$", "LISTEN_PID=$$ LISTEN_FDS=0"])
def test_sockets_that_are_not_passed_to_this_process_are_not_taken(passed: socket.socket, variables: str) -> None:
    command = ("sh", "-c", f'{variables} exec "$0" "$@"', *HUBBUB, "serve", "--listen", "fd://systemd")
    with ServerProgram(*command, stdin=passed.fileno()) as server:
        assert server.wait() == 2
        server.errors.expect(rb"systemd passed no sockets to this process; check the \.socket unit\n$")


def test_a_descriptor_that_is_no_socket_is_one_line() -> None:
    result = CliRunner().invoke(main, ["serve", "--listen", "fd://999"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert (
        result.stderr
        == "hubbub: cannot listen on descriptor 999: Bad file descriptor; choose another place to listen\n"
    )


# Several at once.


@contextmanager
def several(directory: Path, certificates: Certificates) -> Iterator[tuple[ServerProgram, Address, Address, Path]]:
    """A relay in plain TCP, in TLS and on a Unix socket."""
    path = directory / "hub.sock"
    arguments = [
        "--listen=tcp://127.0.0.1:0",
        f"--listen=tls://127.0.0.1:0?tls-cert={certificates.server}&tls-key={certificates.server_key}",
        f"--listen=unix://{path}?mode=600",
    ]
    with hubbub_serve("relay", *arguments) as server:
        tls = address_in(server.output.line())
        assert server.output.line().decode() == f"Server started at: {path}\n"
        yield server, server.endpoint, tls, path
        server.stop()
        assert not path.exists()


@pytest.mark.real
def test_clients_of_all_listeners_meet(tmp_path: Path, certificates: Certificates) -> None:
    with several(tmp_path, certificates) as (server, tcp, tls, path), ExitStack() as programs:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        commands = [
            [require_program("nc"), "-N", tcp.host, str(tcp.port)],
            [require_program("ncat"), "--ssl", tls.host, str(tls.port)],
            [require_program("socat"), "-t", "20", "-", f"UNIX-CONNECT:{path}"],
        ]
        speakers = []
        for command in commands:
            speakers.append(programs.enter_context(Program(*command)))
            server.new_client()
        for speaker in speakers:
            line = f"from {speaker.pid}\n".encode()
            speaker.send(line)
            for hearer in speakers:
                if hearer is not speaker:
                    assert hearer.output.line() == line
        for speaker in speakers:
            speaker.end()
            assert speaker.wait() == 0


def test_a_client_of_a_unix_socket_has_a_number_for_a_name(tmp_path: Path, certificates: Certificates) -> None:
    with several(tmp_path, certificates) as (server, _, _, path), socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(path))
        assert server.new_client().startswith("unix:")


def server_peer(server: ServerProgram, endpoint: Address) -> Peer:
    """A peer of one of its listeners, which has told that it is connected."""
    peer = Peer(endpoint)
    server.output.expect(rb"%s connected\." % peer.name.encode())
    return peer


def test_listeners_may_frame_differently() -> None:
    options = [f"--listen=tcp://127.0.0.1:0?framing={name}" for name in ("nul", "length2", "raw")]
    with hubbub_serve("relay", "--framing=raw", *options) as server:
        endpoints = [server.endpoint, *(address_in(server.output.line()) for _ in range(2))]
        with ExitStack() as peers:
            nul, length, raw = (peers.enter_context(server_peer(server, endpoint)) for endpoint in endpoints)
            nul.send(b"Hey\0")
            assert length.exactly(5) == b"\0\3Hey"
            assert raw.exactly(3) == b"Hey"


def test_lines_may_end_differently() -> None:
    options = [f"--listen=tcp://127.0.0.1:0?framing={name}" for name in ("lines", "crlf-lines")]
    with hubbub_serve("chat", *options) as server:
        other = address_in(server.output.line())
        with server_peer(server, server.endpoint) as plain, server_peer(server, other) as telnet:
            assert plain.line() == f"{telnet.name} connected.\n".encode()
            plain.send(b"Hey\n")
            assert telnet.line() == f"{plain.name} says: Hey\r\n".encode()


def test_a_rule_of_one_listener_is_none_of_another() -> None:
    options = ["--listen=tcp://127.0.0.1:0?deny=127.0.0.1", "--listen=tcp://127.0.0.1:0"]
    with hubbub_serve("relay", *options) as server:
        other = address_in(server.output.line())
        with Peer(server.endpoint) as refused:
            assert refused.rest() == b"127.0.0.1 may not connect here\n"
        assert_relays(other)


def test_framings_that_do_not_go_together_are_one_line() -> None:
    result = CliRunner().invoke(main, ["serve", "--listen", "tcp://127.0.0.1:0?framing=raw"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"hubbub: Raw() carries bytes, and the server's {Lines()} does not\n"
