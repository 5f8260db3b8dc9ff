"""Fast senders and slow clients: what the design promises to readers, and to senders."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
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
    """Reads as fast as it is told to, and checks that no message is missing that it was not told of."""

    def __init__(self, plain: socket.socket) -> None:
        self.name = "{}:{}".format(*plain.getsockname())
        self.next_number = 0
        self.missed = 0
        self.at_end = False
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
        self.at_end = True

    async def wait_for(self, number: int) -> None:
        """Wait until everything before `number` is accounted for."""
        await eventually(lambda: self.next_number >= number)

    def _take(self, data: bytes) -> None:
        *lines, self._part = (self._part + data).split(b"\n")
        for line in lines:
            if line.startswith(b"["):
                missed = int(line[1:].split()[0])
                self.missed += missed
                self.next_number += missed
            else:
                assert int(line[:8]) == self.next_number
                self.next_number += 1


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


async def idle(client: hubbub.Client) -> None:
    async for _ in client:
        pass


def code_of(record: Record, reader: Reader) -> hubbub.EndingCode | None:
    (client,) = [client for client in record.clients if client.name == reader.name]
    return client.ending.code if client.ending else None


async def test_a_reader_that_takes_at_least_the_pace_is_never_cut() -> None:
    async with (
        serving(idle, settings=SETTINGS) as (server, record),
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
        for reader in (good, slow):
            await reader.wait_for(sender.count)
            assert reader.missed == 0
            assert code_of(record, reader) is None


async def test_a_reader_that_takes_less_than_the_pace_cannot_hold_senders_below_it() -> None:
    async with (
        serving(idle, settings=replace(SETTINGS, when_slow="skip")) as (server, record),
        Reader.of(server) as good,
        Reader.of(server) as slow,
        reading(good),
        reading(slow, rate=PACE / 4),
    ):
        await record.wait_for_clients(2)
        sender = Sender(server)
        # As much as can be sent before the slow one lags enough to count.
        await sender.send(SETTINGS.retention // 2 + KERNEL)
        sent = await sender.send_for(1.5)
        assert 0.8 * PACE < sent / 1.5 < 1.5 * PACE
        await good.wait_for(sender.count)
        assert good.missed == 0
        assert code_of(record, good) is None


async def test_a_reader_that_takes_nothing_cannot_hold_senders_at_all() -> None:
    async with (
        serving(idle, settings=replace(SETTINGS, pace=64 * KIB)) as (server, record),
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
        await good.wait_for(sender.count)
        assert good.missed == 0
        assert code_of(record, good) is None
        assert code_of(record, stalled) is hubbub.EndingCode.SLOW


async def test_without_a_pace_nobody_holds_senders_and_who_is_too_slow_is_ended() -> None:
    async with (
        serving(idle, settings=replace(SETTINGS, pace=None)) as (server, record),
        Reader.of(server) as slow,
        reading(slow, rate=PACE / 4),
    ):
        await record.wait_for_clients(1)
        sender = Sender(server)
        loop = asyncio.get_running_loop()
        start = loop.time()
        await sender.send(8 * MIB)
        assert loop.time() - start < WAIT_TIME / 2
        assert code_of(record, slow) is hubbub.EndingCode.SLOW


async def test_with_a_pace_of_0_nothing_is_lost_even_across_a_pause() -> None:
    """Of more than `stall_time`, and less than `patience`."""
    async with (
        serving(idle, settings=replace(SETTINGS, pace=0, stall_time=0.1)) as (server, record),
        Reader.of(server) as good,
        Reader.of(server) as pausing,
        reading(good),
    ):
        await record.wait_for_clients(2)
        sender = Sender(server)
        sending = asyncio.create_task(sender.send(4 * MIB))
        await asyncio.sleep(0.5)
        held_at = sender.count
        await asyncio.sleep(0.3)
        # The sender is held to a standstill.
        assert sender.count == held_at
        assert held_at * MESSAGE_SIZE < SETTINGS.retention + KERNEL
        async with reading(pausing):
            await sending
            for reader in (good, pausing):
                await reader.wait_for(sender.count)
                assert reader.missed == 0
                assert code_of(record, reader) is None


async def test_with_a_pace_of_0_nothing_is_lost_of_messages_that_are_large() -> None:
    """Where a few of them are all that is retained."""
    settings = replace(SETTINGS, retention=64 * KIB, chunk_limit=64 * KIB, pace=0)
    async with (
        serving(idle, settings=settings) as (server, record),
        Reader.of(server) as reader,
    ):
        (client,) = await record.wait_for_clients(1)

        async def send() -> None:
            for number in range(30):
                await server.broadcast(f"{number:08d}".ljust(30 * KIB, "x"))

        sending = asyncio.create_task(send())
        done, _ = await asyncio.wait([sending], timeout=0.3)
        assert not done
        async with reading(reader):
            await sending
            await reader.wait_for(30)
            assert client.ending is None


async def test_with_a_pace_of_0_patience_ends_who_takes_nothing_and_the_senders_go_on() -> None:
    async with (
        serving(idle, settings=replace(SETTINGS, pace=0, patience=0.4)) as (server, record),
        Reader.of(server) as good,
        Reader.of(server) as stalled,
        reading(good),
    ):
        await record.wait_for_clients(2)
        sender = Sender(server)
        await sender.send(4 * MIB)
        await good.wait_for(sender.count)
        assert good.missed == 0
        assert code_of(record, stalled) is hubbub.EndingCode.STALLED


@pytest.mark.parametrize("override", [False, True], ids=["room", "client"])
async def test_a_reader_that_skips_is_told_how_many_messages_it_missed(override: bool) -> None:
    settings = replace(SETTINGS, retention=128 * KIB, pace=None, when_slow="disconnect" if override else "skip")
    async with serving(idle, settings=settings) as (server, record), Reader.of(server) as stalled:
        (client,) = await record.wait_for_clients(1)
        if override:
            client.when_slow = "skip"
        sender = Sender(server)
        await sender.send(2 * MIB)
        async with reading(stalled):
            await stalled.wait_for(sender.count)
            assert stalled.next_number == sender.count
            assert stalled.missed * MESSAGE_SIZE > 2 * MIB - settings.retention - KERNEL
            assert client.ending is None
            # It goes on with the others.
            await sender.send(MESSAGE_SIZE)
            await stalled.wait_for(sender.count)


async def test_what_a_reader_missed_is_counted_without_what_it_was_not_to_have() -> None:
    settings = replace(SETTINGS, retention=64 * KIB, pace=None, when_slow="skip", notice="missed {missed}")
    async with serving(idle, settings=settings) as (server, record), Reader.of(server) as stalled:
        (client,) = await record.wait_for_clients(1)
        for number in range(500):
            await server.broadcast(message(number), exclude=client if number % 2 else None)
        await server.broadcast("end")
        loop = asyncio.get_running_loop()
        data = b""
        while not data.endswith(b"end\n"):
            data += await loop.sock_recv(stalled._plain, MIB)
        lines = data.splitlines()[:-1]
        notices = [line for line in lines if line.startswith(b"missed")]
        read = [int(line[:8]) for line in lines if line not in notices]
        assert all(number % 2 == 0 for number in read)
        assert sum(int(line.split()[1]) for line in notices) + len(read) == 250


async def test_without_a_notice_a_reader_skips_untold() -> None:
    settings = replace(SETTINGS, retention=64 * KIB, pace=None, when_slow="skip", notice=None)
    async with serving(idle, settings=settings) as (server, record), Reader.of(server) as stalled:
        await record.wait_for_clients(1)
        for number in range(500):
            await server.broadcast(message(number))
        await server.broadcast("end")
        loop = asyncio.get_running_loop()
        data = b""
        while not data.endswith(b"end\n"):
            data += await loop.sock_recv(stalled._plain, MIB)
        numbers = [int(line[:8]) for line in data.splitlines()[:-1]]
        assert numbers == sorted(set(numbers))
        assert len(numbers) < 500


async def test_a_client_may_be_disconnected_where_its_room_lets_others_skip() -> None:
    settings = replace(SETTINGS, retention=128 * KIB, pace=None, when_slow="skip")
    async with (
        serving(idle, settings=settings) as (server, record),
        Reader.of(server) as skipping,
        Reader.of(server) as ended,
    ):
        for client in await record.wait_for_clients(2):
            if client.name == ended.name:
                client.when_slow = "disconnect"
        sender = Sender(server)
        await sender.send(MIB)
        assert code_of(record, skipping) is None
        assert code_of(record, ended) is hubbub.EndingCode.SLOW
        async with reading(ended):
            await eventually(lambda: ended.at_end)
        # It had whole messages to the last.
        assert ended._part == b""
        assert ended.missed == 0


async def test_a_handler_whose_client_sends_too_fast_stops_reading_from_it() -> None:
    """So that TCP holds the client itself back, end to end."""

    async def pass_on(client: hubbub.Client) -> None:
        async for text in client:
            await client.server.broadcast(text, exclude=client)

    async with (
        serving(pass_on, settings=replace(SETTINGS, pace=0)) as (server, record),
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
                await reader.wait_for(8 * MIB // MESSAGE_SIZE)
                assert reader.missed == 0


class Careless(Reader):
    """Reads without looking."""

    def _take(self, data: bytes) -> None:
        pass


@pytest.mark.parametrize("senders", [1, 2, 50])
async def test_many_senders_together_are_not_held_below_the_pace(senders: int) -> None:
    sent = 0

    async def send_lines(server: hubbub.Server[str]) -> None:
        nonlocal sent
        while True:
            await server.broadcast("x" * 499)
            sent += 500

    async with (
        serving(idle, settings=replace(SETTINGS, when_slow="skip", notice=None)) as (server, record),
        Careless.of(server) as slow,
        reading(slow, rate=PACE / 4),
    ):
        await record.wait_for_clients(1)
        tasks = [asyncio.create_task(send_lines(server)) for _ in range(senders)]
        try:
            # As much as can be sent before the slow one lags enough to count.
            await eventually(lambda: sent > SETTINGS.retention // 2 + KERNEL)
            before = sent
            await asyncio.sleep(1.5)
            assert (sent - before) / 1.5 > 0.8 * PACE
            # What the pace allows is sent in one go: one message for each turn of a busy loop would be less.
            # A machine that is slow for a moment sends less than that, and is then not held.
            async with asyncio.timeout(WAIT_TIME):
                while 4 * len({entry.time for entry in await history_of(server.root, last=500)}) >= 500:  # noqa: ASYNC110 (there is no event)
                    await asyncio.sleep(0.005)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
