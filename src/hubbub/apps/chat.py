"""What one client says all others see, with who said it; so are joins and leaves."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from ..hub.client import Client
from ..values.text import printable
from ..wire.countdown import within

if TYPE_CHECKING:
    from collections.abc import Sequence


async def chat(client: Client) -> None:
    """Serve one client; text from others is shown with control characters escaped."""
    everybody = client.room
    first: Sequence[str] = ()
    with suppress(TimeoutError):
        async with within(client.server.settings.probe_time):
            first = await client.receive_many()
            if not first:
                # It left without a word, as probes do.
                return
    await everybody.broadcast(f"{client} connected.", exclude=client)
    while messages := first or await client.receive_many():
        await everybody.broadcast_many([f"{client} says: {printable(text)}" for text in messages], exclude=client)
        first = ()
    await everybody.broadcast(f"{client} disconnected.", exclude=client)
