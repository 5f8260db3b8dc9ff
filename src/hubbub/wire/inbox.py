"""What has arrived on a connection and was not asked for yet: bytes, which become messages when somebody receives.

Received bytes wait undecoded. Beyond a limit the socket is read no further, and TCP holds the peer back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol

from ..framing import Beginning, M
from ..values.errors import FramingError
from ..values.fixed_limits import READ_SIZE

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator, Sequence

    from ..framing import Decoder, Framing
    from ..values.pace import Throttle
    from ..values.settings import Settings

PIECES_LIMIT: Final = 512
"""In how many pieces bytes wait. Small ones take more memory than what they hold, and are joined before."""

# Shared by all connections: an iterator that has ended stays so.
_NOTHING: Iterator[Any] = iter(())

# Shared too, and never appended to.
_EMPTY: Final[list[bytes]] = []


class Receiver(Protocol[M]):  # type: ignore[misc] # M is invariant elsewhere
    """What an inbox tells its owner."""

    def on_received(self, messages: Sequence[M]) -> None:
        """These messages were decoded, to be given out; a rate may hold them back."""

    def on_slowed(self) -> None:
        """The peer sends more than its rate, and what it says is held back."""

    def on_replies(self, replies: bytes) -> None:
        """The framing owes the peer these bytes."""

    def on_failed(self, error: FramingError) -> None:
        """The peer sent bytes that are not a message; nothing more can be received."""


class Inbox(ABC, Generic[M]):
    """The receiving half of a connection.

    Args:
        owner: is told of messages.
        framing: how they are cut from the stream.
        settings: the limits.
        loop: the event loop.
        guarded: whether a peer that speaks HTTP or TLS, where messages are text, has failed.
        drop_tail: see below.

    Attributes:
        framing: how messages are cut from the stream.
        settings: the limits.
        loop: the event loop.
        at_end: whether the peer has ended its stream.
        drop_tail: whether a message that has no end when the stream ends is dropped: it may have been cut short.
        tail_dropped: whether one was.
        listening: whether what arrives is kept for the receiver.
        messages_received: how many messages have been decoded.
        bytes_received: how many bytes they came in, with those that belong to no complete message yet.
    """

    __slots__ = (
        "_beginning",
        "_decoder",
        "_inbox",
        "_inbox_size",
        "_messages",
        "_owner",
        "_receiver",
        "_spent",
        "_throttle",
        "at_end",
        "bytes_received",
        "drop_tail",
        "framing",
        "listening",
        "loop",
        "messages_received",
        "settings",
        "tail_dropped",
    )

    def __init__(
        self,
        owner: Receiver[M],
        framing: Framing[M],
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        *,
        guarded: bool = False,
        drop_tail: bool = False,
    ) -> None:
        self._owner = owner
        self.framing = framing
        self.settings = settings
        self.loop = loop
        self.at_end = False
        self.drop_tail = drop_tail
        self.tail_dropped = False
        self.listening = True
        self.messages_received = 0
        self.bytes_received = 0
        self._beginning: Beginning[M] | None = Beginning(framing, settings.message_limit, guarded=guarded)
        self._decoder: Decoder[M] = self._beginning
        self._throttle: Throttle | None = None
        # Whether nothing more will be decoded.
        self._spent = False
        self._inbox: list[bytes] = _EMPTY
        self._inbox_size = 0
        self._messages: Iterator[M] = _NOTHING
        # What the task that receives waits for, and that task.
        self._receiver: asyncio.Future[None] | None = None

    @property
    @abstractmethod
    def lost(self) -> bool:
        """Whether there is no connection: not any more, or not yet."""

    @abstractmethod
    def pause_reading(self) -> None:
        """Read no more from the socket."""

    @abstractmethod
    def resume_reading(self) -> None:
        """Read from the socket again."""

    def take_decoded(self) -> M | None:
        """The next message, if one has been decoded already."""
        return next(self._messages, None)

    def decoded(self) -> Sequence[M]:
        """The messages that have been decoded and not taken; they stay."""
        messages = list(self._messages)
        self._messages = iter(messages)
        return messages

    async def receive(self) -> M | None:
        """The next message, or None at the end. It may be cancelled, and then loses nothing.

        Raises:
            RuntimeError: another task is receiving from the same connection.
        """
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
        if self._messages is not _NOTHING:
            rest, self._messages = list(self._messages), _NOTHING
            if rest:
                return rest
            # While it waits, it would be kept.
            del rest
        messages: Sequence[M] = ()
        throttle = self._throttle
        if throttle is not None and throttle.held:
            return await self._give_out(throttle)
        while not self._spent:
            if self._inbox or self._over:
                if messages := self._decode():
                    break
                continue
            # As `_wait` does, but this is for each message, and another frame would be kept for each idle client.
            if self._receiver is not None:
                self._check_alone()
            receiver = self._receiver = self.loop.create_future()
            try:
                await receiver
            finally:
                if self._receiver is receiver:
                    self._receiver = None
        if throttle is not None:
            throttle.receive(messages, self.bytes_received, self.loop.time())
            return await self._give_out(throttle)
        return messages

    async def wait_end(self, *, half: bool) -> None:
        """Wait until the connection ends, or, if `half` counts too, the peer's stream. It may be cancelled."""
        while not (self._spent or self.lost or (half and self.at_end)):
            await self._wait()

    @property
    def awaited(self) -> bool:
        """Whether somebody receives, and it is the peer who keeps that one waiting.

        What comes just now is taken in this turn of the loop: a byte in time gains none.
        """
        held = self._throttle is not None and self._throttle.held
        return self._receiver is not None and self.listening and not held

    @property
    def silent(self) -> bool:
        """Whether nothing has arrived."""
        return not (self.bytes_received or self._inbox_size)

    @property
    def in_message(self) -> bool:
        """Whether the peer has begun a message and not ended it, as far as was decoded."""
        return self._decoder.partial and not self.at_end

    def speak(self, framing: Framing[M]) -> None:
        """Cut what arrives from now on by another framing. What came before is not counted any more."""
        self.framing, self._decoder, self._beginning = framing, framing.decoder(self.settings.message_limit), None
        self.messages_received = self.bytes_received = 0

    def discard(self, decoder: Decoder[M]) -> None:
        """Receive nothing any more: let `decoder` have what arrives. The end of the peer's stream ends nothing."""
        self._messages = _NOTHING
        self._decoder, self._beginning = decoder, None
        self.listening = False
        if self._inbox:
            self._take_inbox()

    def stop_receiving(self) -> None:
        """Give out no more messages."""
        self._spent = True
        self._messages = _NOTHING
        if self._throttle is not None:
            self._throttle.held = ()
        self._inbox = _EMPTY
        # Nobody will read it, but the peer was not silent.
        self.bytes_received += self._inbox_size
        self._inbox_size = 0
        self._wake_receiver()

    def _add(self, data: bytes) -> None:
        """Bytes have arrived."""
        if self._inbox:
            self._inbox.append(data)
            if len(self._inbox) >= PIECES_LIMIT:
                self._inbox = [b"".join(self._inbox)]
        else:
            self._inbox = [data]
        self._inbox_size += len(data)
        if self._inbox_size >= self.settings.inbox_limit:
            self.pause_reading()
        # As `_wake_receiver` does, but this is for each message.
        receiver = self._receiver
        if receiver is not None and not receiver.done():
            receiver.set_result(None)

    def _discard(self, data: bytes) -> None:
        """Bytes have arrived that nobody receives."""
        self.bytes_received += len(data)
        try:
            self._decoder.feed(data)
        except FramingError as error:
            self._owner.on_failed(error)
        if replies := self._decoder.take_replies():
            self._owner.on_replies(replies)
        if len(data) >= READ_SIZE:
            # There may be more. libuv would read it on and on before the event loop turns.
            self.pause_reading()
            self.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if not (self.at_end or self.lost):
            self.resume_reading()

    async def _wait(self) -> None:
        """Wait until somebody wakes the receiver."""
        self._check_alone()
        receiver = self._receiver = self.loop.create_future()
        try:
            await receiver
        finally:
            if self._receiver is receiver:
                self._receiver = None

    def _check_alone(self) -> None:
        """Raise if another task waits. One that was cancelled a moment ago, or woken, does not, even before it runs."""
        if self._receiver is not None and not self._receiver.done():
            raise RuntimeError("two tasks receive from the same connection; let one do it and share what it gets")

    async def _give_out(self, throttle: Throttle) -> Sequence[M]:
        """Some of the messages that are held, when it is their time. It may be cancelled, and then loses nothing."""
        self._check_alone()
        if throttle.held and throttle.delay(self.loop.time()) > 0:
            self._owner.on_slowed()
        while throttle.held and (delay := throttle.delay(self.loop.time())) > 0:
            timer = self.loop.call_later(delay, self._wake_receiver)
            try:
                await self._wait()
            finally:
                timer.cancel()
        return throttle.take(self.loop.time())

    def _wake_receiver(self) -> None:
        if self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)

    def _decode(self) -> Sequence[M]:
        """The messages in what has arrived, or at the end."""
        failure = None
        try:
            messages = self._decoder.feed(self._take_inbox()) if self._inbox else self._decode_end()
        except FramingError as error:
            self._spent = True
            messages, failure = error.messages, error
        if messages:
            self.messages_received += len(messages)
            self._owner.on_received(messages)
        if replies := self._decoder.take_replies():
            self._owner.on_replies(replies)
        if failure:
            self._owner.on_failed(failure)
        elif self._beginning is not None and self._beginning.rest is not None:
            self._decoder, self._beginning = self._beginning.rest, None
        return messages

    @property
    def _over(self) -> bool:
        """Whether nothing more is to come for the receiver."""
        return self.lost or (self.at_end and self.listening)

    def _decode_end(self) -> Sequence[M]:
        has_ended = self.at_end and self.listening
        self._spent = has_ended or self.lost
        if has_ended and not self.drop_tail:
            return self._decoder.end()
        self.tail_dropped = has_ended and self._decoder.partial
        return []

    def _take_inbox(self) -> bytes:
        data = b"".join(self._inbox)
        self._inbox = _EMPTY
        if self._inbox_size >= self.settings.inbox_limit and not (self.at_end or self.lost):
            self.resume_reading()
        self.bytes_received += self._inbox_size
        self._inbox_size = 0
        return data
