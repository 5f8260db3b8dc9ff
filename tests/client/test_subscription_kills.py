"""A program that reads over HTTP while its server is killed and comes back, again and again."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from pathlib import Path

import pytest

import hubbub

from bench.peer import free_port
from support.figures import scaled
from support.helpers import eventually
from support.programs import HUBBUB, ServerProgram
from support.web import post

QUICK = hubbub.Settings(retry_time=0.02, retry_limit=0.05)

LONGEST_LIFE = 150
"""Messages after which a server is killed, at most."""

KILLING_TIME = 60.0
"""Seconds after which no server is killed any more: on a busy machine each takes long to start."""


class Sender:
    """Posts the numbers from 0 on to a server that is killed, each of them once.

    Attributes:
        answered: those that the server has said are stored.
        may_try: whether the server is there.
    """

    def __init__(self, port: int) -> None:
        self.answered: list[int] = []
        self.may_try = asyncio.Event()
        self._port = port
        self._next = 0

    async def run(self) -> None:
        """Post until it is cancelled."""
        while True:
            await self.may_try.wait()
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                continue
            try:
                while True:
                    number = self._next
                    self._next += 1
                    writer.write(post(b"%d" % number))
                    head = await reader.readuntil(b"\r\n\r\n")
                    if not head.startswith(b"HTTP/1.1 201 "):
                        break
                    self.answered.append(number)
                    length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                    await reader.readexactly(length)
            except (OSError, asyncio.IncompleteReadError):
                pass
            finally:
                writer.transport.abort()


class Reader:
    """Notes what a subscription yields.

    Attributes:
        heard: the numbers.
        positions: the places behind them.
        gaps: what was told to be missing.
    """

    def __init__(self, url: str) -> None:
        self.heard: list[int] = []
        self.positions: list[hubbub.Position] = []
        self.gaps: list[hubbub.Missed] = []
        self._entries = hubbub.subscribe(url, since="all", settings=QUICK)

    async def run(self) -> None:
        """Note until it is cancelled."""
        async for entry in self._entries:
            if isinstance(entry, hubbub.Missed):
                self.gaps.append(entry)
            else:
                self.heard.append(int(entry.message))
                self.positions.append(entry.position)


async def read_while_killed(folder: Path, times: int) -> tuple[Sender, Reader]:
    """Kill a server so many times while a sender speaks, and give what was said and heard."""
    port, chance, begun = free_port(), random.Random(7), time.monotonic()
    sender, reader = Sender(port), Reader(f"http://127.0.0.1:{port}/root")
    tasks = [asyncio.create_task(sender.run()), asyncio.create_task(reader.run())]
    command = (*HUBBUB, "serve", "relay", "--quiet", f"--listen=http://127.0.0.1:{port}", "--durable=ack")
    try:
        for number in range(times + 1):
            last = number == times or time.monotonic() - begun > KILLING_TIME
            with ServerProgram(*command, f"--store={folder / 'log.db'}", cwd=folder) as server:
                await asyncio.to_thread(server.wait_until_started)
                sender.may_try.set()
                wanted = len(sender.answered) + chance.randint(1, LONGEST_LIFE)
                await eventually(lambda wanted=wanted: len(sender.answered) >= wanted)  # type: ignore[misc] # mypy cannot infer it
                if last:
                    tasks[0].cancel()
                    await eventually(lambda: sender.answered[-1] in reader.heard[-1000:])
                    break
                sender.may_try.clear()
                server.signal(signal.SIGKILL)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results), results
    return sender, reader


def check(sender: Sender, reader: Reader, times: int) -> None:
    """See that all was heard that was acknowledged, in order and once, and that each loss was told."""
    assert sorted(set(reader.heard)) == reader.heard
    assert set(sender.answered) <= set(reader.heard)
    # Along the log no place comes twice, and between two messages is a gap that was told, or nothing.
    seqs = [position.seq for position in reader.positions]
    told = {gap.position for gap in reader.gaps}
    for before, position in zip(reader.positions, reader.positions[1:], strict=False):
        assert position.seq == before.seq + 1 or any(gap.seq + 1 == position.seq for gap in told), (before, position)
    assert len(seqs) == len(reader.heard)
    # At most what was not committed when the server was killed was heard and is not stored.
    assert all(gap.count is None for gap in reader.gaps)
    assert len(reader.gaps) <= times


async def test_while_its_server_is_killed_nothing_is_missed_and_nothing_comes_twice(tmp_path: Path) -> None:
    check(*await read_while_killed(tmp_path, 2), times=2)


@pytest.mark.long
def test_a_server_that_is_killed_again_and_again(tmp_path: Path) -> None:
    times = scaled(100, 25)
    check(*asyncio.run(read_while_killed(tmp_path, times)), times)
