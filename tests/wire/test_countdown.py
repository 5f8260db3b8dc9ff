"""Deadlines that count only the time in which the program is run."""

from __future__ import annotations

import asyncio
import gc
import re
import time
from pathlib import Path

import pytest

import hubbub
from hubbub.wire.countdown import LATE, STEP, Countdown, within

from support.helpers import WAIT_TIME
from support.stepping import PIECE, SteppedLoop

NO_DEADLINES = {
    "wire/countdown.py",
    "wire/inbox.py",
    "door/acceptor.py",
    "cli/follow.py",
    "cli/terminal.py",
    "load/load.py",
}
"""Those who may use the timers of the event loop: for rates, for a pause, for a prompt, and for the load, which is no
server."""


def count_down(loop: SteppedLoop, seconds: float) -> tuple[Countdown, list[str]]:
    calls: list[str] = []
    return Countdown(loop, seconds, lambda: calls.append("over")), calls


@pytest.mark.parametrize("seconds", [0, PIECE, STEP, 2.5 * STEP])
def test_it_calls_once_when_the_time_is_over(seconds: float) -> None:
    with SteppedLoop() as loop:
        countdown, calls = count_down(loop, seconds)
        loop.spend(seconds - PIECE)
        assert (countdown.over, calls) == (False, [])
        loop.spend(5 * STEP)
        assert (countdown.over, calls) == (True, ["over"])


def test_one_that_is_cancelled_does_not_call() -> None:
    with SteppedLoop() as loop:
        countdown, calls = count_down(loop, 2 * STEP)
        loop.spend(1.5 * STEP)
        countdown.cancel()
        countdown.cancel()
        loop.spend(2 * STEP)
        assert (countdown.over, calls) == (False, [])


def test_time_in_which_the_program_was_not_run_does_not_count_but_the_time_before_does() -> None:
    with SteppedLoop() as loop:
        countdown, calls = count_down(loop, 2.5 * STEP)
        loop.spend(1.5 * STEP)
        loop.advance(33.0)
        # What is left are one and a half steps; the one that was interrupted is taken again.
        loop.spend(1.5 * STEP)
        assert not countdown.over
        loop.spend(PIECE)
        assert calls == ["over"]


def test_a_loop_that_is_always_late_does_not_put_it_off_for_ever() -> None:
    with SteppedLoop() as loop:
        countdown, _ = count_down(loop, 3 * STEP)
        turns = 0
        while not countdown.over:
            loop.advance(STEP + 2 * LATE)
            loop.turn()
            turns += 1
        assert turns == 2 * 3


async def test_a_context_has_its_time_while_the_program_is_run_and_no_more() -> None:
    async with within(0.05):
        time.sleep(0.05 + 2 * LATE)  # noqa: ASYNC251 (that is a program which is not run)
        # By now a timer of the loop would have ended it.
        for _ in range(5):
            await asyncio.sleep(0)
    async with asyncio.timeout(WAIT_TIME):
        with pytest.raises(TimeoutError):
            async with within(0.05):
                await asyncio.Event().wait()


async def test_a_context_that_was_left_leaves_no_cycle() -> None:
    """Each read of a store has a context, and each connection. The collector of cycles may come much later."""

    def contexts() -> int:
        return sum(isinstance(one, within | Countdown) for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = contexts()
        async with within(WAIT_TIME):
            assert contexts() == before + 2
        assert contexts() == before
    finally:
        gc.enable()


def test_all_deadlines_are_countdowns() -> None:
    root = Path(hubbub.__file__).parent
    timer = re.compile(r"\bcall_(later|at)\(|\basyncio\.(timeout|wait_for)\(|asyncio\.wait\(.*timeout=")
    users = {str(path.relative_to(root)) for path in root.rglob("*.py") if timer.search(path.read_text())}
    assert users == NO_DEADLINES
