"""The results of the bench, as a file of figures and as tables."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .catalogue import HUBBUB
from .goals import GOALS, Absolute, Ratio
from .measure import Measurement, ratio

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .scenarios import Column, Scenario

LOAD_LIMIT: Final = 0.9
"""A load that used more than this share of its processor may have been slower than the server."""


def describe_machine() -> str:
    """The machine on which the bench runs, in words."""
    names = [line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    kernel = f"Linux {platform.release().partition('-')[0]}"
    processor = f"{names[0] if names else platform.machine()}, {len(names)} processors"
    return f"{processor}, {kernel}, Python {platform.python_version()}"


@dataclass
class Report:
    """The results.

    Attributes:
        machine: the machine on which they were measured.
        when: the day.
        missing: the peers that were left out, and what is not installed for them.
        measurements: by scenario.
    """

    machine: str = field(default_factory=describe_machine)
    when: str = field(default_factory=lambda: datetime.now(UTC).date().isoformat())
    missing: dict[str, str] = field(default_factory=dict)
    measurements: dict[str, list[Measurement]] = field(default_factory=dict)

    def find(self, scenario: str, point: str, peer: str) -> Measurement:
        """The measurement of a server at a point. It has no runs if there was none."""
        for measurement in self.measurements.get(scenario, []):
            if (measurement.point, measurement.peer) == (point, peer):
                return measurement
        return Measurement(peer, point)

    @property
    def runs(self) -> str:
        """The number of runs behind a figure, in words."""
        counts = {len(each.runs) for several in self.measurements.values() for each in several if not each.failure}
        return f"{min(counts)} to {max(counts)} runs" if len(counts) > 1 else f"{max(counts, default=0)} runs"

    def save(self, file: Path) -> None:
        """Write it as JSON."""
        file.write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, file: Path) -> Report:
        """Read what `save` wrote."""
        stored = json.loads(file.read_text())
        stored["measurements"] = {
            scenario: [Measurement(**measurement) for measurement in measurements]
            for scenario, measurements in stored["measurements"].items()
        }
        return cls(**stored)


def write_tables(report: Report, scenarios: tuple[Scenario, ...]) -> str:
    """The results in Markdown: the goals, then the tables of each scenario."""
    blocks = [
        "# Results of the bench",
        f"Measured on {report.when} on {report.machine}. The servers took turns. Each ran alone on one processor,"
        " and the load ran on another. Every byte that arrived was compared with what was sent.",
        f"A figure is the median of {report.runs}, with the lowest and the highest in parentheses. *Ratio* is the"
        " server's figure divided by that of hubbub: the median of the ratios of each run, because the speed of the"
        " machine drifts. *Load* and *server* are the shares of their processors that the load and the server used."
        f" If the load used more than {LOAD_LIMIT:.0%}, the server may be faster than the figure says.",
    ]
    if report.missing:
        left_out = "; ".join(f"{peer} ({missing} not installed)" for peer, missing in report.missing.items())
        blocks.append(f"Left out: {left_out}.")
    blocks += ["## Goals", "\n".join(_goal_rows(report))]
    for scenario in scenarios:
        if scenario.name in report.measurements:
            blocks += [f"## {scenario.title}", scenario.text]
            blocks += _scenario_blocks(scenario, report.measurements[scenario.name])
    return "\n\n".join(blocks) + "\n"


def _goal_rows(report: Report) -> Iterator[str]:
    yield "| scenario | goal | measured | reached |"
    yield "|---|---|---|---|"
    for goal in GOALS:
        measured = goal.measure(report)
        failure = report.find(goal.scenario, goal.point, goal.own).failure
        if measured is not None:
            outcome = f"{_short(measured)} | {_yes_no(goal.holds(measured))}"
        else:
            outcome = f"{failure} | **no**" if failure else "not measured | "
        yield f"| {goal.scenario}, {goal.point}{_who(goal)}: `{goal.key}` | {goal} | {outcome} |"


def _who(goal: Ratio | Absolute) -> str:
    """Which hubbub has to reach it, if it is not the one of plain TCP."""
    return "" if goal.own == HUBBUB else f", {goal.own}"


def _yes_no(held: bool) -> str:
    return "yes" if held else "**no**"


def _scenario_blocks(scenario: Scenario, measurements: list[Measurement]) -> Iterator[str]:
    points = list(dict.fromkeys(measurement.point for measurement in measurements))
    failures = {
        f"{measurement.peer}, {measurement.point}": measurement.failure
        for measurement in measurements
        if measurement.failure
    }
    for point in points:
        rows = [measurement for measurement in measurements if measurement.point == point]
        yield "\n".join(_point_rows(scenario, point, rows))
    if failures:
        yield "\n".join(f"- {where}: {failure}" for where, failure in failures.items())


def _point_rows(scenario: Scenario, point: str, rows: list[Measurement]) -> Iterator[str]:
    first = scenario.columns[0]
    own = next((row for row in rows if row.peer == HUBBUB), None)
    yield f"| {point} | {' | '.join(column.unit for column in scenario.columns)} | ratio | load | server |"
    yield "|---|" + "---:|" * (len(scenario.columns) + 3)
    for row in rows:
        cells = [_cell(row, column) for column in scenario.columns]
        compared = ratio(row, own, first.key) if own else None
        relative = "" if compared is None else f"{compared:.2f}"
        yield f"| {row.peer} | {' | '.join(cells)} | {relative} | {_share(row, 'load')} | {_share(row, 'server')} |"


def _cell(row: Measurement, column: Column) -> str:
    figure = row.figure(column.key)
    if figure is None:
        return "—"
    low, middle, high = (_short(value / column.divisor) for value in (figure.least, figure.median, figure.most))
    return f"{middle} ({low}-{high})"


def _share(row: Measurement, side: str) -> str:
    figure = row.figure(f"{side}_share")
    return "" if figure is None else f"{figure.median:.0%}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
