"""`python -m bench.store.acknowledged PATH SECONDS`: tasks that each wait until the store has committed what they say.

`fsyncs.c` must be preloaded. It prints how many messages were acknowledged each second, and how many fsyncs it took.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
import time
from typing import Any, Final

import uvloop

import hubbub
from hubbub.apps.relay import relay

TASKS: Final = 64
MESSAGE: Final = b"x" * 99


async def main(path: str, seconds: float) -> None:
    """Say as much as is acknowledged in that time."""
    settings = hubbub.Settings(durable="ack")
    store = hubbub.SqliteStore(path)
    server: hubbub.Server[Any] = hubbub.Server(
        relay, port=0, framing=hubbub.ByteLines(), settings=settings, store=store
    )
    fsyncs = ctypes.c_ulong.in_dll(ctypes.CDLL(None), "fsyncs")
    async with server:
        await server.broadcast(MESSAGE)
        start, forced = time.perf_counter(), fsyncs.value

        async def speak() -> int:
            count = 0
            while time.perf_counter() < start + seconds:
                await server.broadcast(MESSAGE)
                count += 1
            return count

        count = sum(await asyncio.gather(*(speak() for _ in range(TASKS))))
        passed = time.perf_counter() - start
        print(count / passed, (fsyncs.value - forced) / passed)  # noqa: T201 - the figures


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], float(sys.argv[2])))
