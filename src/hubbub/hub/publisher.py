"""What the `publish` of a server is given beside the messages: from whom they are, and for which room."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Generic

from ..framing import M
from ..values.position import Position

if TYPE_CHECKING:
    from ..values.address import Address
    from .hub import Hub
    from .room import Room

Publish = Callable[["Publisher[M]", Sequence[M]], Coroutine[Any, Any, Position]]
"""Publishes messages that came over HTTP, and returns where they are: what `Room.broadcast_many` returns.

It gets the messages of a body as they come, a batch at a time. While it waits, nothing more is read of that body.

A `ValueError` is answered with 400 and its words. `NotStored` is answered with 503, or 507 where the disk is full, and
`RoomClosed` with 404. Anything else is logged and answered with 500, and ends that connection alone. It must let itself
be cancelled, which the server does when it closes, and `Settings.cancel_time` after the connection has gone.
"""


class Publisher(Generic[M]):
    """A client that publishes over HTTP, and can be the `sender` of a broadcast.

    It has no connection that can be written to.

    Attributes:
        server: the server.
        room: the room that the request names.
        token: 64 random bits that name its connection.
        key: the name of the key that the request has shown (`Keys`); None without one.
    """

    __slots__ = ("_origin", "key", "room", "server", "token")

    def __init__(self, server: Hub[M], room: Room[M], origin: Address, token: int, key: str | None = None) -> None:
        self.server = server
        self.room = room
        self.token = token
        self.key = key
        self._origin = origin

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<Publisher {self.name}>"

    @property
    def name(self) -> str:
        """The name of its key, or its address and port without one, as in "127.0.0.1:54052"; `str` gives it too."""
        return self.key or str(self._origin)

    @property
    def address(self) -> str:
        """Its IP address, which a trusted proxy may have told; `unix` where it came through a Unix socket."""
        return self._origin.host
