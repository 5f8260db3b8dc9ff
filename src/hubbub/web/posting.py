"""Which requests of a connection may publish."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from ..hub.publisher import Publisher
from ..values.pace import Throttle
from ..values.position import new_token
from ..values.role import Role
from . import streams
from .access import permit
from .finding import METHODS
from .publishing import Publication, decoder_of
from .requests import Problem
from .rooms import plain_name, reach

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..door.arrival import Arrival
    from ..hub.hub import Hub
    from ..hub.publisher import Publish
    from .requests import Request, Requests

_HOW: Final = "publish in a room, as in POST /root"

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Posting:
    """What one connection publishes, request by request.

    Args:
        hub: has the rooms.
        publish: the app's.
        arrival: the connection.
    """

    def __init__(self, hub: Hub[Any], publish: Publish[Any], arrival: Arrival[Any]) -> None:
        self._hub = hub
        self._publish = publish
        self._arrival = arrival
        self._token = new_token()
        self._throttle = Throttle.of(arrival.settings)

    def begin(self, request: Request, requests: Requests, headers: Mapping[str, str]) -> Publication:
        """Let a request publish, in a room that it has reached then.

        Args:
            request: the request.
            requests: has its body.
            headers: further headers of its answer.

        Raises:
            Problem: it may not publish.
        """
        arrival = self._arrival
        _, name, *rest = request.path.split("/")
        if rest:
            if "/".join(rest) in streams.found():
                raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, f"{_HOW}; a stream is only read", {"Allow": METHODS})
            raise Problem(HTTPStatus.NOT_FOUND, f"there is nothing here; {_HOW}")
        listener = arrival.listener
        if not Role.parse(listener.role).speaks:
            raise Problem(HTTPStatus.FORBIDDEN, "nobody may publish here")
        name = plain_name(name)
        permit(arrival, name, Role.WRITE)
        if not request.headers.keys() & {"content-length", "transfer-encoding"}:
            reason = "the request has no body; it needs a Content-Length or a Transfer-Encoding"
            raise Problem(HTTPStatus.LENGTH_REQUIRED, reason)
        decoder = decoder_of(request, listener.framing or self._hub.framing, arrival.settings.message_limit)
        assert listener.http is not None
        # Last, for from here on its room stays.
        room = reach(self._hub, listener.http, name)
        return Publication(
            request,
            requests,
            arrival,
            publish=self._publish,
            publisher=Publisher(self._hub, room, arrival.origin, self._token, arrival.key),
            decoder=decoder,
            throttle=self._throttle,
            headers=headers,
        )
