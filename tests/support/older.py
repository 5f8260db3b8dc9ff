"""A room that keeps little in memory, and its older end."""

from __future__ import annotations

from typing import Any

from hubbub.framing import ByteLines
from hubbub.values.settings import Settings

from support.stepping import FakeHub, FakeTransport, SteppedLoop
from support.stored import SlowOlderEnd

KIB = 1024
ALL = 2**30
"""A retention that no test's older end reaches."""


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
