"""A decoder for a stream that is one message."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..values.errors import MessageTooLong
from .base import Decoder

if TYPE_CHECKING:
    from collections.abc import Sequence


class Whole(Decoder[bytes]):
    """Takes all that comes, up to the end of the stream, for one message.

    Args:
        limit: how many bytes it may have.
    """

    __slots__ = ("_limit", "_partial")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._partial = bytearray()

    @property
    def partial(self) -> bool:
        return bool(self._partial)

    def feed(self, data: bytes) -> Sequence[bytes]:
        self._partial += data
        if len(self._partial) > self._limit:
            raise MessageTooLong(self._limit)
        return []

    def end(self) -> Sequence[bytes]:
        return [bytes(self._partial)]
