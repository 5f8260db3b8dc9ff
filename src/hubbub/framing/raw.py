"""Whatever arrives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from .base import BytesFraming, Decoder, Named
from .mistakes import wrong_type

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Raw(BytesFraming):
    """Whatever arrives, as it arrives: a message is what one read of the socket returned.

    Only the size of a read limits a message's length. Pieces may be joined or cut on their way, and an empty message
    is nothing. The stream is taken for binary: the server never adds text of its own.
    """

    self_delimiting: ClassVar[bool] = False

    def decoder(self, limit: int) -> Decoder[bytes]:
        return _RawDecoder()

    def encode(self, messages: Sequence[bytes]) -> bytes:
        try:
            return b"".join(messages)
        except TypeError:
            raise wrong_type(messages, bytes) from None


class _RawDecoder(Decoder[bytes]):
    __slots__ = ()

    def feed(self, data: bytes) -> Sequence[bytes]:
        return [data] if data else []


NAMES: Final = {"raw": Named(Raw(), "bytes as they arrive, without bounds of messages")}
