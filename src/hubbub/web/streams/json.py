"""An object of JSON on each line (NDJSON): the messages with what is known of them, what is missing, and the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from ...log.as_json import json_line, message_lines
from ..known import KnownRendering, KnownStream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...framing import Framing
    from ...log.chunk import Batch
    from ...values.position import Position


class Objects(KnownRendering):
    """The messages and the gaps, a line each."""

    def lines(self, batch: Batch, term: str, first: int, messages: Sequence[str | bytes]) -> bytes:
        return message_lines(batch, term, first, messages)

    @staticmethod
    def gap(fields: Mapping[str, Any]) -> bytes:
        return json_line(fields)


class _Json(KnownStream):
    rendering: ClassVar[type[KnownRendering]] = Objects

    def content_type(self, framing: Framing[Any]) -> str:
        return "application/x-ndjson"

    def ended(self, fields: Mapping[str, Any]) -> bytes:
        return json_line(fields)


class _BeatingJson(_Json):
    """The same for programs that are to notice a dead connection, and to come back before they have heard a message."""

    heartbeat: ClassVar[bytes] = json_line({})

    def begins(self, at: Position) -> bytes:
        return json_line({"first": str(at)})


_Json.beating = _BeatingJson()
STREAM: Final = _Json()
