"""Drawings that follow light and dark mode."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure

from hubbub.load.drawing import DARK, INK, STYLE, save


@pytest.fixture
def drawing(tmp_path: Path) -> Path:
    """A blue line with a name, which is to be pink in dark mode."""
    with rc_context(STYLE):
        figure = Figure()
        figure.subplots().plot([1, 2], color="#0000ff")
        figure.text(0.5, 0.5, "a name")
        save(figure, tmp_path / "drawing.svg", {"#0000ff": "#ff80c0"})
    return tmp_path / "drawing.svg"


def sheet_of(drawing: Path) -> str:
    sheet = ElementTree.parse(drawing).find(".//{http://www.w3.org/2000/svg}style")
    assert sheet is not None
    return sheet.text or ""


def test_each_colour_has_one_that_replaces_it_in_dark_mode(drawing: Path) -> None:
    text = drawing.read_text()
    before, _, dark = sheet_of(drawing).partition("@media (prefers-color-scheme: dark)")
    assert "color" not in before
    for light, other in {**DARK, "#0000ff": "#ff80c0"}.items():
        assert f'[style*="stroke: {light}"]{{stroke:{other} !important}}' in dark
        # The selectors find what matplotlib has written.
        assert f"stroke: {light}" in text or f"fill: {light}" in text
    assert f"fill: {INK}" in text


def test_names_are_text_in_whatever_font_there_is(drawing: Path) -> None:
    texts = list(ElementTree.parse(drawing).iter("{http://www.w3.org/2000/svg}text"))
    assert "a name" in [text.text for text in texts]
    assert all("sans-serif;" in text.get("style", "") for text in texts)
