"""WebSocket: frames in both directions, for browsers and programs (RFC 6455). Its readers are clients."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final

from websockets.datastructures import Headers
from websockets.http11 import Request as Handshake
from websockets.server import ServerProtocol

from ...door import answers
from ...framing import Framing, words_in
from ...log.as_json import json_line, missed_of
from ...log.rendering import Rendering
from ...values.ending import Ending, EndingCode
from .. import frames
from ..framed import framed
from ..frames import BrokenRules, PeerCloses
from ..requests import Problem
from ..stream import Stream, words_for
from .json import Objects

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from websockets.typing import Subprotocol

    from ...hub.room import Room
    from ...log.chunk import Batch
    from ...log.rendering import Style
    from ...values.errors import FramingError, PositionLost
    from ..requests import Request

PLAIN: Final = "hubbub.plain"
JSON: Final = "hubbub.json"

CLOSE_CODES: Final = {
    EndingCode.FINISHED: frames.NORMAL,
    EndingCode.CLOSED: frames.NORMAL,
    EndingCode.LEFT: frames.NORMAL,
    EndingCode.SHUTDOWN: 1012,
    EndingCode.FAILED: 1011,
    EndingCode.UNDELIVERABLE: 1011,
    EndingCode.MALFORMED: frames.PROTOCOL_ERROR,
    EndingCode.TOO_LONG: frames.TOO_BIG,
}
"""The codes of close frames (RFC 6455, 7.4.1, and the registry of IANA)."""

COME_BACK: Final = 1013
STAY_AWAY: Final = 1008
"""The codes of all other endings: of those that are worth another try, and of those that are not."""


class _Socket(Stream):
    """A stream of frames.

    Args:
        as_json: whether its messages are objects of JSON, with what is known of each.
    """

    has_clients: ClassVar[bool] = True
    heartbeat: ClassVar[bytes] = frames.frame(frames.PING)

    def __init__(self, *, as_json: bool = False) -> None:
        self._as_json = as_json

    def accept(self, request: Request, framing: Framing[Any], headers: Mapping[str, str]) -> tuple[Stream, bytes]:
        if request.method != "GET":
            raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, "a WebSocket begins with GET", {"Allow": "GET"})
        protocol = ServerProtocol(select_subprotocol=_choose)
        response = protocol.accept(Handshake(request.target, Headers(request.headers)))
        status, about = HTTPStatus(response.status_code), dict(response.headers.raw_items())
        if status is not HTTPStatus.SWITCHING_PROTOCOLS:
            words = (response.body or b"").decode().partition("\n")[0]
            raise Problem(status, words, {name: about[name] for name in about.keys() & {"Upgrade"}})
        stream = AS_JSON if protocol.subprotocol == JSON else STREAM
        return stream, answers.head(status, {**about, **headers})

    def spoken(self, framing: Framing[Any]) -> Framing[Any]:
        return framed(framing, as_json=self._as_json)

    def style(self, room: Room[Any], framing: Framing[Any]) -> Style:
        return (_Objects, room.framing) if self._as_json else (Rendering, framed(framing, as_json=False))

    def lost(self, error: PositionLost, framing: Framing[Any], notice: str | None) -> bytes:
        if self._as_json:
            return _Objects.gap(missed_of(error.missed, error.first))
        words = None if notice is None else notice.format(missed="some" if error.missed is None else error.missed)
        return b"" if words is None else words_in(framed(framing, as_json=False), words)

    def end(self, ending: Ending) -> bytes:
        other = COME_BACK if ending.code.worth_retrying else STAY_AWAY
        # What an app says when it closes a client is for the record (`Client.close`).
        is_told = ending.code is not EndingCode.CLOSED
        words = str(Ending(ending.code, words_for(ending))) if is_told else ending.code.value
        return frames.close(CLOSE_CODES.get(ending.code, other), words)

    def failed(self, error: FramingError) -> bytes:
        if isinstance(error, PeerCloses):
            return frames.close(error.close_code)
        if isinstance(error, BrokenRules):
            return frames.close(error.close_code, error.reason)
        return super().failed(error)


class _Objects(Objects):
    """The objects of `/json`, a frame each."""

    def lines(self, batch: Batch, term: str, first: int, messages: Sequence[str | bytes]) -> bytes:
        lines = super().lines(batch, term, first, messages)
        return frames.frames_of(frames.TEXT, lines.split(b"\n")[:-1])

    @staticmethod
    def gap(fields: Mapping[str, Any]) -> bytes:
        return frames.frame(frames.TEXT, json_line(fields)[:-1])


def _choose(_protocol: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """The subprotocol to speak; none where the client knows none. Others that it offers are not echoed."""
    return next((each for each in offered if each in (PLAIN, JSON)), None)


STREAM: Final = _Socket()
AS_JSON: Final = _Socket(as_json=True)
