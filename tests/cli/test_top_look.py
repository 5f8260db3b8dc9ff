"""What `hubbub top` reads in the state of a server, and what two looks tell."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.cli.top_look import NotAStateError, make_look, parse_page
from hubbub.cli.top_view import View, plain
from hubbub.log.rates import Rate
from hubbub.values.text import printable

from support.states import STORE, connection, look, page, room


def test_the_first_look_has_the_rates_that_the_server_says() -> None:
    first = look(connection(), rooms=[room(rate={"messages": 2.5, "bytes": 700.0}), room("wx")])
    assert first.said == Rate(2.5, 700.0)
    assert first.heard is None
    (row,) = first.connections.values()
    assert (row.heard_rate, row.said_rate) == (None, None)


def test_rates_are_what_has_changed_since_the_look_before() -> None:
    first = look(connection(heard=10, said=50), rooms=[room(messages=10, bytes=100)])
    second = look(
        connection(heard=30, said=150), connection(2), uptime=14, before=first, rooms=[room(messages=30, bytes=5100)]
    )
    assert second.said == Rate(5.0, 1250.0)
    row, newcomer = second.connections.values()
    assert (row.heard_rate, row.said_rate) == (5.0, 25.0)
    assert (newcomer.heard_rate, newcomer.said_rate) == (None, None)
    assert second.heard == 5.0


def test_each_answer_of_a_look_has_its_own_time() -> None:
    first = make_look([page(connection(1)), page(connection(2), uptime=11)], None)
    second = make_look([page(connection(1, said=8), uptime=14), page(connection(2, said=8), uptime=13)], first)
    assert [row.said_rate for row in second.connections.values()] == [2.0, 4.0]
    assert second.uptime == 13


def test_a_connection_or_room_that_moved_between_two_answers_is_there_once() -> None:
    both = make_look([page(connection(1)), page(connection(1, said=1))], None)
    (row,) = both.connections.values()
    assert row.said == 1
    assert len(both.rooms) == 1


def test_a_server_that_was_restarted_begins_again() -> None:
    first = look(connection(said=50), rooms=[room(messages=10)])
    second = look(connection(said=80), started=20, before=first, rooms=[room(messages=30)])
    assert second.said == Rate(0.0, 0.0)
    assert second.heard is None
    (row,) = second.connections.values()
    assert row.said_rate is None


@pytest.mark.parametrize(
    "again",
    [room(messages=3), room(messages=30, position="0123456789abcdef:30")],
    ids=["it has had less", "it has another term"],
)
def test_a_room_that_came_again_has_the_rate_that_the_server_says(again: dict[str, Any]) -> None:
    again["rate"] = {"messages": 0.5, "bytes": 9.0}
    first = look(rooms=[room(messages=10)])
    assert look(uptime=12, before=first, rooms=[again]).said == Rate(0.5, 9.0)


def test_who_joins_a_room_has_not_heard_what_was_said_there_before() -> None:
    first = look(connection(heard=10, said=4))
    (row,) = look(connection(heard=1000, said=8, rooms=2), uptime=12, before=first).connections.values()
    assert (row.heard_rate, row.said_rate) == (None, 2.0)


def test_two_looks_at_once_tell_no_rate() -> None:
    (row,) = look(connection(said=8), before=look(connection(said=8))).connections.values()
    assert row.said_rate is None


def test_a_connection_without_a_key_and_one_that_takes_nothing_can_be_seen() -> None:
    rows = look(connection(1), connection(2, key="boat", muted=True)).connections.values()
    assert [(row.key, row.role) for row in rows] == [("-", "both"), ("boat", "muted")]


def test_what_names_contain_cannot_act_on_a_terminal() -> None:
    (row,) = look(connection(name="\x1b[2J\tx", key="\u202e" * 300)).connections.values()
    assert row.name == r"\x1b[2J\tx"
    assert row.key == r"\u202e" * 200


@pytest.mark.parametrize("data", [b"", b"[]", b"17", b"\xff", b'{"uptime":', b"[" * 100_000])
def test_what_is_not_an_object_is_no_state(data: bytes) -> None:
    with pytest.raises(NotAStateError):
        parse_page(data)


@pytest.mark.parametrize(
    "fields",
    [
        {"uptime": None},
        {"uptime": float("nan")},
        {"time": "today"},
        {"rooms": {"a": 1}},
        {"connections": [None]},
        {"trouble": 5},
        {"figures": {"endings": None}},
        {"figures": {"clients": -1}},
        {"figures": {"clients": 1e400}},
        {"figures": {"store": {}}},
    ],
)
def test_an_object_with_something_else_in_it_is_no_state(fields: dict[str, Any]) -> None:
    figures = fields.get("figures", {})
    state = page(figures=figures)
    with pytest.raises(NotAStateError):
        make_look([{**state, **fields, "figures": state["figures"]}], None)


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just([]), st.just({}), st.just(10**5000)
)


def places(value: Any, *path: Any) -> list[tuple[Any, ...]]:
    """The path of each value in a state."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inside for place in places(each, *path, key))]


STATE = page(connection(1), connection(2), figures={"endings": {"left": 1}, "store": STORE}, trouble="the store is out")


@given(st.lists(st.tuples(st.sampled_from(places(STATE)[1:]), VALUES), min_size=1, max_size=4), st.booleans())
def test_whatever_a_server_answers_is_shown_safely_or_is_no_state(
    changes: list[tuple[tuple[Any, ...], Any]], again: bool
) -> None:
    state = json.loads(json.dumps(STATE))
    for (*path, last), value in changes:
        inside = state
        for key in path:
            if isinstance(inside, (dict, list)) and (isinstance(inside, dict) or key < len(inside)):
                inside = inside.get(key) if isinstance(inside, dict) else inside[key]
        if isinstance(inside, dict):
            inside[last] = value
    try:
        shown = make_look([state], look(connection(1), connection(2)) if again else None)
    except NotAStateError:
        return
    view = View("http://127.0.0.1:8080", shown)
    text = "".join(["".join(text for _, text in line) for line in view.draw(80, 24)])
    text += "".join(plain("http://127.0.0.1:8080", shown))
    assert printable(text) == text
    assert "\t" not in text
