"""Reading a room over HTTP without losing the place: the stream is asked for again wherever it ends.

It is asked to tell where it begins, and to beat (`beat=1`). So the place is known before the first message, and a
connection that is dead is told from a room that is silent.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from ..values.ending import Ending, EndingCode
from ..values.errors import ConnectionClosed, HttpError
from ..values.settings import Settings, check_settings
from ..values.since import Since
from ..values.text import printable
from ..wire.countdown import within
from .dial import Target
from .http_url import room_url
from .retry import Backoff, dial_until_there

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from types import TracebackType
    from typing import Self

    from ..log.history import Entry
    from ..values.position import Position
    from ..values.since import SinceLike
    from .exchange import Exchange
    from .http_url import HttpUrl
    from .objects import Item, Missed

logger = logging.getLogger("hubbub")

_KEY: Final = re.compile(rb"[!-~\x80-\xff]+(?: +[!-~\x80-\xff]+)*")
"""What a header can carry (RFC 9110, 5.5)."""


class Subscription:
    """The messages of a room, read over HTTP; made by `subscribe`.

    Iterating over it gives an `Entry` for each message and a `Missed` for each gap. It ends only with an exception. A
    second iteration goes on where the last one stopped.

    As an async context manager, it closes its connection on exit. Without that, the connection is closed when the
    iteration raises or is cancelled, and after a `break` as soon as Python collects the iterator.

    Attributes:
        url: the room.
        position: the place behind what was yielded last, where reading goes on; None while it is not known.
    """

    def __init__(self, room: HttpUrl, since: Since, settings: Settings, exchange: Callable[[], Exchange]) -> None:
        self.url = room.text
        self.position: Position | None = since.position
        self._path = f"{room.path}/json"
        self._since = since
        self._settings = settings
        self._new_exchange = exchange
        self._backoff = Backoff(settings)
        self._exchange: Exchange | None = None
        self._opened_at = 0.0
        # How the last stream ended, if a pause is to follow.
        self._lost: str | None = None
        self._ready: deque[Item] = deque()
        self._entered = False
        self._busy = False

    async def __aenter__(self) -> Self:
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered = False
        await self.close()

    async def __aiter__(self) -> AsyncIterator[Entry[str | bytes] | Missed]:
        try:
            while True:
                while self._ready:
                    item = self._ready.popleft()
                    self.position = item.position
                    yield item
                await self._step()
        finally:
            if not self._entered:
                await self.close()

    async def receive_many(self) -> Sequence[Entry[str | bytes] | Missed]:
        """All messages and gaps that have come, at least one. It may be cancelled, and then loses nothing.

        It raises what iterating raises. The connection stays open until the context is left, or `close` is called.

        Raises:
            RuntimeError: another task is reading.
        """
        while not self._ready:
            await self._step()
        items = list(self._ready)
        self._ready.clear()
        self.position = items[-1].position
        return items

    async def close(self) -> None:
        """Close the connection at once. If it is cancelled, the connection is still closed."""
        # What was read and not yielded is read again.
        self._ready.clear()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            await exchange.close()

    async def _step(self) -> None:
        """Do the next thing that brings messages closer. It may be cancelled, and then loses nothing."""
        if self._busy:
            raise RuntimeError("two tasks read the same subscription; let one do it and share what it gets")
        self._busy = True
        try:
            if self._exchange is None:
                self._exchange = await dial_until_there(self._open, self.url, self._backoff, lost=self._lost)
                self._lost = None
                self._opened_at = asyncio.get_running_loop().time()
            elif self._exchange.over:
                await self._end(self._exchange)
            else:
                await self._read(self._exchange)
        finally:
            self._busy = False

    async def _open(self) -> Exchange:
        """Ask for the stream, from the position on where that is known."""
        place = self._since if self.position is None else Since.of(self.position)
        exchange = self._new_exchange()
        await exchange.open(f"{self._path}?beat=1&since={quote(str(place))}")
        logger.debug("%s: the stream is open, since %s", self.url, place)
        return exchange

    async def _read(self, exchange: Exchange) -> None:
        try:
            async with within(self._settings.silence_time):
                items = await exchange.read()
        except TimeoutError:
            self._lose(f"nothing has come for {self._settings.silence_time:g} s")
            await self.close()
            return
        self._ready += items
        if self.position is None:
            self.position = exchange.objects.begins

    async def _end(self, exchange: Exchange) -> None:
        """The stream is over: find out whether to come back.

        Raises:
            ConnectionClosed: the server said not to.
            HttpError: what it sent is not understood.
        """
        fault, end = exchange.objects.fault, exchange.objects.end
        self._lose(exchange.lost if end is None else f"the stream has ended ({printable(f'{end.code}: {end.reason}')})")
        await self.close()
        if fault is not None:
            raise HttpError(self.url, fault, 200)
        if end is not None and not end.retry:
            raise ConnectionClosed(self.url, _ending(end.code, end.reason))

    def _lose(self, reason: str) -> None:
        """Note how the connection was lost."""
        self._lost = reason
        self._backoff.lasted(asyncio.get_running_loop().time() - self._opened_at)


def _ending(code: str, reason: str) -> Ending:
    """An ending that a server tells; a newer one may have other codes."""
    if code in frozenset(EndingCode):
        return Ending(EndingCode(code), reason)
    return Ending(EndingCode.CLOSED, f"{code}: {reason}")


def subscribe(
    url: str,
    *,
    since: SinceLike | None = None,
    key: str | None = None,
    tls: ssl.SSLContext | None = None,
    settings: Settings | None = None,
) -> Subscription:
    """The messages of a room, read over HTTP: each of them once and in order, however often the connection ends.

    A stream that has ended is asked for again from the position on, with pauses that grow from `Settings.retry_time` to
    `Settings.retry_limit`, or that the server asks for (`Retry-After`). The log tells each time. Nothing comes twice,
    and nothing is left out silently: where messages are gone, a `Missed` comes in their place. While the program takes
    no entries, little more is read than `Settings.inbox_limit`.

    The server beats while nothing else comes. After `Settings.silence_time` without anything, the connection is taken
    for dead, and the stream asked for again.

    Args:
        url: the room, with `http` or `https`, and with the path of a proxy in front, if there is one.
        since: where to begin: a position, a number of messages, a `timedelta`, a `datetime`, or a text, such as "10m"
            or "all". If not given, with the next message, whatever the place replays.
        key: a key or a secret of the place. Over plain HTTP, anybody on the way can read it.
        tls: how to speak TLS, such as `ssl.create_default_context(cafile="ca.pem")`; the system's authorities if not
            given.
        settings: limits. A line may be so long as a message of `message_limit` makes it.

    Iterating over it raises `HttpError` if the server refuses the request for good, as with 401, 403 or 404. It does so
    too if what the server sends cannot be understood. It raises `ConnectionClosed` if the server says not to come back,
    as when the key was taken away, or if the TLS handshake fails.

    Raises:
        TypeError: an argument is of another type.
        ValueError: the URL is not that of a room, `since` is not a place in a log, a header cannot carry the key, or
            `tls` is given for `http`.
        ImportError: the extra `web` is not installed.
    """
    room = room_url(url)
    place = Since("messages", 0) if since is None else Since.of(since)
    if tls is not None and not isinstance(tls, ssl.SSLContext):
        raise TypeError(f"tls is {tls!r}; it must be an ssl.SSLContext, or None")
    if tls is not None and not room.tls:
        raise ValueError(f"no TLS with {room.text}; write https://, or leave out tls")
    settings = settings if settings is not None else Settings()
    check_settings(settings)
    try:
        from .exchange import Exchange  # noqa: PLC0415 - what it needs is an extra
    except ModuleNotFoundError as error:
        raise ImportError(f"HTTP needs {error.name}; install it with: pip install 'hubbub[web]'") from error
    target = Target(room.address, (tls or ssl.create_default_context()) if room.tls else None)
    exchange = partial(Exchange, room.text, target, _headers(room, key), settings)
    return Subscription(room, place, settings, exchange)


def _headers(room: HttpUrl, key: Any) -> dict[bytes, bytes]:
    """The headers of a request. What is raised does not show the key."""
    headers = {b"Host": room.host.encode(), b"Accept": b"application/x-ndjson", b"Connection": b"close"}
    if key is not None:
        if not isinstance(key, str):
            raise TypeError(f"the key is of type {type(key).__name__}; it must be a string")
        secret = key.encode(errors="surrogateescape")
        if not _KEY.fullmatch(secret):
            raise ValueError("the key is empty, or has characters that a header cannot carry")
        headers[b"Authorization"] = b"Bearer " + secret
    return headers
