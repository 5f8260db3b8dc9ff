"""The framings of hubbub by their text, which a store keeps beside the messages of each room."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Any, Final

from .byte_lines import ByteLines
from .delimited import Delimited
from .length_prefixed import LengthPrefixed
from .lines import Lines
from .raw import Raw

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .base import Framing

_OWN: Final[Sequence[Framing[Any]]] = (
    Lines(),
    Lines(crlf=True),
    ByteLines(),
    ByteLines(keepends=True),
    Raw(),
    *(LengthPrefixed(size, order) for size in (1, 2, 4) for order in ("big", "little")),
)
"""All but those of class `Delimited`, of which there is one for each delimiter."""

_BY_TEXT: Final = {repr(framing): framing for framing in _OWN}

_DELIMITED: Final = re.compile(r"Delimited\(delimiter=(b(['\"]).*\2)\)", re.ASCII)


def framing_of(text: str) -> Framing[Any] | None:
    """The framing whose `repr` is `text`; None where it is not one of hubbub's own."""
    if match := _DELIMITED.fullmatch(text):
        try:
            framing = Delimited(ast.literal_eval(match[1]))
        except (SyntaxError, TypeError, ValueError):
            return None
        return framing if repr(framing) == text else None
    return _BY_TEXT.get(text)
