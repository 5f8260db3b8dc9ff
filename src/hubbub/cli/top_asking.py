"""Asking a server for its state over HTTP.

h11 parses the answers, as it parses requests in the server. `http.client` would need a thread, which neither a deadline
nor Ctrl-C can end, and its timeout starts again with each piece that arrives. Here one deadline holds for a whole
answer, and what is read has a bound. h11 is in the extra `web`, which a server needs too to have a state to show.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

import h11

from ..client.dial import reason_of
from ..values.text import printable
from ..wire.addresses import address_of, resolve
from ..wire.countdown import within
from .top_look import NotAStateError, make_look, parse_page

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ..client.http_url import HttpUrl
    from .top_look import Look

TIMEOUT: Final = 10.0
"""How long an answer may take, the connection included, in seconds."""

SIZE_LIMIT: Final = 16 << 20
"""The most bytes of an answer. A thousand rooms and connections with long names take a tenth of that."""

READ_SIZE: Final = 64 * 1024

PAGE: Final = 1000
"""Rooms, and connections, in an answer: the most that a server gives."""

ROWS_LIMIT: Final = 20_000
"""So many are asked for, so that neither side is busy with a list that nobody reads to its end."""

PAUSE: Final = 2.0
"""Seconds between two looks, at least."""

LONGEST_PAUSE: Final = 60.0
"""The same at most."""

SHARE: Final = 0.03
"""Which part of its time a server may spend on answers. The pause grows with the time that they take."""

HTTP_NEEDED: Final = "give the URL of a place that speaks HTTP (hubbub serve --listen http://HOST:PORT)"

WORDS_LIMIT: Final = 300
"""How many characters of the words of a refusal are shown."""


class NoLookError(Exception):
    """There is no look at a server.

    Attributes:
        reason: why.
        remedy: what to do; "" where the reason says it.
    """

    def __init__(self, url: str, reason: str, remedy: str = "") -> None:
        super().__init__(url, reason, remedy)
        self.url = url
        self.reason = reason
        self.remedy = remedy

    def __str__(self) -> str:
        return f"cannot watch {self.url}: {self.reason}{self.remedy and f'; {self.remedy}'}"


class _Answer(NamedTuple):
    """An answer of HTTP.

    Attributes:
        wait: the seconds from the request to its first byte.
    """

    status: int
    body: bytes
    wait: float


class Asker:
    """Asks one server, on a connection that stays.

    Args:
        target: the server.
        secret: what each request has as its key; None: nothing.
        context: how to speak TLS; None: in plain text.

    Raises:
        ValueError: the secret cannot be said over HTTP.
    """

    def __init__(self, target: HttpUrl, secret: bytes | None, context: ssl.SSLContext | None) -> None:
        self.target = target
        self._context = context
        self._has_secret = secret is not None
        self._headers: list[tuple[bytes, bytes]] = [(b"Host", target.host.encode()), (b"Accept", b"application/json")]
        if secret is not None:
            self._headers.append((b"Authorization", b"Bearer " + secret))
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._http = h11.Connection(h11.CLIENT)
        try:
            self._request("/status")
        except h11.LocalProtocolError:
            raise ValueError("the secret has characters that a header of HTTP cannot have") from None

    async def look(self, before: Look | None = None) -> tuple[Look, float]:
        """The state of the server, and how long to wait for the next look, in seconds.

        If it is cancelled, `close` is still needed.

        Raises:
            NoLookError: there is none.
        """
        try:
            # What this takes, is the way and not the work.
            way = (await self._ask("/healthz")).wait
            pages: list[Mapping[str, Any]] = []
            busy = 0.0
            while len(pages) * PAGE < ROWS_LIMIT:
                answer = await self._ask(f"/status?limit={PAGE}&offset={len(pages) * PAGE}")
                if answer.status != 200:
                    raise NoLookError(self.target.text, *self._refusal(answer))
                busy += max(0.0, answer.wait - way)
                pages.append(parse_page(answer.body))
                if not pages[-1].get("more"):
                    break
            return make_look(pages, before), pause_after(busy)
        except NotAStateError:
            reason = "what it answers is not the state of a hubbub"
            raise NoLookError(self.target.text, reason, "check the URL") from None
        except (OSError, h11.RemoteProtocolError) as error:
            raise NoLookError(self.target.text, *self._failure(error)) from None

    async def close(self) -> None:
        """End the connection, if there is one."""
        if self._streams is not None:
            _, writer = self._streams
            self._streams = None
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def _ask(self, target: str) -> _Answer:
        reused = self._streams is not None
        try:
            return await self._try(target)
        except Exception as error:
            # Without its end, no other answer can follow.
            await self.close()
            # A server closes connections that were quiet for long.
            if not reused or isinstance(error, (TimeoutError, NotAStateError)):
                raise
        return await self._ask(target)

    async def _try(self, target: str) -> _Answer:
        async with within(TIMEOUT):
            if self._streams is None:
                self._streams = await self._open()
                self._http = h11.Connection(h11.CLIENT)
            reader, writer = self._streams
            http = self._http
            writer.write(b"".join(http.send(event) or b"" for event in (self._request(target), h11.EndOfMessage())))
            asked = monotonic()
            wait, status, body = 0.0, 0, bytearray()
            while not isinstance(event := self._next_event(), h11.EndOfMessage):
                if event is h11.NEED_DATA:
                    data = await reader.read(READ_SIZE)
                    if not (data or status or http.trailing_data[0]):
                        raise ConnectionAbortedError("it closes the connection without an answer")
                    http.receive_data(data)
                    # h11 would wait for the end of the head.
                    if not (status or b"HTTP/".startswith(http.trailing_data[0][:5])):
                        raise h11.RemoteProtocolError("what it says is not HTTP")
                elif isinstance(event, h11.Response):
                    wait, status = monotonic() - asked, event.status_code
                elif isinstance(event, h11.Data):
                    body += event.data
                    if len(body) > SIZE_LIMIT:
                        raise NotAStateError
        if http.our_state is http.their_state is h11.DONE:
            http.start_next_cycle()
        else:
            await self.close()
        return _Answer(status, bytes(body), wait)

    def _next_event(self) -> h11.Event | type[h11.NEED_DATA | h11.PAUSED]:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError:
            _, ended = self._http.trailing_data
            if ended:
                raise ConnectionResetError("it closes the connection in the middle of an answer") from None
            raise

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the first address of the host that answers."""
        name = self.target.address.host if self._context is not None else None
        *others, last = [address_of(end) for _, end in await resolve(*self.target.address)]
        for place in others:
            with suppress(OSError):
                return await asyncio.open_connection(*place, ssl=self._context, server_hostname=name)
        return await asyncio.open_connection(*last, ssl=self._context, server_hostname=name)

    def _request(self, target: str) -> h11.Request:
        return h11.Request(method="GET", target=self.target.path + target, headers=self._headers)

    def _refusal(self, answer: _Answer) -> tuple[str, str]:
        """What a status other than 200 means, and what to do."""
        words = printable(answer.body[:WORDS_LIMIT].decode(errors="replace").partition("\n")[0]).strip()
        match answer.status:
            case 401 if self._has_secret:
                return "it does not know the secret", "ask its operator for a key that may watch"
            case 401:
                return "it needs a key that may watch", "give --secret-file, a file with its secret"
            case 403:
                return words, ""
            case 404:
                return "it has no page /status", "no hubbub is there, or an older one: check the URL"
        return f"it answers {answer.status}: {words}", "check the URL"

    def _failure(self, error: OSError | h11.RemoteProtocolError) -> tuple[str, str]:
        """What an error means, and what to do."""
        match error:
            case h11.RemoteProtocolError():
                return "it does not speak HTTP", HTTP_NEEDED
            case ConnectionAbortedError():
                return reason_of(error), HTTP_NEEDED
            case ssl.SSLCertVerificationError():
                why = error.verify_message.rstrip(".")
                return f"its certificate is not trusted: {why}", "give --ca, or check the URL"
            case ssl.SSLError():
                return f"TLS with it cannot begin: {error.reason}", "check the URL"
            case ConnectionRefusedError():
                return reason_of(error), f"start a server with --listen {self.target.text}, or check the URL"
        return reason_of(error), "check the URL"


def pause_after(busy: float) -> float:
    """How long to wait until the next look, if answering took the server so long; both in seconds."""
    return min(LONGEST_PAUSE, max(PAUSE, busy / SHARE - busy))
