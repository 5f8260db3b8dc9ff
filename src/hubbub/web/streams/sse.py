"""Server-sent events, for the EventSource of browsers (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Each message is an event with its position as the id, so that a browser that comes back goes on behind it.
"""

from __future__ import annotations

import random
import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ...log.as_json import json_line, missed_of
from ...log.rendering import Rendering
from ..stream import Stream
from ..texts import message_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...framing import Framing
    from ...log.chunk import Batch
    from ...values.ending import Ending
    from ...values.errors import PositionLost
    from ...values.position import Position

RETRY: Final = (1000, 5000)
"""Milliseconds after which a browser comes back: at random between these, so that not all come back at once."""

_LINE_END: Final = re.compile(r"\r\n|\r|\n")


class _Events(Rendering[Any]):
    def render(self, batch: Batch, messages: Sequence[Any]) -> bytes:
        first = batch.end.seq - len(messages) + 1
        return b"".join(
            _message(self.log.position(seq), message_of(message, self.log.framing))
            for seq, message in enumerate(messages, start=first)
        )

    def notice(self, missed: int, seq: int) -> bytes:
        return _missed(missed, self.log.position(seq))


class _Sse(Stream):
    rendering = _Events
    # nginx would keep events back until its buffer is full.
    headers: ClassVar[Mapping[str, str]] = {"X-Accel-Buffering": "no"}
    heartbeat = b":\n\n"

    def content_type(self, framing: Framing[Any]) -> str:
        return "text/event-stream"

    def opening(self) -> bytes:
        return b"retry: %d\n\n" % random.randint(*RETRY)  # noqa: S311 - nothing is secret about it

    def lost(self, error: PositionLost, framing: Framing[Any], notice: str | None) -> bytes:
        return _missed(error.missed, error.first)

    def end(self, ending: Ending) -> bytes:
        fields = {"end": ending.code, "reason": ending.reason, "retry": ending.code.worth_retrying}
        return b"event: end\ndata: %b\n" % json_line(fields)


def _message(position: Position, message: str | bytes) -> bytes:
    try:
        text = message if isinstance(message, str) else message.decode()
    except UnicodeDecodeError:
        return b"event: base64\nid: %b\ndata: %b\n\n" % (str(position).encode(), b64encode(message))  # type: ignore[arg-type]
    # A line end in a message would end the line of the event, and what follows could pass for another event.
    data = "".join(f"data: {line}\n" for line in _LINE_END.split(text))
    return f"id: {position}\n{data}\n".encode()


def _missed(missed: int | None, first: Position) -> bytes:
    return b"event: missed\nid: %b\ndata: %b\n" % (str(first).encode(), json_line(missed_of(missed, first)))


STREAM: Final = _Sse()
