"""A reader that retention has passed is ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...values.ending import Ending, EndingCode

if TYPE_CHECKING:
    from ...log.cursor import Cursor


def overrun(cursor: Cursor[Any, Any], room: str) -> Ending | None:
    """Why the reader at `cursor` ends."""
    lag = cursor.lag
    reason = f"{lag.messages} messages ({lag.bytes} bytes) behind, more than room {room} retains"
    return Ending(EndingCode.SLOW, reason)
