"""The recording in the README: a script makes it from real programs, and it is a picture that any browser shows."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from support.programs import finish, require_program

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs" / "images"
WIDE = IMAGES / "chat-and-feed.svg"
NARROW = IMAGES / "chat-and-feed-narrow.svg"
both = pytest.mark.parametrize("recording", [WIDE, NARROW], ids=["wide", "narrow"])

LEGIBLE = 8
"""Pixels of letters that can be read on the screen of a telephone."""

SVG = "{http://www.w3.org/2000/svg}"
CLIENT = re.compile(r"(?<=127\.0\.0\.1:)\d{5}")


def shown(recording: Path) -> list[str]:
    """The lines of its terminals, the names of clients replaced by a star."""
    root = ET.parse(recording).getroot()
    assert root.tag == f"{SVG}svg"
    return [CLIENT.sub("*", "".join(text.itertext())) for text in root.iter(f"{SVG}text")]


@both
def test_the_recording_shows_a_chat_of_two_telnets_and_a_feed_with_two_readers(recording: Path) -> None:
    lines = shown(recording)
    assert lines.count("$ telnet 127.0.0.1 5000") == 2
    assert lines.count("$ nc 127.0.0.1 5010") == 2
    assert "127.0.0.1:* says: Ho" in lines
    assert lines.count("$WIMWV,214.8,R,10.1,N,A*1C") == 2


@both
def test_the_recording_is_small_follows_dark_mode_and_stands_still_where_that_is_wanted(recording: Path) -> None:
    text = recording.read_text()
    assert len(text) < 60_000
    for query in ("prefers-color-scheme: dark", "prefers-reduced-motion: reduce"):
        assert f"@media ({query})" in text


@both
def test_every_piece_of_the_recording_appears_at_its_time(recording: Path) -> None:
    pieces = list(ET.parse(recording).getroot().iter(f"{SVG}tspan"))
    delays = [re.fullmatch(r"animation-delay:(\d+\.\d\d)s", piece.get("style", "")) for piece in pieces]
    assert delays
    assert all(delay and float(delay[1]) < 20 for delay in delays)


def test_the_recording_can_be_read_on_a_telephone() -> None:
    """A page that is 360 pixels wide shows the narrow one, at a width of 328."""
    text = (ROOT / "README.md").read_text()
    source = re.search(r'<source media="\(max-width: (\d+)px\)" srcset="([^"]+)">', text)
    assert source
    assert int(source[1]) >= 360
    narrow = (ROOT / source[2]).read_text()
    width = re.search(r'viewBox="0 0 (\d+) \d+"', narrow)
    letters = re.search(r"text \{ font: ([\d.]+)px", narrow)
    assert width
    assert letters
    assert float(letters[1]) * 328 / float(width[1]) > LEGIBLE


@pytest.mark.long
@pytest.mark.real
def test_the_script_records_the_same_session_again(tmp_path: Path, default_port: None) -> None:
    for program in ("bash", "nc", "socat", "ss", "telnet"):
        require_program(program)
    record = [sys.executable, "-m", "recording", "--output", str(tmp_path / "new.svg"), "--feed-port", "5001"]
    done = finish(*record, cwd=ROOT, env={"PYTHONPATH": str(ROOT / "tests")})
    assert done.status == 0, done.errors
    for made, kept in (("new", WIDE), ("new-narrow", NARROW)):
        assert shown(tmp_path / f"{made}.svg") == [line.replace("5010", "5001") for line in shown(kept)]
