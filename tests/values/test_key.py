"""What a key leaves of a role, and which rooms it opens."""

from __future__ import annotations

import pytest

from hubbub.values.key import UNNAMED, Key
from hubbub.values.role import Role


def key(*may: str, rooms: tuple[str, ...] = ("*",)) -> Key:
    return Key("boat", frozenset(may), rooms)


@pytest.mark.parametrize(
    ("may", "role", "left"),
    [
        (("read", "write"), "both", "both"),
        (("read", "write"), "read", "read"),
        (("read", "write"), "write", "write"),
        (("read",), "both", "read"),
        (("write",), "both", "write"),
        (("write", "watch"), "write", "write"),
    ],
)
def test_a_key_leaves_of_a_role_what_both_allow(may: tuple[str, ...], role: str, left: str) -> None:
    assert key(*may).narrow(Role(role)) == left
    assert key(*may).refusal("root", Role(left)) is None


@pytest.mark.parametrize(
    ("may", "role", "reason"),
    [
        (("write",), "read", "the key boat may not read"),
        (("read",), "write", "the key boat may not write"),
        (("read",), "both", "the key boat may not write"),
        (("watch",), "both", "the key boat may not read or write"),
        ((), "read", "the key boat is not valid any more"),
    ],
)
def test_a_key_that_does_not_allow_a_role_says_why(may: tuple[str, ...], role: str, reason: str) -> None:
    assert key(*may).refusal("root", Role(role)) == reason


def test_where_a_key_leaves_nothing_the_role_stays_to_be_refused() -> None:
    assert key("watch").narrow(Role.BOTH) is Role.BOTH
    assert key("write").narrow(Role.READ) is Role.READ


@pytest.mark.parametrize(
    ("room", "is_open"), [("ais", True), ("wx-north", True), ("wx", False), ("AIS", False), ("ais-2", False)]
)
def test_a_key_opens_the_rooms_that_its_patterns_name(room: str, is_open: bool) -> None:
    refusal = key("read", rooms=("ais", "wx-*")).refusal(room, Role.READ)
    assert refusal == (None if is_open else f"the key boat does not open the room {room}")


def test_a_shared_secret_opens_everything() -> None:
    assert UNNAMED.name is None
    for role in Role:
        assert UNNAMED.narrow(role) is role
        assert UNNAMED.refusal("any", role) is None
