"""Finding messages, gaps and the end in a stream of JSON lines (`GET /ROOM/json`). It does no I/O.

Lines are decoded as they are complete. If something is wrong, what came before it counts, and nothing behind it does.

The lines of a batch differ in their numbers and texts only (`message_lines` writes them so). So behind a line that was
decoded as JSON, a line that begins as the next one of its batch must is known but for its text. That is twice as fast.
"""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass
from datetime import datetime
from json.decoder import JSONDecoder, scanstring  # type: ignore[attr-defined] # typeshed lacks one
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..log.history import Entry
from ..values.position import Position
from ..values.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SHOWN: Final = 80
"""How many characters of a line are shown that is wrong."""

# The constructor of a named tuple is a function in Python. Without it, a message takes a sixth less.
_new: Final = tuple.__new__

# Without what `json.loads` does besides, which takes longer than this.
_scan: Final[Callable[[str, int], tuple[Any, int]]] = JSONDecoder().scan_once  # type: ignore[attr-defined] # typeshed lacks it


@dataclass(frozen=True, slots=True)
class Missed:
    """Messages of a room are missing here: the log did not hold them any more, or they were lost.

    Attributes:
        position: where reading goes on.
        count: how many are missing; None where nobody can know.
    """

    position: Position
    count: int | None


@dataclass(frozen=True, slots=True)
class End:
    """How the server ended the stream.

    Attributes:
        code: the code of the ending; see `EndingCode`. A newer server may have others.
        reason: why.
        retry: whether it makes sense to come back.
    """

    code: str
    reason: str
    retry: bool


Item: TypeAlias = Entry[str | bytes] | Missed


class Objects:
    """Finds what a stream tells.

    Args:
        limit: bytes that a line may have, without its end.

    Attributes:
        begins: where the stream begins, once it is told.
        end: the end, once it is told. Nothing is read behind it.
        fault: what is wrong with the stream, once something is. Nothing is read behind it.
    """

    def __init__(self, limit: int) -> None:
        self.begins: Position | None = None
        self.end: End | None = None
        self.fault: str | None = None
        self._limit = limit
        # The beginning of a line whose end has not come.
        self._pieces: list[bytes] = []
        self._size = 0
        # The last message that was decoded as JSON, and how lines of its batch begin, before and behind the number.
        self._last: Entry[str | bytes] | None = None
        self._before = self._behind = ""

    @property
    def partial(self) -> bool:
        """Whether the stream stands within a line."""
        return self._size > 0

    def feed(self, data: bytes) -> list[Item]:
        """The messages and the gaps that are complete with these bytes."""
        if self.over:
            return []
        cut = data.rfind(b"\n") + 1
        items: list[Item] = []
        if cut:
            block = b"".join((*self._pieces, data[:cut]))
            self._pieces.clear()
            self._size = 0
            data = data[cut:]
            text, fault = self._readable(block)
            items = self._read(text)
            if not self.over:
                self.fault = fault
        if data and not self.over:
            self._pieces.append(data)
            self._size += len(data)
            if self._size > self._limit:
                self.fault = self._too_long
        return items

    @property
    def over(self) -> bool:
        """Whether nothing more is read."""
        return self.end is not None or self.fault is not None

    @property
    def _too_long(self) -> str:
        return f"a line has more than {self._limit} bytes"

    def _readable(self, block: bytes) -> tuple[str, str | None]:
        """The lines up to the first one that is too long or not UTF-8, and what is wrong with that."""
        fault = None
        if len(block) > self._limit:
            at = 0
            while at < len(block):
                end = block.index(b"\n", at)
                if end - at > self._limit:
                    block, fault = block[:at], self._too_long
                    break
                at = end + 1
        try:
            return block.decode(), fault
        except UnicodeDecodeError as error:
            return block[: block.rfind(b"\n", 0, error.start) + 1].decode(), "a line is not UTF-8"

    def _read(self, text: str) -> list[Item]:
        """What lines tell; up to the end, or to the first one that is wrong."""
        items: list[Item] = []
        at = 0
        try:
            while at < len(text):
                at = self._read_batch(text, at, items)
                if at == len(text):
                    break
                end = text.index("\n", at)
                fields, stop = _scan(text, at)
                if stop != end:
                    raise ValueError
                if "end" in fields:
                    self.end = _end_of(fields)
                    break
                if "message" in fields or "missed" in fields:
                    items.append(self._item_of(fields))
                elif fields != {}:
                    self.begins = Position.parse(fields["first"])
                at = end + 1
        except (ValueError, KeyError, TypeError, StopIteration, RecursionError):
            shown = text[at : text.index("\n", at)][:_SHOWN]
            self.fault = f"a line is not an object of hubbub: {printable(shown)!r}"
        return items

    def _read_batch(self, text: str, at: int, items: list[Item]) -> int:
        """Read the lines that follow the last message in its batch; where they end."""
        if (last := self._last) is None:
            return at
        (term, seq), time, sender, _ = last
        while True:
            beginning = f"{self._before}{seq + 1}{self._behind}"
            if not text.startswith(beginning, at):
                break
            try:
                message, stop = scanstring(text, at + len(beginning))
            except ValueError:
                break
            if not text.startswith("}\n", stop):
                break
            seq += 1
            last = _new(Entry, (_new(Position, (term, seq)), time, sender, message))
            items.append(last)
            at = stop + 2
        self._last = last
        return at

    def _item_of(self, fields: Mapping[str, Any]) -> Item:
        """The message or the gap that an object tells.

        Raises:
            KeyError, TypeError, ValueError: it tells none.
        """
        if "missed" in fields:
            count = fields["missed"]
            if count is not None and (type(count) is not int or count < 0):
                raise ValueError
            return Missed(Position.parse(fields["first"]), count)
        message, sender, time = fields["message"], fields["sender"], fields["time"]
        if type(message) is not str or type(sender) is not str:
            raise TypeError
        if fields.get("base64"):
            message = b64decode(message, validate=True)
        self._last = Entry(Position.parse(fields["position"]), _seconds(time), sender, message)
        self._before = f'{{"position": "{self._last.position.term}:'
        self._behind = f'", "time": "{time}", "sender": {encode_basestring_ascii(sender)}, "message": "'
        return self._last


def _end_of(fields: Mapping[str, Any]) -> End:
    code, reason, retry = fields["end"], fields["reason"], fields["retry"]
    if not (type(code) is type(reason) is str and type(retry) is bool):
        raise TypeError
    return End(code, reason, retry)


def _seconds(time: str) -> float:
    """A time of RFC 3339, in seconds since 1970."""
    date = datetime.fromisoformat(time)
    if date.tzinfo is None:
        raise ValueError
    return date.timestamp()
