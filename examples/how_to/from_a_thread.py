#!/usr/bin/env python3
"""A thread reads measurements from a blocking call, and broadcasts each of them."""

import asyncio
import socket
from threading import Thread

import hubbub


def read_measurements(server: hubbub.Server[str], loop: asyncio.AbstractEventLoop) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as meter:
        meter.bind(("127.0.0.1", 5321))
        while True:
            measurement = meter.recv(1000).decode(errors="replace").strip()
            broadcast = server.broadcast(hubbub.printable(measurement), sender="meter")
            asyncio.run_coroutine_threadsafe(broadcast, loop).result()


async def listen(client: hubbub.Client) -> None:
    await client.send("Welcome.")
    async for _ in client:
        pass


class Start(hubbub.Observer[str]):
    """Starts the thread when the server listens."""

    def started(self, server: hubbub.Server[str]) -> None:
        # This runs in the server's event loop.
        loop = asyncio.get_running_loop()
        Thread(target=read_measurements, args=(server, loop), daemon=True).start()


hubbub.run(listen, port=5320, observer=Start())
