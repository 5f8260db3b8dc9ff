"""What the abuse suite measures, and how large it is: in full (`make abuse`), or in short as a part of all tests."""

from __future__ import annotations

import os
from operator import itemgetter

FULL = bool(os.environ.get("HUBBUB_ABUSE_FULL"))
"""Whether the tests are as large and as long as they are meant to be."""


def scaled(full: int, short: int) -> int:
    """A size: that of the full form of a test, or of its short one."""
    return full if FULL else short


_figures: list[tuple[int, str]] = []


def note(number: int, what: str, seen: object, wanted: object) -> None:
    """Note a figure of test `number` for the table: what was measured, what was seen, and what it must be."""
    _figures.append((number, f"| {number} | {what} | {seen} | {wanted} |"))


def table() -> list[str]:
    """All figures, as lines of a Markdown table."""
    rows = [row for _, row in sorted(_figures, key=itemgetter(0))]
    return ["| # | what | seen | wanted |", "|---:|---|---|---|", *rows] if rows else []
