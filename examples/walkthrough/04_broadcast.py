#!/usr/bin/env python3
"""Step 4, broadcast: what one client says, all others hear."""

import hubbub


async def chat(client: hubbub.Client) -> None:
    await client.server.broadcast(f"{client} connected.", exclude=client)
    async for message in client:
        text = hubbub.printable(message)
        await client.server.broadcast(f"{client} says: {text}", exclude=client)
    await client.server.broadcast(f"{client} disconnected.", exclude=client)


hubbub.run(chat, port=5000)
