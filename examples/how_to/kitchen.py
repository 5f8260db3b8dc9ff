#!/usr/bin/env python3
"""A reader of the orders that goes on where it was, after its own restart and after that of the server."""

import asyncio
from pathlib import Path

import hubbub

POSITION = Path("kitchen.position")


def load() -> str:
    return POSITION.read_text() if POSITION.exists() else "all"


def save(position: str) -> None:
    """Write the file as a whole, so that it never has half a position."""
    new = POSITION.with_suffix(".new")
    new.write_text(position)
    new.replace(POSITION)


async def read(connection: hubbub.Connection[str]) -> None:
    await connection.send_many([f"from {load()}", "where"])
    async for line in connection:
        match line.split(maxsplit=1):
            case ["+", order]:
                print("cook:", order)
                await connection.send("where")
            case ["@", position]:
                save(position)
            case ["!", warning]:
                print("ask the waiter:", warning)


async def main() -> None:
    while True:
        try:
            async with hubbub.connect(port=5380) as connection:
                await read(connection)
        except (OSError, hubbub.ConnectionClosed):
            pass
        await asyncio.sleep(1)


asyncio.run(main())
