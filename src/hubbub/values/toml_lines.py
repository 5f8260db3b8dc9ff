"""On which line of a TOML file something is set: Python's parser does not tell."""

from __future__ import annotations

import tomllib
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def find_line(text: str, *path: str, part: str | None = None) -> int:
    """The number of the line on which a value is set.

    It follows the longest beginning of the file that is valid TOML and does not have the value.

    Args:
        text: the file, which is valid TOML.
        path: the key of the value; before it, those of the tables that it is in.
        part: a string in the value, which may be on a later line; None: the line of the key.
    """
    lines = text.split("\n")
    # Longer beginnings never have less.
    end = bisect_left(range(len(lines)), True, key=lambda count: _has(_read(lines, count)[1], path))
    before, _ = _read(lines, end - 1)
    # An array of tables goes on wherever the next one stands.
    if lines[end - 1].lstrip().startswith("[["):
        end = len(lines)
    written = (f'"{part}"', f"'{part}'") if part is not None else ()
    for number in range(before, end):
        if any(one in lines[number] for one in written):
            return number + 1
    return before + 1


def _read(lines: Sequence[str], count: int) -> tuple[int, Any]:
    """How many of the first `count` lines are valid TOML, and what they set: the rest is the beginning of a value."""
    while True:
        try:
            return count, tomllib.loads("\n".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            count -= 1


def _has(values: Any, path: Sequence[str]) -> bool:
    """Whether there is a value at a path."""
    for key in path:
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    return True
