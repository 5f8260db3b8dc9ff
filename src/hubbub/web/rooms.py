"""Which rooms requests reach: those of places and of the app, and others where a pattern allows them."""

from __future__ import annotations

import logging
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from ..door.answers import retry_after
from ..hub.hub import check_room_name
from ..values.errors import RoomLimitReached, StoreError
from .requests import Problem

if TYPE_CHECKING:
    from ..door.http import Http
    from ..hub.hub import Hub
    from ..hub.room import Room

logger = logging.getLogger("hubbub")


def plain_name(segment: str) -> str:
    """The name of a room, as a path has it: each byte of UTF-8 may be written as in %2F (RFC 3986, 2.1).

    Raises:
        Problem: it is not UTF-8.
    """
    try:
        # What was typed by hand may have such bytes as they are.
        return unquote_to_bytes(segment.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the name {segment!r} of a room is not in UTF-8") from None


def reach(hub: Hub[Any], http: Http, name: str) -> Room[Any]:
    """The room that a request names.

    Where a pattern of `Http.rooms` allows it, a room that does not exist is made. It stays while it is read, and until
    the caller, who needs it no more, calls `let_go` once.

    Raises:
        Problem: the request cannot have it.
    """
    room = _find(hub, http, name)
    room.users += 1
    return room


def let_go(room: Room[Any]) -> None:
    """Need a room no more that was reached."""
    room.users -= 1
    room.close_if_unused()


def _find(hub: Hub[Any], http: Http, name: str) -> Room[Any]:
    # Without a copy of all of them, for each request.
    room = hub._rooms.get(name)
    if room is not None and room.keep:
        return room
    if not any(fnmatchcase(name, pattern) for pattern in http.rooms):
        raise Problem(HTTPStatus.NOT_FOUND, f"the room {name!r} does not exist")
    if room is not None:
        return room
    try:
        check_room_name(name)
        return hub.room(name, keep=False)
    except ValueError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None
    except RoomLimitReached as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), retry_after()) from None
    except StoreError as error:
        logger.error("the room %s cannot be opened: %s", name, error)
        raise Problem(HTTPStatus.INTERNAL_SERVER_ERROR, f"the room {name!r} cannot be opened") from None
