"""Text from the network, made safe."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.values.text import printable

ALL_CHARACTERS = [chr(code) for code in range(sys.maxunicode + 1)]


@pytest.mark.parametrize(
    "text", ["", "Hello, world", "naïve café", "日本語", "👩\u200d👩\u200d👧", "a\tb", "שלום", "a\u00a0b", "\\x1b"]
)
def test_what_can_do_no_harm_is_shown_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("a\r\nb", r"a\r\nb"),
        ("\x9b31m", r"\x9b31m"),
        ("\x07\x00\x7f", r"\x07\x00\x7f"),
        ("a\u2028b\u2029", r"a\u2028b\u2029"),
        ("user\u202egnp.exe", r"user\u202egnp.exe"),
        ("\ud800", r"\ud800"),
        ("tab\tand\x1b", "tab\tand\\x1b"),
    ],
)
def test_what_could_act_on_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_no_control_character_passes_but_the_tab() -> None:
    controls = [character for character in ALL_CHARACTERS if unicodedata.category(character) == "Cc"]
    assert [character for character in controls if printable(character) == character] == ["\t"]


def test_nothing_that_reorders_its_surroundings_passes() -> None:
    reordering = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    for character in ALL_CHARACTERS:
        if unicodedata.bidirectional(character) in reordering or character in "\u061c\u200e\u200f":
            assert printable(character).isascii()


def test_nothing_that_breaks_a_line_passes() -> None:
    assert len(printable("".join(ALL_CHARACTERS)).splitlines()) == 1


@given(st.text(st.characters()))
@settings(max_examples=100, deadline=None)
def test_what_is_shown_can_be_written_and_is_safe_already(text: str) -> None:
    shown = printable(text)
    assert printable(shown) == shown
    shown.encode()
