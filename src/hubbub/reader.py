"""A client's connection as the rooms see it: what waits for the client, and the transport that takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .cursor import Outbox
from .endings import Ending, EndingCode
from .exceptions import IncompleteMessage, MessageTooLong
from .framing import M
from .link import Link, describe

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from .client import Client
    from .cursor import Cursor
    from .exceptions import FramingError
    from .framing import Framing
    from .log import Chunk, Position
    from .readers import Readers
    from .registry import Registry
    from .room import Room
    from .settings import Settings


_CODES = {MessageTooLong: EndingCode.TOO_LONG, IncompleteMessage: EndingCode.INCOMPLETE}


class Reader(Link[M]):
    """Writes a client's outbox to its transport, as fast as that takes it, and ends the connection when it must.

    Attributes:
        client: the handle that the user has.
        task: runs the client's handler, and lasts until the connection is gone.
        serving: whether the handler runs.
        counted: whether it has passed the limits on its address.
        ending: why the connection ended; None as long as it has not.
        outbox: what the client is still to be sent.
    """

    __slots__ = ("_registry", "client", "counted", "ending", "outbox", "serving", "task")

    def __init__(
        self, registry: Registry[M], framing: Framing[M], settings: Settings, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(framing, settings, loop)
        self._registry = registry
        self.client: Client[M]
        self.task: asyncio.Task[None]
        self.serving = False
        self.counted = False
        self.ending: Ending | None = None
        self.outbox: Outbox[Readers[M]] = Outbox()

    @property
    def certificate_name(self) -> str | None:
        """The name in the client's verified certificate."""
        transport = getattr(self, "_transport", None)
        name: str | None = transport.get_extra_info("certificate_name") if transport is not None else None
        return name

    @property
    def unhindered(self) -> bool:
        """Whether the transport takes data and no private message waits."""
        return self.writable and not self.outbox.has_private

    def send(self, wire: bytes) -> None:
        """Send private bytes behind all that the rooms have now; in the loop's next turn, if nothing is before them."""
        if self.writable and self.outbox.idle:
            self.write_soon(wire)
        else:
            self.outbox.send(wire)
            self.pump()

    @property
    def full(self) -> bool:
        waiting = self.gathered_size + self.outbox.private_size
        return waiting >= self.settings.outbox_limit and self.ending is None

    def enter(self, room: Room[M], since: Position | None = None) -> None:
        """Enter a room, to read it from `since` or from now on.

        Raises:
            PositionLost: the room's log does not hold that position.
        """
        cursor, before = room.readers.enter(self.client, self.framing, since)
        self.outbox.add(cursor, before)
        if cursor.waiting or self.outbox.has_private:
            self.pump()
        else:
            room.readers.place(cursor, self)

    def leave(self, room: Room[M]) -> None:
        """Leave a room, having read what it has now."""
        room.readers.leave(self.client)
        self.pump()

    def pump(self) -> None:
        """Write until the transport is full or nothing is left that may be written."""
        while self.writable and (buffers := self.outbox.read()):
            if len(buffers) == 1:
                self.write(buffers[0])
            else:
                self.write_many(buffers)
        self._place_cursors()
        if self.outbox.private_size < self.settings.outbox_limit:
            self.tell_space()
        if self.ending is not None and self.outbox.exhausted:
            self.finish()

    def overrun(self, cursor: Cursor[Readers[M]], chunk: Chunk) -> None:
        """Retention has passed `cursor`: the log is about to drop `chunk`, in which it is."""
        when_slow = self.client.when_slow or cursor.owner.room.settings.when_slow
        if when_slow == "skip" and self.ending is None:
            cursor.skip(chunk)
            return
        lag = cursor.lag
        reason = f"{lag.messages} messages ({lag.bytes} bytes) behind, more than room {cursor.owner.room} retains"
        self.end(Ending(EndingCode.SLOW, reason), deliver=False)

    def end(self, ending: Ending, *, deliver: bool) -> None:
        """End the connection; the first ending is the one that is recorded.

        Args:
            ending: why.
            deliver: whether what was broadcast and sent before is still delivered. Otherwise only what the transport
                already has is, so that the client gets no part of a message.
        """
        first = self.ending is None
        if first:
            self.ending = ending
            if not self.lost:
                # From a lost connection all is received that had arrived.
                self.stop_receiving()
        elif self.outbox.exhausted:
            return
        for cursor in self.outbox.cursors:
            if cursor.end is None:
                cursor.owner.leave(self.client)
        if first:
            # It is told of while its lag is known.
            self._registry.ended(self, ending)
        if not deliver:
            self._drop_outbox()
        if not self.lost:
            self.pump()
        self.tell_space()

    def dismiss(self, ending: Ending, words: str | None = None) -> None:
        """End the connection, and tell the client why, in `words` or those of the ending."""
        if self.ending is None:
            self.send(self.framing.encode_text(words or ending.reason))
        self.end(ending, deliver=True)

    def end_stalled(self, patience: float) -> None:
        """End the connection at once: its socket takes nothing."""
        self.end(Ending(EndingCode.STALLED, f"took nothing for {patience:g} s"), deliver=False)
        self.reset()

    def _place_cursors(self) -> None:
        for cursor in self.outbox.cursors:
            if cursor.finished:
                self.outbox.remove(cursor)
                cursor.owner.forget(cursor)
            else:
                cursor.owner.place(cursor, self)

    def _drop_outbox(self) -> None:
        for cursor in self.outbox.cursors:
            cursor.owner.forget(cursor)
        self.outbox.clear()

    # What the link tells.

    def on_opened(self) -> None:
        self._registry.opened(self)

    def on_paused(self) -> None:
        self._registry.paused.add(self)
        self._place_cursors()

    def on_resumed(self) -> None:
        self._registry.paused.discard(self)
        self.pump()

    def on_received(self, messages: Sequence[M]) -> None:
        if self._registry.hears_messages:
            self._registry.received(self, messages)

    def on_slowed(self) -> None:
        self._registry.slowed += 1

    def on_replies(self, replies: bytes) -> None:
        # A peer that answers nothing it is asked, and asks on, is owed nothing; nor is one that an observer has ended.
        if self.outbox.private_size < self.settings.outbox_limit and self.ending is None:
            self.send(replies)

    def on_failed(self, error: FramingError) -> None:
        code = _CODES.get(type(error), EndingCode.MALFORMED)
        if code is EndingCode.INCOMPLETE:
            self.end(Ending(code, error.reason), deliver=True)
        else:
            self.dismiss(Ending(code, error.reason))

    def on_lost(self, error: Exception | None) -> None:
        if error is None or self.at_end:
            ending = Ending(EndingCode.LEFT, "the client closed the connection")
        else:
            ending = Ending(EndingCode.LOST, describe(error))
        self.end(ending, deliver=False)
        self._registry.closed(self)
