"""Each complete message goes to all others unchanged, with no notices: the fast path for feeds."""

from __future__ import annotations

from ..framing import M
from ..hub.client import Client
from ..values.errors import NotStored


async def relay(client: Client[M]) -> None:
    """Serve one client."""
    while messages := await client.receive_many():
        try:
            await client.room.broadcast_many(messages, exclude=client)
        except NotStored:
            # Readers have heard it, and the log of the server says what the store could not keep.
            continue
