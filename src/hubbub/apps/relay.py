"""Each complete message goes to all others unchanged, with no notices: the fast path for feeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..framing import M
from ..hub.client import Client
from ..hub.publisher import Publisher
from ..values.errors import NotStored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..values.position import Position


async def relay(client: Client[M]) -> None:
    """Serve one client."""
    while messages := await client.receive_many():
        try:
            await client.room.broadcast_many(messages, exclude=client)
        except NotStored:
            # Readers have heard it, and the log of the server says what the store could not keep.
            continue


async def publish(publisher: Publisher[M], messages: Sequence[M]) -> Position:
    """Publish what came over HTTP."""
    return await publisher.room.broadcast_many(messages, sender=publisher)
