"""Terminals as an SVG in which everything appears at its time; without animation, it shows the end."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .film import Pane, Piece

COLUMNS: Final = 52
"""Characters in a line of a terminal. A longer line is an error."""

ADVANCE: Final = 7.7
"""The width of a character. Lines are stretched to it, so that every font fits."""

LINE_HEIGHT: Final = 16
TITLE_HEIGHT: Final = 23
MARGIN: Final = 11
GAP: Final = 8
PANE_WIDTH: Final = round(COLUMNS * ADVANCE) + 2 * MARGIN

_HEAD: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-labelledby="t d">
<title id="t">{title}</title>
<desc id="d">{description}</desc>
<style>
text {{ font: 12.5px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; white-space: pre }}
text {{ fill: #1f2328 }}
.pane {{ fill: #ffffff; stroke: #d0d7de }} .bar {{ fill: #eff2f5; stroke: #d0d7de }}
.title {{ font: 600 12px system-ui, 'Segoe UI', Helvetica, 'DejaVu Sans', sans-serif; fill: #59636e }}
.typed {{ font-weight: 600; fill: #0550ae }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #d1d7e0 }} .pane {{ fill: #151b23; stroke: #3d444d }} .bar {{ fill: #212830; stroke: #3d444d }}
.title {{ fill: #9198a1 }} .typed {{ fill: #79c0ff }}
}}
@keyframes appear {{ from {{ visibility: hidden }} }}
tspan {{ animation: appear 1ms backwards }}
@media (prefers-reduced-motion: reduce) {{ tspan {{ animation: none }} }}
</style>
"""


def draw(columns: Sequence[Sequence[Pane]], *, title: str, description: str) -> str:
    """The panes below each other in columns, as an SVG; the last pane of a column is as high as there is room."""
    height = max(sum(_pane_height(pane) + GAP for pane in column) - GAP for column in columns) + 2
    width = len(columns) * (PANE_WIDTH + GAP) - GAP + 2
    parts = [_HEAD.format(width=width, height=height, title=escape(title), description=escape(description))]
    for index, column in enumerate(columns):
        top = 1
        for pane in column:
            end = height - 1 if pane is column[-1] else top + _pane_height(pane)
            parts += _draw_pane(pane, 1 + index * (PANE_WIDTH + GAP), top, end - top)
            top = end + GAP
    return "".join([*parts, "</svg>\n"])


def _pane_height(pane: Pane) -> int:
    return TITLE_HEIGHT + len(_rows(pane)) * LINE_HEIGHT + MARGIN


def _draw_pane(pane: Pane, left: int, top: int, height: int) -> Iterator[str]:
    yield f'<rect class="pane" x="{left}" y="{top}" width="{PANE_WIDTH}" height="{height}" rx="6"/>\n'
    yield (
        f'<path class="bar" d="M{left} {top + TITLE_HEIGHT}v-{TITLE_HEIGHT - 6}q0 -6 6 -6h{PANE_WIDTH - 12}'
        f'q6 0 6 6v{TITLE_HEIGHT - 6}z"/>\n'
    )
    yield f'<text class="title" x="{left + MARGIN}" y="{top + 16}">{escape(pane.title)}</text>\n'
    for number, row in enumerate(_rows(pane), start=1):
        length = sum(len(piece.text) for piece in row)
        place = f'x="{left + MARGIN}" y="{top + TITLE_HEIGHT + number * LINE_HEIGHT}"'
        pieces = "".join(map(_draw_piece, row))
        yield f'<text {place} textLength="{length * ADVANCE:.1f}" lengthAdjust="spacingAndGlyphs">{pieces}</text>\n'


def _draw_piece(piece: Piece) -> str:
    kind = ' class="typed"' if piece.typed else ""
    return f'<tspan{kind} style="animation-delay:{piece.seconds:.2f}s">{escape(piece.text, quote=False)}</tspan>'


def _rows(pane: Pane) -> list[list[Piece]]:
    rows = pane.lines if pane.lines[-1] else pane.lines[:-1]
    for row in rows:
        if len(text := "".join(piece.text for piece in row)) > COLUMNS:
            raise ValueError(f"{text!r} has more than {COLUMNS} characters")
    return rows
