"""What is said of a run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hubbub.load.check import Faults
from hubbub.load.figures import Figures, milliseconds
from hubbub.load.latency import Latencies
from hubbub.load.plan import Plan


def figures(**changes: Any) -> Figures:
    values: dict[str, Any] = {
        "plan": Plan(),
        "seconds": 2.0,
        "messages": 1_000_000,
        "deliveries": 10_000_000,
        "received": 1_000_000_000,
        "outstanding": 0,
        "unsaid": 0,
        "foreign": 0,
        "faults": Faults(),
        "cpu_time": 1.0,
        "latencies": None,
    }
    return Figures(**{**values, **changes})


def measured() -> Latencies:
    latencies = Latencies(2.0)
    for number in range(1, 1_001):
        latencies.add(0.0, number / 1_000)
    return latencies


def test_a_good_run_is_a_few_lines() -> None:
    assert str(figures()).splitlines() == [
        "10 readers, 1 sender, lines of 100 bytes, as fast as the server takes them, 2.0 s",
        "messages          1,000,000  (500,000/s)",
        "deliveries       10,000,000  (5,000,000/s)",
        "received         1,000.0 MB  (500.0 MB/s)",
        "load itself             50%  of one processor",
        "latency: at full speed it only tells how long the queues are; give a --rate",
        "every line arrived, whole and in order",
    ]


def test_with_a_rate_latency_is_told() -> None:
    lines = str(figures(plan=Plan(rate=500), latencies=measured())).splitlines()
    assert lines[0] == "10 readers, 1 sender, lines of 100 bytes, 500 a second, 2.0 s"
    assert lines[-2] == "latency to the last reader: p50 500 ms, p99 989 ms, p99.9 1.00 s, max 1.00 s"


@pytest.mark.parametrize(
    ("changes", "remark"),
    [
        ({"unsaid": 1_234}, "the server did not keep up: 1,234 messages that were due could not be sent"),
        ({"cpu_time": 1.9}, "the load itself was the limit: the server may take more"),
        ({"foreign": 55}, "55 other lines were heard, such as notices, and not counted"),
    ],
)
def test_what_one_should_know_is_remarked(changes: dict[str, Any], remark: str) -> None:
    assert str(figures(**changes)).splitlines()[-2] == remark


def test_every_kind_of_fault_is_told() -> None:
    faults = Faults(lost=1, repeated=2, reordered=3, torn=4_000)
    said = "of the deliveries, 1 never came, 2 came again, 3 came behind later ones, 4,000 came torn, 5 had not arrived"
    assert str(figures(faults=faults, outstanding=5)).splitlines()[-1] == said


def test_for_programs_they_are_values() -> None:
    values = json.loads(json.dumps(figures(plan=Plan(rate=500), latencies=measured()).as_json()))
    assert (values["plan"]["readers"], values["plan"]["rate"]) == (10, 500)
    assert (values["messages_per_second"], values["deliveries_per_second"]) == (500_000, 5_000_000)
    assert (values["bytes_per_second"], values["load_share"]) == (500_000_000, 0.5)
    assert values["faults"] == {"lost": 0, "repeated": 0, "reordered": 0, "torn": 0}
    assert set(values["latency"]) == {"p50", "p99", "p99.9", "max"}
    assert values["latency"]["max"] == 1.0
    assert figures().as_json()["latency"] is None


def test_a_run_in_which_nothing_was_heard_has_no_rate() -> None:
    assert figures(seconds=0.0, messages=10, deliveries=0, received=0).as_json()["messages_per_second"] == 0.0


def test_a_time_has_the_unit_that_fits() -> None:
    assert [milliseconds(time) for time in (0.00123, 0.5, 1.5)] == ["1.23 ms", "500 ms", "1.50 s"]
