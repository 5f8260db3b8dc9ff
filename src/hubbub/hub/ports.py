"""What the layers need of each other: the Protocols between rooms, readers and the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence

    from ..log.chunk import Buffer
    from ..log.cursor import Cursor
    from ..log.rendering import Style
    from ..values.ending import Ending
    from ..values.settings import Settings


class Sender(Protocol):
    """What a room needs of a client that sends, or is excluded. `str` gives its name.

    Attributes:
        token: the token of its connection.
    """

    @property
    def token(self) -> int:
        """See above."""


class Place(Protocol):
    """What a fan-out needs of its room."""

    name: str
    settings: Settings

    def close_if_unused(self) -> None:
        """A reader has left: the room may not be needed any more."""


class Member(Protocol):
    """What a fan-out needs of a reader.

    Attributes:
        client: the handle that the user has.
        token: the token of its connection.
        direct: whether a flush may write to it at once: its transport takes data, and nothing else is to come before.
        transport: what a flush then writes to.
        moved_at: when its socket was last seen to take something, on the loop's clock; -inf: nobody waits for it.
        leaving: how many rooms it has left and still reads.
        unsettled: how many of its cursors wait for a flush or a fetch, and are placed then.
        dropped: whether nothing is to be delivered to it any more.
    """

    client: Any
    token: int
    direct: bool
    transport: asyncio.Transport
    leaving: int
    unsettled: int
    dropped: bool

    @property
    def announced(self) -> bool:
        """Whether it is a client, of which observers are told."""

    @property
    def style(self) -> Style:
        """How it reads."""

    @property
    def moved_at(self) -> float:
        """See above."""

    def write(self, buffers: Sequence[Buffer]) -> None:
        """Write several pieces, while it is `direct`."""

    def fall_behind(self, cursor: Cursor[Any, Any]) -> None:
        """There is something to read at `cursor`, which no flush has written."""

    def settle(self) -> None:
        """One of its cursors was placed."""

    def policy_in(self, room: Place) -> str:
        """The name of its policy in a room."""

    def overrun(self, cursor: Cursor[Any, Any]) -> None:
        """Retention has passed `cursor`."""

    def lose(self, cursor: Cursor[Any, Any]) -> None:
        """The older end has lost what is read next at `cursor`."""

    def fail(self, error: Exception) -> None:
        """It cannot be written to: end it."""

    def leave(self, cursor: Cursor[Any, Any]) -> None:
        """Leave the room of a cursor, having read what it has now."""


class Flushing(Protocol):
    """What the pump needs of a fan-out.

    Attributes:
        members: the cursors of those who are in the room, by the token of their connection.
    """

    members: dict[int, Any]

    @property
    def busy(self) -> bool:
        """Whether there is something to flush."""

    def flush(self, limit: int) -> int:
        """Write at most `limit` times; how often it did."""

    def horizon(self, cursor: Cursor[Any, Any]) -> int:
        """The tick up to which everything was flushed for the reader at `cursor`."""


class Pumped(Protocol):
    """What the pump needs of a reader.

    Attributes:
        token: the token of its connection.
        cursors: its cursor in each room it is in.
        transport: what it is written to.
        dropped: whether nothing is to be delivered to it any more.
        marked: whether it is to be pumped; kept by the pump.
        blocker: its cursor in a room that holds up its next private message; kept by the pump.
    """

    token: int
    cursors: list[Cursor[Any, Any]]
    transport: asyncio.Transport
    dropped: bool
    marked: bool
    blocker: Cursor[Any, Any] | None

    def pump(self) -> int:
        """Write what may be written; how much that was, in reads of its outbox."""

    def fail(self, error: Exception) -> None:
        """It cannot be pumped: end it."""


class Supervisor(Protocol):
    """What a reader tells upwards.

    Attributes:
        hears_messages: whether it wants to know of each message: what nobody hears costs nothing.
    """

    hears_messages: bool

    def received(self, client: Any, messages: Sequence[Any]) -> None:
        """A client's messages were decoded, for its handler; a rate may hold them back."""

    def slowed(self) -> None:
        """A client is held to its rate."""

    def unheard(self, count: int) -> None:
        """So many private messages were dropped, to a client that hears none."""

    def paused(self, reader: Any) -> None:
        """A client's transport has not taken all it was given."""

    def resumed(self, reader: Any) -> None:
        """A client's transport has taken all it was given."""

    def ended(self, reader: Any, ending: Ending) -> None:
        """A client has ended."""

    def closed(self, reader: Any) -> None:
        """A client's connection is gone."""
