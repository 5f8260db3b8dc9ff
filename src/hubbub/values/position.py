"""Places in a room's log that keep their meaning outside this process."""

from __future__ import annotations

import re
import secrets
from typing import Final, NamedTuple

_TEXT: Final = re.compile(r"([0-9a-f]{16}):(0|[1-9][0-9]{0,18})", re.ASCII)


class Position(NamedTuple):
    """The place after a message of a log; reading goes on there.

    Attributes:
        term: the name of one uninterrupted life of the log: 64 random bits, as 16 hexadecimal digits. A counter would
            repeat after a restart, and a position from before it would be misread.
        seq: how many messages come before this place since the log began.
    """

    term: str
    seq: int

    def __str__(self) -> str:
        return f"{self.term}:{self.seq}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """The position that `str` wrote as `text`.

        Raises:
            ValueError: the text is not a position.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a position; write it as TERM:SEQ, as in 0123456789abcdef:42")
        return cls(match[1], int(match[2]))


def new_term() -> str:
    """A name for a new term."""
    return secrets.token_hex(8)


def new_token() -> int:
    """A number that no other connection has, here or on another hub: 64 random bits, never 0."""
    return secrets.randbits(64) or 1
