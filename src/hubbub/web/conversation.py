"""What is said over HTTP on one connection, until one of its requests wants a stream: what is answered, and when."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from ..door import answers
from ..door.arrival import Refused
from ..hub.client import Client
from ..values.ending import Ending, EndingCode
from ..values.errors import ConnectionClosed
from ..values.role import Role
from ..values.text import printable
from ..wire.countdown import within
from . import pages
from .access import identify
from .finding import METHODS, find
from .forwarded import forwarded
from .posting import CONTINUE, Posting
from .reading import StreamSession, Visitor, WebSession
from .requests import PUBLISHING, Problem, Request, Requests
from .rooms import let_go
from .site import check_site
from .watching import check_watcher

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..door.arrival import Arrival
    from ..hub.hub import Hub
    from ..hub.ports import Supervisor
    from ..hub.publisher import Publish
    from ..hub.pump import Pump
    from ..hub.room import Room
    from ..hub.session import Session
    from ..values.address import Address
    from .page import Page, Watched
    from .publishing import Publication
    from .reading import Wanted

PREFLIGHT_TIME: Final = 3600
"""Seconds for which a browser need not ask again whether a page of another site may read or publish."""

_READING: Final = ("GET", "HEAD")

_ANSWERED: Final = Ending(EndingCode.FINISHED, "its requests were answered")
_SILENT: Final = Ending(EndingCode.PROBE, "the connection ended before anything came")


class Conversation:
    """Answers the requests of one connection.

    Each request has `Settings.handshake_time` to come and to be answered. The time of a body comes on top.

    Args:
        hub: has the rooms.
        server: what pages show of it.
        publish: publishes what is posted; None: nothing may be.

    Attributes:
        wanted: the stream that the last request wants; None as long as none does.
    """

    def __init__(self, hub: Hub[Any], server: Watched, publish: Publish[Any] | None = None) -> None:
        self.wanted: Wanted | None = None
        self._hub = hub
        self._server = server
        self._publish = publish
        self._posting: Posting | None = None
        # The trusted proxy whose connection this is, where its requests are those of others.
        self._proxy: Address | None = None
        # The room that the request has reached.
        self._room: Room[Any] | None = None

    async def hold(self, arrival: Arrival[Any]) -> None:
        """Answer requests until one wants a stream.

        Raises:
            Refused: none does, and the connection is to end.
        """
        self._proxy = None if arrival.counted else arrival.origin
        requests = Requests(arrival.settings.unauthenticated_limit)
        time = arrival.settings.handshake_time
        answered = False
        try:
            while self.wanted is None:
                try:
                    await self._serve_one(arrival, requests, time)
                finally:
                    self._let_go()
                if self.wanted is None:
                    answered = True
                    self._forget_client(arrival)
                    if requests.begun:
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

    def open(self, arrival: Arrival[Any], pump: Pump, supervisor: Supervisor) -> Session[Any]:
        """The reader of the stream that is wanted."""
        assert self.wanted is not None
        wanted, link = self.wanted, arrival.link
        link.speak(wanted.stream.spoken(wanted.framing))
        role, lag, key = arrival.role, wanted.max_lag, arrival.held_key
        if not wanted.by_client:
            visitor = Visitor(arrival.origin, wanted.room)
            return StreamSession(wanted, visitor, link, pump, supervisor, role=role, max_lag=lag, key=key)
        client = Client(
            self._hub,
            wanted.room,
            link,
            arrival.origin,
            pump=pump,
            supervisor=supervisor,
            role=role,
            max_lag=lag,
            session=partial(WebSession, wanted),
            key=key,
        )
        return client._reader

    async def _serve_one(self, arrival: Arrival[Any], requests: Requests, time: float) -> None:
        """Answer the next request. All but the body of what is published has so many seconds.

        If it wants a stream, its reader joins at once: the peer has the head, and is to hear all from now on.
        """
        async with within(time):
            publication = await self._answer_one(arrival, requests)
        if publication is None:
            return
        answer = await publication.answer()
        async with nullcontext() if arrival.link.writable else within(time):
            await arrival.send(answer)
        if publication.last:
            raise Refused(_ANSWERED)

    async def _answer_one(self, arrival: Arrival[Any], requests: Requests) -> Publication | None:
        """Answer the next request, unless it publishes: then its body is to be read first."""
        try:
            while (request := requests.next()) is None:
                requests.feed(await arrival.receive())
        except Problem as problem:
            await _refuse(arrival, None, problem)
            raise Refused(Ending(EndingCode.MALFORMED, problem.reason)) from None
        shared: Mapping[str, str] = {}
        try:
            shared = check_site(arrival, request, self._identify(arrival, request))
            if request.method in _READING and (page := pages.found().get(request.path)):
                await self._show(arrival, request, page, shared)
            else:
                if request.method != "OPTIONS":
                    # A browser asks that first, without the key.
                    identify(arrival, request)
                if request.publishes and self._publish is not None:
                    return await self._begin(arrival, request, requests, shared)
                await self._answer(arrival, request, shared, early=requests.begun)
        except Problem as problem:
            problem.headers = {**problem.headers, **shared}
            await _refuse(arrival, request, problem)
            if problem.status == HTTPStatus.UNAUTHORIZED:
                raise Refused(Ending(EndingCode.UNAUTHENTICATED, problem.reason)) from None
        if request.last and self.wanted is None:
            raise Refused(_ANSWERED)
        return None

    async def _begin(
        self, arrival: Arrival[Any], request: Request, requests: Requests, shared: Mapping[str, str]
    ) -> Publication:
        """Let a request publish. A client that asks whether it may send the body is told so."""
        assert self._publish is not None
        self._posting = self._posting or Posting(self._hub, self._publish, arrival)
        publication = self._posting.begin(request, requests, shared)
        self._room = publication.room
        if request.waits and not requests.begun:
            await arrival.send(CONTINUE)
        return publication

    def _let_go(self) -> None:
        """A request was answered, or failed, and needs its room no more. The reader of a stream still does."""
        if self._room is not None and self.wanted is None:
            let_go(self._room)
            self._room = None

    def _forget_client(self, arrival: Arrival[Any]) -> None:
        """The next request of a trusted proxy may be that of another client."""
        if self._proxy is not None:
            arrival.discharge()
            arrival.origin = self._proxy
            self._posting = None

    def _identify(self, arrival: Arrival[Any], request: Request) -> str:
        """Learn from a trusted proxy whose request this is, and whether that may come in; by which scheme it came.

        Raises:
            Problem: the proxy says it in a way that is not valid.
            Refused: it may not come in.
        """
        scheme = None
        if self._proxy is not None:
            assert arrival.listener.http is not None
            if arrival.relayed:
                # Its network may not be trusted any more.
                arrival.origin, scheme = forwarded(request, self._proxy, arrival.listener.http.forwarded)
            arrival.admit()
        return scheme or ("http" if arrival.listener.tls is None else "https")

    async def _answer(self, arrival: Arrival[Any], request: Request, shared: Mapping[str, str], *, early: bool) -> None:
        """Answer a request, with headers that all answers share; `early` says whether more came behind it."""
        if request.method == "OPTIONS":
            methods = self._methods(arrival)
            asked = request.headers.get("access-control-request-headers")
            headers = {"Allow": methods, "Access-Control-Allow-Methods": methods}
            headers |= {"Access-Control-Max-Age": str(PREFLIGHT_TIME)}
            headers |= {"Access-Control-Allow-Headers": asked} if asked else {}
            await arrival.send(answers.text(HTTPStatus.NO_CONTENT, "", {**headers, **shared}, last=request.last))
            return
        if request.method not in _READING:
            methods = self._methods(arrival)
            raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, f"use one of {methods}", {"Allow": methods})
        wanted = find(self._hub, arrival, request)
        self._room = wanted.room
        stream, head = wanted.stream.accept(request, wanted.framing, shared)
        if request.method == "HEAD":
            await arrival.send(head)
            raise Refused(_ANSWERED)
        if stream.has_clients and early:
            # These bytes are not of a request, and RFC 6455 (4.1) forbids them.
            raise Problem(HTTPStatus.BAD_REQUEST, "a client of WebSocket waits for the answer before it says more")
        await arrival.send((b"" if request.bare else head) + stream.opening())
        self.wanted = replace(wanted, stream=stream)

    async def _show(self, arrival: Arrival[Any], request: Request, page: Page, shared: Mapping[str, str]) -> None:
        """Answer a request with a page."""
        if page.guarded:
            check_watcher(arrival, request)
        body, kind, status, headers = await page.show(request, self._server)
        empty = request.method == "HEAD"
        answer = answers.whole(status, kind, body, {**headers, **shared}, last=request.last, empty=empty)
        await arrival.send(answer)

    def _methods(self, arrival: Arrival[Any]) -> str:
        """What may be asked where a connection has arrived."""
        publishes = self._publish is not None and Role.parse(arrival.listener.role).speaks
        return ", ".join((METHODS, *PUBLISHING)) if publishes else METHODS


async def _refuse(arrival: Arrival[Any], request: Request | None, problem: Problem) -> None:
    """Answer that a request is wrong."""
    if request is not None and request.bare:
        await arrival.send(f"{printable(problem.reason)}\n".encode())
        return
    # On one connection, guesses would be fast.
    last = request is None or request.last or problem.status == HTTPStatus.UNAUTHORIZED
    empty = request is not None and request.method == "HEAD"
    await arrival.send(answers.text(problem.status, problem.reason, problem.headers, last=last, empty=empty))
