#!/usr/bin/env python3
"""Step 3, classes: a server that tells its clients who is there."""

import asyncio
import os
import sys

import hubbub

PORT = int(os.environ.get("HUBBUB_PORT", "5000"))


async def tell(client: hubbub.Client) -> None:
    print(f"{client} connected.")
    try:
        async for _ in client:
            clients = sorted(client.server.clients, key=lambda one: one.connected_at)
            await client.send(f"Here now: {', '.join(str(one) for one in clients)}")
    finally:
        print(f"{client} disconnected.")


async def main() -> None:
    server = hubbub.Server(tell, port=PORT)
    await server.start()
    print("Server started at:", *server.addresses)
    await server.serve_forever()


try:
    asyncio.run(main())
except hubbub.ListenError as error:
    sys.exit(str(error))
except KeyboardInterrupt:
    pass
