"""The pictures of the docs fit whatever font there is, and follow light and dark mode."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"

WIDEST = 0.63
"""How wide a letter is in a wide font, in parts of the font's size; on average DejaVu Sans has less, even in bold."""

PICTURES = [ROOT / "docs" / "images" / "log-and-cursors.svg"]
DRAWN = [*PICTURES, *sorted((ROOT / "bench" / "results").glob("*.svg"))]


def name(path: Path) -> str:
    return path.name


@pytest.mark.parametrize("picture", PICTURES, ids=name)
def test_text_is_within_the_picture_in_a_wide_font_too(picture: Path) -> None:
    root = ElementTree.parse(picture).getroot()
    size, width = float(root.attrib["font-size"]), float(root.attrib["width"])

    def check(element: ElementTree.Element, anchor: str) -> None:
        anchor = element.get("text-anchor", anchor)
        if element.tag == f"{SVG}text":
            length = WIDEST * size * len(element.text or "")
            left = float(element.attrib["x"]) - {"start": 0, "middle": length / 2}[anchor]
            assert 0 <= left <= left + length <= width, element.text
        for inner in element:
            check(inner, anchor)

    check(root, "start")


@pytest.mark.parametrize("picture", DRAWN, ids=name)
def test_a_picture_follows_light_and_dark_mode(picture: Path) -> None:
    assert "@media (prefers-color-scheme: dark)" in picture.read_text()
