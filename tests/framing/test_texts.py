"""The framings of hubbub by their text."""

from __future__ import annotations

from typing import Any

import pytest

from hubbub.framing import ByteLines, Delimited, Framing, LengthPrefixed, Lines, Raw
from hubbub.framing.names import find_names
from hubbub.framing.texts import framing_of

OTHERS: list[Framing[Any]] = [
    ByteLines(),
    LengthPrefixed(2, "little"),
    Delimited(b"\r"),
    Delimited(b"'"),
    Delimited(b"'\"\\"),
    Delimited(b"\xff\n"),
]


@pytest.mark.parametrize("framing", [*(named.framing for named in find_names().values()), *OTHERS], ids=repr)
def test_a_framing_is_found_by_its_text(framing: Framing[Any]) -> None:
    assert framing_of(repr(framing)) == framing


def test_they_are_of_the_same_class() -> None:
    for framing in (Lines(), Raw()):
        assert type(framing_of(repr(framing))) is type(framing)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mine.Framing",
        "Lines()",
        "LengthPrefixed(size=3, byteorder='big')",
        "Delimited(delimiter=b'')",
        "Delimited(delimiter='a')",
        "Delimited(delimiter=b'\\x')",
        "Delimited(delimiter=b'a'b'b')",
        "Delimited(delimiter=b'a' if print() else b'b')",
        "Delimited(delimiter=b'\0')",
    ],
)
def test_another_text_is_no_framing_and_is_not_run(text: str) -> None:
    assert framing_of(text) is None
