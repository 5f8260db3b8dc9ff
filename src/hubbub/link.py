"""One TCP connection, from either side: bytes in become messages, and both directions stop when they must.

Received bytes wait undecoded until somebody asks for messages; beyond a limit the socket is read no further, and TCP
holds the peer back.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Final, Generic, cast

from .exceptions import FramingError
from .framing import M
from .pulse import Pulse
from .tcp import reset_on_close

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .framing import Framing
    from .log import Buffer
    from .pace import Throttle
    from .settings import Settings


SEND_COST: Final = 256
"""What a send counts beside its bytes: many tiny ones are not to keep the event loop from turning."""

# Shared by all connections: an iterator that has ended stays so.
_NOTHING: Iterator[Any] = iter(())

# Shared too, and never appended to.
_EMPTY: Final[list[bytes]] = []


class Link(asyncio.Protocol, Generic[M]):
    """One connection's transport, its decoder, and the bytes that wait between them.

    A subclass is one side's view of it: it is told what happens through the methods named `on_...`.

    Attributes:
        framing: how messages are cut from the stream and put into it.
        settings: the limits.
        loop: the event loop.
        writable: whether the transport has passed on all that it was given.
        gathered_size: what waits for the loop's next turn to be written, in bytes and `SEND_COST` for each send.
        at_end: whether the peer has ended its stream cleanly.
        lost: whether there is no connection: not any more, or not yet.
        messages_received: how many messages have been received.
        bytes_received: how many bytes they came in, with what belongs to no message yet.
        throttle: holds what is received to a rate; None: it is given out as it comes.
    """

    __slots__ = (
        "_closed",
        "_decoder",
        "_finishing",
        "_gathered",
        "_inbox",
        "_inbox_size",
        "_linger",
        "_messages",
        "_receiver",
        "_space",
        "_spent",
        "_taken_at",
        "_transport",
        "_turnstile",
        "_unsent",
        "at_end",
        "bytes_received",
        "framing",
        "gathered_size",
        "loop",
        "lost",
        "messages_received",
        "settings",
        "throttle",
        "writable",
    )

    def __init__(self, framing: Framing[M], settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self.framing = framing
        self._decoder = framing.decoder(settings.message_limit)
        self.settings = settings
        self.loop = loop
        self._transport: asyncio.Transport
        self.writable = True
        self.at_end = False
        self.lost = True
        self.messages_received = 0
        self.bytes_received = 0
        self.throttle: Throttle | None = None
        # Made when somebody first waits: few connections ever need one.
        self._closed: Pulse | None = None
        self._space: Pulse | None = None
        self._turnstile: asyncio.Lock | None = None
        self._finishing = False
        self._gathered: list[bytes] = _EMPTY
        self._linger: asyncio.TimerHandle | None = None
        self._spent = False
        self._inbox: list[bytes] = _EMPTY
        self._inbox_size = 0
        self._messages: Iterator[M] = _NOTHING
        self._receiver: asyncio.Future[None] | None = None
        self._unsent = 0
        self.gathered_size = 0
        self._taken_at = 0.0

    @property
    @abstractmethod
    def full(self) -> bool:
        """Whether senders are to wait; not once the connection has ended."""

    @abstractmethod
    def on_opened(self) -> None:
        """The connection is made."""

    @abstractmethod
    def on_paused(self) -> None:
        """The transport has not taken all it was given; it is to be given no more."""

    @abstractmethod
    def on_resumed(self) -> None:
        """The transport has taken all it was given."""

    @abstractmethod
    def on_received(self, messages: Sequence[M]) -> None:
        """These messages have been received, and are about to be given out."""

    @abstractmethod
    def on_slowed(self) -> None:
        """The peer sends more than it may, and what it says is held back."""

    @abstractmethod
    def on_replies(self, replies: bytes) -> None:
        """The framing owes the peer these bytes."""

    @abstractmethod
    def on_failed(self, error: FramingError) -> None:
        """The peer sent what is no message; nothing more can be received."""

    @abstractmethod
    def on_lost(self, error: Exception | None) -> None:
        """The connection is gone; with an error if it broke."""

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.lost = False
        # Pause as soon as the socket is full: what it does not take stays in the log.
        self._transport.set_write_buffer_limits(high=0)
        self.on_opened()

    def data_received(self, data: bytes) -> None:
        if self._finishing:
            return
        if self._inbox:
            self._inbox.append(data)
        else:
            self._inbox = [data]
        self._inbox_size += len(data)
        if self._inbox_size >= self.settings.inbox_limit:
            self._transport.pause_reading()
        # As `_wake_receiver` does, but this is for each message.
        receiver = self._receiver
        if receiver is not None and not receiver.done():
            receiver.set_result(None)

    def eof_received(self) -> bool:
        self.at_end = True
        self._wake_receiver()
        if self._finishing:
            self._transport.close()
        # Half-closed: the peer may still be reading.
        return True

    def pause_writing(self) -> None:
        self.writable = False
        self._unsent = self._transport.get_write_buffer_size()
        self._taken_at = self.loop.time()
        self.on_paused()

    def resume_writing(self) -> None:
        self.writable = True
        self._taken_at = self.loop.time()
        self.on_resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self.writable = False
        self._take_gathered()
        if self._linger is not None:
            self._linger.cancel()
        self._wake_receiver()
        self.on_lost(exc)
        if self._closed is not None:
            self._closed.fire()

    # Receiving.

    def take_decoded(self) -> M | None:
        """The next message, if one has been decoded already."""
        return next(self._messages, None)

    def decoded(self) -> Sequence[M]:
        """The messages that have been decoded and not taken; they stay."""
        messages = list(self._messages)
        self._messages = iter(messages)
        return messages

    async def receive(self) -> M | None:
        """The next message, or None at the end. It may be cancelled, and then loses nothing."""
        message = self.take_decoded()
        if message is None:
            self._messages = iter(await self.receive_many())
            message = self.take_decoded()
        return message

    async def receive_many(self) -> Sequence[M]:
        """All messages that have arrived, at least one; none at the end. It may be cancelled, and then loses nothing.

        Raises:
            RuntimeError: another task is receiving from the same connection.
        """
        messages: Sequence[M]
        if messages := list(self._messages):
            return messages
        if self._receiver is not None:
            raise RuntimeError("two tasks receive from the same connection; let one do it and share what it gets")
        throttle = self.throttle
        if throttle is not None and throttle.held:
            return await self._give_out(throttle)
        while not (messages := self._decode()) and not self._spent:
            if self.at_end or self.lost:
                # The next look is the last.
                continue
            self._receiver = self.loop.create_future()
            try:
                await self._receiver
            finally:
                self._receiver = None
        if throttle is not None:
            throttle.receive(messages, self.bytes_received, self.loop.time())
            return await self._give_out(throttle)
        return messages

    async def _give_out(self, throttle: Throttle) -> Sequence[M]:
        """Some of the messages that are held, when it is their time. It may be cancelled, and then loses nothing."""
        if throttle.delay(self.loop.time()) > 0:
            self.on_slowed()
        while throttle.held and (delay := throttle.delay(self.loop.time())) > 0:
            self._receiver = self.loop.create_future()
            timer = self.loop.call_later(delay, self._wake_receiver)
            try:
                await self._receiver
            finally:
                timer.cancel()
                self._receiver = None
        return throttle.take(self.loop.time())

    def _wake_receiver(self) -> None:
        if self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)

    def _decode(self) -> Sequence[M]:
        """The messages in what has arrived."""
        if self._spent:
            return []
        failure = None
        try:
            messages = self._decoder.feed(self._take_inbox()) if self._inbox else self._decode_end()
        except FramingError as error:
            self._spent = True
            messages, failure = error.messages, error
        if messages:
            self.messages_received += len(messages)
            self.on_received(messages)
        if replies := self._decoder.take_replies():
            self.on_replies(replies)
        if failure:
            self.on_failed(failure)
        return messages

    def _decode_end(self) -> Sequence[M]:
        if self.at_end:
            self._spent = True
            return self._decoder.end()
        self._spent = self.lost
        return []

    def _take_inbox(self) -> bytes:
        data = b"".join(self._inbox)
        self._inbox = _EMPTY
        if self._inbox_size >= self.settings.inbox_limit and not (self.at_end or self.lost):
            self._transport.resume_reading()
        self.bytes_received += self._inbox_size
        self._inbox_size = 0
        return data

    @property
    def awaited(self) -> bool:
        """Whether somebody receives, and it is the peer who keeps that one waiting.

        What comes just now is taken in this turn of the loop: a byte in time gains none.
        """
        return self._receiver is not None and not (self.throttle is not None and self.throttle.held)

    @property
    def in_message(self) -> bool:
        """Whether the peer has begun a message and not ended it, as far as was decoded."""
        return self._decoder.partial and not self.at_end

    # Sending and ending.

    def taken_at(self) -> float:
        """When the socket was last seen to take something of what waits in the transport, on the loop's clock."""
        unsent = self._transport.get_write_buffer_size()
        if unsent < self._unsent:
            self._taken_at = self.loop.time()
        # It may also grow: OpenSSL has answers of its own.
        self._unsent = unsent
        return self._taken_at

    def write(self, buffer: Buffer) -> None:
        """Give bytes to the transport; only to be called while `writable`."""
        if self._gathered:
            self.write_many((buffer,))
        else:
            self._transport.write(buffer)

    def write_soon(self, wire: bytes) -> None:
        """Write bytes in the loop's next turn, in one piece with all that come until then.

        A system call costs more than many short messages, and so does a peer that is woken for each.
        """
        if self._gathered:
            self._gathered.append(wire)
        else:
            self._gathered = [wire]
            self.loop.call_soon(self._write_gathered)
        self.gathered_size += len(wire) + SEND_COST

    def _write_gathered(self) -> None:
        # Another write may have taken them along.
        if self._gathered:
            self._transport.write(b"".join(self._take_gathered()))

    def _take_gathered(self) -> list[bytes]:
        gathered, self._gathered, self.gathered_size = self._gathered, _EMPTY, 0
        return gathered

    async def wait_for_space(self) -> None:
        """Wait while the connection is `full`. Those who wait go on in the order in which they came."""
        self._turnstile = self._turnstile or asyncio.Lock()
        self._space = self._space or Pulse()
        async with self._turnstile:
            while self.full:
                # What is gathered goes with the next turn.
                await (asyncio.sleep(0) if self.gathered_size else self._space.wait())

    def tell_space(self) -> None:
        """Let senders that wait look again whether they may go on."""
        if self._space is not None:
            self._space.fire()

    def write_many(self, buffers: Sequence[Buffer]) -> None:
        """Give several pieces to the transport, without joining them; only to be called while `writable`."""
        self._transport.writelines([*self._take_gathered(), *buffers])
        # asyncio up to Python 3.12.8 and 3.13.1 forgets to pause here (CVE-2024-12254). This makes it look.
        self._transport.set_write_buffer_limits(high=0)

    def finish(self) -> None:
        """End the stream behind what was written, and the connection once the peer has ended too or lingered enough.

        What still arrives is read and dropped: closing a socket with unread data would reset the connection, and the
        peer could lose what it has not read yet (RFC 1122, 4.2.2.13).
        """
        if self._finishing or self.lost:
            return
        self._finishing = True
        self._write_gathered()
        self.stop_receiving()
        if self.at_end:
            self._transport.close()
            return
        self._transport.resume_reading()
        try:
            self._transport.write_eof()
        except OSError:
            # The peer has reset the connection, and the event loop has yet to find out.
            self._transport.abort()
            return
        self._linger = self.loop.call_later(self.settings.linger_time, self._transport.close)

    def stop_receiving(self) -> None:
        """Give out no more messages."""
        self._spent = True
        self._messages = _NOTHING
        if self.throttle is not None:
            self.throttle.held = ()
        self._inbox = _EMPTY
        self._inbox_size = 0
        self._wake_receiver()

    async def wait_closed(self) -> None:
        """Wait until the connection is gone. It may be cancelled."""
        if not self.lost:
            self._closed = self._closed or Pulse()
            await self._closed.wait()

    def abort(self) -> None:
        """End the connection at once, whatever waits. What the system has, it may still deliver."""
        self._transport.abort()

    @property
    def closing(self) -> bool:
        """Whether nothing more can be written."""
        return self._transport.is_closing()

    def reset(self) -> None:
        """End the connection at once, and let the system forget what it holds for the peer."""
        reset_on_close(self._transport.get_extra_info("socket"))
        self._transport.abort()


def describe(error: Exception) -> str:
    """What broke a connection, in the system's words and without its number."""
    words = error.strerror if isinstance(error, OSError) else None
    return words or str(error) or type(error).__name__
