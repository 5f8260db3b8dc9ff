"""`hubbub check`: which files are good, which are not, and that it does not listen."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hubbub import Address
from hubbub.cli import main
from hubbub.framing import Lines

from support.programs import HUBBUB, finish
from support.store_files import Said, write_store

KEYS = "tls-cert = 'server.pem'\ntls-key = 'server_key.pem'\n"


def check(text: str) -> Result:
    Path("hubbub.toml").write_text(text)
    return CliRunner().invoke(main, ["check", "hubbub.toml"])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "chat on 127.0.0.1:5000"),
        ("port = 0\nhost = '::'\napp = 'echo'\n", "echo on [::]:0"),
        (f"{KEYS}secret-file = 'secret'\n", "chat on 127.0.0.1:5000"),
        ("keys = 'keys.toml'\nlisten = ['tcp://h:1', 'http://h:2']", "chat on h:1, h:2"),
        ("drain-time = 60\nspread-time = 30\n", "chat on 127.0.0.1:5000"),
        ("store = 'new.db'\ndurable = 'ack'\n", "chat on 127.0.0.1:5000"),
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
        (
            "store = 'nowhere/x.db'\n",
            ", line 1: cannot use the store nowhere/x.db: there is no folder nowhere; make the fol",
        ),
        (
            "store = 'server.pem'\n",
            ", line 1: cannot use the store server.pem: it is not a store of hubbub; move it away",
        ),
        ("\napp = 'no'\n", ", line 2: there is no app 'no'; choose chat, echo, relay, or write module:handler"),
        ("port = 1\r\n\r\napp = 'no'\r\n", ", line 3: there is no app 'no'; "),
        ("\nhost = 'h:1'\n", ", line 2: --host: the host is 'h:1'; give host 'h' and port 1 separately"),
        ("framing = 'raw'\n", ", line 1: chat works with text only; choose --framing lines or crlf-lines, or "),
        ("listen = ['tcp://h:1',\n 'tls://h:1']\n", ", line 2: tls://h:1: TLS needs a certificate; give it with "),
        (
            "listen = ['tcp://h:1']\ntls-client-ca = 'client_ca.pem'\n",
            ", line 2: no listener speaks TLS, so --tls-client-ca would have no effect; give --tls-cert and write ",
        ),
        (
            "tls-key = 'server_key.pem'\n",
            ", line 1: no listener speaks TLS, so --tls-key would have no effect; give --tls-cert\n",
        ),
        (
            "listen = ['tcp://h:1']\ntls-cert = 'server.pem'\n",
            ", line 2: no listener speaks TLS, so --tls-cert would have no effect; write tls:// in --listen",
        ),
        (
            "listen = ['tcp://h:1']\nallow-host = ['boat.example']\nrooms = ['wx-*']\n",
            ", line 2: no listener speaks HTTP, so --allow-host, --rooms would have no effect; write http://",
        ),
        (
            "listen = ['tls://h:1?tls-cert=missing']\n",
            ", line 1: tls://h:1?tls-cert=missing: --tls-cert: cannot read missing: No such file or directory",
        ),
        (
            "tls-cert = 'server.pem'\n",
            ", line 1: tls://127.0.0.1:5000: --tls-key: server.pem has no private key in PEM form; name the file ",
        ),
        (
            "tls-cert = 'server_key.pem'\ntls-key = 'server.pem'\n",
            ", line 2: tls://127.0.0.1:5000: --tls-key: server.pem has no private key in PEM form; swap it with ",
        ),
        (
            "quiet = true\ntls-cert = 'server.pem'\ntls-key = 'other_key.pem'\n",
            ", line 3: tls://127.0.0.1:5000: --tls-key: other_key.pem is not the key of server.pem; ",
        ),
        (
            f"{KEYS}tls-client-ca = './empty'\n",
            ", line 3: tls://127.0.0.1:5000: --tls-client-ca: empty has no certificate ",
        ),
        (
            f"{KEYS}listen = ['tls://h:1',\n'tls://h:1?tls-client-ca=empty']\n",
            ", line 4: tls://h:1?tls-client-ca=empty: --tls-client-ca: empty has no certificate ",
        ),
        (
            "tls-key = 'server_key.pem'\nlisten = ['tls://h:1?tls-cert=server.pem',\n 'tls://h:1']\nquiet = true # tls://h:1\n",
            ", line 3: tls://h:1: TLS needs a certificate; give it with --tls-cert",
        ),
        (
            "secret-file = 'secret'\nlisten = ['tcp://h:1?secret-file=empty']\n",
            ", line 2: tcp://h:1?secret-file=empty: there is no secret in empty; ",
        ),
        ("secret-file = 'empty'\n", ", line 1: tcp://127.0.0.1:5000: there is no secret in empty; "),
        (
            "\nkeys = 'secret'\n",
            ", line 2: tcp://127.0.0.1:5000: secret is not valid TOML: Expected '=' after a key in a key/value pair ",
        ),
        (
            "keys = 'keys.toml'\nsecret-file = 'secret'\n",
            ", line 1: tcp://127.0.0.1:5000: a client says one thing first: give either keys or secret-file",
        ),
        (
            "app = 'relay'\nframing = 'raw'\nwhen-slow = 'skip'\n",
            ", line 3: notice is '[{missed} messages missed]', and the framing Raw() cannot carry it: ",
        ),
        (
            "app = 'relay'\nwhen-slow = 'skip'\nlisten = ['tcp://h:1?framing=raw']\n",
            ", line 2: notice is '[{missed} messages missed]', and the framing Raw() cannot carry it: ",
        ),
        (
            'notice = "two\\nlines"\n',
            r", line 1: notice is 'two\nlines', and the framing Lines(crlf=False) cannot carry it: "
            "a line cannot contain a line end (LF); set notice to another text, or to none",
        ),
        (
            '\nfarewell = "two\\nlines"\n',
            r", line 2: farewell is 'two\nlines', and the framing cannot carry it: a line cannot ",
        ),
        ("drain-time = 2\nspread-time = 3\n", ", line 2: spread_time is 3.0; it must be at most 2.0\n"),
    ],
)
def test_a_bad_file_is_one_line_that_says_what_is_wrong(directory: Path, text: str, message: str) -> None:
    result = check(text)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith(f"hubbub: hubbub.toml{message}")


def test_a_variable_counts_as_it_does_for_serve(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBBUB_PORT", "7001")
    assert check("port = 7000\n").output == "hubbub.toml is good: chat on 127.0.0.1:7001\n"


@pytest.mark.parametrize(
    ("variable", "text", "message"),
    [
        # Two framings do not go together, and either may be to blame.
        ("HUBBUB_APP=chat", "listen = ['tcp://h:1?framing=raw']\n", "Raw() carries bytes, and the server's Lines("),
        ("HUBBUB_APP=no", "app = 'chat'\n", "there is no app 'no'; "),
        ("HUBBUB_FRAMING=raw", "app = 'chat'\n", "chat works with text only"),
        ("HUBBUB_SPREAD_TIME=3", "drain-time = 2\nlisten = ['tcp://h:1']\n", "spread_time is 3.0"),
        ("HUBBUB_SECRET_FILE=empty", "listen = ['tcp://h:1']\n", "tcp://h:1: there is no secret in empty"),
    ],
)
def test_what_no_line_is_to_blame_for_is_on_no_line(
    directory: Path, monkeypatch: pytest.MonkeyPatch, variable: str, text: str, message: str
) -> None:
    monkeypatch.setenv(*variable.split("="))
    assert check(text).stderr.startswith(f"hubbub: {message}")


def test_serve_names_the_same_line(directory: Path) -> None:
    Path("hubbub.toml").write_text("\nspread-time = 20\n")
    result = CliRunner().invoke(main, ["serve", "--config", "hubbub.toml"])
    message = "hubbub: hubbub.toml, line 2: spread_time is 20.0; it must be at most 10.0\n"
    assert (result.exit_code, result.stderr) == (2, message)


def test_it_listens_nowhere(directory: Path) -> None:
    # Were it to listen, there would be errors for the first and the last, and a file at the other.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = Address.of(listening.getsockname()).port
        Path("hubbub.toml").write_text(f"listen = ['tcp://127.0.0.1:{port}', 'unix://socket', 'fd://systemd']\n")
        finished = finish(*HUBBUB, "check", "hubbub.toml", cwd=directory)
    assert (finished.status, finished.errors) == (0, "")
    assert not Path("socket").exists()


def test_a_store_is_checked(directory: Path) -> None:
    whole = write_store(Path("log.db"), {"root": (Lines(), [Said(b"a\n")])})
    assert check("store = 'log.db'\n").exit_code == 0
    data = whole.read_bytes()
    Path("bad.db").write_bytes(data[:100] + bytes(len(data) - 100))
    Path("loop.db").symlink_to("loop.db")
    for name, reason in (("bad", "malformed"), ("loop", "too many levels of symbolic links; choose another path")):
        result = check(f"store = '{name}.db'\n")
        assert result.exit_code == 2
        assert f"line 1: cannot use the store {name}.db: " in result.output
        assert reason in result.output
