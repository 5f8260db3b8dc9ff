"""The manual pages: they say what the help says, and are well-formed."""

from __future__ import annotations

import re

import pytest

from hubbub.cli import main

from man.__main__ import FOLDER, make_pages
from support.programs import finish, require_program

PAGES = ["hubbub.1", *(f"hubbub-{name}.1" for name in main.commands)]


def test_there_is_a_page_for_each_command() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_up_to_date(page: str) -> None:
    assert (FOLDER / page).read_text() == make_pages()[page], "the help has changed: run `make man`"


@pytest.mark.parametrize("page", PAGES)
def test_mandoc_has_nothing_against_a_page(page: str) -> None:
    found = finish(require_program("mandoc"), "-T", "lint", str(FOLDER / page)).output
    # A date would make the page differ from the help each day.
    assert [line for line in found.splitlines() if "missing date" not in line] == []


def test_a_page_shows_an_option_with_its_text() -> None:
    shown = finish(require_program("mandoc"), "-T", "ascii", "-O", "width=80", str(FOLDER / "hubbub-serve.1")).output
    # Bold is a character over itself, and italic is one over a line.
    words = re.sub(".\b", "", shown).split()
    assert "--tls-cert FILE Use TLS with this certificate (PEM)." in " ".join(words)
