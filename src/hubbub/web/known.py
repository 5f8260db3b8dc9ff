"""Streams that tell what is known of each message, and not only its bytes."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from ..framing import ByteLines, without_end
from ..log.as_json import missed_of
from ..log.rendering import Rendering
from .stream import Stream, words_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..framing import Framing
    from ..hub.room import Room
    from ..log.chunk import Batch
    from ..log.rendering import Style
    from ..values.ending import Ending
    from ..values.errors import PositionLost


class KnownRendering(Rendering[Any]):
    """The messages of a log, each with what is known of it."""

    def render(self, batch: Batch, messages: Sequence[Any]) -> bytes:
        term = self.log.position(batch.end.seq).term
        return self.lines(batch, term, batch.end.seq - len(messages) + 1, self._without_ends(messages))

    def notice(self, missed: int, seq: int) -> bytes:
        return self.gap(missed_of(missed, self.log.position(seq)))

    @abstractmethod
    def lines(self, batch: Batch, term: str, first: int, messages: Sequence[str | bytes]) -> bytes:
        """Messages of a batch, all in one term; `first` is the `seq` after the first of them."""

    @staticmethod
    @abstractmethod
    def gap(fields: Mapping[str, Any]) -> bytes:
        """What tells that messages are missing; see `missed_of`."""

    def _without_ends(self, messages: Sequence[Any]) -> Sequence[Any]:
        """Messages without the ends of their lines, which lines of bytes may keep."""
        return list(map(without_end, messages)) if isinstance(self.log.framing, ByteLines) else messages


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
        return self.ended({"end": ending.code, "reason": words_for(ending), "retry": ending.code.worth_retrying})

    @abstractmethod
    def ended(self, fields: Mapping[str, Any]) -> bytes:
        """What tells why it ends."""
