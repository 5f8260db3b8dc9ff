"""A TCP broadcast server, and the asyncio library it is made of.

    import hubbub

    async def chat(client: hubbub.Client) -> None:
        await client.server.broadcast(f"{client} connected.", exclude=client)
        async for message in client:
            await client.server.broadcast(f"{client} says: {message}", exclude=client)
        await client.server.broadcast(f"{client} disconnected.")

    hubbub.run(chat, port=5000)

A room is a log, a client is a cursor on it. What is not named here is not public.
"""

from .access import Access, Networks
from .address import Address
from .arrival import Arrival
from .client import Client, Handler
from .connect import Connection, connect
from .cursor import Lag
from .endings import Ending, EndingCode
from .exceptions import (
    ConnectionClosed,
    FramingError,
    HubbubError,
    IncompleteMessage,
    ListenError,
    MessageTooLong,
    PositionLost,
    RoomClosed,
    RoomLimitReached,
)
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
from .hub import Hub
from .listener import Authenticate, Listener
from .log import Entry
from .observe import Observer, Statistics
from .position import Position
from .room import Room
from .run import run
from .secret import SharedSecret
from .server import Server
from .settings import Settings
from .text import printable
from .tls import Tls

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
    "Hub",
    "HubbubError",
    "IncompleteMessage",
    "Lag",
    "LengthPrefixed",
    "Lines",
    "ListenError",
    "Listener",
    "MessageTooLong",
    "Networks",
    "Observer",
    "Position",
    "PositionLost",
    "Raw",
    "Room",
    "RoomClosed",
    "RoomLimitReached",
    "Server",
    "Settings",
    "SharedSecret",
    "Statistics",
    "TextFraming",
    "Tls",
    "connect",
    "printable",
    "run",
]
