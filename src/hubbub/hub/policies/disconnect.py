"""A reader that retention has passed is ended, unless the log's older end holds what it reads next."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...values.ending import Ending, EndingCode

if TYPE_CHECKING:
    from ...log.cursor import Cursor


def overrun(cursor: Cursor[Any, Any], room: str) -> Ending | None:
    """Why the reader at `cursor` ends; None where it may catch up."""
    if cursor.log.start <= cursor.at.seq < cursor.log.oldest.seq:
        cursor.catching_up = True
        return None
    return too_slow(cursor, room)


def too_slow(cursor: Cursor[Any, Any], room: str) -> Ending:
    """The ending of a reader whose next message is not held any more."""
    lag = cursor.lag
    allows = f"room {room} retains" if cursor.at.seq < cursor.log.oldest.seq else "its listener allows (max-lag)"
    reason = f"{lag.messages} messages ({lag.bytes} bytes) behind, more than {allows}"
    return Ending(EndingCode.SLOW, reason)
