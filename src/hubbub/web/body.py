"""The body of a request, in what its connection sends (RFC 9112, 6 and 7.1). It does no I/O."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import h11

from .requests import LONE_LF, Problem, problem_of

if TYPE_CHECKING:
    from .requests import Request, Requests

FEED_SIZE: Final = 16 * 1024
"""Bytes that the parser is given at once. What it is given behind the end of a body has to be taken back."""

PARTS_LIMIT: Final = 64
"""Chunks that are given out together, however small they are: each costs much more than its bytes."""

_END: Final = b"\r\n\r\n"


class Body:
    """The body of one request. h11 finds it, unless its length is known: then it only has to be counted.

    Args:
        request: the request, whose head has been read.
        requests: has what its connection sends behind the head; what comes behind the body stays there.

    Attributes:
        complete: whether all of it has been given out.
    """

    __slots__ = ("_connection", "_given", "_left", "_problem", "_requests", "_tail", "complete")

    def __init__(self, request: Request, requests: Requests) -> None:
        self._requests = requests
        # Of a body whose length is not known, the parser finds the end.
        self._connection = request.connection if "transfer-encoding" in request.headers else None
        self._left = int(request.headers.get("content-length", 0))
        self.complete = self._connection is None and not self._left
        # How many of the bytes that come next the parser has, and the last ones before them.
        self._given = 0
        self._tail = b""
        # What is wrong behind the parts that were given out.
        self._problem: Problem | None = None

    def next(self) -> bytes:
        """What else has come of it; nothing while nothing else has come, and at its end.

        Raises:
            Problem: it is not a valid body. Nothing that comes after it can be understood.
        """
        if self._connection is not None:
            return self._next_chunks(self._connection)
        data = self._requests.take(self._left)
        self._left -= len(data)
        self.complete = not self._left
        return data

    def _next_chunks(self, connection: h11.Connection) -> bytes:
        parts: list[bytes] = []
        while not (self.complete or self._problem) and len(parts) < PARTS_LIMIT:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError as error:
                self._problem = problem_of(error)
                break
            if isinstance(event, h11.Data):
                parts.append(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self._end(connection)
            elif not self._feed(connection):
                break
        if self._problem is not None and not parts:
            raise self._problem
        return b"".join(parts)

    def _feed(self, connection: h11.Connection) -> bool:
        """Give the parser more, if there is any."""
        self._forget(self._given)
        data = self._requests.ahead(FEED_SIZE)
        self._given = len(data)
        if data:
            connection.receive_data(data)
        return bool(data)

    def _end(self, connection: h11.Connection) -> None:
        rest, _ = connection.trailing_data
        self._forget(self._given - len(rest))
        if self._tail == _END:
            self.complete = True
        else:
            # Programs in front could find the end of the body in another place.
            self._problem = Problem(HTTPStatus.BAD_REQUEST, LONE_LF)

    def _forget(self, size: int) -> None:
        """The parser has made use of so many of the bytes that come next."""
        self._tail = (self._tail + self._requests.take(size)[-len(_END) :])[-len(_END) :]
