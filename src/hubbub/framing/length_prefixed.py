"""Messages that come after their length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from ..values.errors import IncompleteMessage, MessageTooLong
from .base import BytesFraming, Decoder, Named
from .messages import Messages
from .mistakes import wrong_type

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class LengthPrefixed(BytesFraming):
    """Messages of bytes, each after its length as an unsigned number of 1, 2 or 4 bytes.

    A stream that ends within a message is an error; the part is dropped. Messages are taken for binary: the server
    never adds text of its own.

    Args:
        size: how many bytes the length takes.
        byteorder: "big" (network order) or "little".

    Raises:
        ValueError: another size or byte order.
    """

    size: Literal[1, 2, 4] = 4
    byteorder: Literal["big", "little"] = "big"

    def __post_init__(self) -> None:
        if self.size not in (1, 2, 4):
            raise ValueError(f"the length prefix has {self.size} bytes; it may have 1, 2 or 4")
        if self.byteorder not in ("big", "little"):
            raise ValueError(f"the byte order is {self.byteorder!r}; it may be 'big' or 'little'")

    def decoder(self, limit: int) -> Decoder[bytes]:
        return _LengthPrefixedDecoder(self, limit)

    def encode(self, messages: Sequence[bytes]) -> bytes:
        if type(messages) is Messages and messages.framing == self:
            return messages.wire
        parts: list[bytes] = []
        try:
            for message in messages:
                parts.append(len(message).to_bytes(self.size, self.byteorder))
                parts.append(message)
            return b"".join(parts)
        except OverflowError:
            most = 256**self.size - 1
            raise ValueError(f"a message of {len(message)} bytes; {self.size} bytes of length carry {most}") from None
        except TypeError:
            raise wrong_type(messages, bytes) from None


class _LengthPrefixedDecoder(Decoder[bytes]):
    __slots__ = ("_framing", "_limit", "_partial")

    def __init__(self, framing: LengthPrefixed, limit: int) -> None:
        self._framing = framing
        self._limit = limit
        self._partial = bytearray()

    @property
    def partial(self) -> bool:
        return bool(self._partial)

    def feed(self, data: bytes) -> Sequence[bytes]:
        self._partial += data
        needed = self._needed()
        # Refused before the message arrives: waiting for it would mean keeping it.
        if needed - self._framing.size > self._limit:
            raise MessageTooLong(self._limit)
        block = bytes(self._partial) if len(self._partial) >= needed else b""
        messages: list[bytes] = []
        at = 0
        while len(block) - at >= (size := self._framing.size):
            start = at + size
            end = start + int.from_bytes(block[at:start], self._framing.byteorder)
            if end - start > self._limit:
                raise MessageTooLong(self._limit, messages)
            if end > len(block):
                break
            messages.append(block[start:end])
            at = end
        del self._partial[:at]
        # To encode a single message again costs no more than to keep its bytes.
        return Messages(self._framing, block[:at], messages) if len(messages) > 1 else messages

    def end(self) -> Sequence[bytes]:
        if self._partial:
            raise IncompleteMessage(self._needed() - len(self._partial))
        return []

    def _needed(self) -> int:
        """How many bytes the first message takes with its length, or the length alone while that is incomplete."""
        size = self._framing.size
        if len(self._partial) < size:
            return size
        return size + int.from_bytes(self._partial[:size], self._framing.byteorder)


NAMES: Final = {
    "length1": Named(LengthPrefixed(1), "bytes after their length in 1 byte"),
    "length2": Named(LengthPrefixed(2), "bytes after their length in 2 bytes, big-endian"),
    "length2-le": Named(LengthPrefixed(2, "little"), "bytes after their length in 2 bytes, little-endian"),
    "length4": Named(LengthPrefixed(4), "bytes after their length in 4 bytes, big-endian"),
    "length4-le": Named(LengthPrefixed(4, "little"), "bytes after their length in 4 bytes, little-endian"),
}
