#!/usr/bin/env python3
"""A FastAPI app that runs a hubbub server: what is posted goes to all clients on port 5323."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import uvicorn
from fastapi import Body, FastAPI, Request

import hubbub


async def listen(client: hubbub.Client) -> None:
    await client.send("Welcome.")
    async for _ in client:
        pass


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, Any]]:
    async with hubbub.Server(listen, port=5323) as server:
        yield {"server": server, "loop": asyncio.get_running_loop()}


app = FastAPI(lifespan=lifespan)


@app.post("/say")
async def say(text: Annotated[str, Body()], request: Request) -> dict[str, int]:
    position = await request.state.server.broadcast(hubbub.printable(text), sender="web")
    return {"seq": position.seq}


# FastAPI calls a function without `async` in a thread.
@app.post("/say-from-a-thread")
def say_from_a_thread(text: Annotated[str, Body()], request: Request) -> dict[str, int]:
    broadcast = request.state.server.broadcast(hubbub.printable(text), sender="web")
    position = asyncio.run_coroutine_threadsafe(broadcast, request.state.loop).result()
    return {"seq": position.seq}


if __name__ == "__main__":
    uvicorn.run(app, port=5324, log_level="warning")
