"""Measuring: every peer in turn, again and again, so that a machine whose speed drifts is unfair to nobody."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .peer import PeerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from .peer import Peer
    from .scenarios import Point, Scenario

RUN_TIME: Final = 180.0
"""How long one run of the load may take, in seconds."""


@dataclass(frozen=True)
class Figure:
    """A figure over several runs."""

    median: float
    least: float
    most: float


@dataclass
class Measurement:
    """One peer at one point.

    Attributes:
        runs: the load's results.
        failure: why there are none, or no more.
    """

    peer: str
    point: str
    runs: list[dict[str, float]] = field(default_factory=list)
    failure: str = ""

    def values(self, key: str) -> list[float]:
        """The figure of that name, run by run; none where a run failed."""
        return [] if self.failure else [run[key] for run in self.runs if key in run]

    def figure(self, key: str) -> Figure | None:
        """The figure of that name, if it was measured."""
        values = self.values(key)
        return Figure(statistics.median(values), min(values), max(values)) if values else None


def ratio(one: Measurement, other: Measurement, key: str) -> float | None:
    """How `one` compares to `other`: the median of the ratios run by run, as a machine's speed drifts."""
    ratios = [mine / its for mine, its in zip(one.values(key), other.values(key), strict=False)]
    return statistics.median(ratios) if ratios else None


@dataclass(frozen=True)
class Processors:
    """Which processors each side has: one each, so that neither takes from the other."""

    server: set[int]
    load: set[int]

    @classmethod
    def split(cls) -> Processors:
        """The first two of those that may be used; both sides share if there is only one."""
        first, *rest = sorted(os.sched_getaffinity(0))
        return cls({first}, {rest[0] if rest else first})


class Bench:
    """Runs the load against peers.

    Args:
        load: the compiled load generator.
        processors: see `Processors`.
        runs: how often each peer is measured at each point.
        seconds: how long one measurement lasts; None for what each point says.
        tell: is given a line about each run.
    """

    def __init__(
        self, load: Path, processors: Processors, *, runs: int, seconds: float | None, tell: Callable[[str], None]
    ) -> None:
        self._load = load
        self._processors = processors
        self._runs = runs
        self._seconds = seconds
        self._tell = tell

    def measure(self, scenario: Scenario, peers: Sequence[Peer]) -> list[Measurement]:
        """Measure those of `peers` that take part."""
        return [measurement for point in scenario.points for measurement in self._measure_point(scenario, point, peers)]

    def _measure_point(self, scenario: Scenario, point: Point, peers: Iterable[Peer]) -> list[Measurement]:
        measured = [(peer, Measurement(peer.name, point.label)) for peer in taking_part(scenario, point, peers)]
        for _ in range(self._runs):
            for peer, measurement in measured:
                if not measurement.failure:
                    self._run_once(peer, point, measurement)
                self._tell(f"{scenario.title}, {point.label}: {peer.name}: {_outcome(measurement, scenario)}")
        return [measurement for _, measurement in measured]

    def _run_once(self, peer: Peer, point: Point, measurement: Measurement) -> None:
        options = dict(point.options)
        if self._seconds is not None:
            options["seconds"] = self._seconds
        try:
            with peer.running(point.mode, self._processors.server) as running:
                words = [point.load, *running.words, "--dialect", peer.dialect]
                words += [word for name, value in options.items() for word in (f"--{name}", str(value))]
                finished = subprocess.run(
                    [self._load, *words],
                    capture_output=True,
                    text=True,
                    timeout=RUN_TIME,
                    check=False,
                    preexec_fn=lambda: os.sched_setaffinity(0, self._processors.load),
                )
        except PeerError as error:
            measurement.failure = str(error)
        except subprocess.TimeoutExpired:
            measurement.failure = f"not done in {RUN_TIME:g} s"
        else:
            if finished.returncode:
                measurement.failure = finished.stderr.strip()
            else:
                measurement.runs.append(json.loads(finished.stdout))


def taking_part(scenario: Scenario, point: Point, peers: Iterable[Peer]) -> list[Peer]:
    """Who can do what a point asks for."""
    return [peer for peer in peers if point.mode in peer.commands and peer.name not in scenario.without]


def _outcome(measurement: Measurement, scenario: Scenario) -> str:
    if measurement.failure:
        return measurement.failure
    column = scenario.columns[0]
    return f"{measurement.runs[-1][column.key] / column.divisor:,.4g} {column.unit}"
