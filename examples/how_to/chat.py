#!/usr/bin/env python3
"""A chat with nicknames, rooms, private messages, and the last 20 lines for late joiners."""

import re
from contextlib import suppress

import hubbub

LOBBY = "lobby"
LAST_LINES = 20
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,15}")
NAME_RULE = "Names have 1 to 16 letters, digits, _ and -, and begin with a letter."
COMMANDS = "The commands are /join ROOM and /msg NAME TEXT."

people: dict[str, "Person"] = {}
"""Everybody in the chat, by nickname in lower case."""


class Person:
    """A client with a nickname; in one room at a time."""

    def __init__(self, client: hubbub.Client, name: str) -> None:
        self.client = client
        self.name = name
        self.room = client.room

    async def enter(self, name: str) -> None:
        await self.client.send(f"You are {self.name}, in {name}.")
        # The server keeps the name "root" for a room of its own.
        self.room = await self.client.join(f"#{name}", since=LAST_LINES)
        await self.tell_room(f"* {self.name} has come")

    async def leave(self) -> None:
        await self.tell_room(f"* {self.name} has left")
        await self.client.leave(self.room)

    async def tell_room(self, text: str) -> None:
        await self.room.broadcast(text, exclude=self.client)

    async def do(self, line: str) -> None:
        match line.split(" ", 2):
            case ["/join", name] if NAME.fullmatch(name):
                await self.leave()
                await self.enter(name.lower())
            case ["/join", _]:
                await self.client.send(NAME_RULE)
            case ["/msg", name, text]:
                await self.whisper(name, text)
            case [word, *_] if word.startswith("/"):
                await self.client.send(COMMANDS)
            case _:
                await self.tell_room(f"{self.name}: {hubbub.printable(line)}")

    async def whisper(self, name: str, text: str) -> None:
        other = people.get(name.lower())
        if other is None:
            await self.client.send(f"Nobody here is called {hubbub.printable(name)}.")
        elif not other.client.try_send(f"{self.name}, to you: {hubbub.printable(text)}"):
            await self.client.send(f"{other.name} takes no messages just now.")


async def choose_name(client: hubbub.Client) -> str:
    await client.send("Your nickname?")
    while True:
        name = await client.receive()
        if not NAME.fullmatch(name):
            await client.send(f"{NAME_RULE} Your nickname?")
        elif name.lower() in people:
            await client.send(f"{name} is taken. Your nickname?")
        else:
            return name


async def chat(client: hubbub.Client) -> None:
    name = await choose_name(client)
    # Nothing is awaited between the look at `people` and this line, so nobody else can take the name.
    people[name.lower()] = person = Person(client, name)
    try:
        await person.enter(LOBBY)
        async for line in client:
            await person.do(line)
    finally:
        del people[name.lower()]
        # A room goes when its last client leaves.
        with suppress(hubbub.RoomClosed):
            await person.tell_room(f"* {name} has left")


if __name__ == "__main__":
    hubbub.run(chat, port=5300, settings=hubbub.Settings(message_limit=1000, message_rate=5))
