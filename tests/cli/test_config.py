"""The configuration file of `hubbub serve`: its keys, what overrides them, and how errors are reported."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from hubbub.cli import main
from hubbub.cli.config import find_line
from hubbub.cli.failure import Failure
from hubbub.cli.serve import serve

from support.certificates import make_certificates

GOOD: dict[str, tuple[str, Any]] = {
    "app": ('"relay"', "relay"),
    "host": ('"::1"', "::1"),
    "port": ("7000", 7000),
    "framing": ('"nul"', "nul"),
    "tls-cert": ('"server.pem"', "server.pem"),
    "tls-key": ('"server_key.pem"', "server_key.pem"),
    "tls-client-ca": ('"client_ca.pem"', "client_ca.pem"),
    "allow": ('["192.0.2.0/24", "@networks"]', ("192.0.2.0/24", "@networks")),
    "deny": ("[]", ()),
    "proxy-from": ("['::1']", ("::1",)),
    "secret-file": ('"secret"', "secret"),
    "quiet": ("true", True),
    "verbose": ("false", False),
    "log-format": ('"json"', "json"),
    "pace": ('"none"', None),
    "when-slow": ('"skip"', "skip"),
    "patience": ("2.5", 2.5),
    "retention": ('"512K"', 512 * 1024),
    "notice": ('"{missed} gone"', "{missed} gone"),
    "clients-limit": ("100_000", 100_000),
    "clients-per-address": ('"none"', None),
    "clients-per-subnet": ('"5000"', 5000),
    "connect-rate": ("0.5", 0.5),
    "connect-burst": ("7", 7),
    "message-limit": ("1024", 1024),
    "message-rate": ("10", 10.0),
    "byte-rate": ('"1M"', 1024 * 1024),
    "message-time": ("5", 5.0),
    "idle-time": ('"none"', None),
    "handshake-time": ("3", 3.0),
    "unauthenticated-limit": ('"4K"', 4096),
    "drain-time": ("0", 0.0),
    "spread-time": ("4", 4.0),
    "farewell": ('"bye"', "bye"),
}
"""A good value for each key, and what it means."""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration file that is still to be written, in the working directory, with files that it may name."""
    for name in [name for name in os.environ if name.startswith("HUBBUB_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    make_certificates(tmp_path)
    Path("secret").write_text("open sesame\n")
    Path("networks").write_text("198.51.100.0/24\n")
    return Path("hubbub.toml")


def options(config: Path, *arguments: str) -> dict[str, Any]:
    """What `hubbub serve` makes of its options and the file."""
    with serve.make_context("serve", ["--config", str(config), *arguments]) as context:
        return context.params


def error(config: Path, text: str) -> str:
    """The error that a wrong file causes, without the name of the command and of the file."""
    config.write_text(text)
    # `check` does not serve, even if the file is good.
    result = CliRunner().invoke(main, ["check", str(config)])
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), result.output
    return result.stderr.removeprefix("hubbub: ").removeprefix(f"{config}, ").removesuffix("\n")


@pytest.mark.parametrize("key", GOOD)
def test_each_option_can_be_set(config: Path, key: str) -> None:
    text, value = GOOD[key]
    config.write_text(f"{key} = {text}\n")
    assert options(config)[key.replace("-", "_")] == value


def test_every_option_but_config_and_help_is_a_key(config: Path) -> None:
    config.write_text("")
    assert {key.replace("-", "_") for key in GOOD} | {"listen"} == options(config).keys()
    assert error(config, 'config = "other.toml"\n') == "line 1: there is no setting 'config'"
    assert error(config, "help = true\n") == "line 1: there is no setting 'help'"


def test_an_empty_file_says_nothing(config: Path) -> None:
    config.write_text("")
    with serve.make_context("serve", []) as context:
        assert options(config) == context.params


def test_where_to_listen_is_a_list_over_several_lines(config: Path) -> None:
    config.write_text(
        """
        listen = [
            "tcp://127.0.0.1:5000",  # for this machine
            # "tcp://[::]:5001",
            "unix:///run/hubbub.sock?mode=600",
        ]
        """
    )
    assert [url.text for url in options(config)["listen"]] == [
        "tcp://127.0.0.1:5000",
        "unix:///run/hubbub.sock?mode=600",
    ]


# What beats what.


def test_an_option_beats_a_variable_which_beats_the_file_which_beats_the_default(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text("")
    assert options(config)["patience"] == 30.0
    config.write_text("patience = 3\n")
    assert options(config)["patience"] == 3.0
    monkeypatch.setenv("HUBBUB_PATIENCE", "2")
    assert options(config)["patience"] == 2.0
    assert options(config, "--patience", "1")["patience"] == 1.0


def test_the_order_of_options_does_not_matter(config: Path) -> None:
    config.write_text('patience = 3\napp = "echo"\n')
    with serve.make_context("serve", ["relay", "--patience", "1", "--config", str(config)]) as context:
        assert (context.params["patience"], context.params["app"]) == (1.0, "relay")


def test_a_variable_may_name_the_file(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text("patience = 3\n")
    monkeypatch.setenv("HUBBUB_CONFIG", str(config))
    with serve.make_context("serve", []) as context:
        assert context.params["patience"] == 3.0


def test_a_list_of_options_takes_the_place_of_that_of_the_file(config: Path) -> None:
    config.write_text('deny = ["192.0.2.1", "192.0.2.2"]\n')
    assert options(config, "--deny", "192.0.2.3")["deny"] == ("192.0.2.3",)


# What is wrong.


def test_a_file_that_cannot_be_read_is_an_error(config: Path) -> None:
    missing = CliRunner().invoke(main, ["serve", "--config", "missing.toml"])
    assert (missing.exit_code, missing.stderr) == (2, "hubbub: cannot read missing.toml: No such file or directory\n")
    directory = CliRunner().invoke(main, ["serve", "--config", "."])
    assert (directory.exit_code, directory.stderr) == (2, "hubbub: cannot read .: Is a directory\n")


def test_a_file_that_is_not_valid_toml_is_reported_with_the_place(config: Path) -> None:
    assert error(config, "port = 1\nhost = \n") == f"{config} is not valid TOML: Invalid value (at line 2, column 8)"
    assert error(config, "port = 1\nport = 2\n").startswith(
        f"{config} is not valid TOML: Cannot overwrite a value (at line 2"
    )
    assert error(config, f"allow = {'[' * 10_000}\n").startswith(f"{config} is not valid TOML: ")
    config.write_bytes(b"port = 1 # \xff\n")
    result = CliRunner().invoke(main, ["check", str(config)])
    assert result.stderr.startswith(f"hubbub: {config} is not valid TOML: 'utf-8' codec can't decode byte 0xff")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("prot = 5000", "there is no setting 'prot'; did you mean 'port'?"),
        ("clients_limit = 5", "there is no setting 'clients_limit'; did you mean 'clients-limit'?"),
        ("x = 5", "there is no setting 'x'"),
        ("[limits]\nport = 1", "there is no setting 'limits'"),
        ("limits.port = 1", "there is no setting 'limits'"),
        ("quiet = 1", "quiet is 1; it must be true or false"),
        ("quiet = 'yes'", "quiet is 'yes'; it must be true or false"),
        ("allow = '192.0.2.1'", "allow is '192.0.2.1'; it must be a list of strings"),
        ("allow = [1, 2]", "allow is [1, 2]; it must be a list of strings"),
        ("port = true", "port is true; it must be a string or a number"),
        ("port = [5000]", "port is [5000]; it must be a string or a number"),
        ("port = {number = 1}", "port is {'number': 1}; it must be a string or a number"),
        ("port = 65536", "port: 65536 is not in the range 0<=x<=65535."),
        ("port = 'http'", "port: 'http' is not a valid integer range."),
        ("framing = 'line'", "framing: 'line' is not one of 'byte-lines', 'crlf-lines', "),
        ("tls-cert = 'missing.pem'", "tls-cert: File 'missing.pem' does not exist."),
        ("retention = '12X'", "retention: '12X' is not a size; write bytes, as in 65536, 64K or 16MiB"),
        ("retention = 8192.5", "retention: '8192.5' is not a size; write bytes, as in 65536, 64K or 16MiB"),
        ("port = inf", "port: 'inf' is not a valid integer range"),
        ("retention = 1000", "retention is 1000; it must be at least 4096"),
        ("byte-rate = 0", "byte_rate is 0; it must be at least 1"),
        ("patience = nan", "patience is nan; it must be more than 0"),
        ("patience = 0", "patience is 0.0; it must be more than 0"),
        ("notice = '{x}'", "notice is '{x}'; {missed} is the only field it may have"),
        ("deny = ['192.0.2.300']", "deny: '192.0.2.300' does not appear to be an IPv4 or IPv6 network"),
        (
            "listen = ['http://[::]:80']",
            "listen: 'http://[::]:80': it must begin with fd://, tcp://, tls:// or unix://",
        ),
    ],
)
def test_an_error_is_reported_with_its_line(config: Path, line: str, message: str) -> None:
    text = f'# a comment\n\nhost = "127.0.0.1"  # another one\n{line}\n\n'
    assert error(config, text).startswith(f"line 4: {message}")


def test_an_error_in_a_list_is_reported_with_the_line_of_the_part(config: Path) -> None:
    text = 'allow = [\n  "192.0.2.0/24",\n  # two lines below\n\n  "192.0.2.1/99",\n]\n'
    assert error(config, text).startswith("line 5: allow: '192.0.2.1/99' does not appear")


def test_an_empty_part_of_a_list_is_reported_with_its_line(config: Path) -> None:
    assert error(config, 'port = 1\nallow = [\n  "10.0.0.0/8",\n  "",\n]\n').startswith("line 4: allow: ")


def test_a_part_that_is_written_with_an_escape_is_reported_with_the_line_of_the_key(config: Path) -> None:
    assert error(config, 'port = 1\nallow = [\n  "\\u0078",\n]\n').startswith("line 2: allow: 'x' does not appear")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("port = 5000.7", "port: '5000.7' is not a valid integer range"),
        ("tls-cert = 5", "tls-cert: File '5' does not exist"),
    ],
)
def test_a_number_of_the_wrong_kind_is_reported_with_its_line(config: Path, line: str, message: str) -> None:
    assert error(config, f"\n{line}\n").startswith(f"line 2: {message}")


def test_a_value_that_an_option_overrides_is_checked_too(config: Path) -> None:
    config.write_text("\npatience = nan\n")
    with pytest.raises(Failure) as caught:
        options(config, "--patience", "1")
    assert caught.value.message == f"{config}, line 2: patience is nan; it must be more than 0"


@pytest.mark.parametrize("text", ["drain-time = 60\nspread-time = 30\n", "spread-time = 30\ndrain-time = 60\n"])
def test_settings_that_depend_on_each_other_may_be_chosen_together(config: Path, text: str) -> None:
    config.write_text(text)
    chosen = options(config)
    assert (chosen["drain_time"], chosen["spread_time"]) == (60.0, 30.0)


# Where a key is.

KEYS = [f"key-{number}" for number in range(5)]

# Values as they are written, some of which look like keys.
values = st.sampled_from(
    [
        "1",
        '"text"  # and a comment',
        '"key-3 = 1"',
        "{ a = 1, key-2 = [1, 2] }",
        "[1, 2]",
        "[\n]",
        "[\n  \"\", '',\n]",
        '[\n  "one",\n  # "key-1 = 2"\n\n  "two",\n]',
        "[\n  [1],\n  [2]]",
        '"""\nkey-4 = 1\n[key-2]\n"""',
        "'''\n'''",
        "'''key-0 = 1\n\n# no comment'''",
    ]
)
between = st.lists(st.sampled_from(["", "# key-4 = 1", "   ", "#"]), max_size=3)


@given(st.permutations(KEYS), st.lists(st.tuples(between, values), min_size=1, max_size=len(KEYS)), st.booleans())
def test_the_line_of_a_key_is_found_whatever_stands_before_it(
    keys: list[str], entries: list[tuple[list[str], str]], ends: bool
) -> None:
    lines: list[str] = []
    numbers: dict[str, int] = {}
    for key, (before, value) in zip(keys, entries, strict=False):
        lines += before
        # Lines that are blank or comments are no part of what follows.
        numbers[key] = len(lines) + 1
        lines += f"{key} = {value}".split("\n")
    text = "\n".join(lines) + ("\n" if ends else "")
    assert {key: find_line(text, key) for key in numbers} == numbers
