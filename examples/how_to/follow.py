#!/usr/bin/env python3
"""Prints what a room says, and goes on where it was: after its own restart, and after that of the server."""

import asyncio
from pathlib import Path

import hubbub

POSITION = Path("follow.position")


def load() -> str:
    return POSITION.read_text() if POSITION.exists() else "all"


def save(position: hubbub.Position) -> None:
    """Write the file as a whole, so that it never has half a position."""
    new = POSITION.with_suffix(".new")
    new.write_text(str(position))
    new.replace(POSITION)


async def main() -> None:
    async with hubbub.subscribe("http://127.0.0.1:5371/ais", since=load()) as entries:
        async for entry in entries:
            if isinstance(entry, hubbub.Missed):
                print("gone:", "nobody knows how many" if entry.count is None else entry.count)
            else:
                print("heard:", entry.message)
            save(entry.position)


asyncio.run(main())
