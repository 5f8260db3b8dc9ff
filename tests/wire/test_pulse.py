"""Waiting for the next time that something happens."""

from __future__ import annotations

import asyncio

import pytest

from hubbub.wire.pulse import Pulse


async def waiting(pulse: Pulse, count: int) -> list[asyncio.Task[None]]:
    """Tasks that wait for `pulse` by now."""
    tasks = [asyncio.create_task(pulse.wait()) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_all_who_wait_are_woken() -> None:
    pulse = Pulse()
    tasks = await waiting(pulse, 3)
    assert not any(task.done() for task in tasks)
    pulse.fire()
    await asyncio.gather(*tasks)


async def test_who_waits_afterwards_waits_for_the_next_one() -> None:
    pulse = Pulse()
    pulse.fire()
    (task,) = await waiting(pulse, 1)
    assert not task.done()
    pulse.fire()
    await task


async def test_who_is_woken_and_waits_again_is_not_woken_by_the_same_one() -> None:
    pulse = Pulse()
    (first,) = await waiting(pulse, 1)
    pulse.fire()
    (second,) = await waiting(pulse, 1)
    await first
    assert not second.done()
    pulse.fire()
    await second


async def test_who_is_cancelled_is_forgotten_and_the_others_are_not() -> None:
    pulse = Pulse()
    cancelled, other = await waiting(pulse, 2)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert len(pulse._waiters) == 1
    pulse.fire()
    await other
    assert not pulse._waiters


async def test_who_is_cancelled_at_the_same_time_is_cancelled() -> None:
    pulse = Pulse()
    before, after = await waiting(pulse, 2)
    before.cancel()
    pulse.fire()
    after.cancel()
    for task in (before, after):
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not pulse._waiters
