"""What a log has, as JSON: a line of ASCII for each object, in which no character could act on a terminal."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..values.position import Position


def json_line(fields: Mapping[str, Any]) -> bytes:
    """An object as a line."""
    return f"{json.dumps(fields)}\n".replace("\x7f", "\\u007f").encode()


def known_of(position: Position, time: float, sender: str, message: str | bytes) -> dict[str, Any]:
    """What is known of a message, as the fields of an object.

    Bytes that are not UTF-8 are in base64, and a field `base64` says so.

    Raises:
        ValueError: the time is none.
    """
    known = {"position": str(position), "time": rfc3339(time), "sender": sender}
    try:
        return {**known, "message": message if isinstance(message, str) else message.decode()}
    except UnicodeDecodeError:
        return {**known, "message": b64encode(message).decode(), "base64": True}  # type: ignore[arg-type] # only bytes


def missed_of(missed: int | None, first: Position) -> dict[str, Any]:
    """That so many messages are missing, or nobody knows how many, and where reading goes on."""
    return {"missed": missed, "first": str(first)}


def rfc3339(seconds: float, timespec: str = "microseconds") -> str:
    """A time as RFC 3339 has it, in UTC, never later than it is: from there on, it is found again.

    Raises:
        ValueError: the number is not a time.
    """
    try:
        time = datetime.fromtimestamp(int(seconds), UTC).replace(microsecond=int(seconds % 1 * 1_000_000))
    except (OSError, OverflowError, ValueError):
        raise ValueError(f"{seconds} is not a time") from None
    return time.isoformat(timespec=timespec).replace("+00:00", "Z")
