"""A relay with settings that `hubbub serve` has no option for: `python telling_server.py SETTINGS`, as JSON.

It tells who connects and why they end, and, when it closes, how many messages have been broadcast.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import Any

import hubbub
from hubbub.apps.relay import relay

tell = partial(print, flush=True)


class Teller(hubbub.Observer[Any]):
    def started(self, server: hubbub.Server[Any]) -> None:
        tell(f"Server started at: {server.addresses[0]}")

    def connected(self, client: hubbub.Client[Any]) -> None:
        tell(f"{client} connected.")

    def ended(self, client: hubbub.Client[Any]) -> None:
        tell(f"{client} disconnected ({client.ending}).")

    def closing(self, server: hubbub.Server[Any]) -> None:
        tell(f"closing at {server.root.head.seq}")

    def closed(self, server: hubbub.Server[Any]) -> None:
        tell(f"closed at {server.root.head.seq}")


if __name__ == "__main__":
    options = json.loads(sys.argv[1])
    host = options.pop("host", "127.0.0.1")
    settings = hubbub.Settings(**options)
    hubbub.run(relay, host, port=0, framing=hubbub.ByteLines(), settings=settings, observer=Teller())
