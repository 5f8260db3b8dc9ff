"""Drawings (SVG) that follow light and dark mode, whatever fonts there are.

matplotlib writes each colour into the element that has it. A style sheet in the drawing replaces the light colours by
the dark ones where the reader's system is in dark mode. A viewer that knows no style sheets shows the light ones.
"""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.figure import Figure

PAPER: Final = "#ffffff"
INK: Final = "#1f2328"
FRAME: Final = "#818b98"
GRID: Final = "#e1e4e8"

DARK: Final[Mapping[str, str]] = {PAPER: "#0d1117", INK: "#e6edf3", FRAME: "#7d8590", GRID: "#30363d"}
"""What stands for each colour in dark mode."""

STYLE: Final[Any] = {
    # Text stays text: smaller, and it can be searched.
    "svg.fonttype": "none",
    # The same figures give the same file.
    "svg.hashsalt": "hubbub",
    # The text is laid out in the first one, which is wider than most, so it has room in another.
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "Helvetica"],
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.color": FRAME,
    "ytick.color": FRAME,
    "axes.edgecolor": FRAME,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
}
"""How matplotlib draws: see `matplotlib.rc_context`."""


def save(figure: Figure, path: Path, dark: Mapping[str, str], **options: Any) -> None:
    """Write a figure that was drawn in `STYLE`.

    Args:
        figure: what to write.
        path: the file.
        dark: what stands for each of its own colours in dark mode.
        options: as `Figure.savefig` takes them.

    Raises:
        OSError: it cannot be written.
    """
    drawn = StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None}, **options)
    rules = "".join(
        f'[style*="{key}: {light}"]{{{key}:{other} !important}}'
        for light, other in {**DARK, **dark}.items()
        for key in ("fill", "stroke")
    )
    sheet = f"@media (prefers-color-scheme: dark){{{rules}}}"
    path.write_text(drawn.getvalue().replace("</style>", f"{sheet}</style>", 1))
