"""Text from the network, made safe for a terminal, a log or a page."""

from __future__ import annotations

import unicodedata
from typing import Final

# Controls move the cursor and worse (ECMA-48); surrogates cannot be written; the separators break lines.
_HARMFUL_CATEGORIES: Final = frozenset(("Cc", "Cs", "Zl", "Zp"))
# These reorder what stands around them (Unicode Standard Annex 9).
_BIDI_CONTROLS: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    r"""`text` with everything escaped that could act on a terminal instead of being shown, as in `\x1b`.

    Only the tab is left as it is. A backslash is not doubled, so what is shown cannot always be turned back.
    """
    if text.isprintable():
        return text
    return "".join([_escape(character) for character in text])


def _escape(character: str) -> str:
    if character == "\t":
        return character
    if character in _BIDI_CONTROLS or unicodedata.category(character) in _HARMFUL_CATEGORIES:
        return character.encode("unicode_escape").decode()
    return character
