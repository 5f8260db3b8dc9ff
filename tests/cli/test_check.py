"""`hubbub check`: which files are good, which are not, and that it does not listen."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hubbub import Address
from hubbub.cli import main

from support.certificates import make_certificates
from support.programs import HUBBUB, finish


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with files that a configuration may name."""
    monkeypatch.chdir(tmp_path)
    make_certificates(tmp_path)
    Path("secret").write_text("open sesame\n")
    return tmp_path


def check(text: str) -> Result:
    Path("hubbub.toml").write_text(text)
    return CliRunner().invoke(main, ["check", "hubbub.toml"])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "chat on 127.0.0.1:5000"),
        ("port = 0\nhost = '::'\napp = 'echo'\n", "echo on [::]:0"),
        ("tls-cert = 'server.pem'\ntls-key = 'server_key.pem'\nsecret-file = 'secret'\n", "chat on 127.0.0.1:5000"),
        # It is never sent in a binary framing.
        (f"app = 'relay'\nframing = 'length1'\nfarewell = '{'x' * 300}'\n", "relay on 127.0.0.1:5000"),
        (
            "app = 'relay'\nlisten = ['tcp://h:1?framing=nul', 'unix:///run/x', 'fd://9', 'tls://:2?tls-cert=client.pem']\n",
            "relay on h:1, /run/x, 9, :2",
        ),
    ],
)
def test_a_good_file_is_reported_as_good(directory: Path, text: str, what: str) -> None:
    result = check(text)
    assert (result.exit_code, result.output) == (0, f"hubbub.toml is good: {what}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("port = \n", "hubbub.toml is not valid TOML: Invalid value (at line 1, column 8)"),
        ("prot = 1\n", "hubbub.toml, line 1: there is no setting 'prot'; did you mean 'port'?"),
        ("\nport = -1\n", "hubbub.toml, line 2: port: -1 is not in the range 0<=x<=65535."),
        (
            "\napp = 'no'\n",
            "hubbub.toml, line 2: there is no app 'no'; choose chat, echo, relay, or write module:handler",
        ),
        (
            "framing = 'raw'\n",
            "hubbub.toml, line 1: chat works with text only; choose --framing lines or crlf-lines, or the app relay",
        ),
        (
            "listen = ['tcp://h:1',\n 'tls://h:1']\n",
            "hubbub.toml, line 2: tls://h:1: TLS needs a certificate; give it with --tls-cert",
        ),
        (
            "listen = ['tcp://h:1']\ntls-client-ca = 'ca.pem'\n",
            "hubbub.toml, line 2: no listener speaks TLS, so --tls-... has no effect; give --tls-cert, and ",
        ),
        (
            "listen = ['tls://h:1?tls-cert=missing']\n",
            "hubbub.toml, line 1: tls://h:1?tls-cert=missing: cannot read missing: No such file or directory",
        ),
        (
            "tls-cert = 'server.pem'\n",
            "hubbub.toml, line 1: tls://127.0.0.1:5000: server.pem and its key are not valid: ",
        ),
        (
            "quiet = true\ntls-cert = 'server.pem'\ntls-key = 'other_key.pem'\n",
            "hubbub.toml, line 2: tls://127.0.0.1:5000: server.pem and its key are not valid: key values mismatch",
        ),
        (
            "secret-file = 'secret'\nlisten = ['tcp://h:1?secret-file=empty']\n",
            "hubbub.toml, line 2: tcp://h:1?secret-file=empty: there is no secret in empty; ",
        ),
        (
            "tls-cert = 'server.pem'\ntls-key = 'server_key.pem'\ntls-client-ca = './empty'\n",
            "hubbub.toml, line 3: tls://127.0.0.1:5000: empty is not a list of certificates: ",
        ),
        (
            "tls-cert = 'server.pem'\ntls-key = 'server_key.pem'\nlisten = ['tls://h:1',\n'tls://h:1?tls-client-ca=empty']\n",
            "hubbub.toml, line 4: tls://h:1?tls-client-ca=empty: empty is not a list of certificates: ",
        ),
        (
            "tls-key = 'server_key.pem'\nlisten = ['tls://h:1?tls-cert=server.pem',\n 'tls://h:1']\nquiet = true # tls://h:1\n",
            "hubbub.toml, line 3: tls://h:1: TLS needs a certificate; give it with --tls-cert",
        ),
        (
            "listen = ['tcp://h:1',\n 'tcp://h:2?room=a/b']\n",
            "hubbub.toml, line 2: listen: 'tcp://h:2?room=a/b': 'a/b' is not a name for a room; use 1 to 64 of A-Z, ",
        ),
        ("secret-file = 'empty'\n", "hubbub.toml, line 1: tcp://127.0.0.1:5000: there is no secret in empty; "),
        ("secret-file = 'missing'\n", "hubbub.toml, line 1: secret-file: File 'missing' does not exist."),
        ("deny = ['@missing']\n", "hubbub.toml, line 1: deny: cannot read the networks of missing: "),
        # Two do not go together, and either may be to blame.
        (
            "listen = ['tcp://h:1?framing=nul']\n",
            "Delimited(delimiter=b'\\x00') carries bytes, and the server's Lines(crlf=False) ",
        ),
        ("\nwhen-slow = 'skpi'\n", "hubbub.toml, line 2: when-slow: 'skpi' is not one of 'disconnect', 'skip'."),
        (
            "app = 'relay'\nframing = 'raw'\nwhen-slow = 'skip'\n",
            "hubbub.toml, line 3: notice is '[{missed} messages missed]', and the framing Raw() cannot carry it: ",
        ),
        (
            "app = 'relay'\nwhen-slow = 'skip'\nlisten = ['tcp://h:1?framing=raw']\n",
            "hubbub.toml, line 2: notice is '[{missed} messages missed]', and the framing Raw() cannot carry it: ",
        ),
        ("notice = '{0}'\n", "hubbub.toml, line 1: notice is '{0}'; {missed} is the only field it may have"),
    ],
)
def test_a_bad_file_is_one_line_that_says_what_is_wrong(directory: Path, text: str, message: str) -> None:
    Path("empty").touch()
    result = check(text)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith(f"hubbub: {message}")


def test_settings_that_only_the_server_can_refuse_are_refused(directory: Path) -> None:
    result = check('notice = "two\\nlines"\n')
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        r"hubbub: hubbub.toml, line 1: notice is 'two\nlines', and the framing Lines(crlf=False) cannot carry it: "
        "a line cannot contain a line end (LF); set notice to another text, or to none\n"
    )


def test_times_that_do_not_go_together_are_refused(directory: Path) -> None:
    result = check("drain-time = 2\nspread-time = 3\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "hubbub: hubbub.toml, line 2: spread_time is 3.0; it must be at most 2.0\n"


def test_a_missing_file_is_an_error(directory: Path) -> None:
    result = CliRunner().invoke(main, ["check", "missing.toml"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "hubbub: cannot read missing.toml: No such file or directory\n"


def test_a_variable_counts_as_it_does_for_serve(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBBUB_PORT", "7001")
    assert check("port = 7000\n").output == "hubbub.toml is good: chat on 127.0.0.1:7001\n"


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        ("HUBBUB_APP=no", "app = 'chat'\n", "there is no app 'no'; "),
        ("HUBBUB_FRAMING=raw", "app = 'chat'\n", "chat works with text only"),
        ("HUBBUB_SPREAD_TIME=3", "drain-time = 2\nlisten = ['tcp://h:1']\n", "spread_time is 3.0"),
        ("HUBBUB_SECRET_FILE=empty", "listen = ['tcp://h:1']\n", "tcp://h:1: there is no secret in empty"),
    ],
)
def test_a_variable_that_is_to_blame_is_on_no_line(
    directory: Path, monkeypatch: pytest.MonkeyPatch, variable: str, text: str, message: str
) -> None:
    Path("empty").touch()
    monkeypatch.setenv(*variable.split("="))
    assert check(text).stderr.startswith(f"hubbub: {message}")


def test_serve_names_the_same_line(directory: Path) -> None:
    Path("hubbub.toml").write_text("\nspread-time = 20\n")
    result = CliRunner().invoke(main, ["serve", "--config", "hubbub.toml"])
    assert (result.exit_code, result.stderr) == (
        2,
        "hubbub: hubbub.toml, line 2: spread_time is 20.0; it must be at most 10.0\n",
    )


def test_it_listens_nowhere(directory: Path) -> None:
    # Were it to listen, there would be an error for the one place, and a file at the other.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = Address.of(listening.getsockname()).port
        Path("hubbub.toml").write_text(f"listen = ['tcp://127.0.0.1:{port}', 'unix://socket']\n")
        finished = finish(*HUBBUB, "check", "hubbub.toml", cwd=directory)
    assert (finished.status, finished.errors) == (0, "")
    assert not Path("socket").exists()


def test_sockets_that_systemd_will_pass_are_good(tmp_path: Path) -> None:
    path = tmp_path / "hubbub.toml"
    path.write_text('listen = ["fd://systemd"]\n')
    finished = finish(*HUBBUB, "check", str(path))
    assert (finished.status, finished.errors) == (0, "")
