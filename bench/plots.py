"""The plots of what was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt
from matplotlib.ticker import NullFormatter

from .catalogue import HUBBUB, LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .measure import Measurement
    from .report import Report

_STYLE: Final[Any] = {
    "svg.fonttype": "none",
    # The same figures give the same file.
    "svg.hashsalt": "hubbub",
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "figure.facecolor": "white",
}
_COLOURS: Final = (
    "#1f77b4",
    "#2ca02c",
    "#9467bd",
    "#8c564b",
    "#e377c2",
    "#7f7f7f",
    "#bcbd22",
    "#17becf",
    "#ff7f0e",
    "#393b79",
    "#637939",
)
"""None of them red, which is hubbub's."""


def write_plots(report: Report, folder: Path) -> list[Path]:
    """Draw a plot for each scenario that has one and was measured; the files."""
    written = []
    with mpl.rc_context(_STYLE):
        for name, draw in _PLOTS.items():
            if measurements := report.measurements.get(name):
                figure = draw(measurements)
                file = folder / f"{name}.svg"
                figure.savefig(file, metadata={"Date": None}, bbox_inches="tight")
                plt.close(figure)
                written.append(file)
    return written


def _colour(peer: str, peers: list[str]) -> Any:
    if peer == HUBBUB:
        return "#d1242f"
    if peer == LIMIT:
        return "#222222"
    return _COLOURS[peers.index(peer) % len(_COLOURS)]


def _peers(measurements: list[Measurement]) -> list[str]:
    return list(dict.fromkeys(measurement.peer for measurement in measurements))


def _by_readers(measurements: list[Measurement], peer: str, key: str) -> list[tuple[int, float, float, float]]:
    """Readers, median, lowest and highest, for the points that differ in the number of readers only."""
    rows = []
    for measurement in measurements:
        figure = measurement.figure(key)
        first, _, rest = measurement.point.partition(" ")
        if measurement.peer == peer and figure and "KiB" not in rest:
            rows.append((int(first.replace(",", "")), figure.median, figure.least, figure.most))
    return rows


def _draw_fan_out(measurements: list[Measurement]) -> Any:
    figure, axes = plt.subplots(figsize=(9, 5.5))
    peers = _peers(measurements)
    for peer in peers:
        rows = _by_readers(measurements, peer, "deliveries_per_s")
        if not rows:
            continue
        readers, median, least, most = zip(*rows, strict=True)
        own = peer == HUBBUB
        axes.fill_between(readers, least, most, color=_colour(peer, peers), alpha=0.15, linewidth=0)
        axes.plot(
            readers,
            median,
            marker="o",
            markersize=6 if own else 4,
            linewidth=3 if own else 1.5,
            linestyle="--" if peer == LIMIT else "-",
            color=_colour(peer, peers),
            label=peer,
            zorder=3 if own else 2,
        )
    axes.set(xscale="log", yscale="log", xlabel="readers", ylabel="deliveries a second")
    axes.set_title("Fan-out at full speed: one sender, lines of 100 bytes", loc="left")
    _name_thousands(axes.xaxis)
    _name_thousands(axes.yaxis)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    return figure


def _draw_latency(measurements: list[Measurement]) -> Any:
    points = list(dict.fromkeys(measurement.point for measurement in measurements))
    peers = _peers(measurements)
    figure, rows = plt.subplots(1, len(points), figsize=(3.4 * len(points), 0.42 * len(peers) + 1), sharey=True)
    for axes, point in zip(rows, points, strict=True):
        for measurement in measurements:
            if measurement.point != point:
                continue
            ranks = [measurement.figure(key) for key in ("p50_us", "p99_us", "p999_us")]
            if not all(ranks):
                continue
            values = [rank.median / 1000 for rank in ranks if rank]
            at, colour = peers.index(measurement.peer), _colour(measurement.peer, peers)
            axes.plot([values[0], values[2]], [at, at], color=colour, linewidth=1.5, alpha=0.5)
            for value, marker, size in zip(values, ("o", "|", "|"), (8, 11, 7), strict=True):
                axes.plot(value, at, marker=marker, markersize=size, markeredgewidth=2, color=colour)
        axes.set(xscale="log", xlabel="milliseconds")
        axes.set_title(point, loc="left", fontsize=10)
        _name_thousands(axes.xaxis)
    rows[0].set_yticks(range(len(peers)), peers)
    rows[0].invert_yaxis()
    figure.suptitle("Time until the last reader has a message: p50 (dot), p99 and p99.9 (bars)", x=0.01, ha="left")
    figure.tight_layout()
    return figure


def _draw_bars(key: str, title: str, unit: str) -> Callable[[list[Measurement]], Any]:
    """A bar for each peer at the first point."""

    def draw(measurements: list[Measurement]) -> Any:
        bars = [(row.peer, measured.median) for row in measurements if (measured := row.figure(key))]
        bars.sort(key=lambda bar: bar[1], reverse=True)
        figure, axes = plt.subplots(figsize=(9, 0.4 * len(bars) + 1))
        peers = _peers(measurements)
        drawn = axes.barh(
            [peer for peer, _ in bars], [value for _, value in bars], color=[_colour(peer, peers) for peer, _ in bars]
        )
        axes.bar_label(drawn, labels=[f" {value:,.0f}" for _, value in bars])
        axes.set(xlabel=unit)
        axes.grid(visible=False, axis="y")
        axes.set_title(title, loc="left")
        return figure

    return draw


def _name_thousands(axis: Any) -> None:
    names = {1e9: "G", 1e6: "M", 1e3: "k"}

    def name(value: float, _: int) -> str:
        for size, letter in names.items():
            if value >= size:
                return f"{value / size:g}{letter}"
        return f"{value:g}"

    axis.set_major_formatter(name)
    axis.set_minor_formatter(NullFormatter())


_PLOTS: Final[dict[str, Callable[[list[Measurement]], Any]]] = {
    "fan-out": _draw_fan_out,
    "latency": _draw_latency,
    "connect": _draw_bars("connections_per_s", "Connect, be answered, close: 64 at a time", "connections a second"),
    "idle": _draw_bars("bytes_per_connection", "Memory of an idle connection, at 10,000", "bytes in the server"),
}
