"""What a request is asked before it is answered: for whom it is, and from which page it comes."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from .requests import Problem

if TYPE_CHECKING:
    from ..door.arrival import Arrival
    from .requests import Request


def check_site(arrival: Arrival[Any], request: Request, scheme: str) -> dict[str, str]:
    """See that a request is for this server, and from a page that may read; the headers that tell a browser so.

    Args:
        arrival: its connection.
        request: the request.
        scheme: by which the client asked: "http" or "https".
    """
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
    if not http.admits(origin, f"{scheme}://{host}"):
        reason = f"pages of {origin!r} may not read here; the operator of this server can --allow-origin them"
        raise Problem(HTTPStatus.FORBIDDEN, reason)
    return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}


def _is_from_elsewhere(request: Request) -> bool:
    """Whether a page of another site has a browser ask for something that it cannot read, and need not look at.

    A person may follow a link from there (https://www.w3.org/TR/fetch-metadata/).
    """
    site, what = request.headers.get("sec-fetch-site"), request.headers.get("sec-fetch-dest")
    return site in ("cross-site", "same-site") and what != "document"
