"""The bytes of the messages and nothing else, as clients of plain TCP read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ...framing import words_in
from ...log.chunk import CannotTell
from ...log.rendering import Rendering
from ..stream import Stream

if TYPE_CHECKING:
    from ...framing import Framing
    from ...hub.room import Room
    from ...log.rendering import Style
    from ...values.errors import PositionLost


class _Raw(Stream):
    def style(self, room: Room[Any], framing: Framing[Any]) -> Style:
        return Rendering, framing

    def content_type(self, framing: Framing[Any]) -> str:
        return "text/plain; charset=utf-8" if framing.textual else super().content_type(framing)

    def lost(self, error: PositionLost, framing: Framing[Any], notice: str | None) -> bytes:
        if notice is None:
            return b""
        wire = words_in(framing, notice.format(missed="some" if error.missed is None else error.missed))
        if not wire:
            raise CannotTell(f"messages are missing, and the framing {framing} cannot say so")
        return wire


STREAM: Final = _Raw()
