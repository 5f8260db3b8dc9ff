"""Holding senders to a rate, on a clock of the test's own."""

from __future__ import annotations

from itertools import pairwise
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub.pace import BURST_TIME, Pace

RATE = 1000
BURST = 50

sizes = st.lists(st.integers(1, 200), min_size=1, max_size=50)


def test_the_first_sender_waits_for_nothing() -> None:
    assert Pace(RATE, BURST).delay(now=0.0) == 0.0


def test_a_rate_of_zero_lets_nobody_go_on() -> None:
    pace = Pace(0, BURST)
    assert pace.delay(now=0.0) == inf
    pace.spend(1, now=0.0)
    assert pace.delay(now=1e9) == inf


def test_a_sender_waits_as_long_as_its_bytes_take_beyond_the_burst() -> None:
    pace = Pace(RATE, BURST)
    pace.spend(BURST + 100, now=7.0)
    assert pace.delay(now=7.0) == pytest.approx(0.1)
    assert pace.delay(now=7.06) == pytest.approx(0.04)
    assert pace.delay(now=7.2) == 0.0


@given(sizes)
@settings(max_examples=50, deadline=None)
def test_senders_that_never_pause_send_at_the_rate(spent: list[int]) -> None:
    pace = Pace(RATE, BURST)
    now = 0.0
    for size in spent:
        now += pace.delay(now)
        pace.spend(size, now)
    now += pace.delay(now)
    # The burst is free, and the rest takes its time: no more, no less.
    assert now == pytest.approx(max(0.0, (sum(spent) - BURST) / RATE), abs=BURST / RATE)
    assert now >= (sum(spent) - BURST) / RATE - 1e-9


@given(st.lists(st.tuples(st.integers(1, 200), st.floats(0, 0.3)), min_size=2, max_size=30))
@settings(max_examples=50, deadline=None)
def test_no_pause_buys_more_than_the_burst(steps: list[tuple[int, float]]) -> None:
    pace = Pace(RATE, BURST)
    now = 0.0
    sent = [(0.0, 0)]
    for size, pause in steps:
        now += pace.delay(now) + pause
        pace.spend(size, now)
        sent.append((now, size))
    for at, (start, _) in enumerate(sent):
        in_between = [size for _, size in sent[at:]]
        # The last message may start when the bucket is just not empty.
        assert sum(in_between[:-1]) <= BURST + RATE * (now - start) + max(in_between) + 1e-6
    assert all(earlier <= later for (earlier, _), (later, _) in pairwise(sent))


def test_unused_time_is_made_up_for_no_longer_than_a_timer_oversleeps() -> None:
    pace = Pace(RATE, burst=RATE * 60)
    pace.spend(1, now=0.0)
    pace.spend(RATE, now=1000.0)
    assert pace.delay(now=1000.0) == pytest.approx(1.0 - BURST_TIME)
