#!/usr/bin/env python3
"""Step 2, messages: a server that answers what its clients say."""

import os

import hubbub

PORT = int(os.environ.get("HUBBUB_PORT", "5000"))


async def answer(client: hubbub.Client) -> None:
    print(f"{client} connected.")
    async for message in client:
        print(f"{client} said: {hubbub.printable(message)}")
        await client.send(f"We got your message: {message}")
    print(f"{client} disconnected.")


hubbub.run(answer, port=PORT)
