"""What the abuse suite measures, and how large it is: in full (`make abuse`), or in short as a part of all tests."""

from __future__ import annotations

import os
from dataclasses import dataclass

FULL = bool(os.environ.get("HUBBUB_ABUSE_FULL"))
"""Whether the tests are as large and as long as they are meant to be."""


def scaled(full: int, short: int) -> int:
    """A size: that of the full form of a test, or of its short one."""
    return full if FULL else short


@dataclass(frozen=True)
class Figure:
    """One figure of one test: what was measured, what was seen, and what it must be."""

    number: int
    what: str
    seen: str
    wanted: str


_figures: list[Figure] = []


def note(number: int, what: str, seen: object, wanted: object) -> None:
    """Note a figure of test `number` for the table."""
    _figures.append(Figure(number, what, str(seen), str(wanted)))


def table() -> list[str]:
    """All figures, as lines of a Markdown table."""
    if not _figures:
        return []
    rows = [
        f"| {figure.number} | {figure.what} | {figure.seen} | {figure.wanted} |"
        for figure in sorted(_figures, key=lambda figure: figure.number)
    ]
    return ["| # | what | seen | wanted |", "|---:|---|---|---|", *rows]
