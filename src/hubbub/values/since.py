"""Where in a log somebody begins to read, as a user says it: a position, so many messages, so many bytes, or a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import inf
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from .position import Position
from .units import parse_size, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable

SinceLike: TypeAlias = Position | int | timedelta | datetime | str
"""What `Since.of` takes."""

FORMS: Final = "none, all, 100 (messages), 64K (bytes), 10m (a time), 2026-11-28T08:00:00Z or a position"
"""How it may be written."""


@dataclass(frozen=True, slots=True)
class Since:
    """A place in a log, as it was asked for.

    Attributes:
        kind: what `amount` counts, back from the head: messages, counted bytes or seconds. "date": it is a time, in
            seconds since 1970; "position": `position` says it.
        amount: see above; infinite: all that the log holds.
        position: the position.
    """

    kind: Literal["messages", "bytes", "seconds", "date", "position"]
    amount: float = 0
    position: Position | None = None

    @classmethod
    def of(cls, value: Any) -> Since:
        """What a program gave: a `Position`, a number of messages, a `timedelta`, a `datetime`, or a text for `parse`.

        Raises:
            TypeError: it is something else.
            ValueError: it is negative, a date without a time zone, or a text that says none of these.
        """
        if isinstance(value, Since):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        if isinstance(value, Position):
            return cls("position", position=value)
        if isinstance(value, datetime):
            if value.tzinfo is None:
                raise ValueError(f"{value} has no time zone; give it one, as in datetime.now(UTC)")
            return cls("date", value.timestamp())
        if isinstance(value, timedelta):
            since = cls("seconds", value.total_seconds())
        elif isinstance(value, int) and not isinstance(value, bool):
            since = cls("messages", value)
        else:
            raise TypeError(f"{value!r} is not a place in a log; give a Position, a number, a timedelta or a datetime")
        if since.amount < 0:
            raise ValueError(f"{value!r} is negative; it counts back from the newest message")
        return since

    @classmethod
    def parse(cls, text: str) -> Since:
        """The same, written as one of `FORMS`. Dates are those of RFC 3339.

        Raises:
            ValueError: it is none of them.
        """
        text = text.strip()
        try:
            for form, read in _READERS:
                if form.fullmatch(text):
                    return read(text)
            return cls("position", position=Position.parse(text))
        except (ValueError, OverflowError):
            raise ValueError(f"{text!r} is not a place in a log; write {FORMS}") from None

    def __str__(self) -> str:
        """It in the form that `parse` reads."""
        if self.position is not None:
            return str(self.position)
        if self.kind == "date":
            return datetime.fromtimestamp(self.amount, UTC).isoformat()
        if self.kind == "messages":
            return "all" if self.amount == inf else f"{self.amount:.0f}"
        return f"{self.amount:.0f}B" if self.kind == "bytes" else f"{self.amount:.6f}s"


def check_replay(value: SinceLike) -> Since:
    """What a listener replays to all who connect, as a place in the log.

    Raises:
        TypeError: it is none of what it may be.
        ValueError: likewise, or it is one place for ever, as a position or a date.
    """
    forms = "it must be none, all, a number of messages, a size such as 64K or a time such as 10m"
    try:
        since = Since.of(value)
    except (TypeError, ValueError) as error:
        raise type(error)(f"replay is {value!r}; {forms}") from None
    if since.kind in ("position", "date"):
        raise ValueError(f"replay is {value!r}; {forms}")
    return since


def _date_of(text: str) -> Since:
    # What has no offset is not guessed: RFC 3339 wants one, and a client may be in another time zone than its server.
    return Since.of(datetime.fromisoformat(text))


_READERS: Final[tuple[tuple[re.Pattern[str], Callable[[str], Since]], ...]] = (
    (re.compile("none"), lambda _: Since("messages", 0)),
    (re.compile("all"), lambda _: Since("messages", inf)),
    (re.compile(r"[0-9]{1,18}"), lambda text: Since("messages", int(text))),
    (re.compile(r"[0-9]{4}-[0-9][0-9]-[0-9][0-9][Tt ].*"), _date_of),
    # A small m stands for minutes, and a large one for megabytes.
    (re.compile(r"[0-9.]+ *[smhd]"), lambda text: Since("seconds", parse_time(text))),
    (re.compile(r"[0-9]+ *(?:[kKMgG]|[kKmMgG]?[iI]?[bB])"), lambda text: Since("bytes", parse_size(text))),
)
"""The forms but a position, and what reads each."""
