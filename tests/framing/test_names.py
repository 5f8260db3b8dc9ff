"""The names of framings on the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hubbub import framing
from hubbub.framing import ByteLines, Delimited, LengthPrefixed, Lines, Raw
from hubbub.framing.names import find_names

SHOUTED = """
from .base import Named
from .delimited import Delimited

NAMES = {"{name}": Named(Delimited(b"!"), "what is shouted")}
"""


@pytest.fixture
def add_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Adds a file to the folder of framings, for one test."""

    def add(text: str) -> None:
        (tmp_path / "shouted.py").write_text(text)
        monkeypatch.setattr(framing, "__path__", [*framing.__path__, str(tmp_path)])

    yield add
    sys.modules.pop("hubbub.framing.shouted", None)
    vars(framing).pop("shouted", None)


def test_the_framings_have_their_names() -> None:
    assert {name: named.framing for name, named in find_names().items()} == {
        "lines": Lines(),
        "crlf-lines": Lines(crlf=True),
        "byte-lines": ByteLines(keepends=True),
        "nul": Delimited(b"\0"),
        "length1": LengthPrefixed(1),
        "length2": LengthPrefixed(2),
        "length2-le": LengthPrefixed(2, "little"),
        "length4": LengthPrefixed(4),
        "length4-le": LengthPrefixed(4, "little"),
        "raw": Raw(),
    }


def test_names_are_sorted_and_each_is_explained_in_a_line() -> None:
    names = find_names()
    assert list(names) == sorted(names)
    for named in names.values():
        assert named.help
        assert "\n" not in named.help


def test_a_new_framing_is_a_new_file(add_file: Callable[[str], None]) -> None:
    add_file(SHOUTED.replace("{name}", "shouted"))
    assert find_names()["shouted"] == (Delimited(b"!"), "what is shouted")
    assert "lines" in find_names()


def test_a_framing_need_not_have_a_name(add_file: Callable[[str], None]) -> None:
    before = find_names()
    add_file("")
    assert find_names() == before


def test_two_framings_cannot_have_the_same_name(add_file: Callable[[str], None]) -> None:
    add_file(SHOUTED.replace("{name}", "raw"))
    with pytest.raises(ValueError, match=r"shouted\.py declares 'raw', which another framing has"):
        find_names()
