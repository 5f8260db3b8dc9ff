"""Who may see the pages that show the server."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from ..door.credentials import Credentials
from ..door.http import LOCAL, asks_loopback, is_loopback
from ..values.address import Address
from ..values.key import WATCH
from .access import identify
from .requests import Problem

if TYPE_CHECKING:
    from ..door.arrival import Arrival
    from .requests import Request

_FORWARDING: Final = re.compile("forwarded|via|x-real-ip|x-forwarded-.*")
"""The headers that proxies add. The request is somebody else's then."""

_FROM_HERE: Final = ("none", "same-origin")
"""What `Sec-Fetch-Site` says where no page of another site asks (https://www.w3.org/TR/fetch-metadata/)."""


def check_watcher(arrival: Arrival[Any], request: Request) -> None:
    """Check that a request may see pages that show the server.

    Where its place asks for a key, that must allow to `watch`. Elsewhere only programs on this machine may see them.

    Raises:
        Problem: it may not.
    """
    if isinstance(arrival.listener.authenticate, Credentials):
        identify(arrival, request)
        key = arrival.held_key
        if key is not None and WATCH not in key.may:
            raise Problem(HTTPStatus.FORBIDDEN, f"the key {key.name} may not {WATCH}")
    elif not _is_local(arrival, request):
        reason = (
            "without keys, only programs on this machine may see this, at a place on a loopback address; "
            "the operator of this server can give out keys that may watch"
        )
        raise Problem(HTTPStatus.FORBIDDEN, reason)


def _is_local(arrival: Arrival[Any], request: Request) -> bool:
    """Whether a program on this machine asks, as far as anybody can tell, and asks for this machine.

    A program that passes on the requests of others says so in a header. A page whose name its owner points at this
    machine asks by that name (DNS rebinding). A page of another site names its origin, also one that may read rooms.
    """
    host = request.headers.get("host", LOCAL)
    own = f"{'http' if arrival.listener.tls is None else 'https'}://{host}"
    return (
        _is_bound_locally(arrival)
        # Whose a connection of a proxy is it may not know itself (PROXY UNKNOWN).
        and not arrival.listener.proxies
        and asks_loopback(host)
        and request.headers.get("origin", own) == own
        and request.headers.get("sec-fetch-site", "none") in _FROM_HERE
        and not any(map(_FORWARDING.fullmatch, request.headers))
    )


def _is_bound_locally(arrival: Arrival[Any]) -> bool:
    """Whether only programs on this machine reach the place where it has arrived."""
    endpoint = arrival.listener.endpoint
    if isinstance(endpoint, int):
        # Somebody else has bound it. This is where the connection has reached it.
        endpoint = Address.of(arrival.link.transport.get_extra_info("sockname"))
    return not isinstance(endpoint, Address) or endpoint.path is not None or is_loopback(endpoint.host)
