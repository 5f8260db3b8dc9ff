"""Checks a request before it is answered: that it is for this server, and that the page it comes from may ask."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from .requests import Problem

if TYPE_CHECKING:
    from ..door.arrival import Arrival
    from .requests import Request


def check_site(arrival: Arrival[Any], request: Request, scheme: str) -> dict[str, str]:
    """Check that a request is for this server, and that its page may ask; the headers that tell a browser so.

    Args:
        arrival: its connection.
        request: the request.
        scheme: by which the client asked: "http" or "https".

    Raises:
        Problem: the request is for another server, or its page may not ask.
    """
    http = arrival.listener.http
    assert http is not None
    host, origin = request.headers.get("host"), request.headers.get("origin")
    endpoint = str(getattr(arrival.listener.endpoint, "host", ""))
    # A browser always names the host.
    if host is not None and not http.serves(host, endpoint):
        raise Problem(HTTPStatus.FORBIDDEN, f"this server is not known as {host!r}; its operator can --allow-host it")
    if origin is None:
        if _is_from_elsewhere(request) and not http.open:
            raise Problem(HTTPStatus.FORBIDDEN, f"a page of another site may not {_use(request)} here unseen")
        return {}
    if not http.admits(origin, f"{scheme}://{host}"):
        reason = (
            f"pages of {origin!r} may not {_use(request)} here; the operator of this server can --allow-origin them"
        )
        raise Problem(HTTPStatus.FORBIDDEN, reason)
    # What a page of another site may see of the headers, beyond the few that each page may.
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": "Retry-After", "Vary": "Origin"}


def _is_from_elsewhere(request: Request) -> bool:
    """Whether a page of another site has a browser ask for something that it cannot read, and need not look at.

    A person may follow a link from there (https://www.w3.org/TR/fetch-metadata/). But a form that a page submits is no
    link.
    """
    site, what = request.headers.get("sec-fetch-site"), request.headers.get("sec-fetch-dest")
    return site in ("cross-site", "same-site") and (what != "document" or _use(request) == "publish")


def _use(request: Request) -> str:
    """What a request is for."""
    return "publish" if request.publishes else "read"
