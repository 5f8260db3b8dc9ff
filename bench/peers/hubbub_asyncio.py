"""hubbub on the standard library's event loop: `hubbub_asyncio.py PORT relay|echo`."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import hubbub
from hubbub.apps.echo import echo
from hubbub.apps.relay import relay


async def main() -> None:
    port = int(sys.argv[1])
    server: hubbub.Server[Any]
    # One machine is all clients.
    settings = hubbub.Settings(clients_limit=None, clients_per_address=None, clients_per_subnet=None, connect_rate=None)
    if sys.argv[2] == "relay":
        server = hubbub.Server(relay, port=port, framing=hubbub.ByteLines(keepends=True), settings=settings)
    else:
        server = hubbub.Server(echo, port=port, settings=settings)
    await server.serve_forever()


asyncio.run(main())
