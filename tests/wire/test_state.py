"""The life of a connection."""

from __future__ import annotations

from itertools import product

import pytest

from hubbub.wire.state import TRANSITIONS, IllegalTransition, State, advance

LEGAL = {
    (State.OPENING, State.OPEN),
    (State.OPENING, State.CLOSED),
    (State.OPEN, State.HALF_CLOSED),
    (State.OPEN, State.FINISHING),
    (State.OPEN, State.CLOSED),
    (State.HALF_CLOSED, State.FINISHING),
    (State.HALF_CLOSED, State.CLOSED),
    (State.FINISHING, State.CLOSED),
}


@pytest.mark.parametrize(("state", "to"), list(product(State, State)), ids=lambda state: state.name)
def test_a_state_follows_another_only_where_the_table_says_so(state: State, to: State) -> None:
    if (state, to) in LEGAL:
        assert advance(state, to) is to
    else:
        with pytest.raises(IllegalTransition, match=f"from {state.name} to {to.name}"):
            advance(state, to)


def test_each_state_is_in_the_table_and_nothing_follows_the_last() -> None:
    assert set(TRANSITIONS) == set(State)
    assert [state for state in State if not TRANSITIONS[state]] == [State.CLOSED]


def test_a_connection_never_returns_to_a_state() -> None:
    def reached(state: State) -> set[State]:
        return set(TRANSITIONS[state]).union(*(reached(to) for to in TRANSITIONS[state]))

    assert not [state for state in State if state in reached(state)]
