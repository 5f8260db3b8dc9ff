"""A program that records lines into a store of SQLite until it is killed, and says what is committed.

Usage: python -m support.storing PATH ROOM

It writes the `seq` up to which its lines are committed to standard output, again and again, 8 bytes each.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys

from hubbub.framing import ByteLines
from hubbub.stores.sqlite import SqliteStore
from hubbub.values.settings import Settings

from support.stores import Speaker, line


async def record(path: str, room: str) -> None:
    settings = Settings(store_size=2 * 1024 * 1024)
    store = SqliteStore(path)
    log = store.open_log(room, ByteLines(), settings)
    log.begin(secrets.token_hex(8), log.head)
    store.start(settings)
    speaker = Speaker(log)
    while True:
        for _ in range(secrets.randbelow(20) + 1):
            speaker.say(line(speaker.at.seq))
        await speaker.committed()
        os.write(sys.stdout.fileno(), speaker.at.seq.to_bytes(8, "big"))


if __name__ == "__main__":
    asyncio.run(record(*sys.argv[1:3]))
