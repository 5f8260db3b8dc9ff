"""The columns of `hubbub top`: how rows are sorted, found and written. It does no I/O."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..values.units import readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
GAP: Final = "  "

CUT: Final = "~"
"""Stands for the rest of a text that has no place. It is ASCII, as all that is drawn but names: some terminals know no
more."""

NAME_WIDTH: Final = 24
"""How wide a name may be while others have to give way: an IPv4 address with its port has 21 characters."""

UNKNOWN: Final = "-"


def count(number: float | None) -> str:
    """A count, or so many a second, in up to 7 characters."""
    if number is None:
        return UNKNOWN
    for unit, size in (("G", 1e9), ("M", 1e6)):
        if number >= size:
            return f"{number / size:,.1f}{unit}"
    return f"{number:.1f}" if 0 < number < 10 and number != int(number) else f"{number:,.0f}"


def size(number: float | None) -> str:
    """A number of bytes, or so many a second."""
    return UNKNOWN if number is None else readable(round(number))


def age(seconds: float) -> str:
    """A time in up to two units."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours:02}h"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A column of a table.

    Attributes:
        letter: the key that sorts by it.
        title: what stands above it.
        cell: what a row has there, as text.
        order: what rows are sorted by.
        width: of a number, which is on the right; None: it is a text, and as wide as the widest one.
        rank: the higher, the earlier it gives way where a terminal is narrow.
        looks: how many looks it needs.
    """

    letter: str
    title: str
    cell: Callable[[Any], str]
    order: Callable[[Any], Any]
    width: int | None
    rank: int
    looks: int = 1

    @property
    def is_number(self) -> bool:
        """Whether the largest comes first, and is on the right."""
        return self.width is not None


def _text(letter: str, title: str, value: Callable[[Any], str], *, rank: int) -> Column:
    return Column(letter, title, value, value, None, rank)


def _number(
    letter: str,
    title: str,
    value: Callable[[Any], float | None],
    written: Callable[[Any], str],
    *,
    rank: int,
    width: int = 8,
    looks: int = 1,
) -> Column:
    def order(row: Any) -> float:
        number = value(row)
        return -1.0 if number is None else number

    return Column(letter, title, lambda row: written(value(row)), order, width, rank, looks)


ROOMS: Final = (
    _text("n", "ROOM", lambda row: row.name, rank=0),
    _number("e", "READERS", lambda row: row.readers, count, rank=2),
    _number("s", "SAID/s", lambda row: row.rate.messages, count, rank=1),
    _number("b", "BYTES/s", lambda row: row.rate.bytes, size, rank=3, width=10),
    _number("m", "MESSAGES", lambda row: row.messages, count, rank=4),
    _number("z", "SIZE", lambda row: row.bytes, size, rank=6, width=10),
    _number("t", "RETAINED", lambda row: row.retained, size, rank=5, width=10),
)

CONNECTIONS: Final = (
    _text("n", "CONNECTION", lambda row: row.name, rank=0),
    _text("k", "KEY", lambda row: row.key, rank=5),
    _text("v", "VIA", lambda row: row.via, rank=8),
    _text("o", "ROLE", lambda row: row.role, rank=7),
    _text("m", "ROOM", lambda row: row.room, rank=4),
    _number("a", "AGE", lambda row: row.age, age, rank=6, width=6),
    _number("l", "LAG", lambda row: row.lag, count, rank=1, width=7),
    _number("z", "LAG SIZE", lambda row: row.lag_bytes, size, rank=9, width=10),
    _number("h", "HEARD/s", lambda row: row.heard_rate, count, rank=3, width=7, looks=2),
    _number("s", "SAID/s", lambda row: row.said_rate, size, rank=2, width=9, looks=2),
)


def sort(rows: Iterable[Any], column: Column, *, backwards: bool) -> list[Any]:
    """The rows by a column: the largest number first, or the first text. Rows that are equal stay as they come."""
    return sorted(rows, key=column.order, reverse=column.is_number != backwards)


def find(rows: Iterable[Any], columns: Sequence[Column], text: str) -> list[Any]:
    """The rows that have a text in one of their text columns, in capitals or not."""
    cells = [column.cell for column in columns if not column.is_number]
    wanted = text.casefold()
    return [row for row in rows if any(wanted in cell(row).casefold() for cell in cells)]


def widths_of(columns: Sequence[Column], rows: Iterable[Any]) -> Mapping[Column, int]:
    """How wide each column is when nothing is cut."""
    rows = list(rows)
    return {column: _width(column, rows) for column in columns}


class Layout:
    """Which columns have a place, and how wide they are.

    Args:
        widths: of all columns, from left to right. The first one always has a place.
        width: how wide the table may be; None: as wide as it is.
        wanted: the column that has a place before others.

    Attributes:
        columns: those that have a place.
    """

    def __init__(self, widths: Mapping[Column, int], width: int | None = None, wanted: Column | None = None) -> None:
        self.columns = list(widths)
        self._widths = dict(widths)
        if width is None:
            return
        first, *others = widths
        left = width - min(widths[first], NAME_WIDTH, width)
        taken = {first}
        for column in sorted(others, key=lambda column: (column is not wanted, column.rank)):
            if len(GAP) + widths[column] <= left:
                left -= len(GAP) + widths[column]
                taken.add(column)
        self.columns = [column for column in widths if column in taken]
        # What is left, a long name may have.
        self._widths[first] = min(widths[first], width, NAME_WIDTH + left)

    def titles(self) -> str:
        """The line above the rows."""
        return self._line(column.title for column in self.columns)

    def line(self, row: Any) -> str:
        """A row."""
        return self._line(column.cell(row) for column in self.columns)

    def _line(self, cells: Iterable[str]) -> str:
        fitted = (
            fit(cell, self._widths[column], right=column.is_number)
            for column, cell in zip(self.columns, cells, strict=True)
        )
        return GAP.join(fitted).rstrip()


def _width(column: Column, rows: Sequence[Any]) -> int:
    if column.width is not None:
        return max(column.width, len(column.title))
    # Most have the same few texts, and those of thousands of names are short work.
    return max(map(columns_of, {column.title, *map(column.cell, rows)}))


def fit(text: str, width: int, *, right: bool = False) -> str:
    """A text that takes so many columns of a terminal: cut, or with spaces."""
    missing = width - columns_of(text)
    if missing < 0:
        text = cut(text, width)
        missing = width - columns_of(text)
    return " " * missing + text if right else text + " " * missing


def cut(text: str, width: int) -> str:
    """A text that takes no more columns of a terminal than that."""
    if columns_of(text) <= width:
        return text
    if width < len(CUT):
        return ""
    kept = text[:width]
    while columns_of(kept) > width - len(CUT):
        kept = kept[:-1]
    return kept + CUT


def columns_of(text: str) -> int:
    """How many columns of a terminal a text takes, as far as Unicode says it (Standard Annex 11)."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
