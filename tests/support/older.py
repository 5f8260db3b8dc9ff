"""Older ends of logs that take their time, and a room that has one."""

from __future__ import annotations

import asyncio
from typing import Any

from hubbub.framing import ByteLines
from hubbub.log.chunk import Chunk
from hubbub.log.older import OlderInMemory
from hubbub.values.settings import Settings

from support.stepping import FakeHub, FakeTransport, SteppedLoop

KIB = 1024
ALL = 2**30
"""A retention that no test's older end reaches."""


class SlowOlderEnd(OlderInMemory):
    """An older end that takes some turns of the loop to be read, or fails.

    Attributes:
        turns: how many.
        failure: what the next read raises.
        reads: from where it was read.
    """

    def __init__(self, retention: int, turns: int = 0) -> None:
        super().__init__(retention)
        self.turns = turns
        self.failure: Exception | None = None
        self.reads: list[int] = []

    async def chunk_at(self, seq: int) -> Chunk:
        self.reads.append(seq)
        for _ in range(self.turns):
            await asyncio.sleep(0)
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        return await super().chunk_at(seq)


class Stage:
    """A room that keeps little in memory, on a loop that a test turns, and its older end."""

    def __init__(self, loop: SteppedLoop, *, held: int = ALL, turns: int = 0, **options: Any) -> None:
        self.loop = loop
        self.older = SlowOlderEnd(held, turns)
        limits = Settings(**{"retention": 4 * KIB, "pace": None, "notice": "{missed} missed", **options})
        self.hub = FakeHub(loop, ByteLines(), limits, lambda: self.older)
        self.room = self.hub.root
        self.said: list[bytes] = []

    def join(self, **options: Any) -> tuple[Any, FakeTransport]:
        return self.hub.joined(self.room, **options)

    def say(self, count: int, *, exclude: Any = None) -> bytes:
        """Say so many messages, each in a turn of its own; how they look on the wire."""
        start = len(self.said)
        for _ in range(count):
            self.said.append(b"%03d %s\n" % (len(self.said), b"x" * 100))
            self.loop.do(self.room.broadcast(self.said[-1], exclude=exclude))
            self.loop.turn()
        return self.wire(start)

    def wire(self, start: int = 0, stop: int | None = None) -> bytes:
        return b"".join(self.said[start:stop])

    def since(self, seq: int) -> Any:
        return self.room._log.position(seq)


async def texts_of(history: Any) -> list[bytes]:
    return [entry.message + b"\n" async for entry in history]
