"""One request for the stream of a room, its answer, and what that tells."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ..framing import Raw
from ..values.errors import HttpError
from ..values.fixed_limits import HTTP_WORDS_LIMIT
from ..wire.countdown import within
from .dial import dial
from .objects import Objects
from .reply import Reply
from .retry import NotNow
from .side import LEFT, Side

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..values.settings import Settings
    from .dial import Target
    from .objects import Item

_KIND: Final = "application/x-ndjson"

_FIELDS_LIMIT: Final = 4096
"""Bytes of a line beside the message."""

_LONGEST_ESCAPE: Final = 6
"""Bytes that one byte of a message may take in JSON, as in \\u001b."""


class Exchange:
    """A stream that is read. Once it is open, it is to be closed.

    Args:
        url: the room, for errors.
        target: where to connect.
        headers: those of the request.
        settings: limits.

    Attributes:
        objects: finds what it tells.
    """

    def __init__(self, url: str, target: Target, headers: Mapping[bytes, bytes], settings: Settings) -> None:
        self.objects = Objects(settings.message_limit * _LONGEST_ESCAPE + _FIELDS_LIMIT)
        self._url = url
        self._target = target
        self._headers = headers
        self._settings = settings
        self._reply = Reply()
        self._side: Side[bytes] = Side(Raw(), settings, asyncio.get_running_loop())
        # What has come of the stream behind the head.
        self._body = b""
        self._at_end = False

    @property
    def over(self) -> bool:
        """Whether it tells nothing more."""
        return self._at_end or self.objects.over

    @property
    def lost(self) -> str:
        """How it ended, where it did not tell an end itself."""
        within_line = " within a line" if self.objects.partial else ""
        return f"the stream has ended{within_line} ({self._side.ending or LEFT})"

    async def open(self, path: str) -> None:
        """Ask for a path, and read the head of the answer. If it raises or is cancelled, nothing stays open.

        Raises:
            OSError: the server cannot be reached, does not answer in time, or not now (`NotNow`).
            ConnectionClosed: it cannot be spoken to with TLS.
            HttpError: to ask again would not help.
        """
        await dial(self._target, self._side.link)
        try:
            async with within(self._settings.connect_time):
                await self._ask(path)
        except BaseException:
            # A task that is cancelled here leaves nothing open either.
            self._side.link.abort()
            raise

    async def read(self) -> list[Item]:
        """What the stream tells next; nothing where it is over, or where only a part has come.

        It may be cancelled, and then loses nothing.
        """
        if not self._body and not await self._receive():
            self._at_end = True
        body, self._body = self._body, b""
        items = self.objects.feed(body)
        if self._reply.fault is not None and not self.objects.over:
            self.objects.fault = self._reply.fault
        elif self._reply.ended:
            self._at_end = True
        return items

    async def close(self) -> None:
        """End the connection at once, and wait until it is gone. If it is cancelled, it is still ended."""
        self._side.link.abort()
        await self._side.link.wait_closed()

    async def _ask(self, path: str) -> None:
        """Send the request, and read the head of the answer; see `open`."""
        await self._side.send(self._reply.request(path, self._headers))
        while self._reply.status is None:
            if not await self._receive():
                raise self._unanswered()
        if self._reply.status != 200:
            raise await self._refusal()
        if (kind := self._reply.kind) != _KIND:
            kind = f"of type {kind}" if kind else "of no type"
            raise HttpError(self._url, f"the answer is {kind}, and not the stream of a room ({_KIND})", 200)

    async def _receive(self) -> bool:
        """Wait for more of the answer; whether there is any."""
        pieces: Any = await self._side.link.receive_many()
        self._body += self._reply.feed(b"".join(pieces))
        return bool(pieces) and self._reply.fault is None

    async def _refusal(self) -> Exception:
        """The error for an answer that is not the stream."""
        # What it says may not end, or not come.
        with suppress(TimeoutError):
            async with within(self._settings.linger_time):
                while len(self._body) < HTTP_WORDS_LIMIT and not self._reply.ended and await self._receive():
                    pass
        reason = self._reply.words(self._body[:HTTP_WORDS_LIMIT])
        if self._reply.passing:
            return NotNow(reason, self._reply.retry_after)
        return HttpError(self._url, reason, self._reply.status)

    def _unanswered(self) -> Exception:
        """The error for a connection that has ended before the head of the answer."""
        ending = self._side.ending or LEFT
        if self._reply.fault is not None:
            return HttpError(self._url, self._reply.fault)
        if not ending.code.worth_retrying:
            return HttpError(self._url, f"the answer is not HTTP, but {ending}")
        return NotNow(f"it did not answer ({ending})")
