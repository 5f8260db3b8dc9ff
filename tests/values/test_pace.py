"""Senders to a room, or one client, at a rate, on a clock of the test."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, inf

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hubbub.values.pace import BURST_TIME, RESOLUTION, Pace, Throttle

RATE = 1000
BURST = 50

sizes = st.lists(st.integers(1, 200), min_size=1, max_size=50)


def waited(paced: Pace | Throttle, now: float) -> float:
    """The time when the delay is over, having seen that it passes: it makes progress, and is long enough."""
    delay = paced.delay(now)
    assert delay == 0 or delay >= RESOLUTION
    later = now + delay
    assert later > now or delay == 0
    if delay > 2 * RESOLUTION:
        # It is not over a moment before.
        assert paced.delay(later - 2 * RESOLUTION) > 0
    assert paced.delay(later) == 0
    return later


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


@given(
    st.floats(1e-3, 1e9),
    st.floats(0, 1e6),
    st.floats(0, 1e9),
    st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 1)), min_size=1, max_size=20),
)
def test_a_delay_passes_when_it_is_waited_for_whatever_the_clock_says(
    rate: float, burst: float, now: float, steps: list[tuple[int, float]]
) -> None:
    pace = Pace(rate, burst)
    for size, pause in steps:
        now = waited(pace, now) + pause
        pace.spend(size, now)
    waited(pace, now)


def test_a_delay_that_rounding_could_swallow_counts_as_none() -> None:
    # Due is 1e9 s, and a tenth of a microsecond is left.
    pace = Pace(1e7, burst=0)
    pace.spend(1, now=1e9)
    assert pace.delay(now=1e9) == 0.0
    pace.spend(100, now=1e9)
    assert pace.delay(now=1e9) == pytest.approx(1e-5, rel=0.05)


@given(sizes)
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


# One client.


def handed_out(throttle: Throttle, now: float) -> tuple[list[int], float]:
    """Everything that is held, taken as soon as it may be, and the time when the last of it was taken."""
    taken: list[int] = []
    while throttle.held:
        now = waited(throttle, now)
        some = throttle.take(now)
        assert some
        taken += some
    return taken, now


def test_a_client_without_limits_is_handed_out_all_at_once() -> None:
    throttle = Throttle(None, None)
    for count, now in enumerate((0.0, 0.0, 1.0), start=1):
        throttle.receive(["a"] * 10_000, count * 10**9, now)
        assert throttle.delay(now) == 0
        assert throttle.take(now) == ["a"] * 10_000
        assert throttle.held == ()
        assert throttle.delay(now) == 0


def test_messages_are_handed_out_at_their_rate_and_in_their_order() -> None:
    throttle = Throttle(100, None)
    throttle.receive(range(1000), 0, now=5.0)
    taken, now = handed_out(throttle, 5.0)
    assert taken == list(range(1000))
    # A tenth of a second may be made up for at the start, and what comes at once needs no time after it.
    assert now == pytest.approx(5.0 + 10 - 2 * BURST_TIME, abs=0.001)


def test_what_may_be_made_up_for_is_handed_out_at_once_and_no_more() -> None:
    throttle = Throttle(100, None)
    throttle.receive("abcdefghijklmnopqrstuvwxyz", 0, now=0.0)
    assert throttle.delay(0.0) == 0
    assert throttle.take(0.0) == "abcdefghij"
    assert throttle.held == "klmnopqrstuvwxyz"
    assert throttle.delay(0.0) == pytest.approx(0.0)
    assert throttle.take(0.0) == "klmnopqrst"
    assert throttle.delay(0.0) == pytest.approx(0.1)


@pytest.mark.parametrize("rate", [0.5, 1, 9, 10])
def test_a_low_rate_still_hands_out_one_message_at_a_time(rate: float) -> None:
    throttle = Throttle(rate, None)
    throttle.receive("abc", 0, now=0.0)
    assert throttle.take(0.0) == "a"
    assert throttle.delay(0.0) == pytest.approx(1 / rate - BURST_TIME)
    assert throttle.held == "bc"


def test_a_client_below_its_rates_never_waits() -> None:
    throttle = Throttle(10, 1000)
    for second in range(100):
        now = float(second)
        throttle.receive(["a"], 100 * (second + 1), now)
        assert throttle.delay(now) == 0
        assert throttle.take(now) == ["a"]


def test_bytes_are_paid_for_when_they_come_and_before_they_are_handed_out() -> None:
    throttle = Throttle(None, 1000)
    throttle.receive(["a", "b"], 600, now=0.0)
    assert throttle.delay(0.0) == pytest.approx(0.6 - BURST_TIME)
    assert throttle.take(0.5) == ["a", "b"]
    # What was paid for is not paid for twice.
    assert throttle.delay(0.5) == pytest.approx(0.0)
    throttle.receive([], 1600, now=0.5)
    assert throttle.delay(0.5) == pytest.approx(1.0)


@pytest.mark.parametrize(("message_rate", "byte_rate"), [(1, 10**6), (10**6, 100)])
def test_the_lower_of_two_rates_decides(message_rate: float, byte_rate: int) -> None:
    throttle = Throttle(message_rate, byte_rate)
    throttle.receive(["a"], 100, now=0.0)
    throttle.take(0.0)
    assert throttle.delay(0.0) == pytest.approx(1 - BURST_TIME)


def test_at_the_end_of_the_stream_there_is_nothing_to_hand_out() -> None:
    throttle = Throttle(1, 1)
    throttle.receive([], 0, now=0.0)
    assert not throttle.held
    assert throttle.take(0.0) == []
    assert throttle.delay(0.0) == 0


@given(
    st.sampled_from([0.5, 3, 40, 1000, None]),
    st.sampled_from([7, 100, 5000, None]),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 300), st.floats(0, 0.5)), min_size=1, max_size=10),
)
# The delay was 3.5e-18 s here: the clock at 0.02 s stood still however often that was waited for.
@example(40, 7, [(0, 0, 0.02), (5, 0, 0.0)])
def test_no_client_gets_more_than_its_rates_or_less_than_it_sent(
    message_rate: float | None, byte_rate: int | None, received: list[tuple[int, int, float]]
) -> None:
    throttle = Throttle(message_rate, byte_rate)
    now, count, size = 0.0, 0, 0
    for messages, more, pause in received:
        now, size = now + pause, size + more
        throttle.receive(range(count, count + messages), size, now)
        taken, now = handed_out(throttle, now)
        assert taken == list(range(count, count + messages))
        count += messages
        if message_rate is not None:
            # Twice the burst: what was not used before, and what is handed out at once.
            assert count <= message_rate * (now + BURST_TIME) + ceil(message_rate * BURST_TIME) + 1e-3
        if byte_rate is not None and messages:
            assert size <= byte_rate * (now + BURST_TIME) + 1e-3
