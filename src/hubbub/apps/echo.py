"""Each message is answered, to the client that sent it."""

from __future__ import annotations

from ..hub.client import Client


async def echo(client: Client) -> None:
    """Serve one client."""
    while messages := await client.receive_many():
        await client.send_many([f"We got your message: {text}" for text in messages])
