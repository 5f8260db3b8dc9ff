#!/usr/bin/env python3
"""Step 4, broadcast: what one client says, all others hear."""

import os

import hubbub

PORT = int(os.environ.get("HUBBUB_PORT", "5000"))


async def chat(client: hubbub.Client) -> None:
    await client.server.broadcast(f"{client} connected.", exclude=client)
    async for message in client:
        text = hubbub.printable(message)
        await client.server.broadcast(f"{client} says: {text}", exclude=client)
    await client.server.broadcast(f"{client} disconnected.", exclude=client)


hubbub.run(chat, port=PORT)
