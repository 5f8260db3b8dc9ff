"""A decoder for those who may not speak."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .base import Decoder, TextFraming
from .telnet import IAC_BYTE, TelnetFilter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .base import Framing

PROPOSALS_LIMIT: Final = 16 * 1024
"""How many bytes are looked at for what telnet proposes: clients do that first, in less than a hundred."""


class Discarder(Decoder[Any]):
    """Finds no messages, and keeps nothing. What a telnet client proposes is still refused.

    Args:
        framing: how the peer would speak. Where it is one of bytes, only a stream that begins with telnet is telnet.
    """

    __slots__ = ("_filter", "_left", "_text")

    def __init__(self, framing: Framing[Any]) -> None:
        self._text = isinstance(framing, TextFraming)
        self._filter = TelnetFilter()
        self._left = PROPOSALS_LIMIT if framing.telnet else 0

    def feed(self, data: bytes) -> Sequence[Any]:
        if self._left == PROPOSALS_LIMIT and not self._text and not data.startswith(IAC_BYTE):
            self._left = 0
        if self._left > 0:
            self._filter.feed(data[: self._left])
            self._left -= len(data)
        return ()

    def take_replies(self) -> bytes:
        return self._filter.take_replies()
