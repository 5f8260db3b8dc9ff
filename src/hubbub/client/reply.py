"""A request over HTTP and the answer to it, as bytes (RFC 9112). It does no I/O.

Each request on a connection has a `Reply` of its own.

h11 is an extra: this module is imported when somebody asks for it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import h11

from ..values.fixed_limits import HTTP_HEAD_LIMIT
from ..values.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

_PROTOCOL: Final = b"HTTP/"
_SHOWN: Final = 80
"""How many characters are shown of what is not HTTP."""

_PASSING: Final = frozenset({408, 425, 429})
"""The request took too long, came too early, or was one of too many (RFC 9110, 15.5; 8470; 6585)."""

_FINAL: Final = frozenset({501, 505})
"""The server cannot do that: of the errors that are its own, these stay."""


class Reply:
    """The answer to one request.

    Attributes:
        status: its status; None until its head has come.
        headers: by their names in lower case. Of several with the same name, the last one.
        ended: whether all of it has come, where it says how long it is.
        fault: why it is not an answer, once that is clear. Nothing is read behind that.
    """

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self.ended = False
        self.fault: str | None = None
        self._phrase = ""
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=HTTP_HEAD_LIMIT)
        self._first = b""

    def request(self, target: str, headers: Mapping[bytes, bytes]) -> bytes:
        """A request without a body, which asks for `target`."""
        request = h11.Request(method="GET", target=target, headers=list(headers.items()))
        return (self._connection.send(request) or b"") + (self._connection.send(h11.EndOfMessage()) or b"")

    def feed(self, data: bytes) -> bytes:
        """What these bytes have of the body. To feed none means nothing."""
        body: list[bytes] = []
        if not data or self.ended or self.fault or not self._is_http(data):
            return b""
        try:
            self._connection.receive_data(data)
            while (event := self._connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
                if isinstance(event, h11.Response):
                    self.status, self._phrase = event.status_code, event.reason.decode("latin-1")
                    self.headers = {name.decode(): value.decode("latin-1") for name, value in event.headers}
                elif isinstance(event, h11.Data):
                    body.append(event.data)
                elif isinstance(event, h11.EndOfMessage):
                    self.ended = True
                    break
        except h11.RemoteProtocolError as error:
            self.fault = f"the answer is not valid HTTP: {printable(str(error))}"
        return b"".join(body)

    def end(self) -> bool:
        """Take the end of the connection, which may be that of the answer too; whether all of it has come."""
        if not self.ended:
            self._connection.receive_data(b"")
            with suppress(h11.RemoteProtocolError):
                self.ended = isinstance(self._connection.next_event(), h11.EndOfMessage)
        return self.ended

    @property
    def reusable(self) -> bool:
        """Whether another request may follow on the same connection."""
        return self._connection.their_state is h11.DONE and self._connection.trailing_data == (b"", False)

    @property
    def kind(self) -> str:
        """The type of the body, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def retry_after(self) -> float:
        """Seconds after which to ask again, as the answer says it; 0 where it says nothing, or a date."""
        text = self.headers.get("retry-after", "").strip()
        return float(text) if text.isdecimal() and len(text) < 10 else 0.0

    @property
    def passing(self) -> bool:
        """Whether the same request may be answered in another way later."""
        assert self.status is not None
        return self.status in _PASSING or (self.status >= 500 and self.status not in _FINAL)

    def words(self, body: bytes) -> str:
        """What the answer says, in one line: its status, and the first line of its body where that is plain text."""
        said = f"{self.status} {self._phrase}".strip()
        if self.status is not None and 300 <= self.status < 400 and (place := self.headers.get("location")):
            said = f"{said}; it points to {place}"
        elif self.kind == "text/plain" and (lines := body.decode(errors="replace").split("\n")) and lines[0]:
            said = f"{said}: {lines[0]}"
        return printable(said)

    def _is_http(self, data: bytes) -> bool:
        """See whether it begins as an answer does: a server that speaks no HTTP may say little, and wait."""
        if len(self._first) < len(_PROTOCOL):
            self._first += data[:_SHOWN]
            if not (self._first.startswith(_PROTOCOL) or _PROTOCOL.startswith(self._first)):
                said = self._first[:_SHOWN].decode(errors="replace")
                self.fault = f"the answer is not HTTP: it begins with {printable(said)!r}"
        return self.fault is None
