"""`hubbub key new`: what it writes, what it shows, and what it leaves as it is."""

from __future__ import annotations

import fcntl
import os
import re
import resource
import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import hubbub
from hubbub.cli import main

from support.keys import secret_of, write_keys
from support.programs import HUBBUB, Finished, Program, finish, hubbub_serve

KEY = (*HUBBUB, "key", "new")


def new(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["key", "new", *arguments])


def test_a_new_key_lets_in_whoever_says_what_was_shown(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    finished = finish(*KEY, "boat", f"--keys={path}", "--may", "read,write")
    words = "hubbub: the key boat may read, write in all rooms; its secret is not shown again\n"
    assert (finished.status, finished.errors) == (0, words)
    # 256 random bits, in characters that stand for themselves everywhere.
    assert re.fullmatch(r"[\w-]{43}\n", finished.output, re.ASCII)
    assert finished.output.rstrip("\n") not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with hubbub_serve("echo", f"--keys={path}") as server, server.peer() as peer:
        peer.send(f"{finished.output}Hey\n".encode())
        assert peer.line() == b"We got your message: Hey\n"


@pytest.mark.parametrize(
    ("options", "may", "rooms"),
    [
        ((), {"read"}, ("*",)),
        (("--may", "write"), {"write"}, ("*",)),
        (("--may", "read", "--may", "write,watch,read"), {"read", "write", "watch"}, ("*",)),
        (("--room", "ais", "--room", "wx-*"), {"read"}, ("ais", "wx-*")),
    ],
)
def test_a_key_allows_what_was_asked_for(
    tmp_path: Path,
    options: Sequence[str],
    may: set[str],
    rooms: tuple[str, ...],
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    path = tmp_path / "keys.toml"
    assert new("boat", f"--keys={path}", *options).exit_code == 0
    key = hubbub.Keys(path).find(capfdbinary.readouterr().out.removesuffix(b"\n"))
    assert key is not None
    assert (key.name, set(key.may), key.rooms) == ("boat", may, rooms)


@pytest.mark.parametrize("end", ["", "\n"])
def test_what_a_file_has_stays_as_it_is(tmp_path: Path, end: str) -> None:
    path = tmp_path / "keys.toml"
    write_keys(path, boat="read")
    text = f"# Who may come in.\n\n{path.read_text().rstrip()}  # the boat{end}"
    path.write_text(text)
    path.chmod(0o640)
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    assert new("shore", f"--keys={link}").exit_code == 0
    assert path.read_text().startswith(text)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert link.is_symlink()
    keys = hubbub.Keys(path)
    assert keys.find(secret_of("boat")) is not None
    assert "shore" in path.read_text()


def test_keys_that_are_made_at_once_are_all_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.touch()
    names = [f"key-{number}" for number in range(4)]
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        programs = [Program(*KEY, name, f"--keys={path}") for name in names]
        # None writes while another one may.
        assert path.read_text() == ""
    for program in programs:
        with program:
            assert program.wait() == 0, program.errors.rest()
            assert hubbub.Keys(path).find(program.output.line().removesuffix(b"\n")) is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("boat", "--keys=keys.toml"),
            "keys.toml has a key boat already; choose another name, or remove that one ",
        ),
        (("my boat", "--keys=new"), "'my boat' is not a name for a key; use 1 to 64 of A-Z, a-z, 0-9, '_' and '-'"),
        (("x", "--keys=new", "--may=red"), "--may: 'red' is not one of read, write, watch; did you mean 'read'?"),
        (("x", "--keys=new", "--may="), "--may: '' is not one of read, write, watch"),
        (("x", "--keys=new", "--room=a b"), "no room can match 'a b'; write a name or a pattern, as in wx-*"),
        (("x", "--keys=missing/new"), "--keys: cannot write missing/new: No such file or directory"),
        (("x", "--keys=secret"), "--keys: secret is not valid TOML: Expected '=' after a key in a key/value pair "),
        (("x",), "missing option '--keys'; see "),
    ],
)
def test_what_cannot_be_is_told_and_changes_nothing(directory: Path, arguments: Sequence[str], message: str) -> None:
    before = Path("keys.toml").read_bytes()
    result = new(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"hubbub: {message}")
    assert Path("keys.toml").read_bytes() == before
    assert Path("secret").read_text() == "open sesame\n"
    assert not Path("new").exists()


def test_a_file_in_another_encoding_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    text = "# Schlüssel\n".encode("utf-16")
    path.write_bytes(text)
    result = new("boat", f"--keys={path}")
    assert (result.exit_code, result.stderr.startswith(f"hubbub: --keys: {path} is not valid TOML")) == (2, True)
    assert path.read_bytes() == text


def test_a_full_disk_leaves_no_part_of_a_key(tmp_path: Path) -> None:
    path = write_keys(tmp_path / "keys.toml", boat="read")
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))
    try:
        result = new("shore", f"--keys={path}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (result.exit_code, result.stderr) == (2, f"hubbub: --keys: cannot write {path}: File too large\n")
    assert path.read_bytes() == before


def test_a_secret_that_cannot_be_shown_is_told(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    with Path("/dev/full").open("w") as full:
        finished = finish(*KEY, "boat", f"--keys={path}", stdout=full.fileno())
    message = (
        f"cannot write standard output: No space left on device; remove the key boat from {path}, and make another"
    )
    assert (finished.status, finished.errors) == (1, f"hubbub: {message} one\n")


def test_where_nobody_reads_the_secret_there_is_nobody_to_tell(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        finished = finish(*KEY, "boat", f"--keys={tmp_path}/keys.toml", stdout=pipe.fileno())
    assert finished == Finished(1, "", "")
