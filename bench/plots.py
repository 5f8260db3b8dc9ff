"""The plots of what was measured."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt
from matplotlib.ticker import NullFormatter

from hubbub.load.drawing import DARK, INK, STYLE, save

from .catalogue import (
    HUBBUB,
    JETSTREAM,
    LIMIT,
    NATS_WEBSOCKET,
    NCHAN,
    NCHAN_POST,
    NCHAN_SSE,
    NODE_WS,
    POST,
    RAW,
    REDIS_STREAMS,
    SSE,
    STORELESS,
    WEBSOCKET,
    WEBSOCKETS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from .measure import Measurement
    from .report import Report

_STYLE: Final[Any] = {**STYLE, "font.size": 11, "axes.titlesize": 12}
_WIDTH: Final = 6.8
"""The width of each plot, in inches: so narrow that a phone shows letters one can read."""

COLOURS: Final[Mapping[str, tuple[str, str]]] = {
    HUBBUB: ("#d1242f", "#ff6b6b"),
    "hubbub, plain asyncio": ("#e16f24", "#f0883e"),
    STORELESS: ("#a40e26", "#ffaba8"),
    LIMIT: (INK, DARK[INK]),
    "NATS": ("#0969da", "#58a6ff"),
    "Redis": ("#8250df", "#bc8cff"),
    JETSTREAM: ("#0a3069", "#a5d6ff"),
    REDIS_STREAMS: ("#512a97", "#e2c5ff"),
    "Mosquitto": ("#9a6700", "#d29922"),
    "ncat --broker": ("#1b7c83", "#39c5cf"),
    "Node, net": ("#1a7f37", "#3fb950"),
    "asyncio protocols": ("#bf3989", "#f778ba"),
    "asyncio streams": ("#6e7781", "#9198a1"),
    "Twisted": ("#6b4423", "#c09a6b"),
    WEBSOCKETS: ("#7f8c00", "#b8c532"),
    RAW: ("#fa4549", "#ff8182"),
    SSE: ("#82071e", "#ffcecb"),
    WEBSOCKET: ("#bc4c00", "#ffa657"),
    POST: ("#953800", "#ffc680"),
    NCHAN_SSE: ("#4d2d00", "#eac54f"),
    NCHAN: ("#7d4e00", "#d4a72c"),
    NCHAN_POST: ("#633c01", "#bf8700"),
    NATS_WEBSOCKET: ("#54aeff", "#80ccff"),
    NODE_WS: ("#116329", "#4ac26b"),
}
"""Each server's colour in all plots, in light and in dark mode."""

_MARKERS: Final = "os*D^v12PX<>dph"
"""Each server's mark, in the same order, as far as it is in a plot: colours alone are not for everybody."""


def write_plots(report: Report, folder: Path) -> list[Path]:
    """Draw a plot for each scenario that has one and was measured; the files."""
    written = []
    with mpl.rc_context(_STYLE):
        for name, draw in _PLOTS.items():
            if measurements := report.measurements.get(name):
                figure = draw(measurements)
                file = folder / f"{name}.svg"
                save(figure, file, dict(COLOURS.values()), bbox_inches="tight")
                plt.close(figure)
                written.append(file)
    return written


def _colour(peer: str) -> str:
    return COLOURS[peer][0]


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
    figure, axes = plt.subplots(figsize=(_WIDTH, 5))
    peers = _peers(measurements)
    for peer in peers:
        rows = _by_readers(measurements, peer, "deliveries_per_s")
        if not rows:
            continue
        readers, median, least, most = zip(*rows, strict=True)
        own = peer == HUBBUB
        axes.fill_between(readers, least, most, color=_colour(peer), alpha=0.15, linewidth=0)
        axes.plot(
            readers,
            median,
            marker=_MARKERS[list(COLOURS).index(peer)],
            markersize=7 if own else 5,
            linewidth=3 if own else 1.5,
            linestyle="--" if peer == LIMIT else "-",
            color=_colour(peer),
            label=peer,
            zorder=3 if own else 2,
        )
    axes.set(xscale="log", yscale="log", xlabel="readers", ylabel="deliveries a second")
    axes.set_title("Fan-out at full speed: one sender, lines of 100 bytes", loc="left")
    _name_thousands(axes.xaxis)
    _name_thousands(axes.yaxis)
    axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.14), ncols=3, frameon=False)
    return figure


def _draw_latency(measurements: list[Measurement]) -> Any:
    points = list(dict.fromkeys(measurement.point for measurement in measurements))
    peers = _peers(measurements)
    # Two beside each other: four would be too small on a phone.
    rows = ceil(len(points) / 2)
    figure, grid = plt.subplots(
        rows, 2, figsize=(_WIDTH, rows * (0.27 * len(peers) + 1)), sharey=True, squeeze=False, layout="constrained"
    )
    for axes in grid.flat[len(points) :]:
        axes.remove()
    for axes, point in zip(grid.flat, points, strict=False):
        for measurement in measurements:
            if measurement.point != point:
                continue
            ranks = [measurement.figure(key) for key in ("p50_us", "p99_us", "p999_us")]
            if not all(ranks):
                continue
            values = [rank.median / 1000 for rank in ranks if rank]
            at, colour = peers.index(measurement.peer), _colour(measurement.peer)
            axes.plot([values[0], values[2]], [at, at], color=colour, linewidth=1.5, alpha=0.5)
            for value, marker, size in zip(values, ("o", "|", "|"), (8, 11, 7), strict=True):
                axes.plot(value, at, marker=marker, markersize=size, markeredgewidth=2, color=colour)
        axes.set(xscale="log", xlabel="milliseconds")
        axes.set_title(point, loc="left", fontsize=10)
        _name_thousands(axes.xaxis)
    grid[0][0].set_yticks(range(len(peers)), peers)
    grid[0][0].invert_yaxis()
    title = "Time until the last reader has a message: p50 (dot), p99 and p99.9 (bars)"
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure


def _draw_bars(key: str, title: str, unit: str) -> Callable[[list[Measurement]], Any]:
    """A bar for each peer at the first point."""

    def draw(measurements: list[Measurement]) -> Any:
        bars = [(row.peer, measured.median) for row in measurements if (measured := row.figure(key))]
        bars.sort(key=lambda bar: bar[1], reverse=True)
        figure, axes = plt.subplots(figsize=(_WIDTH, 0.34 * len(bars) + 1))
        peers = [peer for peer, _ in bars]
        drawn = axes.barh(peers, [value for _, value in bars], color=[_colour(peer) for peer in peers])
        axes.bar_label(drawn, labels=[f"{value:,.0f}" for _, value in bars], padding=4)
        # Room for the figure of the longest bar.
        axes.set(xlabel=unit, xlim=(0, bars[0][1] * 1.12))
        _name_thousands(axes.xaxis)
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
