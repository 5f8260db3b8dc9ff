"""The order of what happens in different rooms."""

from __future__ import annotations

import sys
from typing import Final

NEVER: Final = sys.maxsize
"""A tick that does not come."""


class Clock:
    """Counts the places between the messages of all rooms of a server, so that one number orders them all.

    A batch is stamped with the tick in which it began. A private message is placed at a tick: all that was broadcast
    before it, in any room, has an earlier stamp, and all that is broadcast after it has this stamp or a later one. So
    the place of a private message costs one number, however many rooms its client is in.

    Attributes:
        now: the current tick.
        stamped: whether a batch has this tick, so that the next place needs a new one.
        seconds: the time of what is said now, on a clock that never jumps; kept by who says it.
    """

    __slots__ = ("now", "seconds", "stamped")

    def __init__(self) -> None:
        self.now = 1
        self.stamped = False
        self.seconds = 0.0

    def place(self) -> int:
        """A tick that lies behind all that was broadcast so far and before all that comes."""
        if self.stamped:
            self.now += 1
            self.stamped = False
        return self.now
