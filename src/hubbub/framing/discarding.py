"""A decoder for those who may not speak."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .base import Decoder
from .telnet import TelnetFilter

if TYPE_CHECKING:
    from collections.abc import Sequence


class Discarder(Decoder[Any]):
    """Finds no messages, and keeps nothing. What a telnet client proposes is still refused.

    Args:
        telnet: whether the peer may be a telnet client.
    """

    __slots__ = ("_filter",)

    def __init__(self, *, telnet: bool) -> None:
        self._filter = TelnetFilter() if telnet else None

    def feed(self, data: bytes) -> Sequence[Any]:
        if self._filter is not None:
            self._filter.feed(data)
        return ()

    def take_replies(self) -> bytes:
        return b"" if self._filter is None else self._filter.take_replies()
