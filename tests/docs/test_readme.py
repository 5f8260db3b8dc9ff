"""The front pages: what they show runs, and their figures are those of the bench."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from hubbub import Address
from hubbub.cli import main

from bench.catalogue import LIMIT
from bench.goals import Ratio
from bench.report import Report, write_tables
from bench.scenarios import SCENARIOS
from support.programs import Program, finish, refuses, require_program, wait_until
from support.terminals import Terminal
from support.transcripts import parse

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "bench" / "results"
README = (ROOT / "README.md").read_text()


def blocks(kind: str, containing: str = "") -> list[str]:
    """The blocks of the README of that kind that contain a text."""
    texts = ["\n".join(block.lines) for block in parse(README) if block.kind == kind]
    return [text for text in texts if containing in text]


def commands() -> list[str]:
    """The lines of shell in the README, continued lines put together."""
    return [line for block in blocks("sh") for line in block.replace("\\\n", "").splitlines()]


def see(terminal: Terminal, text: str) -> str:
    """The next line in a terminal that contains `text`."""
    while text not in (line := terminal.read_line()):
        assert line, f"no {text!r}, but {terminal.unread!r}"
    return line


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, default_port: None) -> None:
    """`hubbub` is a command, and the ports that it has by default are free."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    wait_until(lambda: refuses(Address("127.0.0.1", 5000)), "free port 5000")


@contextmanager
def shell(command: str, directory: Path) -> Iterator[Program]:
    """A command in a shell, which becomes that command."""
    with Program("bash", "-c", f"exec {command}", cwd=directory) as program:
        yield program


@pytest.mark.real
@pytest.mark.usefixtures("installed")
def test_the_python_serves_telnet_escapes_what_others_say_and_tells_of_a_leave_to_the_others_only(
    tmp_path: Path,
) -> None:
    for program in ("bash", "nc", "telnet"):
        require_program(program)
    (code,) = blocks("python")
    (tmp_path / "server.py").write_text(code)
    with Program(sys.executable, "server.py", cwd=tmp_path), Terminal(tmp_path) as terminal:
        wait_until(lambda: not refuses(Address("127.0.0.1", 5000)), "server on port 5000")
        terminal.type("telnet 127.0.0.1 5000\n")
        see(terminal, "Escape character")
        left = finish("nc", "-N", "127.0.0.1", "5000", input=b"\x1b[2JBoo\n")
        assert left.status == 0
        # It may still hear that telnet has connected.
        assert "disconnected" not in left.output
        name, _, text = see(terminal, " says: ").partition(" says: ")
        assert text == r"\x1b[2JBoo"
        assert terminal.read_line() == f"{name} disconnected."


def test_the_figures_are_those_of_the_bench() -> None:
    report = Report.load(RESULTS / "results.json")
    nats, redis, limit = (
        Ratio("fan-out", "1,000 readers", "deliveries_per_s", 0, peer=peer).measure(report)
        for peer in ("NATS", "Redis", LIMIT)
    )
    answers = Ratio("echo", "1 connection", "answers_per_s", 0, peer="asyncio streams").measure(report)
    connections = Ratio("connect", "64 at a time", "connections_per_s", 0, peer="Redis").measure(report)
    assert connections is not None
    assert answers is not None
    memory = report.find("idle", "10,000 idle", "hubbub").figure("bytes_per_connection")
    assert memory is not None
    text = " ".join(README.split())
    assert f"delivers {nats:.3g} times as much as NATS, {redis:.3g} times as much as Redis, and {limit:.3g}" in text
    assert f"An idle connection takes {memory.median / 1000:.1f} KB." in text
    assert f"gets {1 / answers:.3g} times as many answers" in text
    assert f"accepts connections at {connections:.3g} times the rate of Redis" in text


def test_the_tables_of_the_bench_are_those_of_its_results() -> None:
    assert (RESULTS / "README.md").read_text() == write_tables(Report.load(RESULTS / "results.json"), SCENARIOS)


def test_every_command_can_be_pasted_into_any_shell_and_is_one_that_there_is() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for line in commands():
        # bash lets pass what matches no file, and zsh does not.
        bare = re.sub(r"'[^']*'|\"[^\"]*\"|#.*", "", line)
        assert not re.search(r"[][?*{}~$!]", bare), line
        program, *words = shlex.split(line, comments=True)
        if program == "make":
            assert f"\n{words[0]}:" in makefile
        if program == "hubbub":
            command = main.commands[words[0]]
            command.make_parser(click.Context(command)).parse_args(words[1:])


@pytest.mark.real
@pytest.mark.usefixtures("installed")
def test_curl_reads_and_says_what_the_examples_promise(tmp_path: Path) -> None:
    for program in ("bash", "curl"):
        require_program(program)
    (serve,) = blocks("sh", "--listen http:")
    read, say = blocks("sh", "curl ")
    with Terminal(tmp_path) as terminal:
        terminal.type(f"{serve}\n")
        see(terminal, "Server started at: http://")
        with shell(read, tmp_path) as reader:
            # It hears what is said once it has connected.
            wait_until(lambda: not finish("bash", "-c", say).status and bool(reader.output.unread), "what curl said")
            assert reader.output.line() == b"Hello from curl\n"


@pytest.mark.long
@pytest.mark.real
@pytest.mark.usefixtures("installed")
def test_the_example_of_tls_runs_as_it_is_written_in_an_empty_folder(tmp_path: Path) -> None:
    for program in ("bash", "openssl", "ncat"):
        require_program(program)
    (serve,) = blocks("sh", "openssl")
    (connect,) = blocks("sh", "hubbub connect")
    with Terminal(tmp_path) as terminal:
        terminal.type(f"{serve}\n")
        see(terminal, "Server started at: tls://")
        ncat = "ncat --ssl localhost 5443"
        assert f"`{ncat}`" in README
        with shell(connect, tmp_path) as reader, shell(ncat, tmp_path) as other:
            other.send(b"open sesame\n")
            see(terminal, " connected.")
            see(terminal, " connected.")
            reader.send(b"Hey\n")
            assert other.output.line() == b"Hey\n"
            other.send(b"Ho\n")
            assert reader.output.line() == b"Ho\n"
