"""A server with a store on a disk that a test can stall: `python storing_server.py OPTIONS`, as JSON.

It has three places. At the first one it is a relay; at the second one as well, and whoever connects there hears first
all that is stored; at the third one each message is broadcast in the root room by itself and answered with its
position, once the broadcast has returned. SIGUSR2 stalls the disk for so many seconds as the option `stall` says.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import hubbub
from hubbub.apps.relay import relay

from support.stores import SqliteBench


class Teller(hubbub.Observer[Any]):
    def started(self, server: hubbub.Server[Any]) -> None:
        sys.stdout.write(f"Server started at: {', '.join(map(str, server.addresses))}\n")
        sys.stdout.flush()


async def serve(client: hubbub.Client[bytes]) -> None:
    root = client.server.root
    if client.room is root:
        await relay(client)
        return
    async for message in client:
        try:
            answer = str(await root.broadcast(message))
        except hubbub.NotStored as error:
            answer = f"not stored: {error.reason}"
        await client.send(b"%s %s" % (message, answer.encode()))


def main() -> None:
    options = json.loads(sys.argv[1])
    bench = SqliteBench(Path(options.pop("folder")))
    stall = options.pop("stall", 0.0)
    store = bench.store()

    def stall_for_a_while(*_: object) -> None:
        bench.stall()
        timer = threading.Timer(stall, bench.heal)
        # The program may end before.
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGUSR2, stall_for_a_while)
    here = hubbub.Address("127.0.0.1", 0)
    listeners: list[hubbub.Listener[bytes]] = [
        hubbub.Listener(endpoint=here),
        hubbub.Listener(endpoint=here, replay="all"),
        hubbub.Listener(endpoint=here, room="desk"),
    ]
    settings = hubbub.Settings(**options)
    hubbub.run(
        serve, listeners=listeners, framing=hubbub.ByteLines(), settings=settings, observer=Teller(), store=store
    )


if __name__ == "__main__":
    main()
