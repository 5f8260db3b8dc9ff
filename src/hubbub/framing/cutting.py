"""Finding messages that end at a delimiter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..values.errors import MessageTooLong
from .base import Decoder, M
from .messages import Messages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .base import Framing

SMALL: Final = 256
"""Up to so many bytes are taken apart at once: for a few messages, that costs less than to keep their bytes."""


# Shared, and never appended to: most connections have no message that has begun.
_EMPTY: Final = bytearray()


def count_ends(wire: bytes, end: bytes) -> int:
    """How often a single byte occurs in `wire`.

    Up to Python 3.13, `bytes.count` looks at one byte after the other, and `replace` leaps: for lines of 64 bytes it
    takes a third of the time, for lines of 10 bytes twice.
    """
    return len(wire) - len(wire.replace(end, b""))


class Cutter(Decoder[M]):
    """Cuts a stream after its last whole message, and keeps at most one message's bytes between pieces.

    Args:
        framing: takes the messages apart.
        delimiter: ends a message. No two occurrences of it can overlap.
        limit: how many bytes a message may have, without its delimiter.
        spare: bytes that belong to the delimiter, not to the message, where they stand directly before the delimiter.
        small: messages of up to so many bytes together are taken apart at once.
    """

    __slots__ = ("_delimiter", "_framing", "_limit", "_partial", "_small", "_spare")

    def __init__(
        self, framing: Framing[M], delimiter: bytes, limit: int, *, spare: bytes = b"", small: int = SMALL
    ) -> None:
        self._framing = framing
        self._delimiter = delimiter
        self._limit = limit
        self._spare = spare
        self._small = min(small, limit)
        self._partial = _EMPTY

    @property
    def partial(self) -> bool:
        return bool(self._partial)

    def feed(self, data: bytes) -> Sequence[M]:
        if not self._partial and data.endswith(self._delimiter):
            # Nearly always: whole messages, of which none can be too long.
            if len(data) <= self._small:
                return self._framing.split(data)
            if len(data) <= self._limit:
                return Messages(self._framing, data)
        end = self._end_of_last(data)
        messages = self._complete(data, end) if end else []
        if self._partial:
            self._partial += data[end:]
        elif end < len(data):
            self._partial = bytearray(data[end:])
        # A part of the delimiter may have arrived already.
        begun = len(self._delimiter) - 1 + len(self._spare) * self._partial.endswith(self._spare)
        if len(self._partial) > self._limit + begun:
            raise MessageTooLong(self._limit, messages)
        return messages

    def end(self) -> Sequence[M]:
        # What could have been a part of the delimiter belongs to the message after all.
        if len(self._partial) > self._limit:
            raise MessageTooLong(self._limit)
        return self._framing.split(bytes(self._partial)) if self._partial else []

    def _run(self, wire: bytes) -> Sequence[M]:
        return self._framing.split(wire) if len(wire) <= self._small else Messages(self._framing, wire)

    def _end_of_last(self, data: bytes) -> int:
        """Where the last delimiter ends in `data`, or 0. It may have begun in an earlier piece."""
        at = data.rfind(self._delimiter)
        if at < 0 and (overlap := len(self._delimiter) - 1) and self._partial:
            begun = self._partial[-overlap:]
            at = (begun + data[:overlap]).find(self._delimiter)
            return at + len(self._delimiter) - len(begun) if at >= 0 else 0
        return at + len(self._delimiter) if at >= 0 else 0

    def _complete(self, data: bytes, end: int) -> Sequence[M]:
        """The messages that the first `end` bytes of `data` complete, which are copied once at most."""
        block = data
        if self._partial or end < len(data):
            block = b"".join((self._partial, memoryview(data)[:end]))
            self._partial = _EMPTY
        start = self._find_too_long(block)
        if start < 0:
            return self._run(block)
        raise MessageTooLong(self._limit, self._run(block[:start]) if start else [])

    def _find_too_long(self, block: bytes) -> int:
        """Where the first message over the limit starts, or -1. Each step leaps over all that the limit can hold."""
        delimiter, start = self._delimiter, 0
        while len(block) - start > self._limit:
            longest = start + self._limit
            at = block.rfind(delimiter, start, longest + len(delimiter))
            if at < 0:
                at = longest + len(self._spare)
                if block[longest : at + len(delimiter)] != self._spare + delimiter:
                    return start
            start = at + len(delimiter)
        return -1
