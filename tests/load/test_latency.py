"""How long lines took, kept as counts."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.load.latency import SLICES, Latencies

SHARES = [0.0, 0.5, 0.9, 0.99, 1.0]
PRECISION = 0.006


def naive(times: list[float], share: float) -> float:
    """The shortest of the times that so large a share does not exceed."""
    return sorted(times)[max(1, ceil(share * len(times))) - 1]


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(1e-6, 1e3)), min_size=1))
def test_percentiles_are_those_of_all_times_but_for_the_width_of_a_step(lines: list[tuple[float, float]]) -> None:
    latencies = Latencies(5.0)
    for due, time in lines:
        latencies.add(due, time)
    times = [time for _, time in lines]
    found = latencies.percentiles(SHARES)
    assert found == pytest.approx([naive(times, share) for share in SHARES], rel=PRECISION)
    assert max(found) <= latencies.longest == max(times)
    assert latencies.latest == times[-1]
    assert len(latencies) == len(times)


def test_slices_are_those_in_which_lines_were_due() -> None:
    latencies = Latencies(10.0)
    for due, time in ((0.0, 0.1), (0.05, 0.3), (5.0, 0.2), (9.999, 0.4), (10.0, 0.5)):
        latencies.add(due, time)
    slices = latencies.over_time([0.5, 1.0])
    width = 10.0 / SLICES
    assert [middle for middle, _ in slices] == pytest.approx([0.5 * width, 5 + 0.5 * width, 10 - 0.5 * width])
    assert [each for _, found in slices for each in found] == pytest.approx(
        [0.1, 0.3, 0.2, 0.2, 0.4, 0.5], rel=PRECISION
    )


def test_without_lines_there_is_nothing() -> None:
    latencies = Latencies(1.0)
    assert latencies.percentiles([0.5]) == [0.0]
    assert latencies.over_time([0.5]) == []
    assert (len(latencies), latencies.latest, latencies.longest) == (0, 0.0, 0.0)


def test_no_time_is_too_short_to_count() -> None:
    latencies = Latencies(1.0)
    latencies.add(0.0, -0.1)
    assert latencies.percentiles([1.0]) == pytest.approx([1e-6], rel=PRECISION)
