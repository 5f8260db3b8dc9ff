"""Ticks order what is broadcast, in whatever room, and what is placed between."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hubbub.log.clock import Clock


def stamp(clock: Clock) -> int:
    """Begin a batch, as a log does."""
    clock.stamped = True
    return clock.now


@given(st.lists(st.booleans(), max_size=30))
def test_a_place_lies_behind_all_that_came_before_and_not_behind_what_comes(stamps: list[bool]) -> None:
    clock = Clock()
    history = [(stamping, stamp(clock) if stamping else clock.place()) for stamping in stamps]
    for index, (stamping, tick) in enumerate(history):
        if stamping:
            continue
        assert all(before < tick for is_stamp, before in history[:index] if is_stamp)
        assert all(after >= tick for is_stamp, after in history[index:] if is_stamp)


def test_places_with_no_batch_between_share_a_tick() -> None:
    clock = Clock()
    assert clock.place() == clock.place()


def test_batches_with_no_place_between_share_a_tick() -> None:
    clock = Clock()
    assert stamp(clock) == stamp(clock)


def test_a_place_behind_a_batch_is_the_next_tick() -> None:
    clock = Clock()
    tick = stamp(clock)
    assert clock.place() == clock.place() == tick + 1 == clock.now
    assert stamp(clock) == tick + 1
