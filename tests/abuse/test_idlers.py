"""Abuse 1 and 2: clients that never read."""

from __future__ import annotations

from statistics import median

import pytest

from support.abuse_idlers import IDLER_LIMIT, MEMORY_LIMIT, OPTIONS, SIZE, Run, compare_speed, run
from support.abuse_tools import LIFTED, MIB, UNMEASURED, Crowd, many_descriptors, mib
from support.figures import FULL, note, scaled
from support.programs import hubbub_serve

pytestmark = pytest.mark.long

CLIENTS = scaled(1000, 40)


def run_once(readers: int, idlers: int, when_slow: str, *, size: int = SIZE) -> Run:
    """Broadcast to so many that read, and so many that do not."""
    with (
        many_descriptors(2 * CLIENTS + 500),
        hubbub_serve("relay", f"--when-slow={when_slow}", *LIFTED, *OPTIONS, env=UNMEASURED) as server,
        Crowd("read", server.endpoint, readers=readers, idlers=idlers) as crowd,
    ):
        seen = run(server, crowd, set(crowd.first["idle"]), port=server.endpoint.port, size=size)
        ended = server.errors.unread.count(b" ended: slow: ")
        assert ended == (idlers if when_slow == "disconnect" else 0)
        return seen


def runs_beside(number: int, readers: int, idlers: int, when_slow: str) -> list[Run]:
    """The runs with idlers; the readers keep their speed."""
    runs = []

    def abused() -> float:
        runs.append(run_once(readers, idlers, when_slow))
        return runs[-1].speed

    what = f"speed of each of the others ({when_slow})"
    compare_speed(number, what, lambda: run_once(readers, 0, when_slow).speed, abused)
    return runs


@pytest.mark.parametrize("when_slow", ["disconnect", "skip"] if FULL else ["skip"])
def test_1_one_client_that_never_reads_takes_no_memory_and_no_time_of_the_others(when_slow: str) -> None:
    runs = runs_beside(1, CLIENTS - 1, 1, when_slow)
    if FULL and when_slow == "skip":
        # A gigabyte to each, which is a terabyte; the one that never reads is there to its end.
        runs.append(run_once(CLIENTS - 1, 1, when_slow, size=1024 * MIB))
    memory = max(one.resident + one.idle for one in runs)
    note(1, f"memory, with one of {CLIENTS} that never reads ({when_slow})", mib(memory), f"<= {mib(MEMORY_LIMIT)}")
    assert memory <= MEMORY_LIMIT


@pytest.mark.parametrize("when_slow", ["disconnect", "skip"] if FULL else ["disconnect"])
def test_2_half_of_all_clients_that_never_read_take_no_more_than_one(when_slow: str) -> None:
    half = CLIENTS // 2
    runs = runs_beside(2, half, half, when_slow)
    one = run_once(CLIENTS - 1, 1, when_slow).resident
    resident = median(each.resident for each in runs)
    idle = max(each.idle for each in runs) / half
    note(2, f"the server's memory, of that with one idler ({when_slow})", f"{resident / one:.1%}", "<= 110 %")
    note(2, f"the kernel's for each of {half} idlers ({when_slow})", f"{idle / 1024:.0f} KiB", "<= 256 KiB")
    assert resident <= 1.1 * one
    assert idle <= IDLER_LIMIT
