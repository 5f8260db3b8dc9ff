"""The latency of a run as a drawing (SVG)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from .drawing import STYLE, save

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from .latency import Latencies
    from .plan import Plan

_COLOR: Final = "#1f6feb"
_PALE: Final = "#a8c7fa"
_DIM: Final = "#3e4c59"

_DARK: Final = {_COLOR: "#58a6ff", _PALE: "#1d3a66", _DIM: "#adbac7"}
"""What stands for each colour in dark mode."""

_MARKED: Final = {0.5: "50 %", 0.9: "90 %", 0.99: "99 %", 0.999: "99.9 %", 0.9999: "99.99 %", 0.99999: "99.999 %"}
"""The percentiles that the second axis names, as far as there are messages enough."""

_DECADE_POINTS: Final = 50


def draw(plan: Plan, latencies: Latencies, path: Path) -> None:
    """Draw how long messages took, over the time of the run and by their share.

    Args:
        plan: what was asked of the server.
        latencies: from when a message was due until the last reader had it; at least one.
        path: the file.

    Raises:
        OSError: it cannot be written.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(11, 4.6), layout="constrained")
        figure.suptitle(f"Latency to the last reader: {plan}", fontsize=11)
        over_time, by_share = figure.subplots(1, 2, sharey=True)
        _draw_over_time(over_time, plan, latencies)
        _draw_by_share(by_share, latencies)
        save(figure, path, _DARK)


def _draw_over_time(axes: Axes, plan: Plan, latencies: Latencies) -> None:
    slices = latencies.over_time([0.5, 0.99, 1.0])
    times = [time for time, _ in slices]
    half, most, longest = ([found[column] * 1e3 for _, found in slices] for column in range(3))
    axes.fill_between(times, half, most, color=_PALE, linewidth=0, label="50 % to 99 %")
    axes.plot(times, longest, color=_DIM, linewidth=0.7, label="longest")
    axes.plot(times, half, color=_COLOR, linewidth=1.8, label="50 %")
    axes.set_xlim(0, plan.time)
    axes.set_yscale("log")
    # So that two values are named at the least.
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("when the message was due, in seconds from the start")
    axes.set_ylabel("milliseconds")
    # Above, where it hides nothing.
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=9, frameon=False)


def _draw_by_share(axes: Axes, latencies: Latencies) -> None:
    """As HdrHistogram draws it: each further nine of the share takes the same room."""
    count = len(latencies)
    # Without the one message that is the longest, shares nearer to all tell nothing.
    odds = [1.0]
    while odds[-1] < count:
        odds.append(min(odds[-1] * 10 ** (1 / _DECADE_POINTS), count))
    shares = [1 - 1 / each for each in odds]
    axes.plot(odds, [time * 1e3 for time in latencies.percentiles(shares)], color=_COLOR, linewidth=1.8)
    axes.set_xscale("log")
    axes.set_xlim(1, max(10, count))
    marked = {1 / (1 - share): text for share, text in _MARKED.items() if share < 1 - 0.5 / max(10, count)}
    axes.set_xticks(list(marked), list(marked.values()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("share of the messages that took no longer")
