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
    if sys.argv[2] == "relay":
        server = hubbub.Server(relay, port=port, framing=hubbub.ByteLines(keepends=True))
    else:
        server = hubbub.Server(echo, port=port)
    await server.serve_forever()


asyncio.run(main())
