"""The configuration file of `hubbub serve`: how errors in it are reported."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from hubbub.cli import main
from hubbub.cli.failure import Failure
from hubbub.cli.serve import serve


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("port = 1\nhost = \n", " is not valid TOML: Invalid value (at line 2, column 8)"),
        ("port = 1\nport = 2\n", " is not valid TOML: Cannot overwrite a value (at line 2"),
        (f"allow = {'[' * 10_000}\n", " is not valid TOML: "),
        ("port = 1 # \udcff\n", " is not valid TOML: 'utf-8' codec can't decode byte 0xff"),
        ("\nprot = 5000", ", line 2: there is no setting 'prot'; did you mean 'port'?"),
        ("clients_limit = 5", ", line 1: there is no setting 'clients_limit'; did you mean 'clients-limit'?"),
        ("config = 'other.toml'", ", line 1: there is no setting 'config'"),
        ("help = true", ", line 1: there is no setting 'help'"),
        ("[limits]\nport = 1", ", line 1: there is no setting 'limits'"),
        ("# a comment\n\nhost = 'h'  # another\nlimits.port = 1\n\n", ", line 4: there is no setting 'limits'"),
        ("quiet = 1", ", line 1: quiet is 1; it must be true or false"),
        ("allow = '192.0.2.1'", ", line 1: allow is '192.0.2.1'; it must be a list of strings"),
        ("allow = [1, 2]", ", line 1: allow is [1, 2]; it must be a list of strings"),
        ("port = true", ", line 1: port is true; it must be a string or a number"),
        ("port = [5000]", ", line 1: port is [5000]; it must be a string or a number"),
        ("port = 65536", ", line 1: port: 65536 is not in the range 0<=x<=65535"),
        ("port = 5000.7", ", line 1: port: '5000.7' is not a valid whole number"),
        ("port = inf", ", line 1: port: 'inf' is not a valid whole number"),
        ("framing = 'line'", ", line 1: framing: 'line' is not one of 'byte-lines', 'crlf-lines', "),
        ("when-slow = 'skpi'", ", line 1: when-slow: 'skpi' is not one of 'disconnect', 'skip'"),
        ("tls-cert = 'missing.pem'", ", line 1: tls-cert: file 'missing.pem' does not exist"),
        ("tls-cert = 5", ", line 1: tls-cert: file '5' does not exist"),
        ("retention = 8192.5", ", line 1: retention: '8192.5' is not a size; write bytes, as in 65536, 64K or 16MiB"),
        ("retention = 1000", ", line 1: retention is 1000; it must be at least 4096"),
        ("patience = nan", ", line 1: patience: 'nan' is not a time; write seconds, or a unit, as in 30, 0.5s, "),
        ("patience = 0", ", line 1: patience is 0.0; it must be more than 0"),
        ("notice = '{x}'", ", line 1: notice is '{x}'; {missed} is the only field it may have"),
        ("deny = ['192.0.2.300']", ", line 1: deny: '192.0.2.300' does not appear to be an IPv4 or IPv6 network"),
        ("deny = ['@missing']", ", line 1: deny: cannot read the networks of missing: "),
        ("listen = ['ws://[::]:80']", ", line 1: listen: 'ws://[::]:80': it must begin with fd://, tcp://, "),
        # What is wrong in a list is on the line of that part, where it is found there.
        ("allow = [\n  '::1',\n  # two lines below\n\n  '::1/199',\n]", ", line 5: allow: '::1/199' does not appear"),
        ('port = 1\nallow = [\n  "10.0.0.0/8",\n  "",\n]', ", line 4: allow: "),
        ('port = 1\nallow = [\n  "\\u0078",\n]', ", line 2: allow: 'x' does not appear"),
    ],
)
def test_an_error_is_reported_with_its_line(directory: Path, text: str, message: str) -> None:
    Path("hubbub.toml").write_text(text, errors="surrogateescape")
    # `check` does not serve, even if the file is good.
    result = CliRunner().invoke(main, ["check", "hubbub.toml"])
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1), result.output
    assert result.stderr.startswith(f"hubbub: hubbub.toml{message}")


@pytest.mark.parametrize(
    ("path", "message"),
    [("missing.toml", "cannot read missing.toml: No such file or directory"), (".", "cannot read .: Is a directory")],
)
def test_a_file_that_cannot_be_read_is_an_error(directory: Path, path: str, message: str) -> None:
    result = CliRunner().invoke(main, ["serve", "--config", path])
    assert (result.exit_code, result.stderr) == (2, f"hubbub: {message}\n")


def test_a_value_that_an_option_overrides_is_checked_too(directory: Path) -> None:
    Path("hubbub.toml").write_text("\npatience = 0\n")
    with pytest.raises(Failure) as caught:
        serve.make_context("serve", ["--config", "hubbub.toml", "--patience", "1"])
    assert caught.value.message == "hubbub.toml, line 2: patience is 0.0; it must be more than 0"
