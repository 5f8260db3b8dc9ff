#!/usr/bin/env python3
"""A client of your own: it greets everybody that comes."""

import asyncio
import os
import re

import hubbub

PORT = int(os.environ.get("HUBBUB_PORT", "5000"))
COME = re.compile(r"(\w+) has come\.")


async def main() -> None:
    async with hubbub.connect(port=PORT) as connection:
        await connection.send("Greeter")
        async for message in connection:
            print(hubbub.printable(message))
            if come := COME.fullmatch(message):
                await connection.send(f"Welcome, {come[1]}!")


asyncio.run(main())
