"""Every default and every limit."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from math import inf, nan
from types import NoneType
from typing import Any, get_args, get_type_hints

import pytest

from hubbub.values.declaration import COUNT, RATE, SECONDS, SIZE, TEXT
from hubbub.values.settings import DECLARATIONS, KIB, MIB, Settings

LEAST = {
    "retention": 4 * KIB,
    "chunk_limit": 4 * KIB,
    "message_limit": 1,
    "inbox_limit": 1,
    "outbox_limit": 1,
    "unsent_limit": 1,
    "mute_limit": 0,
    "flush_slice": 1,
    "rooms_limit": 1,
    "backlog": 1,
    "keepalive_time": 1,
    "keepalive_interval": 1,
    "pace": 0,
    "probe_time": 0,
    "drain_time": 0,
    "linger_time": 0,
    "spread_time": 0,
    "clients_limit": 1,
    "clients_per_address": 1,
    "clients_per_subnet": 1,
    "connect_burst": 1,
    "byte_rate": 1,
    "unauthenticated_limit": 1,
    "accept_slice": 1,
    "store_size": MIB,
    "store_count": 1,
    "store_pending": 4 * KIB,
}
ABOVE_ZERO = [
    "patience",
    "stall_time",
    "connect_time",
    "fetch_time",
    "retry_time",
    "retry_limit",
    "silence_time",
    "cancel_time",
    "message_time",
    "handshake_time",
    "shed_time",
    "connect_rate",
    "message_rate",
    "idle_time",
    "store_age",
    "store_patience",
]
TEXTS = ["when_slow", "notice", "farewell", "durable"]


def settings_with(name: str, value: Any) -> Settings:
    option: dict[str, Any] = {name: value}
    return Settings(**option)


def test_every_setting_is_tested_here() -> None:
    assert {*LEAST, *ABOVE_ZERO, *TEXTS} == DECLARATIONS.keys() == {field.name for field in fields(Settings)}


@pytest.mark.parametrize("name", DECLARATIONS)
def test_a_setting_may_be_none_where_its_annotation_says_so(name: str) -> None:
    declaration = DECLARATIONS[name]
    types = get_args(get_type_hints(Settings)[name])
    assert (declaration.none is not None) == (NoneType in types)
    if declaration.none is not None:
        assert getattr(settings_with(name, None), name) is None


@pytest.mark.parametrize("name", DECLARATIONS)
def test_a_setting_says_what_it_means_in_sentences(name: str) -> None:
    declaration = DECLARATIONS[name]
    assert declaration.meaning[0].isupper()
    assert declaration.meaning.endswith(".")
    unit = {SIZE: "ytes", SECONDS: "Seconds ", RATE: " per second", COUNT: "", TEXT: ""}[declaration.kind]
    assert unit in declaration.meaning


@pytest.mark.parametrize(("name", "least"), LEAST.items())
def test_a_figure_may_be_the_least_and_not_less(name: str, least: int) -> None:
    assert getattr(settings_with(name, least), name) == least
    with pytest.raises(ValueError, match=f"^{name} is {least - 1}; it must be at least {least}$"):
        settings_with(name, least - 1)


@pytest.mark.parametrize("name", ["keepalive_time", "keepalive_interval"])
def test_a_keepalive_may_be_the_most_that_the_system_takes_and_not_more(name: str) -> None:
    assert getattr(settings_with(name, 32767), name) == 32767
    with pytest.raises(ValueError, match=f"^{name} is 32768; it must be at most 32767$"):
        settings_with(name, 32768)


@pytest.mark.parametrize("name", ABOVE_ZERO)
@pytest.mark.parametrize("value", [0, -1.0, nan])
def test_a_time_that_is_waited_for_and_a_rate_are_more_than_zero(name: str, value: float) -> None:
    assert getattr(settings_with(name, 0.001), name) == 0.001
    with pytest.raises(ValueError, match=f"^{name} is {value}; it must be more than 0$"):
        settings_with(name, value)


@pytest.mark.parametrize("name", ["drain_time", "linger_time", "spread_time"])
def test_a_time_that_may_be_zero_is_not_nan(name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} is nan; it must be at least 0$"):
        settings_with(name, nan)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("retention", "16M", "retention is '16M'; it must be a whole number of bytes"),
        ("retention", 1e6, "retention is 1000000.0; it must be a whole number of bytes"),
        ("retention", None, "retention is None; it must be a whole number of bytes"),
        ("byte_rate", nan, "byte_rate is nan; it must be a whole number of bytes or None"),
        ("backlog", True, "backlog is True; it must be a whole number"),
        ("connect_rate", "fast", "connect_rate is 'fast'; it must be a number or None"),
        ("patience", None, "patience is None; it must be a number of seconds"),
        ("farewell", b"bye", "farewell is b'bye'; it must be a string or None"),
    ],
)
def test_a_value_of_another_type_is_named_with_its_setting(name: str, value: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        settings_with(name, value)
    assert str(caught.value) == message


def test_the_time_over_which_ends_are_spread_is_a_part_of_the_drain_time() -> None:
    assert Settings(drain_time=5, spread_time=5).spread_time == 5
    with pytest.raises(ValueError, match=r"^spread_time is 6; it must be at most 5$"):
        Settings(drain_time=5, spread_time=6)


def test_when_slow_is_any_name_for_a_room_checks_it() -> None:
    assert Settings(when_slow="tease").when_slow == "tease"
    with pytest.raises(ValueError, match=r"^when_slow is empty; it must be the name of a policy$"):
        Settings(when_slow="")


@pytest.mark.parametrize("notice", [None, "", "missed some", "{missed}", "{missed:,} gone", "{{}} {missed}"])
def test_a_notice_may_say_how_many_messages_were_missed(notice: str | None) -> None:
    assert Settings(notice=notice).notice == notice


@pytest.mark.parametrize("notice", ["{count}", "{}", "{0}", "{missed", "{missed.name}", "{missed[0]}", "{missed:x y}"])
def test_a_notice_has_no_other_field(notice: str) -> None:
    with pytest.raises(ValueError, match="missed} is the only field"):
        Settings(notice=notice)


def test_settings_are_given_by_name_and_do_not_change() -> None:
    with pytest.raises(TypeError):
        Settings(MIB)  # type: ignore[call-arg] # likewise
    with pytest.raises(FrozenInstanceError):
        Settings().pace = None  # type: ignore[misc] # that is the test


@pytest.mark.parametrize(
    ("retention", "chunk_size"), [(16 * MIB, 256 * KIB), (2 * MIB, 256 * KIB), (64 * KIB, 8 * KIB), (4 * KIB, 512)]
)
def test_a_small_retention_is_made_of_eight_chunks(retention: int, chunk_size: int) -> None:
    assert Settings(retention=retention).chunk_size == chunk_size


@pytest.mark.parametrize(
    ("options", "hold_time"),
    [
        ({}, 0.25),
        ({"stall_time": 1.0}, 1.0),
        # What a system may take at once takes two seconds at this pace.
        ({"pace": 512 * KIB}, 2.0),
        # It is patience that ends it.
        ({"pace": 0}, inf),
    ],
)
def test_a_reader_holds_senders_for_as_long_as_a_gulp_takes_at_the_pace(
    options: dict[str, Any], hold_time: float
) -> None:
    assert Settings(**options).hold_time == hold_time


def test_durable_is_one_of_two_words() -> None:
    with pytest.raises(ValueError, match=r"^durable is 'maybe'; it must be 'behind' or 'ack'$"):
        Settings(durable="maybe")
