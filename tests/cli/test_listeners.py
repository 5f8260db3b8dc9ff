"""Where `hubbub serve` listens, how users write it, and which clients meet there."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from hubbub import Address
from hubbub.cli.failure import Failure
from hubbub.cli.listeners import make_listeners
from hubbub.cli.places import parse
from hubbub.door.keys import Keys
from hubbub.door.secret import SharedSecret
from hubbub.framing import Delimited

from support.certificates import Certificates
from support.programs import (
    HUBBUB,
    Peer,
    Program,
    ServerProgram,
    address_in,
    assert_relays,
    finish,
    hubbub_serve,
    require_program,
    serving_program,
)


@pytest.fixture
def passed() -> Iterator[socket.socket]:
    """A socket that listens already."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def listeners(*texts: str, **options: Any) -> list[Any]:
    return make_listeners([parse(text) for text in texts], options)


def test_without_more_a_listener_asks_for_nothing() -> None:
    (listener,) = listeners("tcp://h:1")
    assert (listener.endpoint, listener.framing, listener.tls, listener.mode) == (Address("h", 1), None, None, 0o660)
    assert listener.room == "root"
    assert not listener.introduces
    assert listener.access.refusal("192.0.2.1") is None


def test_listeners_with_the_same_files_share_what_was_read(directory: Path) -> None:
    one, two = listeners("tls://h:1", "tls://h:2", tls_cert="client.pem", secret_file="secret", deny=("::1",))
    assert (one.tls, one.authenticate, one.access) == (two.tls, two.authenticate, two.access)


def test_options_hold_for_all_but_where_a_place_says_otherwise(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).write_text(name)
    general, special, fixed = listeners(
        "tcp://h:1",
        f"tcp://h:2?framing=nul&deny=::1,::2&allow=192.0.2.7&proxy-from=::3&any-protocol=no&secret-file={tmp_path}/two",
        "unix:///x?mode=606",
        allow=("192.0.2.1",),
        deny=("192.0.2.2",),
        proxy_from=("192.0.2.3",),
        any_protocol=True,
        secret_file=str(tmp_path / "one"),
    )
    networks = [[str(each) for each in (one.access.allow, one.access.deny, one.proxies)] for one in (general, special)]
    assert networks == [["192.0.2.1", "192.0.2.2", "192.0.2.3"], ["192.0.2.7", "::1, ::2", "::3"]]
    assert (general.framing, special.framing) == (None, Delimited(b"\0"))
    assert (general.any_protocol, special.any_protocol) == (True, False)
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tls://h:1", "TLS needs a certificate; give it with --tls-cert"),
        ("tls://h:1?tls-cert=/missing", "--tls-cert: cannot read /missing: No such file or directory"),
        ("tcp://h:1?secret-file=/missing", "cannot read /missing: No such file or directory"),
        ("tcp://h:1?keys=/missing", "cannot read /missing: No such file or directory"),
        (
            "tcp://h:1?keys=/missing&secret-file=/missing",
            "a client says one thing first: give either keys or secret-file",
        ),
        *(
            (f"tcp://h:1?{key}=x", "tls-key and tls-client-ca need TLS; write tls://, or add tls-cert")
            for key in ("tls-key", "tls-client-ca")
        ),
        (
            "tcp://h:1?allow=192.0.2.1/24",
            "192.0.2.1/24 has host bits set; write 192.0.2.0/24, or 192.0.2.1 for that address alone",
        ),
    ],
)
def test_a_place_whose_files_are_not_good_is_named(text: str, message: str) -> None:
    with pytest.raises(Failure) as caught:
        listeners(text)
    assert caught.value.message == f"{text}: {message}"


# Sockets that are passed on.


def test_http_is_spoken_where_it_is_asked_for(certificates: Certificates) -> None:
    options = {"tls_cert": str(certificates.server), "tls_key": str(certificates.server_key)}
    names = {"allow_host": ("boat.example",), "allow_origin": ("https://a.example",), "rooms": ("wx-*",)}
    names["forwarded_from"] = ("192.0.2.7",)
    plain, http, https = listeners("tcp://h:1", "http://h:2", "https://h:3?role=read", **options, **names)
    assert plain.http is None
    assert http.http is https.http
    assert http.http is not None
    assert (http.http.hosts, http.http.origins) == (("boat.example",), ("https://a.example",))
    assert (http.http.rooms, http.http.forwarded.entries) == (("wx-*",), ("192.0.2.7",))
    assert http.tls is None
    assert https.tls is not None
    assert https.endpoint == Address("h", 3)


def test_a_secret_and_keys_hold_over_http_too(directory: Path) -> None:
    line, http = listeners("tcp://h:1", "http://h:2", keys="keys.toml")
    assert isinstance(line.authenticate, Keys)
    assert http.authenticate is line.authenticate
    (http,) = listeners("http://h:1", secret_file="secret")
    assert isinstance(http.authenticate, SharedSecret)


def test_what_a_place_says_lets_clients_in_and_not_what_holds_for_all(directory: Path) -> None:
    keys, secret = listeners("tcp://h:1?keys=keys.toml", "tcp://h:2", secret_file="secret")
    assert (type(keys.authenticate), type(secret.authenticate)) == (Keys, SharedSecret)
    keys, secret = listeners("tcp://h:1", "tcp://h:2?secret-file=secret", keys="keys.toml")
    assert (type(keys.authenticate), type(secret.authenticate)) == (Keys, SharedSecret)


@pytest.mark.parametrize("library", ["h11", "websockets"])
def test_http_without_what_it_needs_says_how_to_install_it(tmp_path: Path, library: str) -> None:
    (tmp_path / f"{library}.py").write_text(f"raise ModuleNotFoundError('no module', name='{library}')")
    (tmp_path / "hubbub.toml").write_text('listen = ["http://127.0.0.1:0"]')
    message = f"HTTP needs {library}; install it with: pip install 'hubbub[web]'\n"
    for command in (("serve", "--listen=http://127.0.0.1:0"), ("check", str(tmp_path / "hubbub.toml"))):
        finished = finish(*HUBBUB, *command, env={"PYTHONPATH": str(tmp_path)})
        assert (finished.status, finished.output) == (2, "")
        assert finished.errors.startswith("hubbub: ")
        assert finished.errors.endswith(message)


def test_it_serves_on_a_socket_that_listens_already(passed: socket.socket) -> None:
    with serving_program(*HUBBUB, "serve", "relay", "--listen", "fd://0", stdin=passed.fileno()) as server:
        assert server.endpoint == Address.of(passed.getsockname())
        assert_relays(server.endpoint)


@pytest.mark.parametrize(
    ("descriptors", "count", "query"),
    [("3<&0", 1, "?deny=::1"), ("3<&0 4<&0", 2, "")],
)
def test_it_serves_on_all_sockets_that_systemd_passes(
    passed: socket.socket, descriptors: str, count: int, query: str
) -> None:
    script = f'exec {descriptors} </dev/null; LISTEN_PID=$$ LISTEN_FDS={count} exec "$0" "$@"'
    command = ("sh", "-c", script, *HUBBUB, "serve", "relay", "--listen", f"fd://systemd{query}")
    with serving_program(*command, stdin=passed.fileno()) as server:
        assert server.endpoint == Address.of(passed.getsockname())
        for _ in range(count - 1):
            assert address_in(server.output.line()) == server.endpoint
        assert_relays(server.endpoint)
        server.stop()
    # Who connects now waits for the next process, and is not refused.
    Peer(server.endpoint).close()


@pytest.mark.parametrize("variables", ["LISTEN_PID=1 LISTEN_FDS=1", "LISTEN_PID=$$", "LISTEN_PID=$$ LISTEN_FDS=0"])
def test_sockets_that_are_not_passed_to_this_process_are_not_taken(passed: socket.socket, variables: str) -> None:
    command = ("sh", "-c", f'{variables} exec "$0" "$@"', *HUBBUB, "serve", "--listen", "fd://systemd")
    with ServerProgram(*command, stdin=passed.fileno()) as server:
        assert server.wait() == 2
        server.errors.expect(rb"systemd passed no sockets to this process; check the \.socket unit\n$")


# Several at once.


@pytest.mark.real
def test_clients_of_all_listeners_meet(tmp_path: Path, certificates: Certificates) -> None:
    path = tmp_path / "hub.sock"
    options = [
        "--listen=tcp://127.0.0.1:0",
        f"--listen=tls://127.0.0.1:0?tls-cert={certificates.server}&tls-key={certificates.server_key}",
        f"--listen=unix://{path}?mode=600",
    ]
    with hubbub_serve("relay", *options) as server, ExitStack() as programs:
        tcp, second = server.endpoint, server.output.line()
        tls = address_in(second)
        assert (server.started, second) == (
            f"Server started at: tcp://{tcp}\n".encode(),
            f"Server started at: tls://{tls}\n".encode(),
        )
        assert server.output.line().decode() == f"Server started at: unix://{path}\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        speakers = []
        for command, name in (
            ([require_program("nc"), "-N", tcp.host, str(tcp.port)], "127.0.0.1:"),
            ([require_program("ncat"), "--ssl", tls.host, str(tls.port)], "127.0.0.1:"),
            # A client of a Unix socket has a number for a name.
            ([require_program("socat"), "-t", "20", "-", f"UNIX-CONNECT:{path}"], "unix:"),
        ):
            speakers.append(programs.enter_context(Program(*command)))
            assert server.new_client().startswith(name)
        for speaker in speakers:
            line = f"from {speaker.pid}\n".encode()
            speaker.send(line)
            for hearer in speakers:
                if hearer is not speaker:
                    assert hearer.output.line() == line
        for speaker in speakers:
            speaker.end()
            assert speaker.wait() == 0
        server.stop()
        assert not path.exists()


def test_places_may_differ_in_framing_and_in_room() -> None:
    queries = ["framing=nul", "framing=length2", "framing=byte-lines&room=weather", "framing=nul&room=weather"]
    options = [f"--listen=tcp://127.0.0.1:0?{query}" for query in queries]
    with hubbub_serve("relay", "--framing=raw", *options) as server, ExitStack() as stack:
        endpoints = [server.endpoint, *(address_in(server.output.line()) for _ in queries[1:])]
        peers = [stack.enter_context(Peer(endpoint)) for endpoint in endpoints]
        for _ in peers:
            server.new_client()
        peers[0].send(b"Hey\0")
        peers[3].send(b"Rain\0")
        assert peers[1].exactly(5) == b"\0\3Hey"
        assert peers[2].line() == b"Rain\n"
        server.stop()
        # What is said in one room is heard there only.
        assert peers[1].rest() == b""
        assert peers[2].rest() == b"server is closing\n"
