"""Asking a server for its state over HTTP.

The connection and the answers are those of `hubbub.subscribe`. Here one deadline holds for a whole answer, the
connection included, and its size has a bound. h11 is in the extra `web`, which a server also needs to have a state to
show.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

import h11

from ..client.dial import Target, dial, reason_of
from ..client.reply import Reply
from ..client.side import LEFT, Side
from ..framing import Raw
from ..values.errors import ConnectionClosed
from ..values.settings import Settings
from ..values.text import printable
from ..wire.countdown import within
from .top_look import NotAStateError, make_look, parse_page

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from typing import Any

    from ..client.http_url import HttpUrl
    from .top_look import Look

TIMEOUT: Final = 10.0
"""How long an answer may take, the connection included, in seconds."""

SIZE_LIMIT: Final = 16 << 20
"""The most bytes of an answer. A thousand rooms and connections with long names take a tenth of that."""

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

UNTRUSTED: Final = "certificate verify failed"
"""The words of OpenSSL before the reason."""

HTTP_NEEDED: Final = "give the URL of a place that speaks HTTP (hubbub serve --listen http://HOST:PORT)"

WORDS_LIMIT: Final = 300
"""How many characters of the words of a refusal are shown."""


class NoLookError(Exception):
    """The state of a server cannot be shown.

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
        secret: the key in each request; None: no key.
        context: how to speak TLS; None: in plain text.

    Raises:
        ValueError: a header cannot carry the secret.
    """

    def __init__(self, target: HttpUrl, secret: bytes | None, context: ssl.SSLContext | None) -> None:
        self.target = target
        self._to = Target(target.address, context)
        self._has_secret = secret is not None
        self._headers = {b"Host": target.host.encode(), b"Accept": b"application/json"}
        if secret is not None:
            self._headers[b"Authorization"] = b"Bearer " + secret
        self._side: Side[bytes] | None = None
        try:
            Reply().request("/status", self._headers)
        except h11.LocalProtocolError:
            raise ValueError("the secret has characters that a header of HTTP cannot have") from None

    async def look(self, before: Look | None = None) -> tuple[Look, float]:
        """The state of the server, and how long to wait for the next look, in seconds.

        If it is cancelled, `close` is still needed.

        Raises:
            NoLookError: the server did not give it; the message says why.
        """
        try:
            # The server answers this without any work, so its wait is the time on the way.
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
        except (OSError, ConnectionClosed) as error:
            raise NoLookError(self.target.text, *self._failure(error)) from None

    async def close(self) -> None:
        """End the connection, if there is one."""
        if self._side is not None:
            link, self._side = self._side.link, None
            link.abort()
            await link.wait_closed()

    async def _ask(self, path: str) -> _Answer:
        """Send a request and read its answer, within `TIMEOUT`."""
        reused = self._side is not None
        try:
            async with within(TIMEOUT):
                return await self._try(path)
        except Exception as error:
            # Without its end, no other answer can follow.
            await self.close()
            # A server closes connections that were quiet for long.
            if not (reused and isinstance(error, ConnectionError)):
                raise
        return await self._ask(path)

    async def _try(self, path: str) -> _Answer:
        if self._side is None:
            side: Side[bytes] = Side(Raw(), Settings(), asyncio.get_running_loop())
            await dial(self._to, side.link)
            self._side = side
        reply, body, wait = Reply(), bytearray(), 0.0
        asked = monotonic()
        await self._side.send(reply.request(self.target.path + path, self._headers))
        while not reply.ended:
            pieces = await self._side.link.receive_many()
            if not pieces and not reply.end():
                if (ending := self._side.ending) not in (None, LEFT):
                    raise ConnectionResetError(ending.reason)
                if wait:
                    raise ConnectionResetError("it closes the connection in the middle of an answer")
                raise ConnectionAbortedError("it closes the connection without an answer")
            wait = wait or monotonic() - asked
            body += reply.feed(b"".join(pieces))
            if reply.fault is not None:
                raise NoLookError(self.target.text, "it does not speak HTTP", HTTP_NEEDED)
            if len(body) > SIZE_LIMIT:
                raise NotAStateError
        if not reply.reusable:
            await self.close()
        assert reply.status is not None
        return _Answer(reply.status, bytes(body), wait)

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

    def _failure(self, error: OSError | ConnectionClosed) -> tuple[str, str]:
        """What an error means, and what to do."""
        match error:
            case ConnectionClosed():
                why = str(error.__cause__).rstrip(".")
                if UNTRUSTED in why:
                    return why.replace(UNTRUSTED, "its certificate is not trusted"), "give --ca, or check the URL"
                return f"TLS with it cannot begin: {why}", "check the URL"
            case ConnectionAbortedError():
                return reason_of(error), HTTP_NEEDED
            case ConnectionRefusedError():
                return reason_of(error), f"start a server with --listen {self.target.text}, or check the URL"
        return reason_of(error), "check the URL"


def pause_after(busy: float) -> float:
    """How long to wait until the next look, if answering took the server so long; both in seconds."""
    return min(LONGEST_PAUSE, max(PAUSE, busy / SHARE - busy))
