"""The broadcast of the websockets library, on uvloop: `PORT`. Each message goes to all others.

Pings and compression are off, as they have no counterpart in plain TCP. `broadcast` has no backpressure: what a client
has not taken yet, its transport keeps.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosedError

connections: set[ServerConnection] = set()


async def relay(connection: ServerConnection) -> None:
    connections.add(connection)
    try:
        async for message in connection:
            broadcast(connections - {connection}, message)
    except ConnectionClosedError:
        pass  # a reset is no more than a leave
    finally:
        connections.discard(connection)


async def main(port: int) -> None:
    server = await serve(relay, "127.0.0.1", port, compression=None, ping_interval=None, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Handshakes that clients break off are no news.
    logging.getLogger("websockets").addHandler(logging.NullHandler())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1])))
