"""Streams that tell what is known of each message, and not only its bytes."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from ..log.as_json import missed_of
from ..log.rendering import Rendering
from .stream import Stream

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..framing import Framing
    from ..hub.room import Room
    from ..log.chunk import Batch
    from ..log.rendering import Style
    from ..values.ending import Ending
    from ..values.errors import PositionLost
    from ..values.position import Position


class KnownRendering(Rendering[Any]):
    """The messages of a log, each with what is known of it."""

    def render(self, batch: Batch, messages: Sequence[Any]) -> bytes:
        first = batch.end.seq - len(messages) + 1
        return b"".join(
            self.one(self.log.position(seq), batch, self._without_end(message))
            for seq, message in enumerate(messages, start=first)
        )

    def notice(self, missed: int, seq: int) -> bytes:
        return self.gap(missed_of(missed, self.log.position(seq)))

    @abstractmethod
    def one(self, position: Position, batch: Batch, message: str | bytes) -> bytes:
        """One message of a batch; the position is that after it."""

    @staticmethod
    @abstractmethod
    def gap(fields: Mapping[str, Any]) -> bytes:
        """What tells that messages are missing; see `missed_of`."""

    def _without_end(self, message: Any) -> Any:
        """A message without the end of its line, which lines of bytes may keep."""
        if isinstance(message, bytes) and self.log.framing.textual and message.endswith(b"\n"):
            return message[:-1].removesuffix(b"\r")
        return message


class KnownStream(Stream):
    """A stream of such messages.

    Attributes:
        rendering: the class that writes them.
    """

    rendering: ClassVar[type[KnownRendering]]

    def style(self, room: Room[Any], framing: Framing[Any]) -> Style:
        # However they were to be framed, the messages are the same.
        return self.rendering, room.framing

    def lost(self, error: PositionLost, framing: Framing[Any], notice: str | None) -> bytes:
        return self.rendering.gap(missed_of(error.missed, error.first))

    def end(self, ending: Ending) -> bytes:
        return self.ended({"end": ending.code, "reason": ending.reason, "retry": ending.code.worth_retrying})

    @abstractmethod
    def ended(self, fields: Mapping[str, Any]) -> bytes:
        """What tells why it ends."""
