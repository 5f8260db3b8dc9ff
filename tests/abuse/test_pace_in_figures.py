"""Abuse 3: readers at one byte a second and about the pace, against a sender at full speed."""

from __future__ import annotations

import statistics
import time
from typing import Any

import pytest

from support.abuse_tools import LIFTED, MIB, UNMEASURED, Crowd, StreamSender, compare, mib
from support.figures import FULL, note, scaled
from support.programs import ServerProgram, hubbub_serve

pytestmark = pytest.mark.long

PACE = 4 * MIB
RETENTION = 16 * MIB

OVER, UNDER = (1.05, 0.95) if FULL else (1.2, 0.6)
"""What a reader just over the pace takes of it, and one just under. The nearer, the longer it takes to fall behind."""

RECEIVE_BUFFER = 64 * 1024


def serve(**options: str) -> Any:
    given = {"pace": str(PACE), "retention": str(RETENTION), "patience": "600", **options}
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]
    return hubbub_serve("relay", "--quiet", *LIFTED, *arguments, env=UNMEASURED)


def race(
    server: ServerProgram, rates: list[float | None], skipped: int, seconds: float
) -> tuple[float, dict[str, Any]]:
    """Let a sender speak to readers at these rates, of which the first has none; the bytes per second that it hears.

    What comes before `skipped` bytes does not count. And what the readers tell at the end.
    """
    with Crowd("read_at", server.endpoint, rates=rates, receive_buffer=RECEIVE_BUFFER) as crowd:
        crowd.told()
        with StreamSender(server.endpoint) as sender, sender.saying():
            while (start := crowd.ask())["positions"][0] < skipped:
                time.sleep(0.01)
            time.sleep(seconds)
            end = crowd.ask()
        assert not end["wrong"][0]
        assert not end["ended"][0]
        return (end["positions"][0] - start["positions"][0]) / (end["at"] - start["at"]), end


def test_3_a_reader_just_over_the_pace_is_never_cut() -> None:
    """Nor is one that is as fast as it can; one that takes nothing is, and holds nobody."""
    seconds = scaled(60, 4)
    with serve() as server:
        speed, end = race(server, [None, OVER * PACE, 1.0], 0, seconds)
        _, over, trickle = end["positions"]
        note(3, f"reader at {OVER:.0%} of the pace, {seconds} s", "ended" if end["ended"][1] else "not cut", "not cut")
        note(3, f"it took, at full speed of {mib(speed)}/s", f"{mib(over / seconds)}/s", f"{mib(OVER * PACE)}/s")
        assert not end["ended"][1]
        assert not end["wrong"][1]
        # The sender was held back for it, and for nobody else: without it, it is many times as fast.
        assert PACE <= speed <= 2 * OVER * PACE + RETENTION / seconds
        assert server.errors.unread.count(b" ended: slow: ") == 1
        assert trickle <= 2 * seconds


def test_3_a_reader_just_under_the_pace_does_not_hold_senders_below_it() -> None:
    seconds = scaled(60, 4)
    with serve(when_slow="skip", notice="none") as server:
        # As much as can be sent before it lags enough to count.
        speed, _ = race(server, [None, UNDER * PACE, 1.0], RETENTION, seconds)
        note(3, f"senders with a reader at {UNDER:.0%} of the pace", f"{mib(speed)}/s", f">= {mib(PACE)}/s")
        assert speed >= 0.98 * PACE


def test_3_a_reader_just_under_the_pace_is_cut_behind_a_whole_message() -> None:
    # What it may lag from when it holds senders, at the rate by which it falls behind.
    seconds = RETENTION / 2 / (PACE - UNDER * PACE)
    with serve() as server:
        _, end = race(server, [None, UNDER * PACE], 0, 1.5 * seconds + RETENTION / 2 / PACE)
        assert server.errors.unread.count(b" ended: slow: ") == 1
        assert not end["wrong"][1]
        assert not end["ended"][0]
        if end["ended"][1]:
            assert end["positions"][1] % 1024 == 0


def test_3_a_reader_at_one_byte_a_second_holds_nobody() -> None:
    seconds = scaled(10, 1)

    def speed(rates: list[float | None]) -> float:
        with serve(when_slow="skip") as server:
            # Until it has taken nothing for as long as it may hold senders.
            return race(server, rates, 2 * RETENTION, seconds)[0]

    alone, beside = compare(scaled(5, 2), lambda: speed([None]), lambda: speed([None, 1.0]))
    best = statistics.median if FULL else max
    share = best(beside) / best(alone)
    note(3, "senders with a reader at 1 byte/s", f"{share:.1%} of {mib(best(alone))}/s", ">= 95 %")
    # A short run on a busy machine may be anything, but to be held is to be many times as slow.
    assert share >= (0.95 if FULL else 0.4)
