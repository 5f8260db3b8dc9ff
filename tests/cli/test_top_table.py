"""The columns of `hubbub top`: numbers as text, sorting, finding, and what fits into a terminal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.cli.top_table import (
    CONNECTIONS,
    ROOMS,
    Column,
    Layout,
    age,
    columns_of,
    count,
    cut,
    find,
    fit,
    size,
    sort,
    widths_of,
)

from support.states import connection, look, room

STATE = look(
    connection(1, name="192.0.2.1:9", key="boat", via="sse", lag={"messages": 7, "bytes": 4096}),
    connection(2, name="unix", room="wx-1", age=100_000),
    connection(3, name="[2001:db8::1]:5000", key="desk", role="read", lag={"messages": 70, "bytes": 9}),
    rooms=[room("root", readers=3), room("\u65e5\u672c", messages=9), room("wx-1", bytes=70)],
)
ROWS: dict[tuple[Column, ...], list[Any]] = {
    CONNECTIONS: list(STATE.connections.values()),
    ROOMS: list(STATE.rooms.values()),
}

columns = st.sampled_from([*CONNECTIONS, *ROOMS])
texts = st.text(st.characters(categories=["L", "M", "N", "S", "Zs"]))


def of(column: Column) -> tuple[Column, ...]:
    """The columns of its table."""
    return CONNECTIONS if column in CONNECTIONS else ROOMS


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (7, "7"), (0.04, "0.0"), (2.5, "2.5"), (12.5, "12"), (999_999, "999,999"), (1_500_000, "1.5M")],
)
def test_a_count_is_short(number: float, text: str) -> None:
    assert count(number) == text


def test_what_is_not_known_is_a_dash() -> None:
    assert (count(None), size(None), count(3e9), size(2048.4)) == ("-", "-", "3.0G", "2.0 KiB")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.9, "0s"), (59, "59s"), (65, "1m05s"), (7_260, "2h01m"), (90_000, "1d01h"), (8_640_000, "100d00h")],
)
def test_an_age_has_two_units_at_most(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize("table", [CONNECTIONS, ROOMS], ids=["connections", "rooms"])
def test_each_column_has_its_own_letter_and_none_that_means_something_else(table: tuple[Column, ...]) -> None:
    letters = [column.letter for column in table]
    assert len({*letters, "q", "r", "/"}) == len(letters) + 3


@given(columns, st.booleans())
def test_sorting_puts_the_largest_number_or_the_first_text_above(column: Column, backwards: bool) -> None:
    rows = ROWS[of(column)]
    keys = [column.order(row) for row in sort(rows, column, backwards=backwards)]
    assert keys == sorted(map(column.order, rows), reverse=column.is_number is not backwards)


def test_rows_that_are_equal_stay_in_their_order() -> None:
    rows = ROWS[CONNECTIONS]
    (heard,) = (column for column in CONNECTIONS if column.title == "HEARD/s")
    assert sort(rows, heard, backwards=False) == sort(rows, heard, backwards=True) == rows


@pytest.mark.parametrize(
    ("text", "found"),
    [("BOAT", [0]), ("192", [0]), ("wx", [1]), ("read", [2]), ("", [0, 1, 2]), ("4096", []), ("s", [0, 2])],
)
def test_rows_are_found_by_any_of_their_texts(text: str, found: list[int]) -> None:
    rows = ROWS[CONNECTIONS]
    assert find(rows, CONNECTIONS, text) == [rows[number] for number in found]


@given(texts, st.integers(0, 30), st.booleans())
def test_a_text_is_fitted_to_the_column(text: str, width: int, right: bool) -> None:
    fitted = fit(text, width, right=right)
    assert columns_of(fitted) == width
    assert columns_of(cut(text, width)) <= width
    if columns_of(text) <= width:
        assert cut(text, width) == text
        assert fitted.strip() == text.strip()


def test_characters_of_two_columns_and_of_none_are_counted() -> None:
    assert columns_of("\u65e5\u672c") == 4
    assert columns_of("e\u0301") == 1
    assert cut("\u65e5\u672c", 3) == "\u65e5~"


@given(columns, st.integers(1, 160))
def test_a_table_is_no_wider_than_the_terminal_and_has_the_column_by_which_it_is_sorted(
    column: Column, width: int
) -> None:
    table = of(column)
    layout = Layout(widths_of(table, ROWS[table]), width, column)
    assert layout.columns[0] is table[0]
    if width >= 40:
        assert column in layout.columns
    assert all(columns_of(line) <= width for line in [layout.titles(), *map(layout.line, ROWS[table])])


def test_a_wide_terminal_shows_all_columns_and_whole_names() -> None:
    layout = Layout(widths_of(CONNECTIONS, ROWS[CONNECTIONS]), 200)
    assert layout.columns == list(CONNECTIONS)
    assert [layout.titles(), *map(layout.line, ROWS[CONNECTIONS])] == [
        "CONNECTION          KEY   VIA  ROLE  ROOM     AGE      LAG    LAG SIZE  HEARD/s     SAID/s",
        "192.0.2.1:9         boat  sse  both  root      1s        7     4.0 KiB        -          -",
        "unix                -     tcp  both  wx-1   1d03h        0         0 B        -          -",
        "[2001:db8::1]:5000  desk  tcp  read  root      1s       70         9 B        -          -",
    ]


def test_a_long_name_gives_way_to_other_columns_but_takes_what_they_leave() -> None:
    long = list(look(connection(name="x" * 60)).connections.values())
    for width in (60, 80, 100):
        layout = Layout(widths_of(CONNECTIONS, long), width)
        line = layout.line(long[0])
        assert line.startswith("x" * 23)
        assert columns_of(line) <= width
    assert Layout(widths_of(CONNECTIONS, long), 200).line(long[0]).startswith("x" * 60)
