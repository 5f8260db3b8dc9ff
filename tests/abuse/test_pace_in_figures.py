"""Abuse 3: readers at one byte a second and about the pace, against a sender at full speed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
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


@contextmanager
def serving(*options: str) -> Iterator[ServerProgram]:
    given = (f"--pace={PACE}", f"--retention={RETENTION}", "--patience=600", *LIFTED, *options)
    with hubbub_serve("relay", "--quiet", *given, env=UNMEASURED) as server:
        yield server


def race(server: ServerProgram, *rates: float, skipped: int = 0, seconds: float) -> tuple[float, dict[str, Any]]:
    """Let a sender speak to a reader without a rate, and to others at these rates.

    Returns:
        The bytes per second that the first one hears, not counting those before `skipped`; and what the readers tell.
    """
    with Crowd("read_at", server.endpoint, rates=[None, *rates]) as crowd:
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
    with serving() as server:
        speed, end = race(server, OVER * PACE, 1.0, seconds=seconds)
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
    with serving("--when-slow=skip", "--notice=none") as server:
        # As much as can be sent before it lags enough to count.
        speed, _ = race(server, UNDER * PACE, 1.0, skipped=RETENTION, seconds=seconds)
        note(3, f"senders with a reader at {UNDER:.0%} of the pace", f"{mib(speed)}/s", f">= {mib(PACE)}/s")
        assert speed >= 0.98 * PACE


def test_3_a_reader_just_under_the_pace_is_cut_behind_a_whole_message() -> None:
    # What it may lag from when it holds senders, at the rate by which it falls behind.
    seconds = RETENTION / 2 / (PACE - UNDER * PACE)
    with serving() as server:
        _, end = race(server, UNDER * PACE, seconds=1.5 * seconds + RETENTION / 2 / PACE)
        assert server.errors.unread.count(b" ended: slow: ") == 1
        assert not end["wrong"][1]
        assert not end["ended"][0]
        if end["ended"][1]:
            assert end["positions"][1] % 1024 == 0


def test_3_a_reader_at_one_byte_a_second_holds_nobody() -> None:
    seconds = scaled(10, 1)

    def speed(*rates: float) -> float:
        with serving("--when-slow=skip") as server:
            # Until it has taken nothing for as long as it may hold senders.
            return race(server, *rates, skipped=2 * RETENTION, seconds=seconds)[0]

    alone, beside = compare(scaled(5, 2), speed, lambda: speed(1.0))
    best = statistics.median if FULL else max
    share = best(beside) / best(alone)
    note(3, "senders with a reader at 1 byte/s", f"{share:.1%} of {mib(best(alone))}/s", ">= 95 %")
    # A short run on a busy machine may be anything, but to be held is to be many times as slow.
    assert share >= (0.95 if FULL else 0.4)
