"""Calling a function again and again."""

from __future__ import annotations

import asyncio

import pytest

from hubbub.wire.periodic import Periodic

from support.helpers import WAIT_TIME, eventually

INTERVAL = 0.01


async def test_it_calls_again_and_again_with_the_time_that_the_program_was_run_until_it_is_stopped() -> None:
    times: list[float] = []
    repeat = Periodic(INTERVAL, times.append)
    # Nor is it an error where it was never started.
    repeat.stop()
    repeat.start()
    assert not times
    await eventually(lambda: len(times) >= 3)
    repeat.stop()
    repeat.stop()
    assert times == pytest.approx([INTERVAL * number for number in range(1, len(times) + 1)])
    count = len(times)
    await asyncio.sleep(5 * INTERVAL)
    assert len(times) == count


async def test_the_function_may_stop_it() -> None:
    called = asyncio.Event()

    def function(_now: float) -> None:
        called.set()
        repeat.stop()

    repeat = Periodic(INTERVAL, function)
    repeat.start()
    async with asyncio.timeout(WAIT_TIME):
        await called.wait()
    called.clear()
    await asyncio.sleep(5 * INTERVAL)
    assert not called.is_set()


async def test_it_goes_on_after_the_function_has_raised() -> None:
    loop = asyncio.get_running_loop()
    raised: list[object] = []
    loop.set_exception_handler(lambda _loop, context: raised.append(context.get("exception")))

    def function(_now: float) -> None:
        raise ValueError

    repeat = Periodic(INTERVAL, function)
    repeat.start()
    await eventually(lambda: len(raised) >= 2)
    repeat.stop()
    assert all(isinstance(error, ValueError) for error in raised)
