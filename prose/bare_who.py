"""The one rule that Harper's own language cannot express, since it knows no start of a clause."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

CODE: Final = re.compile(r"^( *)```.*?^\1```|`[^`\n]+`", re.DOTALL | re.MULTILINE)

START_OF_CLAUSE: Final = r"\A|\n\s*\n|[.:;,(>-]|\b(?:by|for|from|of|than|to|with)\b"
# A question may begin with "who", and so may a heading or a cell of a table.
BARE_WHO: Final = re.compile(rf"(?:{START_OF_CLAUSE})\s*\b(who) (?!it is for)(?=\w)(?![^.]*\?)", re.IGNORECASE)


def find_bare_who(page: str) -> Iterator[int]:
    """Where a clause begins with "who" and so lacks its noun: "who connects waits"."""
    prose = CODE.sub(lambda code: re.sub(r"\S", "_", code[0]), page)
    return (found.start(1) for found in BARE_WHO.finditer(prose))
