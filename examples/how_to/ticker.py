#!/usr/bin/env python3
"""A ticker: a price ten times a second, and the last 20 prices for a client that comes late."""

import asyncio
from datetime import timedelta
from itertools import count

import hubbub

PLACE = hubbub.Listener[str](
    endpoint=hubbub.Address("127.0.0.1", 5325), role="read", max_lag=timedelta(seconds=3), sndbuf=8192
)
SETTINGS = hubbub.Settings(when_slow="skip", patience=60)


def prices(server: hubbub.Hub[str]) -> hubbub.Room[str]:
    return server.room("prices")


async def tick(room: hubbub.Room[str]) -> None:
    for number in count():
        await room.broadcast(f"{number}: {100 + number * 7 % 13}")
        await asyncio.sleep(0.1)


async def listen(client: hubbub.Client) -> None:
    await client.join(prices(client.server), since=20)
    await client.wait_closed()


class Ticking(hubbub.Observer[str]):
    """Runs the task while the server listens."""

    def started(self, server: hubbub.Server[str]) -> None:
        self.task = asyncio.create_task(tick(prices(server)))

    def closing(self, server: hubbub.Server[str]) -> None:
        self.task.cancel()


hubbub.run(listen, listeners=[PLACE], settings=SETTINGS, observer=Ticking())
