"""Requests of HTTP/1.1, and of HTTP/0.9 as far as plain `nc` can write them (RFC 9112)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

import h11

if TYPE_CHECKING:
    from collections.abc import Mapping

_END: Final = re.compile(rb"\r?\n\r?\n")
_BLANK: Final = re.compile(rb"(?:\r?\n)+")
_LONE_LF: Final = re.compile(rb"(?<!\r)\n")

PUBLISHING: Final = ("POST", "PUT")
"""The methods of requests that publish. `curl -T` says PUT."""

LONE_LF: Final = "a line ends with LF alone, and not with CR LF"

_BARE: Final = re.compile(rb"GET (/[^\s?]+/raw(?:\?\S*)?)\r?\n")
"""The one request without a version that is answered, so that a line typed into `nc` is enough."""


class Problem(Exception):
    """A request is answered with an error.

    Attributes:
        status: its status.
        reason: what is wrong, for the body of the answer.
        headers: further headers of the answer.
    """

    def __init__(self, status: HTTPStatus, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, reason)
        self.status = status
        self.reason = reason
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Request:
    """A request, as far as its head says.

    Attributes:
        method: as in "GET".
        target: what is asked for, as in "/root/sse?since=10".
        headers: by their names in lower case. Several with the same name are one list (RFC 9110, 5.3).
        bare: whether it has no version: the answer is nothing but the stream.
        closes: whether it wants its connection to end.
        connection: what has parsed its head, and parses a body of chunks; None where nothing asks for it any more.
    """

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    bare: bool = False
    closes: bool = False
    connection: h11.Connection | None = field(default=None, compare=False)

    @property
    def last(self) -> bool:
        """Whether no other request follows on its connection: nothing can, while its body was not read."""
        return self.closes or "transfer-encoding" in self.headers or int(self.headers.get("content-length", 0)) > 0

    @property
    def publishes(self) -> bool:
        """Whether it is to publish its body."""
        return self.method in PUBLISHING

    @property
    def waits(self) -> bool:
        """Whether its client waits to be told that it may send the body (RFC 9110, 10.1.1)."""
        return self.connection is not None and self.connection.they_are_waiting_for_100_continue

    @property
    def path(self) -> str:
        """The target without its query, and without the scheme and the host that it may have (RFC 9112, 3.2.2)."""
        path = self.target.partition("?")[0]
        if path.startswith("/"):
            return path
        _, absolute, rest = path.partition("://")
        # At the second one there is nothing.
        return f"/{rest.partition('/')[2]}" if absolute else "//"

    def query(self, known: set[str]) -> dict[str, str]:
        """The parameters behind the question mark.

        Raises:
            Problem: one is not `known`, or occurs twice.
        """
        # In forms + stands for a blank, and in a time with its zone for itself.
        pairs = parse_qsl(self.target.partition("?")[2].replace("+", "%2B"), keep_blank_values=True)
        query = dict(pairs)
        if unknown := sorted(query.keys() - known):
            raise Problem(
                HTTPStatus.BAD_REQUEST, f"the parameter {unknown[0]!r} is not known; use {', '.join(sorted(known))}"
            )
        if len(query) < len(pairs):
            raise Problem(HTTPStatus.BAD_REQUEST, "a parameter occurs twice")
        return query


class Requests:
    """Finds the requests in what a connection sends.

    Args:
        limit: bytes that the head of one may have.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._data = bytearray()
        # How much of that has been looked at: it may come byte by byte.
        self._seen = 0
        # The head that was parsed last, and what it says.
        self._head = b""
        self._request: Request

    @property
    def begun(self) -> bool:
        """Whether a request has begun, and not ended."""
        return bool(self._data)

    def feed(self, data: bytes) -> None:
        """These bytes came."""
        self._data += data

    def next(self) -> Request | None:
        """The next request; None as long as its head has not come.

        Raises:
            Problem: these bytes are not a request, or it is too long. Nothing that comes after it can be understood.
        """
        if not self._seen and (blank := _BLANK.match(self._data)):
            del self._data[: blank.end()]
        line_end = self._data.find(b"\n", self._seen)
        end = _END.search(self._data, max(0, self._seen - len("\r\n\r")))
        is_first = self._data.find(b"\n", 0, self._seen) < 0
        self._seen = len(self._data)
        if (self._seen if end is None else end.end()) > self._limit:
            reason = f"the head of the request has more than {self._limit} bytes"
            raise Problem(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, reason)
        if is_first and line_end >= 0 and (bare := _BARE.fullmatch(self._data, 0, line_end + 1)):
            target = bare[1].decode("latin-1")
            self.take(line_end + 1)
            return Request("GET", target, bare=True, closes=True)
        if end is None:
            return None
        head = self.take(end.end())
        if head != self._head:
            if _LONE_LF.search(head):
                raise Problem(HTTPStatus.BAD_REQUEST, LONE_LF)
            # A program that publishes on a kept connection says the same again and again.
            self._head, self._request = head, _parse(head, self._limit)
        request = self._request
        if request.connection is not None:
            # It has a state, which belongs to this request alone.
            self._head = b""
        return request

    def ahead(self, size: int) -> bytes:
        """The bytes that come next, so many at most. They stay."""
        return bytes(self._data[:size])

    def take(self, size: int) -> bytes:
        """Take so many of the bytes that come next."""
        taken = bytes(self._data[:size])
        del self._data[:size]
        self._seen = 0
        return taken


def problem_of(error: h11.RemoteProtocolError) -> Problem:
    """What is wrong with bytes that are not valid."""
    # What it quotes, it quotes as Python has it.
    return Problem(HTTPStatus(error.error_status_hint), str(error).partition(": bytearray")[0])


def _parse(head: bytes, limit: int) -> Request:
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=limit)
    connection.receive_data(head)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise problem_of(error) from None
    assert isinstance(event, h11.Request)
    headers: dict[str, str] = {}
    for name, value in ((name.decode("latin-1"), value.decode("latin-1")) for name, value in event.headers):
        # They are one list (RFC 9110, 5.3).
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if "content-length" in headers and "transfer-encoding" in headers:
        raise Problem(HTTPStatus.BAD_REQUEST, "the request has both a Content-Length and a Transfer-Encoding")
    closes = "close" in headers.get("connection", "").lower() or event.http_version < b"1.1"
    method, target = event.method.decode("latin-1"), event.target.decode("latin-1")
    is_needed = not headers.keys().isdisjoint(("transfer-encoding", "expect"))
    return Request(method, target, headers, closes=closes, connection=connection if is_needed else None)
