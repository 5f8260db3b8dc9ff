#!/usr/bin/env python3
"""A program without async, which broadcasts what is typed; the server runs in a thread of its own."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from threading import Thread
from typing import Any

import hubbub


@contextmanager
def serving(server: hubbub.Server[str]) -> Iterator[Callable[[str], None]]:
    """Run a server in a thread; gives a function that broadcasts, for any other thread."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()

    def run(coroutine: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    try:
        run(server.start())
        yield lambda message: run(server.broadcast(message))
    finally:
        run(server.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def listen(client: hubbub.Client) -> None:
    await client.send("Welcome.")
    async for _ in client:
        pass


with suppress(KeyboardInterrupt), serving(hubbub.Server(listen, port=5322)) as broadcast:
    for line in sys.stdin:
        broadcast(line.rstrip("\n"))
