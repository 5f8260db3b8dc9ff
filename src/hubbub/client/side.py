"""This side of one dialled connection: what waits to be sent, and why it ended."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Generic

from ..framing import M
from ..values.ending import Ending, EndingCode
from ..wire.countdown import Countdown
from ..wire.link import Link, describe
from ..wire.space import Space
from ..wire.tls_client import TlsFailed

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from ..framing import Framing
    from ..values.errors import FramingError
    from ..values.settings import Settings

SEND_COST: Final = 256
"""What a send counts beside its bytes: many tiny ones are not to keep the event loop from turning."""

LEFT: Final = Ending(EndingCode.LEFT, "the server closed the connection")

_CUT: Final = Ending(EndingCode.LOST, "the stream was cut short: TLS did not end")
"""TCP's end without TLS's own (RFC 8446, 6.1), behind which a last message without its end is dropped."""

_REFUSAL: Final = re.compile(rb"([a-z-]+: [^\r\n\0]{1,1000})[\r\n\0]*")


class _DialledLink(Link[M]):
    """A link that understands why a server refuses it: `CODE: REASON` is all that it says before it ends.

    The first piece that arrives is held back while it may be that, but no longer than `Settings.linger_time`.
    """

    _owner: Side[M]

    __slots__ = ("_held", "_timer", "_undecided")

    def __init__(self, owner: Side[M], *arguments: Any) -> None:
        super().__init__(owner, *arguments)
        self._undecided = True
        self._held = b""
        self._timer: Countdown | None = None

    def data_received(self, data: bytes) -> None:
        if self._undecided:
            if not self._held and refusal_in(data):
                self._held = data
                self._timer = Countdown(self.loop, self.settings.linger_time, self._pass_on)
                return
            self._pass_on()
        super().data_received(data)

    def eof_received(self) -> bool:
        self._see_refusal()
        if self.drop_tail:
            self._owner.end(_CUT)
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._see_refusal()
        super().connection_lost(exc)

    def _see_refusal(self) -> None:
        held, self._held = self._held, b""
        self._pass_on()
        if refusal := refusal_in(held):
            self._owner.end(refusal)

    def _pass_on(self) -> None:
        self._undecided = False
        if self._timer is not None:
            self._timer.cancel()
        if self._held:
            held, self._held = self._held, b""
            super().data_received(held)


def refusal_in(data: bytes) -> Ending | None:
    """The ending that `data` tells, where it is nothing else."""
    match = _REFUSAL.fullmatch(data)
    return Ending.parse(match[1].decode(errors="replace")) if match else None


class Side(Generic[M]):
    """The owner of a connection's link: it waits where a client's reader would fall behind.

    What is sent in one turn of the loop is written in the next, in one piece.

    Attributes:
        link: the connection.
        ending: why it ended, if it has.
        failure: what was wrong with the peer's bytes, if anything was.
        ended_sending: whether nothing more can be sent, though something may still be received.
    """

    def __init__(self, framing: Framing[M], settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self.link: Link[M] = _DialledLink(self, framing, settings, loop)
        self.failure: FramingError | None = None
        self.ending: Ending | None = None
        self.ended_sending = False
        self._limit = settings.outbox_limit
        self._gathered: list[bytes] = []
        self._gathered_size = 0
        self._space = Space()

    async def send(self, wire: bytes) -> bool:
        """Write in the loop's next turn; wait while too much waits, in the order of those who do.

        Returns:
            Whether it is sent; if not, the connection has ended.
        """
        if self._full or self._space.awaited:
            await self._space.wait(lambda: self._full)
        if self.ended_sending:
            raise RuntimeError("nothing can be sent behind the end of the stream; send_end has been called")
        if self.ending is None:
            if not self._gathered:
                self.link.loop.call_soon(self._write)
            self._gathered.append(wire)
            self._gathered_size += len(wire) + SEND_COST
        return self.ending is None

    def end(self, ending: Ending) -> None:
        """Note why the connection ended; the first ending counts. Those who wait to send wait no longer."""
        if self.ending is None:
            self.ending = ending
        self._space.tell()

    def end_sending(self) -> None:
        """End this direction of the stream behind what was sent."""
        if not (self.ended_sending or self.link.closing):
            self._write()
            self.ended_sending = True
            # If the peer has reset the connection, the event loop has yet to find out.
            with suppress(OSError):
                self.link.transport.write_eof()

    def finish(self) -> None:
        """End the stream behind what was sent."""
        self._write()
        self.link.finish()

    def leave(self) -> None:
        """End a connection that the peer has ended, behind what was sent. What has arrived can still be received."""
        self._write()
        if not self.link.closing:
            self.link.transport.close()
            # A peer that takes nothing would keep it.
            Countdown(self.link.loop, self.link.settings.linger_time, self.link.transport.abort)

    @property
    def _full(self) -> bool:
        return self.ending is None and not (self.link.writable and self._gathered_size < self._limit)

    def _write(self) -> None:
        if self._gathered and not self.link.lost:
            self.link.transport.write(b"".join(self._gathered))
        self._gathered.clear()
        self._gathered_size = 0
        self._space.tell()

    # What the link tells.

    def on_paused(self) -> None:
        """`send` looks at `writable`."""

    def on_resumed(self) -> None:
        self._space.tell()

    def on_received(self, messages: Sequence[M]) -> None:
        """Nothing is to be done."""

    def on_slowed(self) -> None:
        """A connection has no throttle."""

    def on_replies(self, replies: bytes) -> None:
        # A peer that answers nothing it is asked, and asks on, is owed nothing.
        if self.link.writable and not self.ended_sending:
            self.link.transport.write(replies)

    def on_failed(self, error: FramingError) -> None:
        self.failure = error

    def on_ignored(self) -> None:
        """What a peer says that was told the end is of no interest."""

    def on_closed(self, error: Exception | None) -> None:
        if isinstance(error, TlsFailed):
            self.end(Ending(EndingCode.BAD_TLS, str(error)))
        elif error is None or self.link.at_end:
            self.end(LEFT)
        else:
            self.end(Ending(EndingCode.LOST, describe(error)))
