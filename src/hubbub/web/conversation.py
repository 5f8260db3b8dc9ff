"""What is said over HTTP on one connection, until one of its requests wants a stream."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from ..door.arrival import Refused
from ..log.max_lag import MaxLag
from ..values.ending import Ending, EndingCode
from ..values.errors import ConnectionClosed
from ..values.role import Role
from ..values.since import Since
from ..values.text import printable
from ..wire.countdown import within
from . import answers, streams
from .reading import StreamSession, Wanted
from .requests import Problem, Request, Requests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..door.arrival import Arrival
    from ..hub.hub import Hub
    from ..hub.ports import Supervisor
    from ..hub.pump import Pump
    from ..hub.room import Room

METHODS: Final = "GET, HEAD, OPTIONS"

PREFLIGHT_TIME: Final = 3600
"""Seconds for which a browser need not ask again whether a page of another site may read."""

_ANSWERED: Final = Ending(EndingCode.FINISHED, "its requests were answered")
_SILENT: Final = Ending(EndingCode.PROBE, "the connection ended before anything came")

_PARAMETERS: Final = {"since", "poll"}


class Conversation:
    """Answers the requests of one connection, each within `Settings.handshake_time`.

    Args:
        hub: has the rooms.

    Attributes:
        wanted: the stream that the last request wants; None as long as none does.
    """

    def __init__(self, hub: Hub[Any]) -> None:
        self.wanted: Wanted | None = None
        self._hub = hub

    async def hold(self, arrival: Arrival[Any]) -> None:
        """Answer requests until one wants a stream.

        Raises:
            Refused: none does, and the connection is to end.
        """
        requests = Requests(arrival.settings.unauthenticated_limit)
        time = arrival.settings.handshake_time
        answered = False
        try:
            while self.wanted is None:
                async with within(time):
                    await self._answer_one(arrival, requests)
                answered = True
                # Many may have come at once.
                await asyncio.sleep(0)
        except ConnectionClosed:
            raise Refused(_SILENT if arrival.link.silent else arrival.ending or _ANSWERED) from None
        except TimeoutError:
            if answered and not requests.begun:
                raise Refused(_ANSWERED) from None
            if requests.begun and arrival.link.writable:
                words = f"the request did not come within {time:g} s"
                arrival.link.transport.write(answers.text(HTTPStatus.REQUEST_TIMEOUT, words, {}, last=True))
            raise Refused(Ending(EndingCode.LATE, f"no whole request within {time:g} s")) from None

    def open_stream(self, arrival: Arrival[Any], pump: Pump, supervisor: Supervisor) -> StreamSession:
        """The reader of the stream that is wanted."""
        assert self.wanted is not None
        return StreamSession(self.wanted, arrival.link, arrival.origin, pump, supervisor)

    async def _answer_one(self, arrival: Arrival[Any], requests: Requests) -> None:
        try:
            while (request := requests.next()) is None:
                requests.feed(await arrival.receive())
        except Problem as problem:
            await _refuse(arrival, None, problem)
            raise Refused(Ending(EndingCode.MALFORMED, problem.reason)) from None
        shared: Mapping[str, str] = {}
        try:
            shared = _check_site(arrival, request)
            await self._answer(arrival, request, shared)
        except Problem as problem:
            problem.headers = {**problem.headers, **shared}
            await _refuse(arrival, request, problem)
        if request.last and self.wanted is None:
            raise Refused(_ANSWERED)

    async def _answer(self, arrival: Arrival[Any], request: Request, shared: Mapping[str, str]) -> None:
        """Answer a request, with headers that all answers share."""
        if request.method == "OPTIONS":
            asked = request.headers.get("access-control-request-headers")
            headers = {"Allow": METHODS, "Access-Control-Allow-Methods": METHODS}
            headers |= {"Access-Control-Max-Age": str(PREFLIGHT_TIME)}
            headers |= {"Access-Control-Allow-Headers": asked} if asked else {}
            await arrival.send(answers.text(HTTPStatus.NO_CONTENT, "", {**headers, **shared}, last=request.last))
            return
        wanted = self._find(arrival, request, shared)
        if request.method == "HEAD":
            await arrival.send(wanted.head)
            raise Refused(_ANSWERED)
        if request.method != "GET":
            raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, f"use one of {METHODS}", {"Allow": METHODS})
        self.wanted = wanted

    def _find(self, arrival: Arrival[Any], request: Request, headers: Mapping[str, str]) -> Wanted:
        """The stream that a request asks for."""
        _, name, *kind = (*request.path.split("/"), "")
        stream = streams.found().get("/".join(kind[:-1]))
        if stream is None:
            kinds = ", ".join(f"/root/{each}" for each in streams.found())
            raise Problem(HTTPStatus.NOT_FOUND, f"there is nothing here; the streams of the room root are {kinds}")
        listener = arrival.listener
        if not Role.parse(listener.role).hears:
            raise Problem(HTTPStatus.FORBIDDEN, "nobody may read here")
        query = request.query(_PARAMETERS)
        if (poll := query.get("poll", "0")) not in ("0", "1"):
            raise Problem(HTTPStatus.BAD_REQUEST, "poll must be 0 or 1")
        return Wanted(
            stream=stream,
            room=self._room(name),
            framing=listener.framing or self._hub.framing,
            since=_since(request, query) or listener.replayed,
            poll=poll == "1",
            bare=request.bare,
            headers=headers,
            max_lag=None if listener.max_lag is None else MaxLag(listener.max_lag),
        )

    def _room(self, name: str) -> Room[Any]:
        """A room that is to be seen from outside: of a place, or one that the app keeps."""
        room = self._hub.rooms.get(name)
        if room is None or not room.keep:
            raise Problem(HTTPStatus.NOT_FOUND, f"the room {name!r} does not exist")
        return room


def _check_site(arrival: Arrival[Any], request: Request) -> dict[str, str]:
    """See that a request is for this server, and from a page that may read; the headers that tell a browser so."""
    http = arrival.listener.http
    assert http is not None
    host, origin = request.headers.get("host"), request.headers.get("origin")
    endpoint = str(getattr(arrival.listener.endpoint, "host", ""))
    # A browser always names it.
    if host is not None and not http.serves(host, endpoint):
        raise Problem(HTTPStatus.FORBIDDEN, f"this server is not known as {host!r}; its operator can --allow-host it")
    if origin is None:
        if _is_from_elsewhere(request) and not http.open:
            raise Problem(HTTPStatus.FORBIDDEN, "a page of another site may not read here as if it were an image")
        return {}
    own = f"{'https' if arrival.listener.tls else 'http'}://{host}"
    if not http.admits(origin, own):
        reason = f"pages of {origin!r} may not read here; the operator of this server can --allow-origin them"
        raise Problem(HTTPStatus.FORBIDDEN, reason)
    return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}


def _is_from_elsewhere(request: Request) -> bool:
    """Whether a page of another site has a browser ask for something that it cannot read, and need not look at.

    A person may follow a link from there (https://www.w3.org/TR/fetch-metadata/).
    """
    site, what = request.headers.get("sec-fetch-site"), request.headers.get("sec-fetch-dest")
    return site in ("cross-site", "same-site") and what != "document"


def _since(request: Request, query: Mapping[str, str]) -> Since | None:
    """Where a request wants to begin. A browser that comes back says so itself, in a header."""
    text = request.headers.get("last-event-id") or query.get("since")
    if text is None:
        return None
    try:
        return Since.parse(text)
    except ValueError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"since: {error}") from None


async def _refuse(arrival: Arrival[Any], request: Request | None, problem: Problem) -> None:
    """Answer that a request is wrong."""
    if request is not None and request.bare:
        await arrival.send(f"{printable(problem.reason)}\n".encode())
        return
    last = request is None or request.last
    empty = request is not None and request.method == "HEAD"
    await arrival.send(answers.text(problem.status, problem.reason, problem.headers, last=last, empty=empty))
