"""The types of options and arguments."""

from __future__ import annotations

import click
import pytest

from hubbub.cli.values import OrNone, Size, Time
from hubbub.values.units import format_size, format_time, readable


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("65536", 65_536),
        ("64K", 65_536),
        ("64k", 65_536),
        ("64KB", 65_536),
        ("64 KiB", 65_536),
        (" 16M ", 16 << 20),
        ("2G", 2 << 30),
        ("10B", 10),
    ],
)
def test_a_size_may_have_a_unit(text: str, size: int) -> None:
    assert Size()(text) == size


@pytest.mark.parametrize("text", ["", "K", "-1", "1.5M", "12X", "1 2", "none", "9" * 5_000], ids=lambda text: text[:10])
def test_anything_else_is_not_a_size(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a size; write bytes, as in 65536, 64K or 16MiB"):
        Size()(text)


@pytest.mark.parametrize("size", [0, 1, 1023, 1024, 1536, 65_536, 16 << 20, 3 << 30])
def test_a_size_is_shown_as_it_may_be_written(size: int) -> None:
    assert Size()(format_size(size)) == size


def test_a_size_is_shown_with_the_largest_unit_that_fits() -> None:
    assert [format_size(size) for size in (0, 1000, 2048, 1 << 20, 1 << 30)] == ["0", "1000", "2KiB", "1MiB", "1GiB"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("30", 30.0),
        (" 0.5 s ", 0.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("5m", 300.0),
        ("2H", 7200.0),
        ("1d", 86_400.0),
    ],
)
def test_a_time_is_in_seconds_or_has_a_unit(text: str, seconds: float) -> None:
    assert Time()(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", ".", "-1", "1e3", "nan", "inf", "5x", "1h30m", "none", "9" * 5_000], ids=lambda text: text[:10]
)
def test_anything_else_is_not_a_time(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a time; write seconds, or a unit, as in 30, "):
        Time()(text)


def test_a_time_is_shown_with_the_largest_unit_that_fits() -> None:
    shown = {0.0: "0s", 0.25: "0.25s", 30.0: "30s", 90.0: "90s", 300.0: "5m", 7200.0: "2h", 86_400.0: "1d"}
    assert {seconds: format_time(seconds) for seconds in shown} == shown
    assert [Time()(text) for text in shown.values()] == list(shown)


def test_a_word_may_stand_for_none() -> None:
    assert OrNone(Size(), "none")("none") is None
    assert OrNone(Size(), "none")("1K") == 1024
    assert OrNone(click.STRING, "none", "")("") is None
    with pytest.raises(click.BadParameter, match="'nothing' is not a size"):
        OrNone(Size(), "none")("nothing")


def test_what_is_a_time_already_stays_so() -> None:
    assert Time()(2.5) == 2.5


def test_a_size_for_people_has_one_decimal_and_its_unit() -> None:
    sizes = 0, 1023, 1024, 1_500_000, 3 << 30
    assert [readable(size) for size in sizes] == ["0 B", "1023 B", "1.0 KiB", "1.4 MiB", "3.0 GiB"]
