"""Text from the network, made safe for a terminal, a log or a page; and text from files, in one encoding."""

from __future__ import annotations

import re
import unicodedata
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from contextlib import suppress
from typing import Final

# Controls move the cursor and worse (ECMA-48). Surrogates cannot be written. Separators break lines. Format characters
# (Cf) are invisible, or reorder what stands around them (Unicode Standard Annex 9).
_HARMFUL_CATEGORIES: Final = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))

# The format characters that can be seen: Prepended_Concatenation_Mark in Unicode's PropList.txt.
_VISIBLE_FORMATS: Final = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)

# Other invisible characters: what Default_Ignorable_Code_Point in Unicode's DerivedCoreProperties.txt has beside Cf.
_INVISIBLE: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)

_JOINER: Final = "\u200d"
_VARIATIONS: Final = ("\ufe0e", "\ufe0f")
_KEYCAP: Final = "\u20e3"


def printable(text: str) -> str:
    r"""`text` with each character escaped that could act on a terminal, or that nobody would see, as in `\x1b`.

    Invisible characters can hide text, and make two names look the same. Of all these characters only the tab is left
    as it is, and what shapes an emoji: a joiner or variation selector next to a symbol is seen in its picture. A joiner
    between letters is escaped, although Persian and some scripts of India use it: there it changes little that is seen.

    A backslash is not doubled, so the escapes cannot always be reversed.
    """
    if text.isprintable() and (text.isascii() or not _INVISIBLE.search(text)):
        return text
    return "".join([_show(text, at) for at in range(len(text))])


def plain_utf8(data: bytes) -> bytes:
    """The bytes of a text file in UTF-8, without a byte order mark.

    Editors on Windows put that mark before UTF-8, and PowerShell 5.1 saves what it is told to in UTF-16, with its mark.
    """
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        # A file that is not UTF-16 may begin with the same two bytes.
        with suppress(UnicodeDecodeError):
            return data.decode("utf-16").encode()
    return data.removeprefix(BOM_UTF8)


def _show(text: str, at: int) -> str:
    character = text[at]
    if character == "\t" or not _is_harmful(character) or _shapes_emoji(text, at):
        return character
    return character.encode("unicode_escape").decode()


def _is_harmful(character: str) -> bool:
    if unicodedata.category(character) in _HARMFUL_CATEGORIES:
        return character not in _VISIBLE_FORMATS
    return _INVISIBLE.match(character) is not None


def _shapes_emoji(text: str, at: int) -> bool:
    """Whether the character at `at` is part of an emoji sequence (Unicode Technical Standard 51), as far as is simple.

    Python has no table of emoji. They are symbols (So), and the modifiers that give them a skin color.
    """
    before, character, after = text[at - 1 : at], text[at], text[at + 1 : at + 2]
    if character in _VARIATIONS:
        return _is_symbol(before) or after == _KEYCAP
    if character != _JOINER:
        return False
    base = text[at - 2 : at - 1] if before in _VARIATIONS else before
    return _is_symbol(base) and _is_symbol(after)


def _is_symbol(character: str) -> bool:
    return character != "" and ("\U0001f3fb" <= character <= "\U0001f3ff" or unicodedata.category(character) == "So")
