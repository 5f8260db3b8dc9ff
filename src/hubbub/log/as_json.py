"""What a log has, as JSON: a line of ASCII for each object, in which no character could act on a terminal."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..values.position import Position
    from .chunk import Batch


def json_line(fields: Mapping[str, Any]) -> bytes:
    """An object as a line."""
    return f"{json.dumps(fields)}\n".replace("\x7f", "\\u007f").encode()


def message_lines(
    batch: Batch, term: str, first: int, messages: Iterable[str | bytes], fields: Mapping[str, Any] | None = None
) -> bytes:
    """Messages of a batch, each as a line: what is known of it, and its text.

    Bytes that are not UTF-8 are in base64, and a field `base64` says so.

    Args:
        batch: knows their time and their sender.
        term: the term that they are in.
        first: the `seq` after the first of them.
        messages: the messages.
        fields: what each object begins with.

    Raises:
        ValueError: the time of the batch is none.
    """
    # All but the number and the text is the same for all of them, and written once.
    before = json.dumps({**(fields or {}), "position": f"{term}:"})[:-2]
    behind = json.dumps({"time": rfc3339(batch.time), "sender": batch.sender, "message": ""})[1:-3]
    lines = [f'{before}{seq}", {behind}{_value(message)}}}\n' for seq, message in enumerate(messages, start=first)]
    return "".join(lines).replace("\x7f", "\\u007f").encode()


def text_of(message: str | bytes) -> tuple[str, bool]:
    """A message as text, and whether that is base64: it is, where bytes are not UTF-8."""
    if isinstance(message, str):
        return message, False
    try:
        return message.decode(), False
    except UnicodeDecodeError:
        return b64encode(message).decode(), True


def _value(message: str | bytes) -> str:
    """A message as the value of its field, and what follows that."""
    text, is_base64 = text_of(message)
    return f'"{text}", "base64": true' if is_base64 else encode_basestring_ascii(text)


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
