"""One connection, from either side: an inbox of what arrives, and a transport that is written to while it takes.

Both directions stop when they must: reading while the inbox is full, writing while the socket takes nothing.
"""

from __future__ import annotations

import asyncio
from math import inf
from socket import AF_UNIX
from typing import TYPE_CHECKING, Protocol, cast

from ..framing import M
from .countdown import Countdown
from .inbox import Inbox, Receiver
from .pulse import Pulse
from .state import State, advance
from .tcp import reset_on_close, set_user_timeout

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from ..framing import Framing
    from ..log.chunk import Buffer
    from ..values.pace import Throttle
    from ..values.settings import Settings


class Owner(Receiver[M], Protocol[M]):  # type: ignore[misc] # M is invariant elsewhere
    """What a link tells: its owner is one side's view of the connection."""

    def on_paused(self) -> None:
        """The transport has not taken all it was given; it is to be given no more."""

    def on_resumed(self) -> None:
        """The transport has taken all it was given."""

    def on_ignored(self) -> None:
        """The peer goes on speaking, although this side has ended its stream."""

    def on_closed(self, error: Exception | None) -> None:
        """The connection is gone; with an error if it broke."""


class Link(Inbox[M], asyncio.Protocol):
    """One connection's transport, and what waits between it and its owner.

    Attributes:
        state: where it is in its life.
        transport: what it is written to.
        writable: whether the transport has passed on all that it was given.
        moved_at: when the socket was last seen to take something, or to stop taking, on the loop's clock; -inf while
            nobody waits for it to.
    """

    _owner: Owner[M]

    __slots__ = ("_closed", "_linger", "_unsent", "moved_at", "state", "transport", "writable")

    def __init__(
        self,
        owner: Owner[M],
        framing: Framing[M],
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        *,
        guarded: bool = False,
        drop_tail: bool = False,
    ) -> None:
        super().__init__(owner, framing, settings, loop, guarded=guarded, drop_tail=drop_tail)
        self.state = State.OPENING
        self.transport: asyncio.Transport
        self.writable = False
        self.moved_at = 0.0
        # Made when somebody first waits: few connections ever need one.
        self._closed: Pulse | None = None
        self._linger: Countdown | None = None
        self._unsent = 0

    @property
    def lost(self) -> bool:
        return self.state is State.CLOSED or self.state is State.OPENING

    def hand_to(self, owner: Owner[M], throttle: Throttle | None = None) -> None:
        """Tell another owner from now on; `throttle` holds what is received to a rate."""
        self._owner = owner
        self._throttle = throttle

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.state = advance(self.state, State.OPEN)
        self.writable = True
        # Pause as soon as the socket is full: what it does not take stays in the log.
        self.transport.set_write_buffer_limits(high=0)

    def data_received(self, data: bytes) -> None:
        if self.listening:
            self._add(data)
        elif self.state is State.FINISHING:
            self._owner.on_ignored()
        else:
            self._discard(data)

    def eof_received(self) -> bool:
        self.at_end = True
        self._wake_receiver()
        if self.state is State.FINISHING:
            self.transport.close()
        else:
            # The peer may still be reading.
            self.state = advance(self.state, State.HALF_CLOSED)
        return True

    def pause_writing(self) -> None:
        self.writable = False
        self._unsent = self.transport.get_write_buffer_size()
        self.moved_at = self.loop.time()
        self._owner.on_paused()

    def resume_writing(self) -> None:
        self.writable = True
        self.moved_at = self.loop.time()
        self._owner.on_resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        self.state = advance(self.state, State.CLOSED)
        self.writable = False
        if self._linger is not None:
            self._linger.cancel()
        self._wake_receiver()
        self._owner.on_closed(exc)
        if self._closed is not None:
            self._closed.fire()

    # Reading.

    def pause_reading(self) -> None:
        self.transport.pause_reading()

    def resume_reading(self) -> None:
        self.transport.resume_reading()

    # Writing and ending.

    def see_progress(self) -> float:
        """Look whether the socket has taken some of what waits in the transport; `moved_at` then."""
        unsent = self.transport.get_write_buffer_size()
        if unsent < self._unsent:
            self.moved_at = self.loop.time()
        # It may also grow: OpenSSL has answers of its own.
        self._unsent = unsent
        return self.moved_at

    def forgo_progress(self) -> None:
        """Let the socket take nothing, for as long as the peer likes."""
        self.moved_at = -inf
        set_user_timeout(self._socket, None)

    def expect_progress(self) -> None:
        """Let the system end the connection again if the peer acknowledges nothing."""
        set_user_timeout(self._socket, self.settings)

    def write(self, buffers: Sequence[Buffer]) -> None:
        """Give pieces to the transport, without joining them; only to be called while `writable`."""
        if len(buffers) == 1:
            self.transport.write(buffers[0])
            return
        self.transport.writelines(buffers)
        # asyncio up to Python 3.12.8 and 3.13.1 forgets to pause here (CVE-2024-12254). This makes it look.
        self.transport.set_write_buffer_limits(high=0)

    def finish(self) -> None:
        """End the stream behind what was written, and the connection once the peer has ended too or lingered enough.

        What still arrives is read and discarded: closing a socket with unread data would reset the connection, and the
        peer could lose what it has not read yet (RFC 1122, 4.2.2.13).
        """
        if self.lost or self.state is State.FINISHING:
            return
        self.state = advance(self.state, State.FINISHING)
        self.stop_receiving()
        self.listening = False
        if self.at_end:
            self.transport.close()
            return
        self.transport.resume_reading()
        try:
            self.transport.write_eof()
        except OSError:
            # The peer has reset the connection, and the event loop has yet to find out.
            self.transport.abort()
            return
        self._linger = Countdown(self.loop, self.settings.linger_time, self.transport.close)

    async def wait_closed(self) -> None:
        """Wait until the connection is gone. It may be cancelled."""
        if not self.lost:
            self._closed = self._closed or Pulse()
            await self._closed.wait()

    @property
    def closing(self) -> bool:
        """Whether nothing more can be written."""
        return self.lost or self.transport.is_closing()

    @property
    def certificate_name(self) -> str | None:
        """The name in the peer's verified certificate."""
        name: str | None = self.transport.get_extra_info("certificate_name")
        return name

    @property
    def scheme(self) -> str:
        """What it is, as URLs name it: "tcp", "tls" or "unix". Not once it is lost."""
        plain = "unix" if self._socket.family == AF_UNIX else "tcp"
        scheme: str = self.transport.get_extra_info("scheme", plain)
        return scheme

    def abort(self) -> None:
        """End the connection at once, whatever waits. What the system has, it may still deliver."""
        self.transport.abort()

    def reset(self) -> None:
        """End the connection at once, and let the system forget what it holds for the peer."""
        reset_on_close(self._socket)
        self.transport.abort()

    @property
    def descriptor(self) -> int:
        """The number of its socket; -1 once that is closed."""
        return self._socket.fileno()

    @property
    def _socket(self) -> socket.socket:
        connection: socket.socket = self.transport.get_extra_info("socket")
        return connection


def describe(error: Exception) -> str:
    """What broke a connection, in the system's words and without its number."""
    words = error.strerror if isinstance(error, OSError) else None
    return words or str(error) or type(error).__name__
