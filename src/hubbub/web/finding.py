"""Which stream a request asks for: its kind, its room, and where it is to begin."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from ..values.role import Role
from ..values.since import Since
from . import streams
from .reading import Wanted
from .requests import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..door.arrival import Arrival
    from ..hub.hub import Hub
    from ..hub.room import Room
    from .requests import Request

_PARAMETERS: Final = {"since", "poll"}


def find(hub: Hub[Any], arrival: Arrival[Any], request: Request) -> Wanted:
    """The stream that a request asks for.

    Raises:
        Problem: there is none, or the request may not have it.
    """
    _, name, *kind = (*request.path.split("/"), "")
    stream = streams.found().get("/".join(kind[:-1]))
    if stream is None:
        kinds = ", ".join(f"/root/{each}" for each in streams.found())
        raise Problem(HTTPStatus.NOT_FOUND, f"there is nothing here; the streams of the room root are {kinds}")
    listener = arrival.listener
    query = request.query(_PARAMETERS)
    if (poll := query.get("poll", "0")) not in ("0", "1"):
        raise Problem(HTTPStatus.BAD_REQUEST, "poll must be 0 or 1")
    wanted = Wanted(
        stream=stream,
        room=_room(hub, name),
        framing=listener.framing or hub.framing,
        since=_since(request, query) or listener.replayed,
        poll=poll == "1",
        bare=request.bare,
        max_lag=listener.lag_limit,
    )
    if not (Role.parse(listener.role).hears or wanted.by_client):
        raise Problem(HTTPStatus.FORBIDDEN, "nobody may read here")
    return wanted


def _room(hub: Hub[Any], name: str) -> Room[Any]:
    """A room that is to be seen from outside: of a place, or one that the app keeps."""
    room = hub.rooms.get(name)
    if room is None or not room.keep:
        raise Problem(HTTPStatus.NOT_FOUND, f"the room {name!r} does not exist")
    return room


def _since(request: Request, query: Mapping[str, str]) -> Since | None:
    """Where a request wants to begin. A browser that comes back says so itself, in a header."""
    text = request.headers.get("last-event-id") or query.get("since")
    if text is None:
        return None
    try:
        return Since.parse(text)
    except ValueError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"since: {error}") from None
