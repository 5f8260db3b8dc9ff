"""Places in a log, as users say them."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.values.position import Position
from hubbub.values.since import Since

POSITION = Position("0123456789abcdef", 42)
DATE = datetime(2026, 11, 28, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("none", Since("messages", 0)),
        ("all", Since("messages", inf)),
        ("100", Since("messages", 100)),
        (" 0 ", Since("messages", 0)),
        ("64K", Since("bytes", 64 * 1024)),
        ("16MiB", Since("bytes", 16 * 1024**2)),
        ("1GB", Since("bytes", 1024**3)),
        ("4096B", Since("bytes", 4096)),
        ("90s", Since("seconds", 90)),
        ("0.5s", Since("seconds", 0.5)),
        # A small m is minutes, and a large one is a size.
        ("16m", Since("seconds", 960)),
        ("16M", Since("bytes", 16 * 1024**2)),
        ("2h", Since("seconds", 7200)),
        ("7d", Since("seconds", 604800)),
        ("2026-11-28T08:00:00Z", Since("date", DATE.timestamp())),
        ("2026-11-28 09:30:00.5+01:30", Since("date", DATE.timestamp() + 0.5)),
        (str(POSITION), Since("position", position=POSITION)),
    ],
)
def test_a_place_is_read_as_it_is_written(text: str, since: Since) -> None:
    assert Since.parse(text) == since
    assert Since.of(text) == since


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "x",
            "-1",
            "1e3",
            "10x",
            "10S",
            "K",
            "9" * 30,
            "9" * 400 + "d",
            "\u0663",
            "1.5",
            "1.5K",
            "all 5",
            "10m\n5",
        ),
        *("10m\n5", "2026-11-28", "2026-11-28T08:00:00", "2026-13-28T08:00:00Z"),
        *("0123456789abcdef:-1", "0123456789ABCDEF:1", ":", "."),
    ],
)
def test_what_is_no_place_is_an_error_that_names_the_forms(text: str) -> None:
    with pytest.raises(ValueError, match=r"^'.*' is not a place in a log; write none, all, 100 \(messages\), 64K"):
        Since.parse(text)


@given(st.text())
def test_any_text_is_a_place_or_a_wrong_value(text: str) -> None:
    with suppress(ValueError):
        assert Since.parse(text).amount >= 0


@pytest.mark.parametrize(
    ("value", "since"),
    [
        (20, Since("messages", 20)),
        (timedelta(minutes=10), Since("seconds", 600)),
        (DATE, Since("date", DATE.timestamp())),
        (DATE.astimezone(timezone(timedelta(hours=5))), Since("date", DATE.timestamp())),
        (POSITION, Since("position", position=POSITION)),
        (Since("bytes", 5), Since("bytes", 5)),
    ],
)
def test_a_program_gives_a_value(value: Any, since: Since) -> None:
    assert Since.of(value) == since


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (-1, ValueError, "-1 is negative; it counts back from the newest message"),
        (timedelta(seconds=-1), ValueError, "is negative; it counts back from the newest message"),
        (datetime(2026, 11, 28), ValueError, "2026-11-28 00:00:00 has no time zone; give it one"),
        (True, TypeError, "True is not a place in a log; give a Position, a number, a timedelta or a datetime"),
        (1.5, TypeError, "1.5 is not a place in a log"),
        (None, TypeError, "None is not a place in a log"),
    ],
)
def test_what_a_program_may_not_give(value: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Since.of(value)


PLACES = st.one_of(
    st.builds(Since, st.sampled_from(["messages", "bytes"]), st.integers(0, 10**15)),
    st.just(Since("messages", inf)),
    st.builds(lambda micros: Since("seconds", micros / 10**6), st.integers(0, 10**12)),
    st.builds(
        lambda date: Since.of(date.replace(tzinfo=UTC)), st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1))
    ),
    st.builds(lambda seq: Since.of(Position("0123456789abcdef", seq)), st.integers(0, 10**18)),
)


@given(PLACES)
def test_a_place_is_written_as_it_is_read(since: Since) -> None:
    read = Since.parse(str(since))
    assert (read.kind, read.position) == (since.kind, since.position)
    assert read.amount == pytest.approx(since.amount, abs=1e-6, rel=0)
