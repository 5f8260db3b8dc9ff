"""A client: the server's view of one connection."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Generic

from .address import Address
from .endings import Ending, EndingCode
from .exceptions import ConnectionClosed
from .framing import M

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Sequence

    from .cursor import Lag
    from .log import Position
    from .reader import Reader
    from .room import Room
    from .server import Server
    from .settings import WhenSlow


class Client(Generic[M]):
    """The server's view of one connection; made when a client connects, and given to the handler.

    Iterating over it gives its messages until it sends no more, or its connection has ended.

    Attributes:
        server: the server it is connected to.
        connected_at: when it connected, in seconds since 1970.
        when_slow: what happens to it once retention has passed it; None: what the room says.
    """

    __slots__ = (
        "_name",
        "_reader",
        "connected_at",
        "server",
        "when_slow",
    )

    def __init__(self, server: Server[M], reader: Reader[M], address: Address) -> None:
        self.server = server
        self._name = str(address)
        self.connected_at = time.time()
        self.when_slow: WhenSlow | None = None
        self._reader = reader

    def __str__(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"<Client {self.name}{f' ({self.ending})' if self.ending else ''}>"

    def __aiter__(self) -> AsyncIterator[M]:
        return self

    async def __anext__(self) -> M:
        # What has been decoded already costs no second coroutine.
        message = self._reader.take_decoded()
        if message is None and (message := await self._reader.receive()) is None:
            raise StopAsyncIteration
        return message

    @property
    def name(self) -> str:
        """Its address and port, as in "127.0.0.1:54052"; `str` gives it too."""
        return self._name

    @property
    def address(self) -> str:
        """Its IP address, which a trusted proxy may have told; "unix" where it came through a Unix socket."""
        return Address.parse(self.name).host

    @property
    def port(self) -> int:
        """Its port; through a Unix socket, a number of its own."""
        return Address.parse(self.name).port

    @property
    def certificate_name(self) -> str | None:
        """The name in the certificate that it has shown and that was verified; None without such a certificate.

        It is the common name of the subject, or the first alternative name where there is none.
        """
        return self._reader.certificate_name

    @property
    def messages_received(self) -> int:
        """How many messages it has sent that were decoded, which is when the handler receives."""
        return self._reader.messages_received

    @property
    def bytes_received(self) -> int:
        """The bytes that these came in, with what belongs to no complete message yet."""
        return self._reader.bytes_received

    @property
    def ending(self) -> Ending | None:
        """Why the connection ended; None as long as it has not."""
        return self._reader.ending

    @property
    def rooms(self) -> frozenset[Room[M]]:
        """The rooms it is in."""
        return frozenset(cursor.owner.room for cursor in self._reader.outbox.cursors if cursor.end is None)

    @property
    def lag(self) -> Lag:
        """How far it is behind the heads of its rooms' logs, in messages and bytes, over all its rooms.

        What the transport and the kernel hold for it is not counted: that left the log already.
        """
        return self._reader.outbox.lag

    async def receive(self) -> M:
        """Its next message. It may be cancelled, and then loses nothing.

        Raises:
            ConnectionClosed: it sends no more.
            RuntimeError: another task is receiving from the same client.
        """
        message = await self._reader.receive()
        if message is None:
            raise ConnectionClosed(self.name, self.ending)
        return message

    def receive_many(self) -> Coroutine[Any, Any, Sequence[M]]:
        """All its messages that have arrived, at least one; none once it sends no more.

        The way to handle many messages at the price of one. It may be cancelled, and then loses nothing.

        Raises:
            RuntimeError: another task is receiving from the same client.
        """
        # Not `async` itself: where most handlers wait most of the time, that would be a frame more for each client.
        return self._reader.receive_many()

    async def send(self, message: M) -> None:
        """Send it a private message, which comes behind all that its rooms have now.

        Returns once the message has its place, which may be before it is delivered. It waits while as many private
        bytes wait for the client as `Settings.outbox_limit` says. If it is cancelled, nothing is sent.

        Raises:
            ConnectionClosed: the client is gone.
            ValueError: the framing cannot carry the message.
            TypeError: the message is not of the framing's type.
        """
        await self.send_many((message,))

    async def send_many(self, messages: Sequence[M]) -> None:
        """Send it private messages as `send` does, at the price of one."""
        reader = self._reader
        wire = reader.framing.encode(messages)
        # As `full` says, but this is for each message.
        if reader.gathered_size + reader.outbox.private_size >= reader.settings.outbox_limit:
            await reader.wait_for_space()
        if reader.ending is not None:
            raise ConnectionClosed(self.name, reader.ending)
        if wire:
            reader.send(wire)
        else:
            # A loop that sends nothing is to let others run as well.
            await asyncio.sleep(0)

    def join(self, room: Room[M], *, since: Position | None = None) -> None:
        """Enter a room. To be in it already is no error.

        Args:
            room: the room, of the same server.
            since: read from this earlier position of its log on; without it, from now on.

        Raises:
            PositionLost: the room's log does not hold that position.
            ValueError: it is in the room already, and so cannot join at a position; or the room is another server's.
            ConnectionClosed: the client is gone.
        """
        if self.ending is not None:
            raise ConnectionClosed(self.name, self.ending)
        if self.server.rooms.get(room.name) is not room:
            raise ValueError(f"room {room} is none of this server's rooms, or was closed")
        if room in self.rooms:
            if since is not None:
                raise ValueError(f"{self.name} is in room {room} already; leave it first to join at a position")
            return
        self._reader.enter(room, since)

    def leave(self, room: Room[M]) -> None:
        """Leave a room: what is broadcast from now on does not reach this client. Not to be in it is no error."""
        if room in self.rooms:
            self._reader.leave(room)

    async def close(self, reason: str = "closed by the server") -> None:
        """End the connection, and wait until it has ended.

        What was broadcast and sent before is delivered, as long as the client takes it (`Settings.patience`).
        If it is cancelled, the connection ends all the same.

        Args:
            reason: why, for the record (`ending`). It is not sent to the client.
        """
        self._reader.end(Ending(EndingCode.CLOSED, reason), deliver=True)
        await self._reader.wait_closed()

    async def wait_closed(self) -> None:
        """Wait until the connection has ended, for whatever reason. It may be cancelled.

        A peer that has only ended its stream may still listen, so that this is no end. To notice that it leaves,
        receive, even where nothing is expected: `async for _ in client: pass`.
        """
        await self._reader.wait_closed()
