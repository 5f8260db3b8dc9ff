"""Who asks over HTTP: the key of a request, and what it allows."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from ..door.credentials import Credentials
from .requests import Problem

if TYPE_CHECKING:
    from ..door.arrival import Arrival
    from ..values.role import Role
    from .requests import Request

PROTOCOL: Final = "bearer."
"""How a subprotocol of WebSocket begins that is a key: pages can set no header there. It is never chosen, which would
echo the key."""

_SCHEME: Final = "bearer"


def identify(arrival: Arrival[Any], request: Request) -> None:
    """Find the key of a request, where its place asks for one: `held_key` of the arrival, until the next request.

    Raises:
        Problem: the request has no key, or a key that this place does not know.
    """
    credentials = arrival.listener.authenticate
    if not isinstance(credentials, Credentials):
        return
    secret = _secret_in(request)
    arrival.held_key = None if secret is None else credentials.find(secret)
    if arrival.held_key is None:
        words = "the key is not valid" if secret is not None else "a key is needed here; send Authorization: Bearer KEY"
        raise Problem(HTTPStatus.UNAUTHORIZED, words, {"WWW-Authenticate": "Bearer"})


def permit(arrival: Arrival[Any], room: str, role: Role) -> None:
    """Let a request do what its key allows of a role in a room: that is then the `role` of the arrival.

    Raises:
        Problem: the key allows nothing there. The reason does not say whether the room exists.
    """
    if reason := arrival.claim(room, role):
        raise Problem(HTTPStatus.FORBIDDEN, reason)


def _secret_in(request: Request) -> bytes | None:
    """The secret that a request has in a header (RFC 6750, 2.1), or among its subprotocols; None: it has none.

    It is never looked for in the target, since logs have that.
    """
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == _SCHEME:
        return secret.strip().encode("latin-1")
    for protocol in request.headers.get("sec-websocket-protocol", "").split(","):
        if (name := protocol.strip()).startswith(PROTOCOL):
            return name.removeprefix(PROTOCOL).encode("latin-1")
    return None
