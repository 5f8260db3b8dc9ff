"""Messages that end at a delimiter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..values.errors import MessageTooLong
from .base import BytesFraming, Decoder

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Delimited(BytesFraming):
    r"""Messages of bytes that end at `delimiter`, such as b"\0". The last one needs no delimiter.

    Raises:
        ValueError: the delimiter is empty.
    """

    delimiter: bytes

    def __post_init__(self) -> None:
        if not self.delimiter:
            raise ValueError("the delimiter is empty; it needs at least one byte")

    def decoder(self, limit: int) -> Decoder[bytes]:
        return _DelimitedDecoder(self.delimiter, limit)

    def encode(self, messages: Sequence[bytes]) -> bytes:
        wire = b"".join([message + self.delimiter for message in messages])
        # Also finds a message whose end and the delimiter together hold an earlier delimiter ("ab" before "ba").
        if wire.split(self.delimiter)[:-1] != list(messages):
            raise ValueError(f"a message cannot contain its delimiter {self.delimiter!r}")
        return wire


class _DelimitedDecoder(Decoder[bytes]):
    """Cuts a stream at a delimiter, and keeps at most one message's bytes between pieces."""

    __slots__ = ("_delimiter", "_limit", "_partial")

    def __init__(self, delimiter: bytes, limit: int) -> None:
        self._delimiter = delimiter
        self._limit = limit
        self._partial = bytearray()

    @property
    def partial(self) -> bool:
        return bool(self._partial)

    def feed(self, data: bytes) -> Sequence[bytes]:
        overlap = len(self._delimiter) - 1
        searched = max(0, len(self._partial) - overlap)
        self._partial += data
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

    def end(self) -> Sequence[bytes]:
        # What was let pass as a part of the delimiter was none.
        if len(self._partial) > self._limit:
            raise MessageTooLong(self._limit)
        return [bytes(self._partial)] if self._partial else []
