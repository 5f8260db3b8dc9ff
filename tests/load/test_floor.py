"""How far the slowest reader is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hubbub.load.floor import Floor


@given(st.integers(1, 4), st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3))))
def test_it_is_the_least_of_all_places(readers: int, moves: list[tuple[int, int]]) -> None:
    floor = Floor(readers)
    places = [0] * readers
    for number, step in moves:
        reader = number % readers
        before = min(places)
        places[reader] += step
        assert floor.move(reader, places[reader]) == (min(places) > before)
        assert floor.level == min(places)
