"""What `hubbub top` shows, and what keys change about it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.cli.top_table import columns_of
from hubbub.cli.top_view import View, figures, plain

from support.states import STORE, connection, look, room

URL = "http://127.0.0.1:8080"


def make_view(count: int = 30) -> View:
    rows = [connection(number, key=f"k{number % 3}", age=float(100 - number)) for number in range(10, 10 + count)]
    return View(URL, look(*rows, rooms=[room("root", readers=count), room("wx", messages=7)]))


def shown(view: View, width: int = 80, height: int = 24) -> list[str]:
    return ["".join(text for _, text in line).rstrip() for line in view.draw(width, height)]


def names(view: View, height: int = 24) -> list[str]:
    """The first words of the rows."""
    lines = shown(view, height=height)
    (titles,) = (number for number, line in enumerate(lines) if line.startswith(("CONNECTION", "ROOM")))
    return [line.split()[0] for line in lines[titles + 1 : -2] if line]


def press(view: View, *keys: str) -> View:
    for key in keys:
        view.press(key)
    return view


def test_a_screen_has_the_figures_a_list_and_the_keys() -> None:
    assert shown(make_view(2), height=14) == [
        "http://127.0.0.1:8080   up 10s",
        "clients 2   rooms 1   accepted 3",
        "said 0 messages/s, 0 B/s",
        "endings none",
        "store none",
        " Connections 2   by connection, a-z  (Rooms 2)",
        "CONNECTION    KEY  VIA  ROLE  ROOM     AGE      LAG  HEARD/s     SAID/s",
        "192.0.2.1:10  k1   tcp  both  root   1m30s        0        -          -",
        "192.0.2.1:11  k2   tcp  both  root   1m29s        0        -          -",
        "",
        "",
        "",
        "sort: n connection k key v via o role m room a age l lag h heard/s s said/s",
        "q quit  Tab rooms  / filter  r reverse  Up Down PgUp PgDn scroll",
    ]


def test_figures_that_are_0_are_left_out_and_endings_are_sorted() -> None:
    state = look(figures={"muted": 2, "endings": {"left": 3, "slow": 1200}, "store": STORE})
    assert list(figures(state)) == [
        "clients 2   rooms 1   accepted 3   muted 2",
        "said 0 messages/s, 0 B/s",
        "endings slow 1,200, left 3",
        "store 2.0 KiB   0 B waiting   commits take 1.0 ms, 99 % up to 2.5 ms",
    ]


def test_a_store_that_is_out_is_told() -> None:
    state = look(figures={"store": {**STORE, "out": True}})
    assert list(figures(state))[-1].endswith("   OUT: it takes nothing")


def test_what_all_connections_hear_is_told_from_the_second_look_on() -> None:
    state = look(connection(heard=60), uptime=12, before=look(connection()))
    assert list(figures(state))[1] == "said 0 messages/s, 0 B/s   heard 30 messages/s"


def test_tab_changes_the_list_and_each_keeps_how_it_is_sorted() -> None:
    view = press(make_view(3), "a", "tab")
    assert names(view) == ["root", "wx"]
    assert names(press(view, "m")) == ["wx", "root"]
    assert names(press(view, "tab")) == ["192.0.2.1:10", "192.0.2.1:11", "192.0.2.1:12"]
    assert " Connections 3   by age, largest first  (Rooms 2)" in shown(view)
    assert names(press(view, "tab")) == ["wx", "root"]


def test_r_reverses_and_another_column_begins_in_its_own_order() -> None:
    view = press(make_view(3), "r")
    assert " Connections 3   by connection, z-a  (Rooms 2)" in shown(view)
    assert names(view) == ["192.0.2.1:12", "192.0.2.1:11", "192.0.2.1:10"]
    assert names(press(view, "a")) == ["192.0.2.1:10", "192.0.2.1:11", "192.0.2.1:12"]
    assert names(press(view, "r")) == ["192.0.2.1:12", "192.0.2.1:11", "192.0.2.1:10"]
    assert " Connections 3   by age, smallest first  (Rooms 2)" in shown(view)


def test_a_filter_is_typed_kept_and_removed() -> None:
    view = press(make_view(), "/", "K", "1", "backspace", "2")
    assert any(line.startswith(" Connections 10 of 30   /K2_  by") for line in shown(view))
    assert shown(view)[-1] == "Enter done  Esc all rows"
    assert len(names(press(view, "enter"))) == 10
    assert any(" /K2  by" in line for line in shown(view))
    # Keys mean what they did.
    assert shown(press(view, "a"))[-1].startswith("q quit  Esc all rows  Tab rooms")
    assert " Connections 1-15 of 30   by age, largest first  (Rooms 2)" in shown(press(view, "escape"))
    view = press(view, "/", "k", "9", "escape")
    assert (view.filter, view.typing) == ("", False)


def test_what_is_pasted_into_a_filter_is_one_line_that_cannot_act_on_the_terminal() -> None:
    view = make_view()
    view.paste("nothing")
    assert view.filter == ""
    press(view, "/").paste("\x1b[2J\nsecond")
    assert view.filter == r"\x1b[2J"
    view.paste("x" * 100)
    assert len(view.filter) == 64


def test_rows_are_scrolled_and_not_beyond_their_ends() -> None:
    view = make_view()
    assert names(view)[0] == "192.0.2.1:10"
    assert names(press(view, "down", "down", "up"))[0] == "192.0.2.1:11"
    page = len(names(view))
    assert names(press(view, "pagedown"))[-1] == "192.0.2.1:39"
    assert len(names(view)) == page
    assert names(press(view, "down", "down"))[-1] == "192.0.2.1:39"
    assert names(press(view, "pageup"))[0] == "192.0.2.1:10"
    assert names(press(view, "end"))[-1] == "192.0.2.1:39"
    assert f" Connections {31 - page}-30 of 30   by connection, a-z  (Rooms 2)" in shown(view)
    assert names(press(view, "home"))[0] == "192.0.2.1:10"


def test_a_new_look_stays_sorted_filtered_and_scrolled() -> None:
    view = press(make_view(), "a", "end")
    first = names(view)[0]
    view.show(make_view().look, None)
    assert names(view)[0] == first


def test_a_problem_stays_until_the_next_look() -> None:
    view = make_view()
    view.problem = "nothing new since 12:00:00: Connection refused"
    assert shown(view)[1] == "nothing new since 12:00:00: Connection refused"
    view.show(look(trouble="the store takes nothing"), 7.4)
    assert shown(view)[:2] == [f"{URL}   up 10s   a look every 7 s", "trouble: the store takes nothing"]


def test_more_rows_than_are_asked_for_are_told() -> None:
    view = View(URL, look(connection(), more=True))
    assert any(line.startswith(" Connections 1, and more ") for line in shown(view))
    assert list(plain(URL, view.look))[-1] == "There are more, which are not shown."


def test_a_narrow_terminal_shows_what_matters_most() -> None:
    lines = shown(make_view(2), 50, 12)
    assert lines[6].split() == ["CONNECTION", "ROOM", "LAG", "HEARD/s", "SAID/s"]
    assert lines[-1] == "q quit  Tab rooms  / filter  r reverse  Up Down P~"


def test_a_wide_terminal_has_room_between_the_keys() -> None:
    assert shown(make_view(2), 120)[-2].startswith("sort:  n connection  k key  v via")


KEYS = ["tab", "r", "/", "k", "a", "1", "enter", "escape", "backspace", "up", "down", "pageup", "pagedown", "end", "f1"]


@given(
    st.lists(st.tuples(st.sampled_from(KEYS), st.integers(1, 130), st.integers(1, 40)), max_size=20),
    st.integers(0, 40),
)
def test_whatever_is_pressed_the_screen_is_full_and_nothing_is_too_wide(
    steps: list[tuple[str, int, int]], count: int
) -> None:
    view = make_view(count)
    for key, width, height in [*steps, ("home", 80, 24)]:
        view.press(key)
        lines = view.draw(width, height)
        assert len(lines) == height
        assert all(columns_of("".join(text for _, text in line)) <= width for line in lines)


def test_as_text_all_rows_are_there_without_rates_that_need_two_looks() -> None:
    state = look(connection(), rooms=[room(messages=7, bytes=5000)], trouble="the store takes nothing")
    assert list(plain(URL, state)) == [
        "http://127.0.0.1:8080   up 10s",
        "clients 2   rooms 1   accepted 3",
        "said 0 messages/s, 0 B/s",
        "endings none",
        "store none",
        "trouble: the store takes nothing",
        "",
        "ROOM   READERS    SAID/s     BYTES/s  MESSAGES        SIZE    RETAINED",
        "root         1         0         0 B         7     4.9 KiB         0 B",
        "",
        "CONNECTION   KEY  VIA  ROLE  ROOM     AGE      LAG    LAG SIZE",
        "192.0.2.1:1  -    tcp  both  root      1s        0         0 B",
    ]


@pytest.mark.parametrize("height", [1, 2, 5])
def test_a_terminal_of_a_few_lines_shows_the_first_figures(height: int) -> None:
    assert shown(make_view(), height=height)[0] == "http://127.0.0.1:8080   up 10s"
