"""A plain server that goes and comes back, for clients that connect again: the test says what it says."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import hubbub

from support.helpers import Peer

QUICK = hubbub.Settings(retry_time=0.01, retry_limit=0.02, linger_time=0.05)


class Place:
    """A plain server that can go and come back on the same port."""

    def __init__(self) -> None:
        self.peers: asyncio.Queue[Peer] = asyncio.Queue()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.address = hubbub.Address.of(listening.getsockname())
        self._server: asyncio.Server | None = None
        self._all: list[Peer] = []

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, *self.address)

    def _accept(self, *streams: Any) -> None:
        self._all.append(Peer(*streams))
        self.peers.put_nowait(self._all[-1])

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def drop_peers(self) -> None:
        """End the connections that are still there."""
        for peer in self._all:
            peer.writer.transport.abort()
            with suppress(OSError):
                await peer.writer.wait_closed()

    async def peer(self) -> Peer:
        async with asyncio.timeout(10):
            return await self.peers.get()

    def connect(self, **options: Any) -> hubbub.Connection[str]:
        return hubbub.connect(*self.address, **{"retry": True, "settings": QUICK, **options})


@asynccontextmanager
async def listening() -> AsyncIterator[Place]:
    place = Place()
    await place.open()
    try:
        yield place
    finally:
        await place.drop_peers()
        await place.close()


async def gone(peer: Peer) -> None:
    """End a peer's stream, and wait until it is closed."""
    peer.writer.close()
    with suppress(OSError):
        await peer.writer.wait_closed()
