"""What has stood still for too long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hubbub.server.unchanged import Unchanged

TIME = 10.0

looks = st.lists(st.tuples(st.floats(0, 6), st.dictionaries(st.sampled_from("abc"), st.integers(0, 2))), max_size=12)


def unchanged_since(history: list[tuple[float, dict[str, int]]], key: str) -> float:
    """When a key was first seen in the state that it still has, found the naive way."""
    since, state = history[-1][0], history[-1][1][key]
    for when, states in reversed(history):
        if states.get(key) != state:
            break
        since = when
    return since


@given(looks)
def test_keys_seen_in_one_state_for_the_time_or_longer_are_found(
    looks: list[tuple[float, dict[str, int]]],
) -> None:
    standstill: Unchanged[str] = Unchanged(TIME)
    history: list[tuple[float, dict[str, int]]] = []
    now = 0.0
    for pause, states in looks:
        now += pause
        history.append((now, states))
        expected = {key for key in states if now - unchanged_since(history, key) >= TIME}
        assert set(standstill.look(states.items(), now)) == expected


def test_an_absent_key_is_forgotten() -> None:
    standstill: Unchanged[str] = Unchanged(TIME)
    standstill.look([("a", 1)], 0.0)
    standstill.look([], 5.0)
    assert standstill.look([("a", 1)], 11.0) == []
    assert standstill.look([("a", 1)], 21.0) == ["a"]
