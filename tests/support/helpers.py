"""What the tests share: a server to talk to, a peer made of a plain socket, and a record of what happened."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import wraps
from types import SimpleNamespace
from typing import Any, Self, TypeVar

import pytest

import hubbub
from hubbub.apps.relay import relay
from hubbub.log.outbox import SPLICE_COST

T = TypeVar("T")

WAIT_TIME = 10.0
"""How long a test waits for something that should happen at once, in seconds."""


@dataclass
class Record(hubbub.Observer[Any]):
    """Remembers what happened in a server, and lets a test wait for it."""

    clients: list[hubbub.Client[Any]] = field(default_factory=list)
    received_from: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    ended_clients: list[hubbub.Client[Any]] = field(default_factory=list)
    refusals: list[tuple[hubbub.Address, hubbub.Ending]] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def connected(self, client: hubbub.Client[Any]) -> None:
        self.clients.append(client)
        self._changed.set()

    def received(self, client: hubbub.Client[Any], messages: Sequence[Any]) -> None:
        self.received_from[client.name] += messages
        self._changed.set()

    def ended(self, client: hubbub.Client[Any]) -> None:
        self.ended_clients.append(client)
        self._changed.set()

    def refused(self, address: hubbub.Address, ending: hubbub.Ending) -> None:
        self.refusals.append((address, ending))
        self._changed.set()

    async def wait_for_clients(self, count: int) -> Sequence[hubbub.Client[Any]]:
        """The first `count` clients that have connected, in their order."""
        return await self._first(count, self.clients)

    async def wait_for_endings(self, count: int = 1) -> Sequence[hubbub.Ending]:
        """The endings of the first `count` clients that have ended, in their order."""
        return [client.ending for client in await self._first(count, self.ended_clients) if client.ending is not None]

    async def wait_for_refusals(self, count: int = 1) -> Sequence[hubbub.Ending]:
        """Why the first `count` were refused, in their order."""
        return [ending for _, ending in await self._first(count, self.refusals)]

    async def _first(self, count: int, remembered: list[T]) -> list[T]:
        async with asyncio.timeout(WAIT_TIME):
            while len(remembered) < count:
                self._changed.clear()
                await self._changed.wait()
        return remembered[:count]


class Door(Record):
    """Ends a client as soon as it says something."""

    def received(self, client: hubbub.Client[Any], messages: Sequence[Any]) -> None:
        super().received(client, messages)
        client._reader.end(hubbub.Ending(hubbub.EndingCode.CLOSED, "shown the door"), deliver=True)


@asynccontextmanager
async def serving(handler: Any = relay, **options: Any) -> AsyncIterator[tuple[hubbub.Server[Any], Record]]:
    """A server with `handler` on a port of its own, and the record of what happens in it."""
    record = options.setdefault("observer", Record())
    async with hubbub.Server(handler, port=0, **options) as server:
        yield server, record


async def idle(client: hubbub.Client[Any]) -> None:
    """A handler that hears its client and says nothing."""
    async for _ in client:
        pass


async def history_of(room: hubbub.Room[Any], **options: Any) -> list[hubbub.Entry[Any]]:
    """What `Room.history` gives, as a list."""
    return [entry async for entry in room.history(**options)]


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what no event tells."""
    async with asyncio.timeout(WAIT_TIME):
        while not condition():  # noqa: ASYNC110 (there is no event)
            await asyncio.sleep(0.005)


def called(monkeypatch: pytest.MonkeyPatch, kind: type, name: str) -> asyncio.Event:
    """An event that is set after each call of a method of a class; the test clears it."""
    event = asyncio.Event()
    method = getattr(kind, name)

    @wraps(method)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return method(*arguments, **options)
        finally:
            event.set()

    monkeypatch.setattr(kind, name, call)
    return event


def transport_of(client: hubbub.Client[Any] | hubbub.Arrival[Any]) -> asyncio.Transport:
    """The server's transport for `client`, to see what it holds or to break it."""
    return client.link.transport if isinstance(client, hubbub.Arrival) else client._reader.transport


def waiting_for(client: hubbub.Client[Any]) -> int:
    """What waits for `client` beside its rooms, and what the rooms count that it has left, in bytes."""
    reader = client._reader
    return reader.outbox.private_size + SPLICE_COST * reader.leaving


async def fall_behind(client: hubbub.Client[Any], room: hubbub.Room[Any], message: Any) -> int:
    """Broadcast `message` until `client`, which does not read, lags; the number of times."""
    count = 0
    while not client.lag.messages or client._reader.link.writable:
        await room.broadcast(message)
        count += 1
        # A flush comes between, so that the lag is not just what is still to be flushed.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    return count


class Peer:
    """The other end of a connection: a plain socket with plain asyncio streams, which knows nothing of hubbub."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.name = "{}:{}".format(*writer.get_extra_info("sockname"))

    @classmethod
    @asynccontextmanager
    async def of(cls, server: hubbub.Server[Any], *, receive_buffer: int | None = None) -> AsyncIterator[Self]:
        """A peer of `server`; its receive buffer is fixed, in bytes, where that is asked for."""
        with await dial(server, receive_buffer=receive_buffer) as plain:
            reader, writer = await asyncio.open_connection(sock=plain.dup(), limit=2**20)
        peer = cls(reader, writer)
        try:
            yield peer
        finally:
            writer.transport.abort()
            # The server, or the test, may have reset it.
            with suppress(OSError):
                async with asyncio.timeout(WAIT_TIME):
                    await writer.wait_closed()

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(WAIT_TIME):
            self.writer.write(data)
            await self.writer.drain()

    def stall(self) -> None:
        """Read nothing any more."""
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]

    def resume(self) -> None:
        """Read again."""
        self.writer.transport.resume_reading()  # type: ignore[attr-defined]

    def end(self) -> None:
        """End the stream; the other direction stays open."""
        self.writer.write_eof()

    def reset(self) -> None:
        """Reset the connection, as a peer does that has crashed."""
        linger = b"\1\0\0\0\0\0\0\0"
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()

    async def line(self) -> bytes:
        """The next line; what there is, if the stream ends first."""
        async with asyncio.timeout(WAIT_TIME):
            return await self.reader.readline()

    async def exactly(self, size: int) -> bytes:
        async with asyncio.timeout(WAIT_TIME):
            return await self.reader.readexactly(size)

    async def rest(self) -> bytes:
        """All that comes until the end of the stream."""
        async with asyncio.timeout(WAIT_TIME):
            return await self.reader.read()


@asynccontextmanager
async def one_client(
    handler: Any = idle, **options: Any
) -> AsyncIterator[tuple[hubbub.Server[Any], hubbub.Client[Any], Peer]]:
    """A server with one client, and its peer."""
    async with serving(handler, **options) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        yield server, client, peer


def at(server: hubbub.Server[Any], index: int) -> Any:
    """What a `Peer` needs to know to connect to another listener than the first."""
    return SimpleNamespace(addresses=server.addresses[index:])


async def dial(server: hubbub.Server[Any], *, receive_buffer: int | None = None, at: int = 0) -> socket.socket:
    """A socket that is connected to the address `at` of `server`, non-blocking; only the test reads from it."""
    host, port = server.addresses[at]
    plain = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if receive_buffer is not None:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    plain.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(plain, (host, port))
    except OSError:
        plain.close()
        raise
    return plain


def unread(client: hubbub.Client[Any] | hubbub.Arrival[Any]) -> int:
    """The bytes that the kernel has for the server, which has not taken them."""
    descriptor: int = transport_of(client).get_extra_info("socket").fileno()
    return int(struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"\0" * 4))[0])
