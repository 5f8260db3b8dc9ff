"""Server-sent events, for the EventSource of browsers (https://html.spec.whatwg.org/multipage/server-sent-events.html).

Each message is an event with its position as the id, so that a browser that comes back goes on behind it.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ...log.as_json import json_line, text_of
from ..known import KnownRendering, KnownStream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...framing import Framing
    from ...log.chunk import Batch

RETRY: Final = (1000, 5000)
"""Milliseconds after which a browser comes back: at random between these, so that not all come back at once."""

_LINE_END: Final = re.compile(r"\r\n|\r|\n")


class _Events(KnownRendering):
    def lines(self, batch: Batch, term: str, first: int, messages: Sequence[str | bytes]) -> bytes:
        events = [f"id: {term}:{seq}\n{_data(message)}\n" for seq, message in enumerate(messages, start=first)]
        return "".join(events).encode(errors="replace")

    @staticmethod
    def gap(fields: Mapping[str, Any]) -> bytes:
        return b"event: missed\nid: %b\ndata: %b\n" % (fields["first"].encode(), json_line(fields))


class _Sse(KnownStream):
    rendering: ClassVar[type[KnownRendering]] = _Events
    heartbeat: ClassVar[bytes] = b":\n\n"

    def content_type(self, framing: Framing[Any]) -> str:
        return "text/event-stream"

    def opening(self) -> bytes:
        return b"retry: %d\n\n" % random.randint(*RETRY)  # noqa: S311 - nothing is secret about it

    def ended(self, fields: Mapping[str, Any]) -> bytes:
        return b"event: end\ndata: %b\n" % json_line(fields)


def _data(message: str | bytes) -> str:
    """The fields of a message."""
    text, is_base64 = text_of(message)
    if is_base64:
        return f"event: base64\ndata: {text}\n"
    if "\r" in text or "\n" in text:
        # A line end would end the line of the event, and what follows could pass for another event.
        return "".join(f"data: {line}\n" for line in _LINE_END.split(text))
    return f"data: {text}\n"


STREAM: Final = _Sse()
