"""The naive model over real sockets: many rooms and clients at random, some seconds long.

With HUBBUB_TESTS_LONG=1 it takes longer, and has more of both.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import hubbub
from hubbub.framing import ByteLines

from support.helpers import WAIT_TIME, dial, eventually, idle, serving
from support.naive import KIB, NOTICE, Counted, Listener, Picky, Play
from support.stepping import left_over

LONG = os.environ.get("HUBBUB_TESTS_LONG") == "1"
SECONDS, CLIENTS, ROOMS = (30, 40, 100) if LONG else (2, 8, 10)
MOST_WAITING = 100
"""So many that wait for space or for a flush are enough."""


class Ear:
    """A peer that takes little at a time and stalls now and then, until it is hurried."""

    def __init__(self, chance: random.Random) -> None:
        self.taken = bytearray()
        self.hurried = asyncio.Event()
        self._chance = chance

    async def listen(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(connection, self._chance.randint(1, 4 * KIB)):
            self.taken += data
            if not self.hurried.is_set() and self._chance.random() < 0.2:
                try:
                    async with asyncio.timeout(self._chance.choice((0.001, 0.01, 0.3))):
                        await self.hurried.wait()
                except TimeoutError:
                    continue


class Crowd:
    """Does anything at random to the clients and rooms of a server."""

    def __init__(self, server: hubbub.Server[Any], chance: random.Random) -> None:
        self.play = Play(lambda room: room.name)
        self.numbers = 0
        self._chance = chance
        self._tasks: set[asyncio.Task[None]] = set()
        self._rooms = [
            server.room(name, settings=replace(server.settings, notice=f"{NOTICE} in {name}"))
            for name in map(str, range(ROOMS))
        ]

    async def run(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        async with asyncio.TaskGroup() as group:
            while loop.time() < end:
                for _ in range(self._chance.randint(1, 20)):
                    self._act(group)
                await asyncio.sleep(0)
                self.play.listen()
                while len(self._tasks) > MOST_WAITING and loop.time() < end:  # noqa: ASYNC110 (any of many)
                    await asyncio.sleep(0.001)
            for listener in self.play.listeners:
                listener.transport.hurried.set()  # type: ignore[attr-defined] # it is an ear here

    def _act(self, group: asyncio.TaskGroup) -> None:
        play, chance = self.play, self._chance
        # A few rooms are busy.
        room = self._rooms[min(chance.randrange(ROOMS), chance.randrange(ROOMS))]
        listener = chance.choice(play.listeners)
        back = chance.choice((None, 0, 1, 10))
        self.numbers += 1
        # Both fit into one chunk, and so are said at once.
        padding = "x" * chance.choice((0, 10, 700))
        texts = [
            f"{room.name} {self.numbers}.{at}{chance.choice(('', '', '!', '?'))} {padding}".encode() for at in (1, 2)
        ]
        match chance.randrange(10):
            case 0 | 1 | 2 | 3:
                actions = [play.say(room, texts, chance.choice((None, listener)), None)]
            case 4 | 5:
                actions = [play.send(listener, f"private {self.numbers}".encode())]
            case 6:
                actions = [play.join(listener, room, back)]
            case 7:
                actions = [play.leave(listener, room)]
            case 8:
                actions = [play.leave(listener, room), play.join(listener, room, back)]
            case _:
                actions = [play.leave(listener, said.room) for said in list(listener.rooms)[::2]]
                actions += [play.join(listener, other, None) for other in chance.sample(self._rooms, ROOMS // 5)]
        for action in actions:
            task = group.create_task(action)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)


async def test_everybody_hears_what_is_due_in_its_order_or_is_told_how_much_it_missed() -> None:
    chance = random.Random()
    seed = chance.randrange(2**32)
    chance.seed(seed)
    limits = hubbub.Settings(
        flush_slice=2,
        retention=16 * KIB,
        outbox_limit=2 * KIB,
        unsent_limit=4 * KIB,
        when_slow="skip",
        pace=None,
        notice=f"{NOTICE} in root",
    )
    framings = [ByteLines(), Counted(), Counted(4), Picky()]
    listeners = [hubbub.Listener(endpoint=hubbub.Address("127.0.0.1", 0), framing=framing) for framing in framings]
    options: dict[str, Any] = {"framing": ByteLines(), "settings": limits, "listeners": listeners}
    with ExitStack() as sockets:
        async with serving(idle, **options) as (server, record), asyncio.TaskGroup() as hearing:
            crowd = Crowd(server, chance)
            for number in range(CLIENTS):
                ear = Ear(chance)
                connection = await dial(server, receive_buffer=4 * KIB, at=number % len(framings))
                sockets.enter_context(connection)
                hearing.create_task(ear.listen(connection))
                client = (await record.wait_for_clients(number + 1))[-1]
                transport: Any = ear
                crowd.play.listeners.append(Listener(client, transport))
                crowd.play.listeners[-1].join(crowd.play.said(server.root), 0)
            async with asyncio.timeout(SECONDS + 2 * WAIT_TIME):
                await crowd.run(SECONDS)

            def all_is_heard() -> bool:
                crowd.play.listen()
                return not any(listener.due for listener in crowd.play.listeners)

            await eventually(all_is_heard)
            assert crowd.numbers > 1000 * SECONDS / 10, f"seed {seed}"
            for said in crowd.play.saids.values():
                assert not left_over(said.room)
            for listener in crowd.play.listeners:
                reader_of = listener.client._reader
                assert listener.client.ending is None
                assert reader_of.outbox.idle
                assert (reader_of.leaving, reader_of.unsettled) == (0, 0)
            await server.close()
