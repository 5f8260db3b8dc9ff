"""What hubbub raises."""

from __future__ import annotations

import pickle
import re

import pytest

from hubbub.values import errors as exceptions
from hubbub.values.ending import Ending, EndingCode
from hubbub.values.errors import (
    ConnectionClosed,
    FramingError,
    HttpError,
    HubbubError,
    IncompleteMessage,
    ListenError,
    MessageTooLong,
    NotStored,
    PositionLost,
    RoomClosed,
    RoomLimitReached,
    StoreError,
    WrongProtocol,
)
from hubbub.values.position import Position

OLDEST, HEAD = Position("0badcafe", 10), Position("0badcafe", 20)

MESSAGES: list[tuple[HubbubError, str]] = [
    (
        ListenError("127.0.0.1:80", "permission denied"),
        "cannot listen on 127.0.0.1:80: permission denied; choose another place to listen",
    ),
    (
        ConnectionClosed("127.0.0.1:4711", Ending(EndingCode.LEFT, "the client closed the connection")),
        "the connection to 127.0.0.1:4711 has ended (left: the client closed the connection)",
    ),
    (ConnectionClosed("127.0.0.1:4711", None), "the connection to 127.0.0.1:4711 has ended (it sends no more)"),
    (
        PositionLost(Position("0badcafe", 7), first=OLDEST, head=HEAD, missed=3),
        "the log holds 0badcafe:10 to 0badcafe:20, not 0badcafe:7; messages after that which are gone: 3",
    ),
    (
        PositionLost(Position("0badcafe", 9), first=OLDEST, head=HEAD),
        "the log holds 0badcafe:10 to 0badcafe:20, not 0badcafe:9",
    ),
    (RoomClosed("x"), "room x was closed"),
    (RoomLimitReached("x", 3), "no room 'x': limit of 3 rooms reached; close one or raise rooms_limit"),
    (
        StoreError("/srv/log.db", "it is in use by another hubbub", "choose another file"),
        "cannot use the store /srv/log.db: it is in use by another hubbub; choose another file",
    ),
    (
        NotStored("root", "the disk is full"),
        "a message of room root was delivered and not stored: the disk is full",
    ),
    (HttpError("http://h/ais", "404 Not Found", 404), "http://h/ais: 404 Not Found"),
    (FramingError("no message"), "no message"),
    (MessageTooLong(5), "message longer than 5 bytes"),
    (IncompleteMessage(2), "the stream ended 2 bytes before the end of a message"),
    (WrongProtocol("HTTP"), "HTTP is not spoken here"),
]


@pytest.mark.parametrize(("error", "message"), MESSAGES, ids=lambda value: type(value).__name__)
def test_an_error_says_what_it_knows(error: HubbubError, message: str) -> None:
    assert str(error) == message


def test_every_error_says_something() -> None:
    named = {getattr(exceptions, name) for name in exceptions.__all__} - {HubbubError}
    assert named == {type(error) for error, _ in MESSAGES}


def test_errors_keep_their_facts() -> None:
    ending = Ending(EndingCode.LEFT, "the client closed the connection")
    closed = ConnectionClosed("alice", ending)
    assert (closed.peer, closed.ending) == ("alice", ending)
    lost = PositionLost(Position("0ther", 9), first=OLDEST, head=HEAD)
    assert (lost.position, lost.first, lost.head, lost.missed) == (Position("0ther", 9), OLDEST, HEAD, None)
    listen = ListenError("[::]:80", "permission denied")
    assert (listen.endpoint, listen.reason) == ("[::]:80", "permission denied")
    full = RoomLimitReached("x", 3)
    assert (full.name, full.limit) == ("x", 3)
    too_long = MessageTooLong(5, ["a", "b"])
    assert (too_long.limit, too_long.messages, too_long.reason) == (5, ["a", "b"], "message longer than 5 bytes")
    incomplete = IncompleteMessage(2)
    assert (incomplete.missing, list(incomplete.messages)) == (2, [])


def test_the_tree_is_as_it_is_drawn() -> None:
    drawn: list[tuple[int, str]] = []
    for line in (exceptions.__doc__ or "").splitlines():
        if found := re.match(r"[ │├└─]*(?=[A-Z]\w+(?:  |$))(?P<name>\w+)", line):
            name = found["name"]
            depth = found.start("name")
            while drawn and drawn[-1][0] >= depth:
                drawn.pop()
            base = drawn[-1][1] if drawn else "Exception"
            assert getattr(exceptions, name).__base__.__name__ == base
            drawn.append((depth, name))
    shown = re.findall(r"^[ │├└─]+([A-Z]\w+)(?:  |$)", exceptions.__doc__ or "", re.MULTILINE)
    assert sorted(shown) == sorted(exceptions.__all__)


@pytest.mark.parametrize("error", [error for error, _ in MESSAGES], ids=lambda error: type(error).__name__)
def test_an_error_survives_its_way_between_processes(error: HubbubError) -> None:
    copied = pickle.loads(pickle.dumps(error))
    assert type(copied) is type(error)
    assert (str(copied), vars(copied)) == (str(error), vars(error))
