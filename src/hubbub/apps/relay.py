"""Each complete message goes to all others unchanged, with no notices: the fast path for feeds."""

from __future__ import annotations

from ..framing import M
from ..hub.client import Client


async def relay(client: Client[M]) -> None:
    """Serve one client."""
    while messages := await client.receive_many():
        await client.room.broadcast_many(messages, exclude=client)
