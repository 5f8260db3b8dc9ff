"""A receiver that is held to a rate."""

from __future__ import annotations

import asyncio

import pytest

from hubbub.values.pace import Throttle

from support.inboxes import Box, receiving

RATE = 50
"""Messages a second: five are given out at once, and five that were not asked for in time."""


async def held_box() -> Box:
    """An inbox with a message whose time comes in a tenth of a second."""
    box = Box(throttle=Throttle(RATE, None))
    box.arrive(b"x\n" * 11)
    assert [len(await box.receive_many()) for _ in range(2)] == [5, 5]
    return box


async def test_a_peer_that_sends_more_than_its_rate_is_received_no_faster_whatever_arrives() -> None:
    start = asyncio.get_running_loop().time()
    box = await held_box()
    assert box.told == [["x"] * 11]
    task = await receiving(box)
    box.arrive(b"y\n")
    assert await task == "x"
    # Differences of fractions are not exact.
    assert round(asyncio.get_running_loop().time() - start, 6) >= 0.1
    assert box.told == [["x"] * 11, "slowed"]
    assert await box.receive() == "y"


async def test_a_receiver_that_waits_for_the_rate_is_not_kept_waiting_by_the_peer() -> None:
    box = await held_box()
    task = await receiving(box)
    assert not box.awaited
    assert await task == "x"
    task = await receiving(box)
    assert box.awaited is True
    box.end()
    assert await task is None


async def test_what_is_held_outlives_the_task_that_waited_for_it_and_not_the_receiving() -> None:
    box = await held_box()
    task = await receiving(box)
    task.cancel()
    assert await box.receive() == "x"
    # On a busy machine that has not taken a turn of the loop.
    with pytest.raises(asyncio.CancelledError):
        await task
    box = await held_box()
    task = await receiving(box)
    box.stop_receiving()
    assert await task is None
    assert not await box.receive_many()


async def test_the_end_is_not_held_back_and_nobody_is_slowed_by_it() -> None:
    box = await held_box()
    assert await box.receive_many() == ["x"]
    box.told.clear()
    box.end()
    task = asyncio.create_task(box.receive_many())
    await asyncio.sleep(0)
    assert task.done()
    assert await task == []
    assert not box.told


async def test_while_one_task_waits_for_the_rate_another_is_refused_and_not_said_to_be_slowed() -> None:
    box = await held_box()
    task = await receiving(box)
    told = list(box.told)
    with pytest.raises(RuntimeError, match="two tasks receive"):
        await box.receive()
    assert box.told == told
    assert await task == "x"


async def test_of_two_tasks_that_wait_for_the_rate_the_one_that_was_woken_before_finds_out() -> None:
    box = await held_box()
    task = await receiving(box)
    box.arrive(b"y\n")
    assert await box.receive() == "x"
    with pytest.raises(RuntimeError, match="two tasks receive"):
        await task
    assert await box.receive() == "y"
