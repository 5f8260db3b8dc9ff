"""A connection on its way to become a client: what is known of it so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic

from ..framing import M, words_in
from ..values.ending import Ending, EndingCode
from ..values.errors import ConnectionClosed
from ..values.role import Role
from ..wire.link import Link, describe
from ..wire.pulse import Pulse

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable, Sequence

    from ..framing import Framing
    from ..values.address import Address
    from ..values.errors import FramingError
    from ..values.key import Key
    from ..values.settings import Settings
    from ..values.since import Since
    from .listener import Listener


class Refused(Exception):
    """A connection may not come in.

    Attributes:
        ending: why.
    """

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending)
        self.ending = ending


class Arrival(Generic[M]):
    """A connection that has been accepted, and is not a client yet. `authenticate` of a listener may talk with it.

    Attributes:
        listener: where it arrived.
        connection: its socket, until a transport has it.
        origin: its address and port, which a trusted proxy may have told.
        settings: the limits.
        loop: the event loop.
        link: its link, once there is one.
        counted: whether the limits count it.
        held_key: the key that it has shown, over HTTP with its request; None: none.
        role: what it may do in the room that it wants: what its listener allows, and its key.
        ending: why it ended; None as long as it has not.
    """

    # The handshakes of a crowd are many of them.
    __slots__ = (
        "_admit",
        "_discharge",
        "_space",
        "connection",
        "counted",
        "ending",
        "framing",
        "held_key",
        "link",
        "listener",
        "loop",
        "origin",
        "role",
        "settings",
    )

    def __init__(
        self,
        listener: Listener[M],
        connection: socket.socket,
        origin: Address,
        *,
        framing: Framing[M],
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        admit: Callable[[Arrival[M]], Ending | None],
        discharge: Callable[[Arrival[M]], None],
    ) -> None:
        self.listener = listener
        self.connection = connection
        self.origin = origin
        self.framing = framing
        self.settings = settings
        self.loop = loop
        self.counted = False
        self.held_key: Key | None = None
        self.role = Role.parse(listener.role)
        self.ending: Ending | None = None
        self.link: Link[M] = Link(
            self, framing, settings, loop, guarded=listener.guarded, drop_tail=listener.drops_tail
        )
        self._admit = admit
        self._discharge = discharge
        self._space = Pulse()

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """Its address and port, as in "127.0.0.1:54052"; `str` gives it too."""
        return str(self.origin)

    @property
    def address(self) -> str:
        """Its IP address; `unix` where it came through a Unix socket."""
        return self.origin.host

    @property
    def certificate_name(self) -> str | None:
        """The name in the certificate that it has shown and that was verified; None without such a certificate."""
        return self.link.certificate_name

    @property
    def replayed(self) -> Since | None:
        """Where it begins to read, as its listener says; None: with what is said from now on, or nowhere."""
        return self.listener.replayed if self.role.hears else None

    @property
    def key(self) -> str | None:
        """The name of the key that it has shown (`Keys`); None without one."""
        return None if self.held_key is None else self.held_key.name

    async def receive(self) -> M:
        """Its next message. It may be cancelled, and then loses nothing.

        Raises:
            ConnectionClosed: it sends no more.
            RuntimeError: another task is receiving from it.
        """
        message = await self.link.receive()
        if message is None:
            raise ConnectionClosed(self.name, self.ending)
        return message

    async def send(self, message: M) -> None:
        """Send it a message. It waits while its socket takes none. If it is cancelled, nothing is sent.

        Raises:
            ConnectionClosed: it is gone.
            ValueError: the framing cannot carry the message.
            TypeError: the message is not of the framing's type.
        """
        wire = self.framing.encode((message,))
        while not self.link.writable and self.ending is None:
            await self._space.wait()
        if self.ending is not None:
            raise ConnectionClosed(self.name, self.ending)
        self.link.transport.write(wire)

    def close(self, reason: str = "closed by the server") -> None:
        """Refuse the connection. The `reason` is for the record and is not sent."""
        self.end(Ending(EndingCode.CLOSED, reason))

    # What its steps do.

    @property
    def relayed(self) -> bool:
        """Whether its requests are those of others, each of which counts by itself."""
        http = self.listener.http
        return http is not None and self.origin.host in http.forwarded

    def admit(self) -> None:
        """Count it for its address, once that is known.

        Raises:
            Refused: it may not come in.
        """
        if ending := self._admit(self):
            raise Refused(ending)

    def discharge(self) -> None:
        """Count it no more: what it was counted for is over."""
        if self.counted:
            self._discharge(self)

    def claim(self, room: str, role: Role) -> str | None:
        """Have what its key allows of a role in a room; why that is nothing, or None."""
        key = self.held_key
        self.role = role if key is None else key.narrow(role)
        return None if key is None else key.refusal(room, self.role)

    @property
    def is_unwanted(self) -> bool:
        """Whether its key was taken away."""
        return self.held_key is not None and not self.held_key.may

    def check_key(self) -> None:
        """Hear nothing more from it: its key was taken away."""
        self.link.stop_receiving()

    def end(self, ending: Ending) -> None:
        """Note why it ended; the first ending counts."""
        if self.ending is None:
            self.ending = ending
        self._space.fire()

    def see_off(self, ending: Ending) -> None:
        """End the connection, and tell it why, if there is a way to."""
        told = self.ending is None
        self.end(ending)
        link = self.link
        if link.lost:
            return
        if told and link.writable and (words := self.listener.refusal(ending, self.framing)):
            link.transport.write(words)
        link.finish()

    # What the link tells.

    def on_paused(self) -> None:
        """`send` looks at `writable`."""

    def on_resumed(self) -> None:
        self._space.fire()

    def on_received(self, messages: Sequence[M]) -> None:
        """They may be a secret, and are told to nobody else."""

    def on_slowed(self) -> None:
        """There is no throttle yet."""

    def on_replies(self, replies: bytes) -> None:
        # A peer that answers nothing it is asked, and asks on, is owed nothing.
        if self.link.writable:
            self.link.transport.write(replies)

    def on_failed(self, error: FramingError) -> None:
        ending = Ending(error.code, error.reason)
        if self.link.writable and (words := words_in(self.framing, str(ending))):
            self.link.transport.write(words)
        self.end(ending)

    def on_ignored(self) -> None:
        """What a peer says that was told the end is of no interest."""

    def on_closed(self, error: Exception | None) -> None:
        if error is None or self.link.at_end:
            self.end(Ending(EndingCode.LEFT, "the client closed the connection"))
        else:
            self.end(Ending(EndingCode.LOST, describe(error)))
