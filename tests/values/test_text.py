"""Text from the network, made safe, and text from files."""

from __future__ import annotations

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.values.text import plain_utf8, printable

# Characters that show nothing: Default_Ignorable_Code_Point in DerivedCoreProperties.txt of Unicode 14.
INVISIBLE = {
    chr(code)
    for first, last in [
        *((0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F)),
        *((0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF)),
        *((0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF)),
    ]
    for code in range(first, last + 1)
}

# Format characters that are shown: Prepended_Concatenation_Mark in PropList.txt of Unicode 14.
SIGNS = "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"

EMOJI = {
    "a heart": "\u2764\ufe0f",
    "a heart as text": "\u2764\ufe0e",
    "a family": "👩\u200d👩\u200d👧",
    "a skin color": "\U0001f469\U0001f3fd\u200d\U0001f4bb",
    "joined after a variation selector": "\u2764\ufe0f\u200d\U0001f525",
    "a variation selector at the end": "\U0001f9d1\u200d\u2695\ufe0f",
    "a keycap": "1\ufe0f\u20e3",
    "a flag": "\U0001f1fa\U0001f1f3",
}


@pytest.mark.parametrize(
    "text", ["", "Hello, world", "naïve café", "日本語", "a\tb", "שלום", "a\u00a0b", "\\x1b", "e\u0301", SIGNS]
)
def test_what_can_do_no_harm_is_shown_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("a\r\nb", r"a\r\nb"),
        ("\x07\x00\x7f", r"\x07\x00\x7f"),
        ("a\u2028b\u2029", r"a\u2028b\u2029"),
        ("\ud800", r"\ud800"),
        ("tab\tand\x1b", "tab\tand\\x1b"),
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\\u200c\u062e"),
        ("\U0001f3f4\U000e0067\U000e007f", "\U0001f3f4\\U000e0067\\U000e007f"),
    ],
)
def test_what_could_act_on_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_what_shows_nothing_or_breaks_a_line_is_escaped_and_so_is_each_format_character_that_does() -> None:
    assert len(INVISIBLE) == 4174
    harmful = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    passing: list[str] = []
    for character in map(chr, range(sys.maxunicode + 1)):
        seen = character not in INVISIBLE and unicodedata.category(character) not in harmful
        if seen or character in SIGNS or character == "\t":
            passing.append(character)
        else:
            shown = printable(character)
            assert shown.startswith("\\"), hex(ord(character))
            assert shown.isascii()
            assert shown.isprintable()
    text = "".join(passing)
    assert printable(text) == text
    assert len(text.splitlines()) == 1


@pytest.mark.parametrize("text", EMOJI.values(), ids=EMOJI)
def test_what_shapes_an_emoji_is_left_as_it_is(text: str) -> None:
    assert printable(text) == text
    assert printable(f"a{text}b") == f"a{text}b"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u200db", r"a\u200db"),
        ("\u200d", r"\u200d"),
        ("\u200d😀", "\\u200d😀"),
        ("😀\u200d", "😀\\u200d"),
        ("😀\u200da", "😀\\u200da"),
        ("a\u200d😀", "a\\u200d😀"),
        ("😀\u200d\u200d😀", "😀\\u200d\\u200d😀"),
        ("a\ufe0f", r"a\ufe0f"),
        ("\ufe0f", r"\ufe0f"),
        ("a\ufe0f\u200d😀", "a\\ufe0f\\u200d😀"),
        ("😀\ufe0f\ufe0f\u200d😀", "😀\ufe0f\\ufe0f\\u200d😀"),
        ("😀\ufe01", "😀\\ufe01"),
        ("😀\U000e0101", "😀\\U000e0101"),
        # The last character does not stand before the first.
        ("\ufe0f😀", "\\ufe0f😀"),
    ],
)
def test_what_could_shape_an_emoji_is_escaped_elsewhere(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.one_of(st.characters(), st.sampled_from("\u200d\ufe0e\ufe0f\u20e31😀\U0001f3fd"))))
def test_what_is_shown_can_be_written_and_is_safe_already(text: str) -> None:
    shown = printable(text)
    assert printable(shown) == shown
    shown.encode()


@pytest.mark.parametrize(
    ("data", "plain"),
    [
        *(("é\n".encode(encoding), "é\n".encode()) for encoding in ("utf-8", "utf-8-sig", "utf-16")),
        (b"\xfe\xff\0a", b"a"),
        (b"", b""),
        # These begin like UTF-16 and are something else.
        (b"\xff\xfe\n", b"\xff\xfe\n"),
        (b"\xfe\xff\xd8\0", b"\xfe\xff\xd8\0"),
    ],
)
def test_the_text_of_a_file_is_what_follows_its_byte_order_mark(data: bytes, plain: bytes) -> None:
    assert plain_utf8(data) == plain
