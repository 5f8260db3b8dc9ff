"""A client: the server's view of one connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Generic

from ..framing import M
from ..log.outbox import SPLICE_COST
from ..values.address import Address
from ..values.ending import Ending, EndingCode
from ..values.errors import ConnectionClosed
from ..values.role import Role
from ..values.since import Since, SinceLike
from . import policies
from .session import Session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from ..log.cursor import Lag
    from ..log.max_lag import MaxLag
    from ..values.key import Key
    from ..wire.link import Link
    from .hub import Hub
    from .ports import Supervisor
    from .pump import Pump
    from .room import Room

Handler = Callable[["Client[M]"], Coroutine[Any, Any, None]]
"""Serves one client."""


class Client(Generic[M]):
    """The server's view of one connection; made when a client connects, and given to the handler.

    Iterating over it gives its messages until it sends no more, or its connection has ended.

    Attributes:
        server: the server it is connected to.
        room: the room of the listener where it connected. It is there from the start, and in no other by itself.
        connected_at: when it connected, in seconds since 1970; see `age` for how long ago that is.
    """

    __slots__ = ("__weakref__", "_at", "_host", "_name", "_port", "_reader", "_state", "connected_at", "room", "server")

    def __init__(
        self,
        server: Hub[M],
        room: Room[M],
        link: Link[M],
        address: Address,
        *,
        pump: Pump,
        supervisor: Supervisor,
        role: Role = Role.BOTH,
        max_lag: MaxLag | None = None,
        session: Callable[..., Session[M]] = Session,
        key: Key | None = None,
    ) -> None:
        self.server = server
        self.room = room
        self.connected_at = time.time()
        # The same on the clock of the loop, which never jumps.
        self._at = link.loop.time()
        self._host, self._port = address
        self._name: str | None = None
        self._state: dict[str, Any] | None = None
        self._reader = session(self, link, pump, supervisor, role=role, max_lag=max_lag, key=key)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<Client {self.name}{f' ({self.ending})' if self.ending else ''}>"

    def __aiter__(self) -> AsyncIterator[M]:
        return self

    async def __anext__(self) -> M:
        # What has been decoded already costs no second coroutine.
        link = self._reader.link
        message = link.take_decoded()
        if message is None and (message := await link.receive()) is None:
            raise StopAsyncIteration
        return message

    @property
    def name(self) -> str:
        """Its address and port, as in "127.0.0.1:54052"; `str` gives it too."""
        # Made on first use: an idle client has no need of it.
        if self._name is None:
            self._name = str(Address(self._host, self._port))
        return self._name

    @property
    def address(self) -> str:
        """Its IP address, which a trusted proxy may have told; `unix` where it came through a Unix socket."""
        return self._host

    @property
    def port(self) -> int:
        """Its port; through a Unix socket, a number of its own."""
        return self._port

    @property
    def age(self) -> float:
        """Seconds since it connected, even if the wall clock has jumped since."""
        return self._reader.link.loop.time() - self._at

    @property
    def certificate_name(self) -> str | None:
        """The name in the certificate that it has shown and that was verified; None without such a certificate.

        It is the common name of the subject, or the first alternative name where there is none.
        """
        return self._reader.link.certificate_name

    @property
    def key(self) -> str | None:
        """The name of the key with which it came in (`Keys`); None without one."""
        key = self._reader.held_key
        return None if key is None else key.name

    @property
    def token(self) -> int:
        """The token of its connection: 64 random bits, which no other connection has, here or on another hub."""
        return self._reader.token

    @property
    def state(self) -> dict[str, Any]:
        """A place for what a handler wants to remember of this client; made on first use."""
        if self._state is None:
            self._state = {}
        return self._state

    @property
    def role(self) -> Role:
        """What its listener allows it, and its key: whether what it says is heard, and whether it hears."""
        return self._reader.role

    @property
    def when_slow(self) -> str | None:
        """What happens to it once retention has passed it: the name of a policy; None: what the room says.

        Raises:
            ValueError: when it is set to a name that no policy has; or to a policy by which it may miss messages, and
                its framing cannot carry the notice of one of its rooms.
        """
        return self._reader.when_slow

    @when_slow.setter
    def when_slow(self, name: str | None) -> None:
        if name is not None:
            for room in {self.room, *self.rooms}:
                policies.check_notice(self._reader.link.framing, room.settings.notice, name)
        self._reader.when_slow = name

    @property
    def messages_received(self) -> int:
        """How many messages it has sent that were decoded, which is when the handler receives."""
        return self._reader.link.messages_received

    @property
    def bytes_received(self) -> int:
        """The bytes that these came in, with what belongs to no complete message yet."""
        return self._reader.link.bytes_received

    @property
    def ending(self) -> Ending | None:
        """Why the connection ended; None as long as it has not."""
        return self._reader.ending

    @property
    def rooms(self) -> frozenset[Room[M]]:
        """The rooms it is in."""
        return frozenset(cursor.owner.room for cursor in self._reader.cursors)

    @property
    def lag(self) -> Lag:
        """How far it is behind the heads of its rooms' logs, in messages and bytes, over all its rooms.

        What the transport and the kernel hold for it is not counted: that left the log already.
        """
        return self._reader.lag

    async def receive(self) -> M:
        """Its next message. It may be cancelled, and then loses nothing.

        Raises:
            ConnectionClosed: it sends no more.
            RuntimeError: another task is receiving from the same client.
        """
        message = await self._reader.link.receive()
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
        return self._reader.link.receive_many()

    async def send(self, message: M) -> None:
        """Send it a private message. It comes after everything that its rooms have now.

        Returns once the message has its place, which may be before it is delivered. It waits while as many private
        bytes wait for the client as `Settings.outbox_limit` says. If it is cancelled, nothing is sent. A message to a
        client that hears none, because it only writes or is muted (`Settings.mute_limit`), is dropped and counted.

        Raises:
            ConnectionClosed: the client is gone.
            ValueError: the framing cannot carry the message.
            TypeError: the message is not of the framing's type.
        """
        await self.send_many((message,))

    async def send_many(self, messages: Sequence[M]) -> None:
        """Send it private messages as `send` does, at the price of one."""
        reader = self._reader
        wire = reader.link.framing.encode(messages)
        # As `full` says, but this is for each message.
        if reader.outbox.private_size + SPLICE_COST * reader.leaving >= reader.link.settings.outbox_limit:
            await reader.wait_for_space(to_send=True)
        if reader.ending is not None:
            raise ConnectionClosed(self.name, reader.ending)
        if reader.muted:
            reader.drop(len(messages))
        elif wire:
            reader.send(wire)
            return
        # A loop that sends nothing is to let others run as well.
        await asyncio.sleep(0)

    def try_send(self, message: M) -> bool:
        """Send it a private message as `send` does, but never wait; return whether the message was taken.

        For a handler that must not wait for other clients than its own. A client that is gone takes nothing.

        Raises:
            ValueError: the framing cannot carry the message.
            TypeError: the message is not of the framing's type.
        """
        reader = self._reader
        wire = reader.link.framing.encode((message,))
        if reader.muted:
            reader.drop(1)
        if reader.full or reader.muted or reader.ending is not None:
            return False
        if wire:
            reader.send(wire)
        # A transport that breaks just then ends the client.
        return reader.ending is None

    async def join(self, room: Room[M] | str, *, since: SinceLike | None = None) -> Room[M]:
        """Join a room, and return it. To join a room twice does nothing.

        It waits as `send` does, while too much waits for the client. If it is cancelled, the client has not joined.

        Args:
            room: the room, of the same server; or its name. A room that does not exist is made, and goes when its last
                client leaves.
            since: where to begin in what its log holds, if not now: after a position, so many messages back, so long
                ago (a `timedelta`), or at a time (a `datetime` with its time zone). As text also `all`, a size (`64K`),
                or one of these: `100`, `10m`, `2026-11-28T08:00:00Z`, or a position as `str` gives it. The messages
                from there on follow, each of them once.

        Raises:
            PositionLost: the room's log does not hold that position.
            OSError: the store cannot be read; a TimeoutError, if it takes longer than `Settings.fetch_time`.
            RoomLimitReached: it would be one room too many.
            TypeError: `since` is something else.
            ValueError: the room is another server's, or was closed; or the client only writes. Or `since` is negative,
                or a text that does not say a place. Or `since` is given, and the client is in the room already, as
                every client is in the room of its listener.
            ConnectionClosed: the client is gone.
        """
        place = None if since is None else Since.of(since)
        await self._reader.wait_to_move()
        self._check_connected()
        if isinstance(room, str):
            room = self.server.room(room, keep=False)
        try:
            self._check_joinable(room)
            at = None
            if place is not None:
                at = await room.fan_out.fetches.find(place)
                # Meanwhile something may have changed.
                self._check_connected()
                self._check_joinable(room)
            if self not in room:
                self._reader.join(room.fan_out, at)
            elif place is not None:
                raise ValueError(f"{self.name} is in room {room} already, and cannot begin earlier there")
        finally:
            # It may have been made for this client alone.
            room.close_if_unused()
        return room

    async def leave(self, room: Room[M]) -> None:
        """Leave a room: what is broadcast from now on does not reach this client. To leave a room twice does nothing.

        The client has left at once. Then this waits as `join` does; it may be cancelled.
        """
        reader = self._reader
        if (cursor := room.fan_out.members.get(reader.token)) is not None:
            reader.leave(cursor)
        await self._reader.wait_to_move()

    async def close(self, reason: str = "closed by the server") -> None:
        """End the connection, and wait until it has ended.

        What was broadcast and sent before is delivered, as long as the client takes it (`Settings.patience`).
        If it is cancelled, the connection ends all the same.

        Args:
            reason: why, for the record (`ending`). It is not sent to the client.
        """
        self._reader.end(Ending(EndingCode.CLOSED, reason), deliver=True)
        await self._reader.link.wait_closed()

    async def wait_closed(self) -> None:
        """Wait until the connection has ended, for whatever reason. It may be cancelled.

        A peer that has only ended its stream may still read, so its connection has not ended. To notice that it leaves,
        receive, even where nothing is expected: `async for _ in client: pass`.
        """
        await self._reader.link.wait_closed()

    def _check_connected(self) -> None:
        if self._reader.ending is not None:
            raise ConnectionClosed(self.name, self._reader.ending)

    def _check_joinable(self, room: Room[M]) -> None:
        if not self.role.hears:
            raise ValueError(f"{self.name} cannot join room {room}: it has the role {self.role}")
        if room.closed or room.fan_out.pump is not self._reader.pumped_by:
            raise ValueError(f"room {room} is not one of this server's rooms, or was closed")
