"""Publishing: the body of a request becomes messages, and those go to the app as they come.

Nothing is kept but what the app has not taken: while it waits, nothing more is read from the body, and so from the
socket. What the app has taken stays published, whatever is wrong with the rest.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import nullcontext
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from ..door import answers
from ..door.arrival import Refused
from ..framing import Beginning, Whole
from ..values.ending import Ending, EndingCode
from ..values.errors import ConnectionClosed, FramingError, MessageTooLong, NotStored, RoomClosed
from ..values.position import Position
from ..values.role import Role
from ..values.settings import ACK
from ..wire.countdown import within
from .access import permit
from .body import Body
from .requests import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from ..door.arrival import Arrival
    from ..framing import Decoder, Framing
    from ..hub.publisher import Publish, Publisher
    from ..hub.room import Room
    from ..values.pace import Throttle
    from .requests import Request, Requests

logger = logging.getLogger("hubbub")

_SHUTDOWN: Final = Ending(EndingCode.SHUTDOWN, "the server closed")

_BINARY: Final = "application/octet-stream"

# `curl -d` labels whatever it sends as a form.
_TEXTS: Final = frozenset(
    (
        "",
        "application/x-www-form-urlencoded",
        "application/json",
        "application/ndjson",
        "application/x-ndjson",
        "application/jsonl",
    )
)


class Publication:
    """What one request publishes.

    Args:
        request: the request.
        requests: has what its connection sends behind the head.
        arrival: its connection.
        publish: the app's.
        publisher: is given to it.
        decoder: finds the messages in its body.
        throttle: holds the connection to its rates.
        headers: further headers of the answer.
    """

    def __init__(
        self,
        request: Request,
        requests: Requests,
        arrival: Arrival[Any],
        *,
        publish: Publish[Any],
        publisher: Publisher[Any],
        decoder: Decoder[Any],
        throttle: Throttle | None,
        headers: Mapping[str, str],
    ) -> None:
        self._request = request
        self._requests = requests
        self._arrival = arrival
        self._publish = publish
        self._publisher = publisher
        self._throttle = throttle
        self._headers = headers
        self._decoder = decoder
        self._body = Body(request, requests)
        self._over = False
        self._failed = False
        # What is wrong behind the messages that were found.
        self._problem: Problem | None = None
        self._count = 0
        self._position: Position | None = None

    @property
    def room(self) -> Room[Any]:
        """The room."""
        return self._publisher.room

    @property
    def last(self) -> bool:
        """Whether no other request can follow on its connection."""
        return self._failed or self._request.closes or not self._body.complete

    async def answer(self) -> bytes:
        """Publish what its body has, however long that takes; the answer.

        Raises:
            Refused: the server closes.
            ConnectionClosed: the connection is gone.
        """
        try:
            while messages := await self._next():
                await self._give(messages)
        except Problem as problem:
            return self._refusal(problem)
        except asyncio.CancelledError:
            arrival = self._arrival
            closing = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "the server is closing", answers.retry_after())
            if arrival.link.writable:
                arrival.link.transport.write(self._refusal(closing))
            raise Refused(arrival.ending or _SHUTDOWN) from None
        room = self.room
        logger.debug("%s has published in room %s: %d messages", self._publisher, room, self._count)
        body = f'{{"position": "{self._position or room.head}", "messages": {self._count}}}\n'.encode()
        status = HTTPStatus.CREATED if room.settings.durable == ACK else HTTPStatus.OK
        return answers.whole(status, "application/json", body, self._headers, last=self.last)

    def _refusal(self, problem: Problem) -> bytes:
        """The answer that something is wrong. What was published before that stays published."""
        self._failed = problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        reason = problem.reason
        if self._count:
            reason += f"; published before that: {self._count} messages, up to {self._position}"
        return answers.text(problem.status, reason, {**problem.headers, **self._headers}, last=self.last)

    async def _next(self) -> Sequence[Any]:
        """The next messages, at least one; none at the end.

        Raises:
            Problem: what comes next is not a message.
        """
        settings = self._arrival.settings
        messages: Sequence[Any] = ()
        while not (messages or self._over):
            if self._decoder.partial:
                messages = await self._receive(settings.message_time, "message not complete within")
            else:
                # Between two messages it may be silent, as a client may.
                messages = await self._receive(settings.idle_time, "nothing said for")
        if self._problem is not None and not messages:
            raise self._problem
        return messages

    async def _receive(self, time: float | None, late: str) -> Sequence[Any]:
        """The messages that come next; nothing at the end, or if one has only begun.

        Raises:
            Problem: that takes more than so many seconds; `late` says so.
        """
        begun = self._decoder.partial
        messages: Sequence[Any] = ()
        limit: AbstractAsyncContextManager[None] = nullcontext() if time is None else within(time)
        try:
            async with limit:
                while not (messages or self._over):
                    messages = self._decode(await self._read())
                    if self._decoder.partial is not begun:
                        break
        except TimeoutError:
            raise Problem(HTTPStatus.REQUEST_TIMEOUT, f"{late} {time:g} s") from None
        return messages

    async def _read(self) -> bytes:
        """More of the body; nothing at its end."""
        while not (data := self._body.next()) and not self._body.complete:
            try:
                self._requests.feed(await self._arrival.receive())
            except ConnectionClosed:
                permit(self._arrival, self.room.name, Role.WRITE)
                if self._arrival.ending is None:
                    raise Problem(HTTPStatus.BAD_REQUEST, "the connection ended within the body") from None
                raise
        if self._requests.begun and not self._body.complete:
            # It comes in many small chunks.
            await asyncio.sleep(0)
        return data

    def _decode(self, data: bytes) -> Sequence[Any]:
        """The messages that these bytes complete, and the one that the end of the body completes, if it came too."""
        messages: Sequence[Any] = ()
        try:
            if data:
                messages = self._decoder.feed(data)
                # What it owes a telnet client is owed to nobody here, and would be kept.
                self._decoder.take_replies()
            if self._body.complete:
                self._over = True
                if last := self._decoder.end():
                    messages = [*messages, *last]
        except FramingError as error:
            self._over = True
            too_long = isinstance(error, MessageTooLong)
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE if too_long else HTTPStatus.BAD_REQUEST
            self._problem = Problem(status, error.reason)
            messages = [*messages, *error.messages]
        return messages

    async def _give(self, messages: Sequence[Any]) -> None:
        """Give messages to the app, no faster than its client may send."""
        if (throttle := self._throttle) is None:
            await self._give_now(messages)
            return
        loop = self._arrival.loop
        throttle.receive(messages, self._arrival.link.bytes_received, loop.time())
        while throttle.held:
            if (delay := throttle.delay(loop.time())) > 0:
                await asyncio.sleep(delay)
            else:
                await self._give_now(throttle.take(loop.time()))

    async def _give_now(self, messages: Sequence[Any]) -> None:
        # The key may have been taken away meanwhile.
        permit(self._arrival, self.room.name, Role.WRITE)
        try:
            self._position = _checked(await self._publish(self._publisher, messages))
        except ValueError as error:
            raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None
        except RoomClosed as error:
            raise Problem(HTTPStatus.NOT_FOUND, str(error)) from None
        except NotStored as error:
            status = HTTPStatus.INSUFFICIENT_STORAGE if error.full else HTTPStatus.SERVICE_UNAVAILABLE
            raise Problem(status, str(error), answers.retry_after()) from None
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            logger.error("what %s publishes cannot be published", self._publisher, exc_info=error)
            raise Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "publishing has failed") from None
        self._count += len(messages)


def decoder_of(request: Request, framing: Framing[Any], limit: int) -> Decoder[Any]:
    """What finds the messages in a body, each of them at most `limit` bytes long.

    Raises:
        Problem: the framing cannot take a body of that type, or the body is too long.
    """
    headers = request.headers
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body without a Content-Encoding")
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if framing.textual:
        if kind in _TEXTS or kind.startswith("text/"):
            return Beginning(framing, limit, guarded=False)
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"messages are text here, not {kind}; send text/plain")
    if kind != _BINARY:
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"messages are binary here; send each of them as {_BINARY}")
    if int(headers.get("content-length", 0)) > limit:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, MessageTooLong(limit).reason)
    return Whole(limit)


def _checked(position: object) -> Position:
    """What `publish` returned."""
    if not isinstance(position, Position):
        raise TypeError(f"publish returned {position!r}; return what broadcast_many returns")
    return position


def _is_cancelled() -> bool:
    """Whether this task is to end, and not only something that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
