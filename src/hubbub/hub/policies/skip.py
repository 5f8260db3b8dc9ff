"""A reader that retention has passed stays. When it reads again, it is told how many messages it missed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...log.cursor import Cursor
    from ...values.ending import Ending


def overrun(cursor: Cursor[Any, Any], room: str) -> Ending | None:
    """The reader does not end: its cursor moves when it is read next."""
    return None
