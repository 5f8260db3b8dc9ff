"""The bytes of the messages and nothing else, as clients of plain TCP read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ...framing import words_in
from ..stream import Stream

if TYPE_CHECKING:
    from ...framing import Framing
    from ...values.errors import PositionLost


class _Raw(Stream):
    def content_type(self, framing: Framing[Any]) -> str:
        return "text/plain; charset=utf-8" if framing.textual else "application/octet-stream"

    def lost(self, error: PositionLost, framing: Framing[Any], notice: str | None) -> bytes:
        if notice is None:
            return b""
        return words_in(framing, notice.format(missed="some" if error.missed is None else error.missed))


STREAM: Final = _Raw()
