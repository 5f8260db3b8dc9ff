"""The contract of a kind of stream: what to write to make one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ..door import answers
from ..framing import Raw
from ..values.ending import Ending, EndingCode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..framing import Framing
    from ..hub.room import Room
    from ..log.rendering import Style
    from ..values.errors import FramingError, PositionLost
    from ..values.position import Position
    from .requests import Request


_PRIVATE: Final = (EndingCode.FAILED, EndingCode.UNDELIVERABLE)
"""Endings whose reason is for the record alone: it may have an exception in it."""


def words_for(ending: Ending) -> str:
    """What a reader is told of the reason of an ending."""
    return "the log of the server says why" if ending.code in _PRIVATE else ending.reason


class Stream(ABC):
    """One kind of stream: how its readers see a room. A file of `streams` each, with one by the name of STREAM.

    Attributes:
        heartbeat: what is written now and then, so that no proxy takes the connection for dead; nothing, if empty.
        has_clients: whether its readers are clients, and may speak: then it says in `spoken` how.
        beating: what a request with `beat=1` gets: the same kind with a beginning and a heartbeat; None: it has none.
    """

    has_clients: ClassVar[bool] = False
    heartbeat: ClassVar[bytes] = b""
    beating: ClassVar[Stream | None] = None

    @abstractmethod
    def style(self, room: Room[Any], framing: Framing[Any]) -> Style:
        """How its readers read a room, at a place that has that framing."""

    def content_type(self, framing: Framing[Any]) -> str:
        """The type of its content, for readers in `framing`."""
        return "application/octet-stream"

    def opening(self) -> bytes:
        """What it begins with."""
        return b""

    def accept(self, request: Request, framing: Framing[Any], headers: Mapping[str, str]) -> tuple[Stream, bytes]:
        """Accept a request: the kind that it is to have, if it can choose of several, and the head of the answer.

        Args:
            request: the request.
            framing: how messages are framed at the place.
            headers: further headers of the answer.

        Raises:
            Problem: the request lacks something.
        """
        # nginx would keep what it has back until its buffer is full.
        about = {"Content-Type": self.content_type(framing), "Connection": "close", "X-Accel-Buffering": "no"}
        return self, answers.head(HTTPStatus.OK, {**about, **headers})

    def spoken(self, framing: Framing[Any]) -> Framing[Any]:
        """How its readers speak, at a place that has that framing. Nobody hears those that are not clients."""
        return Raw()

    def begins(self, at: Position) -> bytes:
        """What tells at which place the messages begin."""
        return b""

    @abstractmethod
    def lost(self, error: PositionLost, framing: Framing[Any], notice: str | None) -> bytes:
        """What tells that messages are gone from where it was to begin; `notice` is the room's, see `Settings`.

        Raises:
            CannotTell: the framing cannot say so.
        """

    def end(self, ending: Ending) -> bytes:
        """What tells why it ends."""
        return b""

    def failed(self, error: FramingError) -> bytes:
        """What tells a reader that what it said is not a message, with which it ends."""
        return self.end(Ending(error.code, error.reason))
