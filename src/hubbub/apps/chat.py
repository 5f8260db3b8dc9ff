"""What one client says all others see, with who said it; so are joins and leaves."""

from __future__ import annotations

from ..hub.client import Client
from ..values.text import printable


async def chat(client: Client) -> None:
    """Serve one client; text from others is shown with control characters escaped."""
    everybody = client.room
    await everybody.broadcast(f"{client} connected.", exclude=client)
    while messages := await client.receive_many():
        await everybody.broadcast_many([f"{client} says: {printable(text)}" for text in messages], exclude=client)
    await everybody.broadcast(f"{client} disconnected.", exclude=client)
