"""Abuse 1 and 2: clients that never read."""

from __future__ import annotations

import time
from statistics import median
from typing import NamedTuple

import pytest

from support.abuse_tools import (
    LIFTED,
    MIB,
    UNMEASURED,
    Crowd,
    StreamSender,
    Watch,
    compare,
    kernel_memory,
    many_descriptors,
    mib,
    resident_memory,
)
from support.figures import FULL, note, scaled
from support.programs import hubbub_serve

pytestmark = pytest.mark.long

CLIENTS = scaled(1000, 40)
RETENTION = 16 * MIB
SIZE = scaled(24, 8) * MIB
ROUNDS = scaled(5, 2)

WARM_UP = RETENTION + 4 * MIB
"""After so much, an idler has held senders for as long as it may, and is out of what is retained."""

PACE = scaled(256, 1024) * 1024
"""Senders that are held back are far slower than readers are, even if a thousand share a busy machine."""

SLACK = 64 * MIB

IDLER_LIMIT = 256 * 1024
"""Bytes of the kernel's for a client that reads nothing: twice what it may hold that is not on its way."""

SHARE = 0.95 if FULL else 0.25
"""Of their speed, what readers keep. A short run takes a tenth of a second, in which a shared machine does anything."""

OPTIONS = [*LIFTED, f"--retention={RETENTION}", f"--pace={PACE}", "--patience=3600"]


class Run(NamedTuple):
    """What was seen while a stream was broadcast."""

    speed: float
    """Bytes per second, for each reader."""
    resident: float
    """The most memory of the server."""
    idle: float
    """The most memory of the kernel for the idlers."""


def run(readers: int, idlers: int, when_slow: str, *, size: int = SIZE) -> Run:
    """Broadcast to so many who read, and so many who do not; every reader must hear every byte."""
    with (
        many_descriptors(2 * CLIENTS + 500),
        hubbub_serve("relay", "--quiet", f"--when-slow={when_slow}", *OPTIONS, env=UNMEASURED) as server,
        Crowd("read", server.endpoint, readers=readers, idlers=idlers) as crowd,
    ):
        idle = set(crowd.first["idle"])
        with (
            # Who connects after them speaks after they are in.
            StreamSender(server.endpoint) as sender,
            Watch(lambda: resident_memory(server.pid)) as resident,
            Watch(lambda: kernel_memory(server.endpoint.port, idle)) as kernel,
        ):
            for part in (WARM_UP, size):
                crowd.send(b"%d\n" % part)
                start = time.monotonic()
                sender.say(part)
                heard = crowd.told()
                assert heard["positions"] == [sender.position]
                assert not heard["wrong"]
                assert not heard["ended"]
        ended = server.errors.unread.count(b" ended: slow: ")
        assert ended == (idlers if when_slow == "disconnect" else 0)
        return Run(size / (heard["at"] - start), resident.peak, kernel.peak)


def runs_beside(number: int, readers: int, idlers: int, when_slow: str) -> list[Run]:
    """The runs with idlers; the readers keep their speed: run by run, or at best if runs are short."""
    runs = []

    def abused() -> float:
        runs.append(run(readers, idlers, when_slow))
        return runs[-1].speed

    alone, beside = compare(ROUNDS, lambda: run(readers, 0, when_slow).speed, abused)
    # The best of short runs had the machine for itself.
    share = median(one / other for one, other in zip(beside, alone, strict=True)) if FULL else max(beside) / max(alone)
    note(number, f"speed of each of the others ({when_slow})", f"{share:.1%} of {mib(median(alone))}/s", ">= 95 %")
    assert share >= SHARE
    return runs


@pytest.mark.parametrize("when_slow", ["disconnect", "skip"] if FULL else ["skip"])
def test_1_one_client_that_never_reads_takes_no_memory_and_no_time_of_the_others(when_slow: str) -> None:
    runs = runs_beside(1, CLIENTS - 1, 1, when_slow)
    if FULL and when_slow == "skip":
        # A gigabyte to each, which is a terabyte; the one that never reads is there to its end.
        runs.append(run(CLIENTS - 1, 1, when_slow, size=1024 * MIB))
    memory = max(one.resident + one.idle for one in runs)
    bound = RETENTION + SLACK
    note(1, f"memory, with one of {CLIENTS} that never reads ({when_slow})", mib(memory), f"<= {mib(bound)}")
    assert memory <= bound


@pytest.mark.parametrize("when_slow", ["disconnect", "skip"] if FULL else ["disconnect"])
def test_2_half_of_all_clients_that_never_read_take_no_more_than_one(when_slow: str) -> None:
    half = CLIENTS // 2
    runs = runs_beside(2, half, half, when_slow)
    one = run(CLIENTS - 1, 1, when_slow).resident
    resident = median(each.resident for each in runs)
    idle = max(each.idle for each in runs) / half
    note(2, f"the server's memory, of that with one idler ({when_slow})", f"{resident / one:.1%}", "<= 110 %")
    note(2, f"the kernel's for each of {half} idlers ({when_slow})", f"{idle / 1024:.0f} KiB", "<= 256 KiB")
    assert resident <= 1.1 * one
    assert idle <= IDLER_LIMIT
