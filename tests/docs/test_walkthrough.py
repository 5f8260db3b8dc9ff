"""The walkthrough: its pages show what happens, and its programs are those that the pages quote."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.pages import ROOT, check_listing, set_up_desk
from support.programs import Finished, Program, environment, finish, require_program
from support.transcripts import Mismatch, Numbers, parse, replay

PAGES = sorted((ROOT / "docs" / "walkthrough").glob("*.md"))
OWN_SERVER = ROOT / "docs" / "walkthrough" / "05-your-own-server.md"
EXAMPLES = sorted((ROOT / "examples" / "walkthrough").glob("*.py"))
GREETER = ROOT / "examples" / "walkthrough" / "05_greeter.py"
SERVERS = [example for example in EXAMPLES if example != GREETER]

PORTS = (5000, 5001)
"""Those that the pages use."""


@pytest.fixture
def desk(tmp_path: Path, default_port: None) -> Path:
    """A directory with what the pages' commands name, and nobody on the ports; a clone, as far as they can see."""
    for program in ("bash", "ss", "telnet", "od"):
        require_program(program)
    return set_up_desk(tmp_path, PORTS)


def _read(name: str) -> str:
    return (ROOT / "docs" / "walkthrough" / name).read_text()


@pytest.mark.real
@pytest.mark.parametrize("page", [page for page in PAGES if page != OWN_SERVER], ids=lambda page: str(page.stem))
def test_the_transcripts_are_what_happens(page: Path, desk: Path) -> None:
    replay(parse(page.read_text()), desk)


@pytest.mark.real
@pytest.mark.long
def test_the_transcripts_of_your_own_server_are_what_happens(desk: Path) -> None:
    replay(parse(OWN_SERVER.read_text()), desk)


@pytest.mark.long
def test_the_commands_for_a_folder_of_your_own_install_hubbub_there(tmp_path: Path) -> None:
    clone = tmp_path / "hubbub"
    shutil.copytree(ROOT / "src", clone / "src")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone)
    [block] = [block for block in parse(OWN_SERVER.read_text()) if block.kind == "sh"]
    env = environment({"PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"})
    subprocess.run(["bash", "-ec", "\n".join(block.lines)], cwd=clone, env=env, check=True, timeout=100)
    own = tmp_path / "my-chat"
    finished = finish(str(own / ".venv" / "bin" / "python"), "-c", "import hubbub; print(hubbub.__file__)", cwd=own)
    assert finished.output.startswith(str(own))


@pytest.mark.real
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("54052 said: Hey", "54052 says: Hey"),  # a word
        ("54052 said: Hey", "54053 said: Hey"),  # another port than before
        ("\nConnection closed.", ""),  # a line too few
        ("\nWe got your message: Hey", "\nHey\nWe got your message: Hey"),  # a line too many
        ("\nHey ⏎", "\nHo ⏎"),  # something else typed
    ],
)
def test_a_wrong_transcript_is_noticed(right: str, wrong: str, desk: Path) -> None:
    text = _read("02-messages.md")
    assert right in text
    with pytest.raises(Mismatch):
        replay(parse(text.replace(right, wrong, 1)), desk)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_everything_in_a_block_is_checked(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for block in parse(page.read_text()):
        match block.kind:
            case "console":
                assert block.argument
            case "python":
                check_listing(block.path, block.lines)
            case "sh" if page == OWN_SERVER:
                pass  # They have a test of their own, which runs them.
            case "sh":
                for line in block.lines:
                    assert re.fullmatch(r"make \w+", line)
                    assert f"\n{line.removeprefix('make ')}:" in makefile
            case _:
                pytest.fail(f"line {block.number}: a block of kind {block.kind!r} is not checked")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example.stem))
def test_the_pieces_on_its_page_add_up_to_each_program(example: Path) -> None:
    [page] = [page for page in PAGES if page.name[:2] == example.name[:2]]
    listings = [block for block in parse(page.read_text()) if block.kind == "python"]
    [*_, last] = [block for block in listings if ROOT / block.path == example]
    shown: dict[str, str] = {}
    for block in listings[: listings.index(last) + 1]:
        if block.own_file == last.own_file:
            # A function that is shown again replaces the one before.
            shown |= _pieces("\n".join(block.lines))
    program = _pieces(example.read_text())
    assert shown | program == shown


def _pieces(program: str) -> dict[str, str]:
    """The parts of a program that stand at its top level, each by its beginning."""
    return {piece.partition("(")[0]: piece for piece in program.strip("\n").split("\n\n\n")}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example.stem))
def test_each_program_can_be_executed(example: Path) -> None:
    assert os.access(example, os.X_OK)
    assert example.read_text().startswith("#!/usr/bin/env python3\n")


@pytest.mark.parametrize("example", SERVERS, ids=lambda example: str(example.stem))
def test_each_server_listens_on_hubbub_port_and_a_port_in_use_is_one_line(example: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        finished = finish(sys.executable, str(example), cwd=tmp_path, env={"HUBBUB_PORT": str(port)})
    advice = "stop the program that listens there, or choose another port"
    errors = f"cannot listen on 127.0.0.1:{port}: Address already in use; {advice}\n"
    assert finished == Finished(status=1, output="", errors=errors)


def test_the_client_connects_to_hubbub_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        env = {"HUBBUB_PORT": str(listening.getsockname()[1])}
        with Program(sys.executable, str(GREETER), env=env) as greeter, listening.accept()[0] as server:
            said = server.makefile()
            assert said.readline() == "Greeter\n"
            server.sendall(b"earlier: Bob has come.\nBob: Zoe has come.\nAnn has come.\n")
            assert said.readline() == "Welcome, Ann!\n"
            server.shutdown(socket.SHUT_WR)
            assert said.read() == ""
            assert greeter.wait() == 0


def test_a_block_without_an_end_is_an_error() -> None:
    with pytest.raises(ValueError, match="line 2"):
        parse("Text.\n```sh\nmake serve\n")


def test_tables_are_compared_without_the_order_of_rows_and_the_width_of_columns() -> None:
    page = ["State  Peer Address:Port Process", "ESTAB  0 127.0.0.1:54052", "ESTAB 26 127.0.0.1:54054"]
    run = ["State Peer Address:PortProcess", "ESTAB    26   127.0.0.1:40003", "ESTAB    0    127.0.0.1:40001"]
    assert Numbers().match_table(page, run)
    assert not Numbers().match_table(page, run[:2])
    assert not Numbers().match_table(page, [run[0], run[1], run[1]])
    assert not Numbers().match_table(page, [run[0], run[1], "TIME-WAIT 0 127.0.0.1:40001"])
    assert not Numbers().match_table([], run)


@pytest.mark.real
def test_a_number_that_nothing_has_shown_is_not_typed(desk: Path) -> None:
    with pytest.raises(Mismatch, match="is about"):
        replay(parse("```console shell\n$ kill -KILL 999999999\n```\n"), desk)


def test_a_missing_program_skips_the_test_or_fails_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUBBUB_TESTS_REQUIRE_PROGRAMS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed"):
        require_program("no-such-program")
    monkeypatch.setenv("HUBBUB_TESTS_REQUIRE_PROGRAMS", "1")
    with pytest.raises(pytest.fail.Exception, match="no-such-program is not installed"):
        require_program("no-such-program")
