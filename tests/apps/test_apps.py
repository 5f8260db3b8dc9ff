"""The servers that have a name: chat, echo and relay."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import hubbub
from hubbub.apps.chat import chat
from hubbub.apps.echo import echo
from hubbub.apps.relay import relay

from support.helpers import Peer, at, history_of, serving

KIB = 1024
AIS = Path(__file__).parents[1] / "data" / "ais.nmea"


async def test_chat_tells_the_others_who_comes_what_they_say_and_who_goes() -> None:
    async with serving(chat) as (server, record), Peer.of(server) as alice:
        await record.wait_for_clients(1)
        async with Peer.of(server) as bob:
            assert await alice.line() == f"{bob.name} connected.\n".encode()
            await bob.send(b"Hey, Alice.\nHow are you?\n")
            assert await alice.line() == f"{bob.name} says: Hey, Alice.\n".encode()
            assert await alice.line() == f"{bob.name} says: How are you?\n".encode()
            await alice.send(b"Hi, Bob.\n")
            # He has heard neither his own arrival nor himself.
            assert await bob.line() == f"{alice.name} says: Hi, Bob.\n".encode()
            bob.end()
            assert await alice.line() == f"{bob.name} disconnected.\n".encode()
            assert await bob.rest() == b""


async def test_chat_tells_the_others_of_one_who_is_lost() -> None:
    async with serving(chat) as (server, record), Peer.of(server) as alice:
        await record.wait_for_clients(1)
        async with Peer.of(server) as bob:
            assert await alice.line() == f"{bob.name} connected.\n".encode()
            bob.reset()
            assert await alice.line() == f"{bob.name} disconnected.\n".encode()


async def test_chat_shows_control_characters_instead_of_sending_them() -> None:
    async with serving(chat) as (server, record), Peer.of(server) as alice:
        await record.wait_for_clients(1)
        async with Peer.of(server) as bob:
            await alice.line()
            await bob.send("\x1b[2J\rgone\x07\u202etxt\té\n".encode())
            expected = f"{bob.name} says: \\x1b[2J\\rgone\\x07\\u202etxt\té\n"
            assert await alice.line() == expected.encode()


async def test_echo_answers_each_message_to_its_sender_alone() -> None:
    async with serving(echo) as (server, record), Peer.of(server) as alice, Peer.of(server) as bob:
        await record.wait_for_clients(2)
        await alice.send(b"one\ntwo\nlast")
        await bob.send(b"three\n")
        alice.end()
        bob.end()
        answers = [b"We got your message: one\n", b"We got your message: two\n", b"We got your message: last\n"]
        assert await alice.rest() == b"".join(answers)
        assert await bob.rest() == b"We got your message: three\n"


async def test_relay_carries_a_real_feed_byte_for_byte_to_fast_and_slow_readers() -> None:
    feed = AIS.read_bytes()
    assert not feed.endswith(b"\n")
    settings = hubbub.Settings(unsent_limit=4 * KIB)
    async with (
        serving(relay, framing=hubbub.ByteLines(keepends=True), settings=settings) as (server, record),
        Peer.of(server) as source,
        Peer.of(server) as one,
        Peer.of(server) as another,
        Peer.of(server, receive_buffer=4 * KIB) as slow,
    ):
        clients = {client.name: client for client in await record.wait_for_clients(4)}
        slow.stall()
        # Often enough to fill all that is between the server and the slow one.
        rounds = 20
        for _ in range(rounds):
            for start in range(0, len(feed), 4000):
                await source.send(feed[start : start + 4000])
            await source.send(b"\r\n")
        await source.send(feed)
        source.end()
        # The last line has no end of its own, and gets LF.
        expected = (feed + b"\r\n") * rounds + feed + b"\n"
        for peer in (one, another):
            assert await peer.exactly(len(expected)) == expected
        assert clients[slow.name].lag.bytes > 0
        slow.resume()
        assert await slow.exactly(len(expected)) == expected
        assert await source.rest() == b""


async def test_relay_of_text_drops_what_is_no_text() -> None:
    async with serving(relay) as (server, record), Peer.of(server) as source, Peer.of(server) as reader:
        await record.wait_for_clients(2)
        await source.send(b"caf\xc3\xa9\r\n\r\n\xff\xf1end\n")
        assert await reader.exactly(11) == "café\n\nend\n".encode()


async def test_apps_serve_many_at_once() -> None:
    async with serving(echo) as (server, _):

        async def talk(number: int) -> None:
            async with Peer.of(server) as peer:
                for turn in range(10):
                    await peer.send(f"{number}-{turn}\n".encode())
                    assert await peer.line() == f"We got your message: {number}-{turn}\n".encode()

        await asyncio.gather(*[talk(number) for number in range(50)])
        assert server.statistics().accepted == 50


@pytest.mark.parametrize("app", [chat, relay])
async def test_chat_and_relay_speak_in_the_room_of_their_clients_and_in_no_other(app: Any) -> None:
    root, news = [hubbub.Listener[str](endpoint=hubbub.Address("127.0.0.1", 0), room=room) for room in ("root", "news")]
    async with (
        serving(app, listeners=[root, news]) as (server, record),
        Peer.of(server) as elsewhere,
        Peer.of(at(server, 1)) as alice,
    ):
        await record.wait_for_clients(2)
        async with Peer.of(at(server, 1)) as bob:
            await record.wait_for_clients(3)
            await bob.send(b"Hey\n")
            said = [b"Hey\n"]
            if app is chat:
                said = [f"{bob.name} {words}\n".encode() for words in ("connected.", "says: Hey", "disconnected.")]
            bob.end()
            assert [await alice.line() for _ in said] == said
        await server.broadcast("nothing but this")
        if app is chat:
            # Those who came to the first listener before are told nothing of the second one.
            assert (await history_of(server.root))[0].message == f"{elsewhere.name} connected."
        assert await elsewhere.line() == b"nothing but this\n"


async def test_echo_answers_in_whatever_room_its_client_is() -> None:
    news = hubbub.Listener[str](endpoint=hubbub.Address("127.0.0.1", 0), room="news")
    async with serving(echo, listeners=[news]) as (server, _), Peer.of(server) as alice:
        await alice.send(b"one\n")
        assert await alice.line() == b"We got your message: one\n"
        assert server.rooms["news"].head.seq == 0
