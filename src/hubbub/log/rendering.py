"""How a log looks to some of its readers: its messages in their framing."""

from __future__ import annotations

import logging
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Generic, TypeAlias

from ..framing import Framing, M
from .chunk import CannotTell, Wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .chunk import Batch, Chunk
    from .log import Log

logger = logging.getLogger("hubbub")


class Rendering(Generic[M]):
    """What the readers of one style are written; made once for each chunk, and shared by all of them.

    This class writes them in a framing. Others have a `render` and a `notice` of their own, and write more. A message
    that cannot be written is missed by these readers, and they are told.

    Args:
        log: the log.
        framing: that of the readers.
        notice: the text that tells how many messages are missing, with the field `missed`; None: nothing is told.

    Attributes:
        log, framing: as above.
        ready: the cursors that have read all there is, which the next flush writes to.
    """

    __slots__ = ("_notice", "_own", "framing", "log", "ready")

    def __init__(self, log: Log[M], framing: Framing[M], notice: str | None) -> None:
        self.log = log
        self._own = type(self) is Rendering and framing == log.framing
        self.framing = framing
        self._notice = notice
        self.ready: dict[Any, None] = {}

    def data_of(self, chunk: Chunk) -> bytes:
        """The bytes of a chunk.

        Raises:
            CannotTell: some of its messages are missing.
        """
        if self._own:
            return chunk.data
        wire = self.wire_of(chunk)
        for reason in wire.gaps.values():
            raise CannotTell(reason)
        return wire.data

    def wire_of(self, chunk: Chunk) -> Wire:
        """The same, with the end of each batch, and with gaps where messages are missing."""
        if self._own:
            return chunk.wire
        wire = chunk.renderings.get(self)
        if wire is None:
            parts: list[bytes] = []
            gaps: dict[int, str] = {}
            for index, batch in enumerate(chunk.batches):
                try:
                    part = self.render(batch, self._messages(chunk, index))
                except CannotTell as error:
                    part, gaps[index] = b"", str(error)
                parts.append(part)
            wire = Wire(b"".join(parts), list(accumulate(map(len, parts))), gaps)
            self.log.rendered.keep(chunk, self, wire)
        return wire

    def rest(self, chunk: Chunk, index: int, start: int) -> bytes:
        """The bytes of a batch from its message number `start` on.

        Raises:
            CannotTell: some of its messages are missing.
        """
        return self.render(chunk.batches[index], self._messages(chunk, index)[start:])

    def render(self, batch: Batch, messages: Sequence[M]) -> bytes:
        """The bytes of these messages of `batch`, which knows their sender and time.

        Raises:
            CannotTell: some of them are missing.
        """
        try:
            return self.framing.encode(messages)
        except Exception as error:
            if len(messages) != 1:
                return self._render_singly(batch, messages)
            return self._without(1, batch, error)

    def notice(self, missed: int, seq: int) -> bytes:
        """The bytes that tell that so many messages before `seq` are missing; none where nothing is to be told.

        Raises:
            CannotTell: the framing cannot carry it.
        """
        if self._notice is None:
            return b""
        try:
            wire = self.framing.encode_text(self._notice.format(missed=missed))
        except Exception:
            logger.exception("the notice cannot be encoded by %s", self.framing)
            wire = b""
        if not wire:
            raise CannotTell(f"{missed} messages are missing, and the framing {self.framing} cannot say so")
        return wire

    def _messages(self, chunk: Chunk, index: int) -> Sequence[M]:
        wire = chunk.bytes_of(index)
        return self.log.framing.decoder(len(wire)).feed(wire)

    def _render_singly(self, batch: Batch, messages: Sequence[M]) -> bytes:
        parts: list[bytes] = []
        missed, failure = 0, None
        for message in messages:
            try:
                part = self.framing.encode((message,))
            except Exception as error:
                missed, failure = missed + 1, error
                continue
            if failure is not None:
                parts.append(self._without(missed, batch, failure))
                missed, failure = 0, None
            parts.append(part)
        if failure is not None:
            parts.append(self._without(missed, batch, failure))
        return b"".join(parts)

    def _without(self, missed: int, batch: Batch, error: Exception) -> bytes:
        if isinstance(error, ValueError):
            logger.debug("%d messages cannot be carried by %s: %s", missed, self.framing, error)
        else:
            logger.error("%d messages cannot be encoded by %s", missed, self.framing, exc_info=error)
        return self.notice(missed, batch.end.seq)


Style: TypeAlias = tuple[type[Rendering[Any]], Framing[Any]]
"""How a reader reads: the class of its rendering, and a framing. Readers of the same style share one."""
