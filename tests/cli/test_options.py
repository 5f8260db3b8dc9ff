"""The options of the commands: how they are given, which takes precedence, and what the help says of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from hubbub import Address, Delimited, Settings
from hubbub.cli import main
from hubbub.cli.bench import bench
from hubbub.cli.connect import connect
from hubbub.cli.failure import Failure
from hubbub.cli.listeners import HTTP_OPTIONS
from hubbub.cli.options import SETTINGS, group_options
from hubbub.cli.places import parse
from hubbub.cli.serve import serve
from hubbub.cli.setup import make_setup
from hubbub.framing.names import find_names
from hubbub.hub import policies

CHOSEN: dict[str, tuple[Any, Any]] = {
    "app": ("relay", "relay"),
    "host": ("::1", "::1"),
    "port": (7000, 7000),
    "listen": (["tcp://h:1", "tls://h:2"], (parse("tcp://h:1"), parse("tls://h:2"))),
    "framing": ("nul", "nul"),
    "role": ("write", "write"),
    "tls-cert": ("server.pem", "server.pem"),
    "tls-key": ("server_key.pem", "server_key.pem"),
    "tls-client-ca": ("client_ca.pem", "client_ca.pem"),
    "allow": (["192.0.2.0/24", "@networks"], ("192.0.2.0/24", "@networks")),
    "deny": (["192.0.2.1"], ("192.0.2.1",)),
    "proxy-from": (["::1"], ("::1",)),
    "secret-file": ("secret", "secret"),
    "keys": ("keys.toml", "keys.toml"),
    "any-protocol": (True, True),
    "allow-host": (["boat.example", "pi.lan"], ("boat.example", "pi.lan")),
    "allow-origin": (["https://boat.example"], ("https://boat.example",)),
    "rooms": (["wx-*", "ais"], ("wx-*", "ais")),
    "forwarded-from": (["::1"], ("::1",)),
    "replay": ("10m", "10m"),
    "store": ("log.db", "log.db"),
    "durable": ("ack", "ack"),
    "store-size": ("2G", 2 * 1024**3),
    "store-age": ("7d", 604_800.0),
    "store-count": (1000, 1000),
    "store-pending": ("1M", 1024**2),
    "store-patience": ("20s", 20.0),
    "quiet": (True, True),
    "verbose": (True, True),
    "log-format": ("json", "json"),
    "pace": ("none", None),
    "when-slow": ("skip", "skip"),
    "patience": ("5m", 300.0),
    "mute-limit": (5, 5),
    "retention": ("512K", 512 * 1024),
    "notice": ("{missed} gone", "{missed} gone"),
    "clients-limit": (1234, 1234),
    "clients-per-address": ("none", None),
    "clients-per-subnet": ("3000", 3000),
    "connect-rate": (0.5, 0.5),
    "connect-burst": (7, 7),
    "message-limit": (1000, 1000),
    "message-rate": (20, 20.0),
    "byte-rate": ("64KiB", 64 * 1024),
    "message-time": (4, 4.0),
    "idle-time": ("3600", 3600.0),
    "probe-time": ("1s", 1.0),
    "handshake-time": ("2s", 2.0),
    "unauthenticated-limit": ("4K", 4096),
    "drain-time": (6, 6.0),
    "spread-time": (5.0, 5.0),
    "farewell": ("bye", "bye"),
}
"""For each option of `hubbub serve`: what is written in a file, and what it means."""

MEANT = {name.replace("-", "_"): meaning for name, (_, meaning) in CHOSEN.items()}

SERVED = {**MEANT, **dict.fromkeys(HTTP_OPTIONS, ()), "secret_file": None}
"""The same, where nothing speaks HTTP, and clients say a key and not also a secret."""


def params(*arguments: str) -> dict[str, Any]:
    """What `hubbub serve` makes of its options, its variables and the file."""
    with serve.make_context("serve", list(arguments)) as context:
        return context.params


def test_each_option_takes_effect(directory: Path) -> None:
    arguments = ["relay"]
    for name, (written, _) in CHOSEN.items():
        if isinstance(written, list):
            arguments += [f"--{name}={part}" for part in written]
        elif name != "app":
            arguments.append(f"--{name}" if written is True else f"--{name}={written}")
    assert params(*arguments) == MEANT


def test_each_variable_takes_effect(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (written, _) in CHOSEN.items():
        value = " ".join(written) if isinstance(written, list) else str(written)
        monkeypatch.setenv(f"HUBBUB_{name.upper().replace('-', '_')}", value)
    assert params() == MEANT


def test_each_option_is_a_key_of_the_file(directory: Path) -> None:
    # What JSON has of values, TOML has too.
    Path("hubbub.toml").write_text(
        "".join(f"{name} = {json.dumps(written)}\n" for name, (written, _) in CHOSEN.items())
    )
    assert params("--config=hubbub.toml") == MEANT


def test_all_that_is_chosen_is_served(directory: Path) -> None:
    setup = make_setup(SERVED)
    assert (setup.handler.__name__, setup.framing) == ("relay", Delimited(b"\0"))
    assert setup.settings == Settings(**{name: MEANT[name] for name in SETTINGS})
    assert [listener.endpoint for listener in setup.listeners] == [Address("h", 1), Address("h", 2)]
    assert setup.store == Path("log.db")
    assert {listener.replay for listener in setup.listeners} == {"10m"}
    short = make_setup({**SERVED, "listen": ()})
    assert [listener.endpoint for listener in short.listeners] == [Address("::1", 7000)]


def test_no_option_is_chosen_above_as_it_is_by_default(directory: Path) -> None:
    assert not MEANT.items() & params().items()


def test_an_option_beats_a_variable_which_beats_the_file_which_beats_the_default(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path("hubbub.toml")
    path.write_text("")
    # An empty file says nothing.
    assert params("--config=hubbub.toml") == params()
    assert params()["patience"] == 30.0
    path.write_text("patience = 3\n")
    assert params("--config=hubbub.toml")["patience"] == 3.0
    monkeypatch.setenv("HUBBUB_CONFIG", "hubbub.toml")
    assert params()["patience"] == 3.0
    monkeypatch.setenv("HUBBUB_PATIENCE", "2")
    assert params()["patience"] == 2.0
    assert params("--patience", "1")["patience"] == 1.0


def test_the_order_of_options_does_not_matter(directory: Path) -> None:
    Path("hubbub.toml").write_text('patience = 3\napp = "echo"\ndeny = ["192.0.2.1", "192.0.2.2"]\n')
    chosen = params("relay", "--patience=1", "--deny=192.0.2.3", "--config=hubbub.toml")
    assert (chosen["patience"], chosen["app"], chosen["deny"]) == (1.0, "relay", ("192.0.2.3",))


@pytest.mark.parametrize("name", ["notice", "farewell"])
@pytest.mark.parametrize("word", ["none", ""])
def test_what_the_server_says_can_be_off(name: str, word: str) -> None:
    assert params(f"--{name}", word)[name] is None


def test_without_arguments_it_is_chat_on_port_5000_with_the_defaults(directory: Path) -> None:
    chosen = params()
    assert (chosen["app"], chosen["host"], chosen["port"]) == ("chat", "127.0.0.1", 5000)
    assert make_setup(chosen).settings == Settings()


# The help.


def help_of(command: str) -> str:
    return CliRunner().invoke(main, [command, "--help"]).stdout


@pytest.mark.parametrize("command", [["--help"], ["-h"], ["serve", "-h"], ["connect", "--help"]])
def test_help_is_to_be_had_everywhere(command: list[str]) -> None:
    result = CliRunner().invoke(main, command)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: ")


@pytest.mark.parametrize(
    ("command", "prefix"), [(serve, "HUBBUB"), (connect, "HUBBUB_CONNECT"), (bench, "HUBBUB_BENCH")]
)
def test_the_help_names_every_option_and_says_how_variables_begin(command: click.Command, prefix: str) -> None:
    words = help_of(str(command.name)).replace(",", " ").split()
    assert f"{prefix}_" in words
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            name = max(parameter.opts, key=len)
            assert name in words
            assert parameter.envvar == f"{prefix}_{name.removeprefix('--').replace('-', '_').upper()}"


def test_the_help_lists_options_by_their_groups() -> None:
    titles = re.findall(r"^(\S.*):$", help_of("serve"), re.MULTILINE)
    assert titles == [
        "Options",
        "Places",
        "Messages",
        "TLS",
        "Who may connect",
        "Store",
        "Slow clients",
        "Connections",
        "Ending",
        "Output",
    ]
    listed = group_options(serve, click.Context(serve))
    assert list(listed) == titles
    for name, declaration in SETTINGS.items():
        option = f"--{name.replace('_', '-')} "
        assert any(term.startswith(option) for term, _ in listed[declaration.group.title])


@pytest.mark.parametrize("command", ["serve", "connect", "bench"])
def test_the_texts_of_all_groups_begin_in_one_column(command: str) -> None:
    rows = re.findall(r"^(  (?:-\w, )?--\S+(?: \S+)* {2,})\S", help_of(command), re.MULTILINE)
    assert len({len(row) for row in rows}) == 1


def test_the_apps_and_the_framings_stand_below_each_other() -> None:
    shown = help_of("serve")
    assert "\n    relay           messages go to all others unchanged: for feeds\n" in shown
    for framing, named in find_names().items():
        assert f"\n    {framing:10}  {named.help}\n" in shown


@pytest.mark.parametrize("name", SETTINGS)
def test_the_option_of_a_setting_is_made_of_its_declaration(name: str) -> None:
    (parameter,) = (one for one in serve.params if one.name == name)
    assert isinstance(parameter, click.Option)
    declaration, context = SETTINGS[name], click.Context(serve)
    assert (parameter.help or "").startswith(declaration.meaning)
    # The default is shown as it may be written.
    default, shown = getattr(Settings(), name), parameter.get_default(context)
    assert isinstance(shown, str)
    assert parameter.type.convert(shown, parameter, context) == default
    if declaration.none is not None:
        assert (parameter.metavar or "").endswith("|none")
        assert f" none: {declaration.none}." in (parameter.help or "")


def test_defaults_are_shown_as_a_user_writes_them() -> None:
    shown = {parameter.name: parameter.default for parameter in serve.params}
    names = ("retention", "patience", "connect_rate", "clients_limit", "idle_time", "when_slow")
    assert [shown[name] for name in names] == ["16MiB", "30s", "100", "10000", "none", "disconnect"]


def test_when_slow_may_be_any_policy() -> None:
    (parameter,) = (each for each in serve.params if each.name == "when_slow")
    assert isinstance(parameter.type, click.Choice)
    assert list(parameter.type.choices) == policies.names()


def test_without_a_command_the_help_is_shown() -> None:
    assert "Commands:\n  serve" in CliRunner().invoke(main, []).output


def test_settings_of_a_store_need_a_store(directory: Path) -> None:
    with pytest.raises(
        Failure, match=r"without a store, --durable, --store-size, .* would have no effect; give --store"
    ):
        make_setup({**SERVED, "store": None})


def test_a_replay_that_says_nothing_names_its_option() -> None:
    result = CliRunner().invoke(main, ["serve", "--replay", "5x"])
    assert result.exit_code == 2
    assert result.output.startswith("hubbub: --replay: replay is '5x'; it must be none, all, a number of messages")
