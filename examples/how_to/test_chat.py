"""Tests of chat.py: each starts a server of its own, on a port that the system chooses."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import wraps
from typing import Any, ParamSpec

import pytest
from chat import LAST_LINES, chat, people

import hubbub

TEST_TIME = 10
P = ParamSpec("P")


def asynchronous(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on an event loop of its own; it fails after TEST_TIME seconds."""

    @wraps(test)
    def run(*args: P.args, **fixtures: P.kwargs) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **fixtures), TEST_TIME))

    return run


@asynccontextmanager
async def person(name: str, server: hubbub.Server[str]) -> AsyncIterator[hubbub.Connection]:
    """A connection that has a nickname."""
    async with hubbub.connect(*server.addresses[0]) as connection:
        assert await connection.receive() == "Your nickname?"
        await connection.send(name)
        assert await connection.receive() == f"You are {name}, in lobby."
        yield connection


@asynchronous
async def test_a_nickname_belongs_to_one_person() -> None:
    async with (
        hubbub.Server(chat, port=0) as server,
        person("ann", server),
        hubbub.connect(*server.addresses[0], say="Ann") as other,
    ):
        assert await other.receive() == "Your nickname?"
        assert await other.receive() == "Ann is taken. Your nickname?"


@asynchronous
async def test_a_private_message_reaches_one_person() -> None:
    async with (
        hubbub.Server(chat, port=0) as server,
        person("ann", server) as ann,
        person("ben", server) as ben,
        person("eve", server) as eve,
    ):
        await ann.send("/msg ben Psst")
        await ann.send("Hello")
        for_ben = [await ben.receive() for _ in range(4)]
        assert for_ben == ["* ann has come", "* eve has come", "ann, to you: Psst", "ann: Hello"]
        # What eve gets next shows what she did not get before.
        for_eve = [await eve.receive() for _ in range(3)]
        assert for_eve == ["* ann has come", "* ben has come", "ann: Hello"]


@asynchronous
async def test_a_late_joiner_reads_the_last_lines() -> None:
    async with hubbub.Server(chat, port=0) as server, person("ann", server) as ann:
        await ann.send_many([f"line {number}" for number in range(30)])
        # The answer comes once everything before it was handled.
        await ann.send("/msg nobody")
        await ann.receive()
        async with person("ben", server) as ben:
            lines = [await ben.receive() for _ in range(LAST_LINES)]
    assert lines == [f"ann: line {number}" for number in range(10, 30)]


@asynchronous
async def test_nobody_is_left_when_the_server_has_closed() -> None:
    async with hubbub.Server(chat, port=0) as server, person("ann", server) as ann:
        closing = asyncio.create_task(server.close())
        assert await ann.receive() == "server is closing"
        with pytest.raises(hubbub.ConnectionClosed):
            await ann.receive()
        await ann.close()
        await closing
        assert people == {}
