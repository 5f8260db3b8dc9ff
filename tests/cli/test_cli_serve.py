"""`hubbub serve`: its options, where it listens, and how it ends."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from hubbub import Address, Settings
from hubbub.cli import main
from hubbub.cli.serve import serve

from programs import (
    HUBBUB,
    Peer,
    ServerProgram,
    address_in,
    assert_relays,
    finish,
    free_port,
    hubbub_serve,
    refuses,
    require_ipv6,
    wait_until,
)

PROBE = """
import dataclasses
import json

import hubbub

async def probe(client: hubbub.Client) -> None:
    server = client.server
    await client.send(json.dumps({**dataclasses.asdict(server.settings), "framing": repr(server.framing)}))
"""

CHOSEN = {
    "retention": 512 * 1024,
    "pace": None,
    "when_slow": "skip",
    "patience": 2.5,
    "notice": "{missed} gone",
    "framing": "Lines(crlf=True)",
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
    "log-format": "json",
}


@pytest.fixture
def probe(tmp_path: Path) -> Path:
    """A directory with an app that tells how it is served."""
    (tmp_path / "module.py").write_text(PROBE)
    return tmp_path


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


def test_an_option_beats_its_variable(probe: Path) -> None:
    with hubbub_serve("module:probe", "--patience", "2", cwd=probe, env={"HUBBUB_PATIENCE": "3"}) as server:
        assert settings_of(server.endpoint)["patience"] == 2.0


@pytest.mark.parametrize("word", ["none", ""])
def test_the_notice_can_be_off(probe: Path, word: str) -> None:
    with hubbub_serve("module:probe", "--notice", word, cwd=probe) as server:
        assert settings_of(server.endpoint)["notice"] is None


def test_the_help_names_every_option_and_its_variable() -> None:
    result = CliRunner().invoke(main, ["serve", "--help"])
    assert result.exit_code == 0
    words = result.stdout.replace("]", " ").replace(";", " ").replace(",", " ").split()
    for parameter in serve.params:
        if isinstance(parameter, click.Option) and parameter.name != "help":
            assert parameter.opts[-1] in words
        assert parameter.envvar in words
    # The apps stand below each other.
    assert "\n    relay           every message goes to all others unchanged: for feeds\n" in result.stdout


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
        (
            ["--notice", "two\nlines"],
            r"notice is 'two\nlines', and the framing cannot carry it: a line cannot contain a line end (LF)",
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
        (["--retention", "12X"], "'12X' is no size; write bytes, as in 65536, 64K or 16MiB"),
        (["--pace", "fast"], "'fast' is no size; write bytes, as in 65536, 64K or 16MiB"),
        (["--patience", "0"], "0.0 is not in the range x>0."),
        (["--framing", "frames"], "'frames' is not one of 'lines', "),
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
        assert server.output.rest().decode().endswith(f"{reader.name} disconnected.\n")
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
