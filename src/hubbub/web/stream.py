"""The contract of a kind of stream: what to write to make one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..framing import Framing
    from ..hub.room import Room
    from ..log.rendering import Style
    from ..values.ending import Ending
    from ..values.errors import PositionLost


class Stream(ABC):
    """One kind of stream: how its readers see a room. A file of `streams` each, with one by the name of STREAM.

    Attributes:
        headers: those of its answer, beside the type of its content.
        heartbeat: what is written now and then, so that no proxy takes the connection for dead; nothing, if empty.
    """

    headers: ClassVar[Mapping[str, str]] = {}
    heartbeat: ClassVar[bytes] = b""

    @abstractmethod
    def style(self, room: Room[Any], framing: Framing[Any]) -> Style:
        """How its readers read a room, at a place that has that framing."""

    @abstractmethod
    def content_type(self, framing: Framing[Any]) -> str:
        """The type of its content, for readers in `framing`."""

    def opening(self) -> bytes:
        """What it begins with."""
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
