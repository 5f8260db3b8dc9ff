"""The walkthrough: its pages show what happens, and its programs are those that the pages quote."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from support.pages import ROOT, check_links, check_listing, set_up_desk
from support.programs import require_program
from support.transcripts import Mismatch, Numbers, parse, replay

PAGES = sorted((ROOT / "docs" / "walkthrough").glob("*.md"))
EXAMPLES = sorted((ROOT / "examples" / "walkthrough").glob("*.py"))

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
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_the_transcripts_are_what_happens(page: Path, desk: Path) -> None:
    replay(parse(page.read_text()), desk)


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
                check_listing(block.argument, block.lines)
            case "sh":
                for line in block.lines:
                    assert re.fullmatch(r"make \w+", line)
                    assert f"\n{line.removeprefix('make ')}:" in makefile
            case _:
                pytest.fail(f"line {block.number}: a block of kind {block.kind!r} is not checked")


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example.stem))
def test_each_program_is_quoted_whole_and_can_be_executed(example: Path) -> None:
    page = _read(f"{example.stem.replace('_', '-').replace('setup', 'set-up')}.md")
    assert example.read_text().splitlines() in [block.lines for block in parse(page)]
    assert os.access(example, os.X_OK)
    assert example.read_text().startswith("#!/usr/bin/env python3\n")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_links_lead_somewhere(page: Path) -> None:
    check_links(page)


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
