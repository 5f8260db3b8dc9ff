"""Messages that end at a delimiter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..values.errors import MessageTooLong
from .base import BytesFraming, Decoder, Named
from .cutting import Cutter, count_ends
from .messages import Messages
from .mistakes import wrong_type

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Delimited(BytesFraming):
    r"""Messages of bytes that end at `delimiter`, such as b"\0". The last one needs no delimiter.

    With a delimiter of ASCII characters, messages are taken for text, and the server may add text of its own. For a
    binary protocol with such a delimiter, such as COBS, derive a class whose `textual` is False.

    Raises:
        TypeError: the delimiter is not bytes.
        ValueError: it is empty.
    """

    delimiter: bytes

    def __post_init__(self) -> None:
        if not isinstance(self.delimiter, bytes):
            raise TypeError(f"the delimiter is {self.delimiter!r}; it must be bytes, as in b'\\0'")
        if not self.delimiter:
            raise ValueError("the delimiter is empty; it needs at least one byte")

    @property
    def textual(self) -> bool:
        return self.delimiter.isascii()

    def decoder(self, limit: int) -> Decoder[bytes]:
        overlaps = any(self.delimiter.startswith(self.delimiter[at:]) for at in range(1, len(self.delimiter)))
        return (_OverlapDecoder if overlaps else Cutter)(self, self.delimiter, limit)

    def encode(self, messages: Sequence[bytes]) -> bytes:
        if type(messages) is Messages and messages.framing == self:
            return messages.wire
        try:
            wire = b"".join([message + self.delimiter for message in messages])
        except TypeError:
            raise wrong_type(messages, bytes) from None
        # Also finds a message whose end and the delimiter together hold an earlier delimiter ("ab" before "ba").
        if wire.split(self.delimiter)[:-1] != list(messages):
            raise ValueError(f"a message cannot contain its delimiter {self.delimiter!r}")
        return wire

    def split(self, wire: bytes) -> list[bytes]:
        messages = wire.split(self.delimiter)
        if not messages[-1]:
            messages.pop()
        return messages

    def count(self, wire: bytes) -> int:
        return count_ends(wire, self.delimiter) if len(self.delimiter) == 1 else wire.count(self.delimiter)


class _OverlapDecoder(Cutter[bytes]):
    """For a delimiter that can overlap itself, such as "aa": only a search from the left finds the right ones."""

    __slots__ = ()

    def feed(self, data: bytes) -> Sequence[bytes]:
        overlap = len(self._delimiter) - 1
        searched = max(0, len(self._partial) - overlap)
        if self._partial:
            self._partial += data
        else:
            self._partial = bytearray(data)
        messages: list[bytes] = []
        if self._partial.find(self._delimiter, searched) >= 0:
            *messages, partial = bytes(self._partial).split(self._delimiter)
            self._partial = bytearray(partial)
        for index, message in enumerate(messages):
            if len(message) > self._limit:
                raise MessageTooLong(self._limit, messages[:index])
        # A part of the delimiter may have arrived already.
        if len(self._partial) > self._limit + overlap:
            raise MessageTooLong(self._limit, messages)
        return messages


NAMES: Final = {"nul": Named(Delimited(b"\0"), "bytes that end at NUL")}
