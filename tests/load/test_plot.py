"""The latency of a run as a drawing."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from hubbub.load.latency import Latencies
from hubbub.load.plan import Plan


def draw(plan: Plan, latencies: Latencies, path: Path) -> None:
    from hubbub.load import plot  # noqa: PLC0415 (Matplotlib takes long, and each worker imports this file)

    plot.draw(plan, latencies, path)


def texts(path: Path) -> set[str]:
    """All that is written in a drawing."""
    return {element.text or "" for element in ElementTree.parse(path).iter("{http://www.w3.org/2000/svg}text")}


@pytest.mark.parametrize(
    ("count", "marked", "unmarked"),
    [(1, "50 %", "99 %"), (20_000, "99.99 %", "99.999 %")],
)
def test_it_names_what_it_shows(count: int, marked: str, unmarked: str, tmp_path: Path) -> None:
    plan, latencies = Plan(rate=1_000, time=2.0), Latencies(2.0)
    for number in range(count):
        latencies.add(2.0 * number / count, 0.001 + number % 100 / 10_000)
    path = tmp_path / "plot.svg"
    draw(plan, latencies, path)
    written = texts(path)
    assert {
        f"Latency to the last reader: {plan}",
        "when the message was due, in seconds from the start",
        "share of the messages that took no longer",
        "milliseconds",
        "50 % to 99 %",
        "longest",
        marked,
    } <= written
    assert unmarked not in written
    once = path.read_bytes()
    draw(plan, latencies, path)
    assert path.read_bytes() == once


def test_a_file_that_cannot_be_written_is_an_error_of_the_system(tmp_path: Path) -> None:
    latencies = Latencies(1.0)
    latencies.add(0.0, 0.1)
    with pytest.raises(FileNotFoundError):
        draw(Plan(rate=1), latencies, tmp_path / "missing" / "plot.svg")
