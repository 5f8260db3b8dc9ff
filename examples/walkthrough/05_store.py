#!/usr/bin/env python3
"""A chat of your own."""

import os
import re

import hubbub

PORT = int(os.environ.get("HUBBUB_PORT", "5000"))
WORD = re.compile(r"\w{1,20}")


def people(server: hubbub.Hub) -> dict[str, hubbub.Client]:
    return {client.state["name"]: client for client in server.clients if "name" in client.state}


async def ask_name(client: hubbub.Client) -> str:
    await client.send("What is your name?")
    while True:
        name = hubbub.printable(await client.receive())
        if WORD.fullmatch(name) and name not in people(client.server):
            client.state["name"] = name
            return name
        await client.send("Choose another name: one word that nobody here has.")


async def enter(place: str, client: hubbub.Client) -> hubbub.Room:
    room = await client.join(place)
    earlier = [f"earlier: {entry.message}" async for entry in room.history(last=10)]
    await client.send_many([f"You are in {room} now.", *earlier])
    await room.broadcast(f"{client.state['name']} has come.", exclude=client)
    return room


async def chat(client: hubbub.Client) -> None:
    name = await ask_name(client)
    room = await enter("#lobby", client)
    try:
        async for message in client:
            text = hubbub.printable(message)
            match text.split():
                case ["/join", place] if WORD.fullmatch(place):
                    await room.broadcast(f"{name} has gone to #{place}.", exclude=client)
                    await client.leave(room)
                    room = await enter(f"#{place}", client)
                case [word, *_] if word.startswith("/"):
                    await client.send("The only command is /join ROOM.")
                case _:
                    await room.broadcast(f"{name}: {text}", exclude=client)
    finally:
        await room.broadcast(f"{name} has gone.", exclude=client)


hubbub.run(chat, port=PORT, store=hubbub.SqliteStore("chat.db"))
