#!/usr/bin/env python3
"""Step 3, classes: a server that tells its clients who is there."""

import asyncio
import sys

import hubbub


async def tell(client: hubbub.Client) -> None:
    print(f"{client} connected.")
    try:
        async for _ in client:
            clients = sorted(client.server.clients, key=lambda one: one.connected_at)
            await client.send(f"Here now: {', '.join(str(one) for one in clients)}")
    finally:
        print(f"{client} disconnected.")


async def main() -> None:
    server = hubbub.Server(tell)
    await server.start()
    print("Server started at:", *server.addresses)
    await server.serve_forever()


try:
    asyncio.run(main())
except hubbub.ListenError as error:
    sys.exit(str(error))
except KeyboardInterrupt:
    pass
