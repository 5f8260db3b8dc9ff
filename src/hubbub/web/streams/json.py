"""An object of JSON on each line (NDJSON): the messages with what is known of them, what is missing, and the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ...log.as_json import json_line, known_of, missed_of
from ...log.rendering import Rendering
from ..stream import Stream
from ..texts import message_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...framing import Framing
    from ...log.chunk import Batch
    from ...values.ending import Ending
    from ...values.errors import PositionLost


class _Objects(Rendering[Any]):
    def render(self, batch: Batch, messages: Sequence[Any]) -> bytes:
        first = batch.end.seq - len(messages) + 1
        return b"".join(
            json_line(known_of(self.log.position(seq), batch.time, batch.sender, message_of(message, self.log.framing)))
            for seq, message in enumerate(messages, start=first)
        )

    def notice(self, missed: int, seq: int) -> bytes:
        return json_line(missed_of(missed, self.log.position(seq)))


class _Json(Stream):
    rendering = _Objects

    def content_type(self, framing: Framing[Any]) -> str:
        return "application/x-ndjson"

    def lost(self, error: PositionLost, framing: Framing[Any], notice: str | None) -> bytes:
        return json_line(missed_of(error.missed, error.first))

    def end(self, ending: Ending) -> bytes:
        return json_line({"end": ending.code, "reason": ending.reason, "retry": ending.code.worth_retrying})


STREAM: Final = _Json()
