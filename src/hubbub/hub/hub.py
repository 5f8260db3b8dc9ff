"""The rooms of a server, and what its clients may do with it."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, Generic

from ..framing import BytesFraming, M, TextFraming, check_framing
from ..log.chunk import Mark
from ..values.errors import RoomLimitReached
from ..values.settings import ACK
from . import policies
from .pump import Pump
from .room import Room

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence

    from ..framing import Framing
    from ..log.log import Log
    from ..log.store import Store
    from ..values.address import Address
    from ..values.position import Position
    from ..values.settings import Settings
    from .ports import Sender
    from .statistics import Statistics

ROOT_ROOM: Final = "root"
"""The name, for those outside, of the room that a listener has unless it says otherwise."""

ROOM_NAME: Final = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,64}")
"""Names of rooms that come from outside. In URLs, `.` and `..` are no names."""


def check_room_name(name: str) -> None:
    """See that a name from outside may be a room's.

    Raises:
        ValueError: it may not.
    """
    if not ROOM_NAME.fullmatch(name):
        rule = "use 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', and not '.' or '..' alone"
        raise ValueError(f"{name!r} is not a name for a room; {rule}")


class Hub(ABC, Generic[M]):
    """The rooms of a server: what a server is to its clients (`Client.server`).

    Attributes:
        framing: how messages are cut from the stream and put into it, unless a room or a listener has its own framing.
        settings: defaults and limits.
        root: the room of every listener that names none.
    """

    def __init__(
        self, framing: Framing[M], settings: Settings, framings: Iterable[Framing[M]], store: Store | None = None
    ) -> None:
        """`framings`: how its clients may read; `store`: keeps the logs of its rooms, which else end with them."""
        self.framing: Framing[M] = framing
        self.settings = settings
        self._framings = frozenset(framings)
        self._store = store
        self._pump = Pump(settings.flush_slice)
        self._rooms: dict[str, Room[M]] = {}
        # What was broadcast in rooms that have gone.
        self._gone = Mark(0, 0)
        self.root: Room[M] = self._make_room(ROOT_ROOM, framing, settings)
        self._places = {ROOT_ROOM: self.root}

    @property
    @abstractmethod
    def clients(self) -> frozenset[Any]:
        """The clients that are connected now: `Client` objects."""

    @property
    @abstractmethod
    def addresses(self) -> tuple[Address, ...]:
        """Where the server listens; nowhere before it has started."""

    @property
    @abstractmethod
    def urls(self) -> tuple[str, ...]:
        """Where the server listens, as the command line has it, in the order of `addresses`: tcp://127.0.0.1:5000."""

    @abstractmethod
    def statistics(self) -> Statistics:
        """The figures of this moment."""

    @abstractmethod
    async def close(self) -> None:
        """End the server."""

    @property
    def rooms(self) -> dict[str, Room[M]]:
        """The rooms there are now, by name."""
        return dict(self._rooms)

    def room(
        self,
        name: str,
        *,
        settings: Settings | None = None,
        framing: Framing[M] | None = None,
        keep: bool | None = None,
    ) -> Room[M]:
        """The room of that name; it is made if there is none.

        Args:
            name: any text but "root": that room is `root`.
            settings: those of a room that is made now, if they are not to be the server's.
            framing: how a room that is made now keeps its messages, if not as the server does. It must be for the same
                type of messages.
            keep: whether a room that is made now stays when its last client leaves. One that exists stays if this is
                True, and otherwise goes on as it is. None: a room that is made now stays.

        Raises:
            RoomLimitReached: it would be one room too many.
            StoreError: it was stored with another framing.
            ValueError: the name is "root"; or the room exists, with other settings or another framing. Or the framing
                is for another type of messages. Or a framing in which clients may read cannot carry the notice of the
                settings. Or they have `durable="ack"`, and the server has no store.
        """
        if name == ROOT_ROOM:
            raise ValueError(f"the room {ROOT_ROOM!r} is Server.root; take that, or choose another name")
        room = self._rooms.get(name)
        if room is None:
            if len(self._rooms) >= self.settings.rooms_limit:
                raise RoomLimitReached(name, self.settings.rooms_limit)
            if framing is not None:
                check_type(framing, self.framing)
            return self._make_room(name, framing or self.framing, settings or self.settings, keep=keep is not False)
        if settings not in (None, room.settings):
            raise ValueError(f"room {name!r} exists, with other settings")
        if framing not in (None, room.framing):
            raise ValueError(f"room {name!r} exists, with the framing {room.framing}")
        if keep:
            room.keep = True
        return room

    def place(self, name: str) -> Room[M]:
        """The room of a listener, by its name from outside. It is made if there is none, and lasts as the server does.

        Raises:
            RoomLimitReached: it would be one room too many.
        """
        if name not in self._places:
            self._places[name] = self.room(name, keep=True)
        return self._places[name]

    def broadcast(
        self, message: M, *, exclude: Sender | None = None, sender: Sender | str | None = None
    ) -> Coroutine[Any, Any, Position]:
        """Send `message` to every client in the root room but `exclude`; see `Room.broadcast`."""
        return self.root.broadcast(message, exclude=exclude, sender=sender)

    def broadcast_many(
        self, messages: Sequence[M], *, exclude: Sender | None = None, sender: Sender | str | None = None
    ) -> Coroutine[Any, Any, Position]:
        """Send `messages` to every client in the root room but `exclude`; see `Room.broadcast_many`."""
        return self.root.broadcast_many(messages, exclude=exclude, sender=sender)

    def _said(self) -> Mark:
        """How much was broadcast since the start, in all rooms, those that have gone too."""
        return reduce(_plus, (room.fan_out.log for room in self._rooms.values()), self._gone)

    def _make_room(self, name: str, framing: Framing[M], settings: Settings, *, keep: bool = True) -> Room[M]:
        for readers in self._framings:
            policies.check_notice(readers, settings.notice, settings.when_slow)
        if settings.durable == ACK and self._store is None:
            raise ValueError(f"durable is {ACK!r}, which needs a store to acknowledge messages")
        older = None if self._store is None else self._store.open_log(name, framing, settings)
        room = self._rooms[name] = Room(name, framing, settings, self._pump, self._forget_room, keep=keep, older=older)
        return room

    def _forget_room(self, room: Room[M]) -> None:
        if self._places.get(room.name) is room:
            raise ValueError(f"the {room} room lasts as long as the server; close the server instead")
        if self._rooms.get(room.name) is room:
            del self._rooms[room.name]
            self._gone = _plus(self._gone, room.fan_out.log)


def _plus(said: Mark, log: Log[Any]) -> Mark:
    """So much, and what was appended to a log."""
    head, begun = log.head, log.begun
    return Mark(said.seq + head.seq - begun.seq, said.offset + head.offset - begun.offset)


def check_type(framing: Framing[Any], other: Framing[Any]) -> None:
    """Check that messages of one framing can be given out in the other.

    Raises:
        TypeError: it is not a framing, or not hashable.
        ValueError: the one carries text, and the other bytes.
    """
    check_framing(framing)
    for kind, what in ((TextFraming, "text"), (BytesFraming, "bytes")):
        if isinstance(framing, kind) and not isinstance(other, kind):
            raise ValueError(f"{framing} carries {what}, and the server's {other} does not")
