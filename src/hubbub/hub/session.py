"""A client's connection in both directions: its reader, and what its link tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..framing import M, words_in
from ..values.ending import Ending, EndingCode
from ..values.errors import IncompleteMessage, MessageTooLong
from ..wire.link import describe
from .reader import Reader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..values.errors import FramingError

_CODES = {MessageTooLong: EndingCode.TOO_LONG, IncompleteMessage: EndingCode.INCOMPLETE}


class Session(Reader[M]):
    """The reader of a client, which may also speak, and whose connection may end."""

    __slots__ = ()

    def dismiss(self, ending: Ending, words: str | None = None) -> None:
        """End the connection, and tell the client why, in `words` or those of the ending."""
        if self.ending is None and (wire := words_in(self.framing, words or ending.reason)):
            self.send(wire)
        self.end(ending, deliver=True)

    def end_stalled(self, patience: float) -> None:
        """End the connection at once: its socket takes nothing."""
        self.end(Ending(EndingCode.STALLED, f"took nothing for {patience:g} s"), deliver=False)
        self.link.reset()

    # What the link tells.

    def on_paused(self) -> None:
        self.direct = False
        self._supervisor.paused(self)

    def on_resumed(self) -> None:
        self._supervisor.resumed(self)
        self.pumped_by.pump_soon(self)

    def on_received(self, messages: Sequence[M]) -> None:
        if self._supervisor.hears_messages:
            self._supervisor.received(self.client, messages)

    def on_slowed(self) -> None:
        self._supervisor.slowed()

    def on_replies(self, replies: bytes) -> None:
        # A peer that answers nothing it is asked, and asks on, is owed nothing; nor is one that an observer has ended.
        if not self.full and self.ending is None:
            self.send(replies)

    def on_failed(self, error: FramingError) -> None:
        code = _CODES.get(type(error), EndingCode.MALFORMED)
        if code is EndingCode.INCOMPLETE:
            self.end(Ending(code, error.reason), deliver=True)
        else:
            self.dismiss(Ending(code, error.reason))

    def on_closed(self, error: Exception | None) -> None:
        if error is None or self.link.at_end:
            ending = Ending(EndingCode.LEFT, "the client closed the connection")
        else:
            ending = Ending(EndingCode.LOST, describe(error))
        self.end(ending, deliver=False)
        self._supervisor.closed(self)
