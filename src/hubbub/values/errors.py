"""What hubbub raises.

    HubbubError
    ├── ListenError             the server cannot listen where it was told to
    ├── ConnectionClosed        the other side of this connection is gone
    ├── PositionLost            the log no longer holds that position
    ├── RoomClosed              the room was closed
    ├── RoomLimitReached        the server has as many rooms as it may
    ├── StoreError              the store cannot be used
    ├── NotStored               a message was delivered, and could not be stored
    ├── HttpError               a room cannot be used over HTTP, and to ask again would not help
    └── FramingError            the peer's bytes are not messages in this framing
        ├── MessageTooLong      one message is over the limit
        ├── IncompleteMessage   the stream ended within a message
        └── WrongProtocol       the stream begins as one of HTTP or TLS does

A `FramingError` blames the peer. What the caller itself got wrong (a message that its framing cannot carry, a setting
out of range) is a `ValueError` or a `TypeError`, as in the rest of Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .ending import EndingCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .ending import Ending
    from .position import Position

__all__ = [
    "ConnectionClosed",
    "FramingError",
    "HttpError",
    "HubbubError",
    "IncompleteMessage",
    "ListenError",
    "MessageTooLong",
    "NotStored",
    "PositionLost",
    "RoomClosed",
    "RoomLimitReached",
    "StoreError",
    "WrongProtocol",
]


class HubbubError(Exception):
    """The base of everything hubbub raises on its own account."""


class ListenError(HubbubError):
    """The server cannot listen on `endpoint`. The `OSError` behind it is its `__cause__`.

    Attributes:
        endpoint: the address and port, as text.
        reason: what the operating system said.
        advice: what to do.
    """

    def __init__(self, endpoint: str, reason: str, advice: str = "choose another place to listen") -> None:
        super().__init__(endpoint, reason, advice)
        self.endpoint = endpoint
        self.reason = reason
        self.advice = advice

    def __str__(self) -> str:
        return f"cannot listen on {self.endpoint}: {self.reason}; {self.advice}"


class ConnectionClosed(HubbubError):
    """The connection to `peer` has ended, so nothing more can be sent to it or received from it.

    A handler may let it pass: the server takes it for the normal end of that client.

    Attributes:
        peer: the other side's name.
        ending: why, where it is known.
    """

    def __init__(self, peer: str, ending: Ending | None) -> None:
        super().__init__(peer, ending)
        self.peer = peer
        self.ending = ending

    def __str__(self) -> str:
        return f"the connection to {self.peer} has ended ({self.ending or 'it sends no more'})"


class PositionLost(HubbubError):
    """A room's log does not hold `position`: it is not retained any more, or its messages were lost, or never there.

    Attributes:
        position: the one asked for.
        first: the first one from which reading can go on.
        head: the position after the newest message.
        missed: how many messages between the two are gone; None where nobody can know.
    """

    def __init__(self, position: Position, first: Position, head: Position, missed: int | None = None) -> None:
        super().__init__(position, first, head, missed)
        self.position = position
        self.first = first
        self.head = head
        self.missed = missed

    def __str__(self) -> str:
        gone = "" if self.missed is None else f"; messages after that which are gone: {self.missed}"
        return f"the log holds {self.first} to {self.head}, not {self.position}{gone}"


class RoomClosed(HubbubError):
    """The room `name` was closed, so it takes no messages. A room of that name can be made again."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"room {self.name} was closed"


class RoomLimitReached(HubbubError):
    """A new room would be one more than `limit`. Close one (`Room.close`), or raise `Settings.rooms_limit`."""

    def __init__(self, name: str, limit: int) -> None:
        super().__init__(name, limit)
        self.name = name
        self.limit = limit

    def __str__(self) -> str:
        return f"no room {self.name!r}: limit of {self.limit} rooms reached; close one or raise rooms_limit"


class StoreError(HubbubError):
    """The store at `place` cannot be used: it is missing, damaged, in use, or of another program.

    Attributes:
        place: where it is, as the user wrote it.
        reason: what is wrong with it.
        advice: what to do.
    """

    def __init__(self, place: str, reason: str, advice: str) -> None:
        super().__init__(place, reason, advice)
        self.place = place
        self.reason = reason
        self.advice = advice

    def __str__(self) -> str:
        return f"cannot use the store {self.place}: {self.reason}; {self.advice}"


class NotStored(HubbubError):
    """A message of the room `name` was delivered, and the store did not take it; see `Settings.durable`.

    Attributes:
        name: the room.
        reason: what the store said.
        full: whether its disk is full.
    """

    def __init__(self, name: str, reason: str, *, full: bool = False) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason
        self.full = full

    def __str__(self) -> str:
        return f"a message of room {self.name} was delivered and not stored: {self.reason}"


class HttpError(HubbubError):
    """The room at `url` cannot be used over HTTP, and to ask again would bring the same answer.

    Attributes:
        url: the room.
        reason: what is wrong: what the server said, or why its answer cannot be understood.
        status: the status of the answer; None where it has none.
    """

    def __init__(self, url: str, reason: str, status: int | None = None) -> None:
        super().__init__(url, reason, status)
        self.url = url
        self.reason = reason
        self.status = status

    def __str__(self) -> str:
        return f"{self.url}: {self.reason}"


class FramingError(HubbubError):
    """The peer's bytes are not messages in this framing; nothing after them can be understood.

    Attributes:
        code: what ends the connection.
        reason: what is wrong, for the peer to read.
        messages: the complete messages found before, which still count.
    """

    code: ClassVar[EndingCode] = EndingCode.MALFORMED

    def __init__(self, reason: str, messages: Sequence[Any] = ()) -> None:
        super().__init__(reason, messages)
        self.reason = reason
        self.messages = messages

    def __str__(self) -> str:
        return self.reason


class MessageTooLong(FramingError):
    """The peer sends a message of more than `limit` bytes."""

    code = EndingCode.TOO_LONG

    def __init__(self, limit: int, messages: Sequence[Any] = ()) -> None:
        super().__init__(f"message longer than {limit} bytes", messages)
        self.args = (limit, messages)
        self.limit = limit


class IncompleteMessage(FramingError):
    """The stream ended `missing` bytes before the end of a message."""

    code = EndingCode.INCOMPLETE

    def __init__(self, missing: int) -> None:
        super().__init__(f"the stream ended {missing} bytes before the end of a message")
        self.args = (missing,)
        self.missing = missing


class WrongProtocol(FramingError):
    """The peer speaks `protocol`, which is "HTTP" or "TLS", where messages are text."""

    code = EndingCode.WRONG_PROTOCOL

    def __init__(self, protocol: str) -> None:
        super().__init__(f"{protocol} is not spoken here")
        self.args = (protocol,)
        self.protocol = protocol
