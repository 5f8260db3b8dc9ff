"""A TCP broadcast server, and the asyncio library it is made of.

    import hubbub

    async def chat(client: hubbub.Client) -> None:
        await client.server.broadcast(f"{client} connected.", exclude=client)
        async for message in client:
            text = hubbub.printable(message)
            await client.server.broadcast(f"{client} says: {text}", exclude=client)
        await client.server.broadcast(f"{client} disconnected.", exclude=client)

    hubbub.run(chat, port=5000)

A room is a log, a client is a cursor on it. What is not named here is not public.
"""

from .client.connection import Connection, connect
from .client.objects import Missed
from .client.subscription import Subscription, subscribe
from .door.arrival import Arrival
from .door.http import Http
from .door.keys import Keys
from .door.listener import Authenticate, Listener
from .door.networks import Access, Networks
from .door.secret import SharedSecret
from .framing import (
    ByteLines,
    BytesFraming,
    Decoder,
    Delimited,
    Framing,
    LengthPrefixed,
    Lines,
    Raw,
    TextFraming,
)
from .hub.client import Client, Handler
from .hub.hub import Hub
from .hub.publisher import Publish, Publisher
from .hub.room import Room
from .hub.statistics import Statistics
from .log.cursor import Lag
from .log.history import Entry
from .log.store import StoreStatistics
from .server.observation import Observer
from .server.run import run
from .server.server import Server
from .stores.sqlite import SqliteStore
from .values.address import Address
from .values.ending import Ending, EndingCode
from .values.errors import (
    ConnectionClosed,
    FramingError,
    HttpError,
    HubbubError,
    IncompleteMessage,
    ListenError,
    MessageTooLong,
    NotStored,
    PositionLost,
    RoomClosed,
    RoomLimitReached,
    StoreError,
    WrongProtocol,
)
from .values.position import Position
from .values.role import Role
from .values.settings import Settings
from .values.text import printable
from .wire.tls import Tls

__all__ = [
    "Access",
    "Address",
    "Arrival",
    "Authenticate",
    "ByteLines",
    "BytesFraming",
    "Client",
    "Connection",
    "ConnectionClosed",
    "Decoder",
    "Delimited",
    "Ending",
    "EndingCode",
    "Entry",
    "Framing",
    "FramingError",
    "Handler",
    "Http",
    "HttpError",
    "Hub",
    "HubbubError",
    "IncompleteMessage",
    "Keys",
    "Lag",
    "LengthPrefixed",
    "Lines",
    "ListenError",
    "Listener",
    "MessageTooLong",
    "Missed",
    "Networks",
    "NotStored",
    "Observer",
    "Position",
    "PositionLost",
    "Publish",
    "Publisher",
    "Raw",
    "Role",
    "Room",
    "RoomClosed",
    "RoomLimitReached",
    "Server",
    "Settings",
    "SharedSecret",
    "SqliteStore",
    "Statistics",
    "StoreError",
    "StoreStatistics",
    "Subscription",
    "TextFraming",
    "Tls",
    "WrongProtocol",
    "connect",
    "printable",
    "run",
    "subscribe",
]


def __dir__() -> list[str]:
    """Only the public names: a module is none of them, though Python makes it an attribute of its package."""
    return __all__
