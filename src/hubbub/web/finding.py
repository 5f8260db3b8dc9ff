"""Which stream a request asks for: its kind, its room, and where it is to begin."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from ..values.role import Role
from ..values.since import Since
from . import streams
from .access import permit
from .reading import Wanted
from .requests import Problem
from .rooms import plain_name, reach

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..door.arrival import Arrival
    from ..hub.hub import Hub
    from .requests import Request

METHODS: Final = "GET, HEAD, OPTIONS"
"""What may be asked of a stream."""

_PARAMETERS: Final = {"since", "poll", "beat"}


def find(hub: Hub[Any], arrival: Arrival[Any], request: Request) -> Wanted:
    """The stream that a request asks for.

    Its room stays for it: see `reach`.

    Raises:
        Problem: the stream does not exist, or the request may not have it.
    """
    name, _, kind = request.path.removeprefix("/").partition("/")
    stream = streams.found().get(kind)
    if stream is None:
        kinds = ", ".join(f"/root/{each}" for each in streams.found())
        raise Problem(HTTPStatus.NOT_FOUND, f"there is nothing here; the streams of the room root are {kinds}")
    listener = arrival.listener
    query = request.query(_PARAMETERS)
    poll = _flag(query, "poll")
    if _flag(query, "beat"):
        if stream.beating is None:
            raise Problem(HTTPStatus.BAD_REQUEST, f"{kind} has no parameter beat; json has it")
        stream = stream.beating
    assert listener.http is not None
    role = Role.parse(listener.role)
    by_client = stream.has_clients and not poll
    if not (role.hears or by_client):
        raise Problem(HTTPStatus.FORBIDDEN, "nobody may read here")
    room = plain_name(name)
    permit(arrival, room, role if by_client else Role.READ)
    since = _since(request, query) or listener.replayed
    return Wanted(
        kind=kind,
        stream=stream,
        # Last: nothing is refused any more.
        room=reach(hub, listener.http, room),
        framing=listener.framing or hub.framing,
        since=since if arrival.role.hears else None,
        poll=poll,
        by_client=by_client,
        bare=request.bare,
        max_lag=listener.lag_limit,
    )


def _flag(query: Mapping[str, str], name: str) -> bool:
    if (value := query.get(name, "0")) not in ("0", "1"):
        raise Problem(HTTPStatus.BAD_REQUEST, f"{name} must be 0 or 1")
    return value == "1"


def _since(request: Request, query: Mapping[str, str]) -> Since | None:
    """Where a request wants to begin. A browser that comes back says so itself, in a header."""
    text = request.headers.get("last-event-id") or query.get("since")
    if text is None:
        return None
    try:
        return Since.parse(text)
    except ValueError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"since: {error}") from None
