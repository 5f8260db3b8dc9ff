#!/usr/bin/env python3
"""Step 1, set-up: a server that says who connects, and closes the connection."""

import os

import hubbub

HOST = os.environ.get("HUBBUB_HOST", "127.0.0.1")
PORT = int(os.environ.get("HUBBUB_PORT", "5000"))


async def greet(client: hubbub.Client) -> None:
    print(f"New client: {client}")


hubbub.run(greet, HOST, PORT)
