"""The servers that have a name: chat, echo and relay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import hubbub
from hubbub.apps.chat import chat
from hubbub.apps.echo import echo
from hubbub.apps.relay import relay

from support.helpers import Peer, at, eventually, history_of, serving

KIB = 1024
AT_ONCE = hubbub.Settings(probe_time=0)
AIS = Path(__file__).parents[1] / "data" / "ais.nmea"


async def test_chat_tells_the_others_who_comes_what_they_say_and_who_goes_or_is_lost() -> None:
    async with serving(chat, settings=AT_ONCE) as (server, _), Peer.of(server) as alice:
        # She is told of at once, to nobody.
        await eventually(lambda: server.root.head.seq == 1)
        async with Peer.of(server) as bob:
            assert await alice.line() == f"{bob.name} connected.\n".encode()
            # Control characters are shown instead of sent.
            await bob.send("Hey, Alice.\n\x1b[2J\rgone\x07\u202etxt\té\n".encode())
            assert await alice.line() == f"{bob.name} says: Hey, Alice.\n".encode()
            assert await alice.line() == f"{bob.name} says: \\x1b[2J\\rgone\\x07\\u202etxt\té\n".encode()
            await alice.send(b"Hi, Bob.\n")
            # He has heard neither his own arrival nor himself.
            assert await bob.line() == f"{alice.name} says: Hi, Bob.\n".encode()
            bob.end()
            assert await alice.line() == f"{bob.name} disconnected.\n".encode()
            assert await bob.rest() == b""
        async with Peer.of(server) as carol:
            assert await alice.line() == f"{carol.name} connected.\n".encode()
            carol.reset()
            assert await alice.line() == f"{carol.name} disconnected.\n".encode()


async def test_chat_tells_nobody_of_who_leaves_soon_and_without_a_word() -> None:
    async with serving(chat, settings=hubbub.Settings(probe_time=60)) as (server, record), Peer.of(server) as alice:
        async with Peer.of(server) as probe:
            await record.wait_for_clients(2)
            probe.end()
            await record.wait_for_endings()
        async with Peer.of(server) as bob:
            await bob.send(b"Hey\n")
            # Who says something is told of at once.
            assert [await alice.line() for _ in range(2)] == [
                f"{bob.name} {words}\n".encode() for words in ("connected.", "says: Hey")
            ]


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
        Peer.of(server) as fast,
        Peer.of(server, receive_buffer=4 * KIB) as slow,
    ):
        clients = {client.name: client for client in await record.wait_for_clients(3)}
        slow.stall()
        # Often enough to fill all that is between the server and the slow one.
        said = (feed + b"\r\n") * 20 + feed
        for start in range(0, len(said), 4000):
            await source.send(said[start : start + 4000])
        source.end()
        # The last line has no end of its own, and gets LF.
        assert await fast.exactly(len(said) + 1) == said + b"\n"
        assert clients[slow.name].lag.bytes > 0
        slow.resume()
        assert await slow.exactly(len(said) + 1) == said + b"\n"
        assert await source.rest() == b""


async def test_relay_of_text_drops_what_is_no_text() -> None:
    async with serving(relay) as (server, record), Peer.of(server) as source, Peer.of(server) as reader:
        await record.wait_for_clients(2)
        await source.send(b"caf\xc3\xa9\r\n\r\n\xff\xf1end\n")
        assert await reader.exactly(11) == "café\n\nend\n".encode()


@pytest.mark.parametrize("app", [chat, echo, relay])
async def test_each_speaks_in_the_room_of_its_client_and_in_no_other(app: Any) -> None:
    root, news = [hubbub.Listener[str](endpoint=hubbub.Address("127.0.0.1", 0), room=room) for room in ("root", "news")]
    async with (
        serving(app, listeners=[root, news], settings=AT_ONCE) as (server, record),
        Peer.of(server) as elsewhere,
        Peer.of(at(server, 1)) as alice,
    ):
        await record.wait_for_clients(2)
        async with Peer.of(at(server, 1)) as bob:
            await record.wait_for_clients(3)
            await bob.send(b"Hey\n")
            words = {chat: ["connected.", "says: Hey", "disconnected."], relay: [], echo: []}[app]
            said = [f"{bob.name} {each}\n".encode() for each in words] or [b"Hey\n"]
            bob.end()
            if app is echo:
                assert await bob.rest() == b"We got your message: Hey\n"
                assert server.rooms["news"].head.seq == 0
            else:
                assert [await alice.line() for _ in said] == said
        await server.broadcast("nothing but this")
        if app is chat:
            # Those who came to the first listener before are told nothing of the second one.
            assert (await history_of(server.root))[0].message == f"{elsewhere.name} connected."
        assert await elsewhere.line() == b"nothing but this\n"
