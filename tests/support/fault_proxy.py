"""A bad network between client and server, at the level of bytes: a proxy on loopback that slices, delays and resets.

It never changes, loses or reorders a byte: what TCP lets through is in order, whatever the network is like.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from hubbub import Address

from support.crowd import RESET

READ_SIZE = 64 * 1024


@dataclass(frozen=True)
class Fault:
    """What is done to the bytes of a connection, in each direction: pieces have any size and latency up to the given.

    `bandwidth` is in bytes per second. Both connections are reset after `reset_after` bytes.
    """

    slice_size: int = READ_SIZE
    latency: float = 0.0
    bandwidth: float | None = None
    reset_after: int | None = None


class FaultProxy:
    """Passes on connections to a server, through a fault, and counts those that it resets."""

    def __init__(self, endpoint: Address, fault: Fault) -> None:
        self.resets = 0
        self._endpoint = endpoint
        self._fault = fault
        self._chance = random.Random(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server

    @classmethod
    @asynccontextmanager
    async def to(cls, endpoint: Address, fault: Fault) -> AsyncIterator[FaultProxy]:
        """A proxy that accepts connections until it is left, and then breaks off those that are open."""
        proxy = cls(endpoint, fault)
        proxy._server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0, limit=READ_SIZE)
        try:
            yield proxy
        finally:
            proxy._server.close()
            for task in proxy._tasks:
                task.cancel()
            if proxy._tasks:
                await asyncio.wait(proxy._tasks)

    @property
    def address(self) -> Address:
        return Address.of(self._server.sockets[0].getsockname())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        writers = [writer]
        # Being cancelled is how a proxy ends: asyncio would call it an error of the connection.
        with suppress(asyncio.CancelledError, OSError):
            try:
                far_reader, far_writer = await asyncio.open_connection(*self._endpoint, limit=READ_SIZE)
                writers.append(far_writer)
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pass_on(reader, far_writer, writers))
                    group.create_task(self._pass_on(far_reader, writer, writers))
            finally:
                for one in writers:
                    one.transport.abort()
        self._tasks.discard(task)

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, writers: list[asyncio.StreamWriter]
    ) -> None:
        fault = self._fault
        passed = 0
        # What one side breaks, the other side is told by a reset.
        try:
            while data := await reader.read(self._chance.randint(1, fault.slice_size)):
                if fault.reset_after is not None and passed + len(data) > fault.reset_after:
                    self.resets += 1
                    self._reset(writers)
                    return
                if fault.latency:
                    await asyncio.sleep(self._chance.random() * fault.latency)
                if fault.bandwidth is not None:
                    await asyncio.sleep(len(data) / fault.bandwidth)
                writer.write(data)
                await writer.drain()
                passed += len(data)
            writer.write_eof()
        except OSError:
            self._reset(writers)

    def _reset(self, writers: list[asyncio.StreamWriter]) -> None:
        for writer in writers:
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
