"""Fast senders and slow clients: what docs/topics/slow-clients.md promises to readers and to senders."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest

import hubbub

from support.helpers import WAIT_TIME, Record, dial, eventually, history_of, serving

KIB = 1024
MIB = 1024 * KIB

PACE = MIB
MESSAGE_SIZE = 2 * KIB
SETTINGS = hubbub.Settings(retention=MIB, pace=PACE, unsent_limit=16 * KIB)
KERNEL = 256 * KIB
"""More than the kernel holds between a server and one of these readers."""


def message(number: int) -> str:
    return f"{number:08d}".ljust(MESSAGE_SIZE - 1, "x")


class Sender:
    """Broadcasts numbered messages as fast as it is let."""

    def __init__(self, server: hubbub.Server[str]) -> None:
        self.count = 0
        self._server = server

    async def send(self, size: int) -> None:
        """Send so many bytes."""
        for _ in range(size // MESSAGE_SIZE):
            await self._server.broadcast(message(self.count))
            self.count += 1

    async def send_for(self, seconds: float) -> int:
        """Send for a while; the bytes that were sent."""
        start = self.count
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.send(1024 * MIB)
        return (self.count - start) * MESSAGE_SIZE


class Reader:
    """Reads as fast as it is told to, and checks that every message comes, in order."""

    def __init__(self, plain: socket.socket) -> None:
        self.name = "{}:{}".format(*plain.getsockname())
        self.next_number = 0
        self._plain = plain
        self._part = b""

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, server: hubbub.Server[str]) -> AsyncIterator[Reader]:
        with await dial(server, receive_buffer=32 * KIB) as plain:
            yield cls(plain)

    async def read(self, rate: float | None = None) -> None:
        """Read until the end, at so many bytes per second."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        size = 0
        while data := await loop.sock_recv(self._plain, 16 * KIB):
            self._take(data)
            size += len(data)
            if rate is not None:
                # A loop that was held up makes up for it, so that the rate is what it says.
                await asyncio.sleep(start + size / rate - loop.time())

    def _take(self, data: bytes) -> None:
        *lines, self._part = (self._part + data).split(b"\n")
        for line in lines:
            assert int(line[:8]) == self.next_number
            self.next_number += 1


class Careless(Reader):
    """Reads without looking."""

    def _take(self, data: bytes) -> None:
        pass


@contextlib.asynccontextmanager
async def reading(reader: Reader, rate: float | None = None) -> AsyncIterator[None]:
    """Let `reader` read meanwhile."""
    task = asyncio.create_task(reader.read(rate))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            await task


def code_of(record: Record, reader: Reader) -> hubbub.EndingCode | None:
    (client,) = [client for client in record.clients if client.name == reader.name]
    return client.ending.code if client.ending else None


async def rate_of(sent: Callable[[], int], *, seconds: float) -> float:
    """How much is sent in a second; it must not be much more than the pace."""
    loop = asyncio.get_running_loop()
    before, start = sent(), loop.time()
    await asyncio.sleep(seconds)
    rate = (sent() - before) / (loop.time() - start)
    assert rate < 1.5 * PACE
    return rate


def has(reader: Reader, count: int) -> bool:
    return reader.next_number >= count


async def have_all(record: Record, count: int, *readers: Reader) -> None:
    """See that so many messages reach these readers, and that none is ended."""
    for reader in readers:
        await eventually(functools.partial(has, reader, count))
        assert code_of(record, reader) is None


async def test_a_reader_that_takes_at_least_the_pace_is_never_cut() -> None:
    async with (
        serving(settings=SETTINGS) as (server, record),
        Reader.of(server) as good,
        Reader.of(server) as slow,
        reading(good),
        reading(slow, rate=1.2 * PACE),
    ):
        await record.wait_for_clients(2)
        sender = Sender(server)
        sent = await sender.send_for(1.5)
        # It was held back for the slow one; without that it would have sent many times as much.
        assert 1.2 * PACE < sent < 4 * PACE
        await have_all(record, sender.count, good, slow)


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        pytest.param(replace(SETTINGS, pace=64 * KIB), hubbub.EndingCode.SLOW, marks=pytest.mark.long),
        # It is held to a standstill until patience is over.
        (replace(SETTINGS, pace=0, patience=0.4), hubbub.EndingCode.STALLED),
    ],
    ids=["pace", "patience"],
)
async def test_a_reader_that_takes_nothing_is_ended_and_the_senders_go_on(
    settings: hubbub.Settings, code: hubbub.EndingCode
) -> None:
    async with (
        serving(settings=settings) as (server, record),
        Reader.of(server) as good,
        Reader.of(server) as stalled,
        reading(good),
    ):
        await record.wait_for_clients(2)
        sender = Sender(server)
        loop = asyncio.get_running_loop()
        start = loop.time()
        await sender.send(4 * MIB)
        # At the pace it would take a minute.
        assert loop.time() - start < WAIT_TIME
        await have_all(record, sender.count, good)
        assert code_of(record, stalled) is code


async def test_with_a_pace_of_0_nothing_is_lost_even_across_a_pause() -> None:
    """Of more than `stall_time`, and less than `patience`."""
    async with (
        serving(settings=replace(SETTINGS, pace=0, stall_time=0.1)) as (server, record),
        Reader.of(server) as good,
        Reader.of(server) as pausing,
        reading(good),
    ):
        await record.wait_for_clients(2)
        sender = Sender(server)
        sending = asyncio.create_task(sender.send(4 * MIB))
        # Until the sender is held to a standstill.
        held_at = -1
        while held_at != sender.count:
            held_at = sender.count
            await asyncio.sleep(0.3)
        assert held_at * MESSAGE_SIZE < SETTINGS.retention + KERNEL
        async with reading(pausing):
            await sending
            await have_all(record, sender.count, good, pausing)


async def test_a_handler_whose_client_sends_too_fast_stops_reading_from_it() -> None:
    """So that TCP holds the client itself back, end to end."""
    async with (
        serving(settings=replace(SETTINGS, pace=0)) as (server, record),
        Reader.of(server) as reader,
    ):
        with await dial(server) as source:
            await record.wait_for_clients(2)
            # Linux would take megabytes from it.
            source.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * KIB)
            loop = asyncio.get_running_loop()
            block = "".join([f"{message(number)}\n" for number in range(8 * MIB // MESSAGE_SIZE)]).encode()
            sending = asyncio.create_task(loop.sock_sendall(source, block))
            done, _ = await asyncio.wait([sending], timeout=0.7)
            assert not done
            async with reading(reader):
                await sending
                await have_all(record, 8 * MIB // MESSAGE_SIZE, reader)


@pytest.mark.parametrize("senders", [1, 2, 50])
async def test_a_reader_that_takes_less_than_the_pace_holds_senders_to_it_and_not_below(senders: int) -> None:
    sent = 0

    async def send_lines(server: hubbub.Server[str]) -> None:
        nonlocal sent
        while True:
            await server.broadcast("x" * 499)
            sent += 500

    async with (
        serving(settings=replace(SETTINGS, when_slow="skip", notice=None)) as (server, record),
        Careless.of(server) as slow,
        reading(slow, rate=PACE / 4),
    ):
        await record.wait_for_clients(1)
        tasks = [asyncio.create_task(send_lines(server)) for _ in range(senders)]
        try:
            # As much as can be sent before the slow one lags enough to count.
            await eventually(lambda: sent > SETTINGS.retention // 2 + KERNEL)
            # A machine that is slow for a moment sends less, and is then not held.
            async with asyncio.timeout(WAIT_TIME):
                while await rate_of(lambda: sent, seconds=1.5) < 0.8 * PACE:
                    pass
                # What the pace allows is sent in one go: one message for each turn of a busy loop would be less.
                while 4 * len({entry.time for entry in await history_of(server.root, last=500)}) >= 500:  # noqa: ASYNC110 (there is no event)
                    await asyncio.sleep(0.005)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
