"""What a run of `hubbub bench` asks of a server."""

from __future__ import annotations

from math import nan

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hubbub.load.plan import BACKLOG_LIMIT, WINDOW_LIMIT, Plan


@given(st.integers(1, 100_000), st.integers(1, 7), st.integers(1, 3_000), st.integers(0, 3_000))
@example(rate=813, senders=1, ticks=2015, at=0)
def test_a_line_is_counted_when_it_is_due(rate: int, senders: int, ticks: int, at: int) -> None:
    plan = Plan(rate=rate, senders=senders, time=ticks / 1000)
    count = plan.count_due((at + 0.5) / 1000)
    whole = plan.count_due(plan.time)
    assert 0 < count <= whole
    assert plan.due(count - 1) * 1000 < at + 0.5
    assert at >= ticks or plan.due(count) * 1000 > at + 0.5
    assert plan.due(whole - 1) < plan.time
    assert plan.due(whole) >= plan.time - 1e-9


@given(st.integers(1, 9), st.integers(0, 100))
def test_senders_take_turns(senders: int, lines: int) -> None:
    plan = Plan(senders=senders)
    turns = [number % senders for number in range(lines)]
    assert [plan.count_of(sender, lines) for sender in range(senders)] == [turns.count(each) for each in range(senders)]


@given(st.integers(1, 5_000), st.integers(1, 1_000), st.integers(40, 1 << 20))
def test_the_window_is_bounded_but_for_a_few_lines(readers: int, senders: int, size: int) -> None:
    plan = Plan(readers=readers, senders=senders, size=size)
    assert 1 <= plan.block_lines <= plan.window // 4
    if plan.window > 48:
        assert plan.window * size * senders <= min(WINDOW_LIMIT, BACKLOG_LIMIT // readers)


def test_it_says_what_it_asks() -> None:
    assert str(Plan()) == "10 readers, 1 sender, lines of 100 bytes, as fast as the server takes them"
    plan = Plan(readers=1, senders=2_000, size=1_000, rate=10_000)
    assert str(plan) == "1 reader, 2,000 senders, lines of 1,000 bytes, 10,000 a second"


@pytest.mark.parametrize("size", [0, 39, (1 << 20) + 1])
def test_a_line_has_room_for_its_header_and_an_end(size: int) -> None:
    with pytest.raises(ValueError, match=f"size is {size}; it must be 40 to 1048576 bytes"):
        Plan(size=size)


@pytest.mark.parametrize("time", [0.0, -1.0, 86_401.0, nan])
def test_a_run_ends(time: float) -> None:
    with pytest.raises(ValueError, match=f"time is {time:g}; it must be more than 0 and at most 86400 seconds"):
        Plan(time=time)
