"""Several listeners, each with a framing or a room of its own, and what is said in them."""

from __future__ import annotations

import asyncio
import functools
import socket
from pathlib import Path
from typing import Any

import pytest

import hubbub

from support.helpers import Peer, at, eventually, serving

listening: Any = functools.partial(hubbub.Listener, endpoint=hubbub.Address("127.0.0.1", 0))
"""A listener on a port of its own."""


async def test_framings_of_bytes_may_be_mixed() -> None:
    framings = hubbub.ByteLines(), hubbub.Delimited(b"\0")
    listeners = [listening(), *(listening(framing=framing) for framing in framings)]
    async with (
        serving(listeners=listeners, framing=hubbub.LengthPrefixed(size=1)) as (server, record),
        Peer.of(server) as prefixed,
        Peer.of(at(server, 1)) as lines,
        Peer.of(at(server, 2)) as delimited,
    ):
        await record.wait_for_clients(3)
        for peer, wire in ((lines, b"one\n"), (delimited, b"two\0"), (prefixed, b"\5three")):
            await peer.send(wire)
            await eventually(functools.partial(record.received_from.__contains__, peer.name))
        await server.broadcast_many([b"four", b"five\nsix", b"end"])
        # What a framing cannot carry is told as missed.
        assert await lines.exactly(39) == b"two\nthree\nfour\n[1 messages missed]\nend\n"
        assert await delimited.exactly(28) == b"one\0three\0four\0five\nsix\0end\0"
        assert await prefixed.exactly(26) == b"\3one\3two\4four\x08five\nsix\3end"


async def test_private_messages_history_and_the_farewell_are_in_the_framing_of_the_listener() -> None:
    async def handler(client: hubbub.Client) -> None:
        await client.send("private")
        news = client.server.room("news")
        await client.join(news, since=news.oldest)
        await client.send("behind it")
        await client.wait_closed()

    listeners = [listening(), listening(framing=hubbub.Lines(crlf=True))]
    async with serving(handler, listeners=listeners) as (server, _):
        for text in ("one", "two"):
            await server.room("news").broadcast(text)
        async with Peer.of(at(server, 1)) as telnet:
            said = [await telnet.line() for _ in range(4)]
            assert said == [b"private\r\n", b"one\r\n", b"two\r\n", b"behind it\r\n"]
            await server.room("news").broadcast("three")
            assert await telnet.line() == b"three\r\n"
            closing = asyncio.create_task(server.close())
            assert await telnet.rest() == b"server is closing\r\n"
            telnet.end()
            await closing


async def test_in_a_binary_framing_nobody_is_told_why_it_is_refused_or_ends_or_that_the_server_closes(
    tmp_path: Path,
) -> None:
    """The server's own words are for people."""
    (tmp_path / "secret").write_text("open sesame\n")
    listeners = [
        listening(),
        listening(access=hubbub.Access(deny=["127.0.0.1"])),
        listening(authenticate=hubbub.SharedSecret(tmp_path / "secret")),
    ]
    settings = hubbub.Settings(clients_limit=2, message_limit=12)
    async with (
        serving(framing=hubbub.Delimited(b"\xff"), listeners=listeners, settings=settings) as (server, record),
        Peer.of(at(server, 1)) as denied,
    ):
        assert await denied.rest() == b""
        async with Peer.of(at(server, 2)) as stranger:
            await stranger.send(b"close sesame\xff")
            assert await stranger.rest() == b""
        await eventually(lambda: not server._sessions.arrivals.tasks)
        async with Peer.of(server) as wordy, Peer.of(server) as peer:
            await record.wait_for_clients(2)
            async with Peer.of(server) as late:
                assert await late.rest() == b""
            await wordy.send(b"x" * 13)
            assert await wordy.rest() == b""
            await server.broadcast(b"last news")
            closing = asyncio.create_task(server.close())
            assert await peer.rest() == b"last news\xff"
            peer.end()
            await closing
        codes = [ending.code for ending in (*await record.wait_for_refusals(3), *await record.wait_for_endings())]
        assert codes == ["denied", "unauthenticated", "full", "too-long"]


# Rooms and sockets.


async def test_a_client_is_in_the_room_of_its_listener_and_in_no_other() -> None:
    listeners = [listening(), listening(room="news"), listening(room="news")]
    async with (
        serving(listeners=listeners, settings=hubbub.Settings(rooms_limit=2)) as (server, record),
        Peer.of(server) as root,
        Peer.of(at(server, 1)) as one,
        Peer.of(at(server, 2)) as two,
    ):
        clients = {client.name: client for client in await record.wait_for_clients(3)}
        news = server.rooms["news"]
        assert server.room("news") is news
        assert clients[root.name].room is server.root
        assert clients[one.name].room is clients[two.name].room is news
        assert clients[one.name].rooms == {news}
        assert server.root.clients == {clients[root.name]}
        await server.broadcast("for those at the first listener")
        await news.broadcast("for the others")
        assert await root.line() == b"for those at the first listener\n"
        assert await one.line() == await two.line() == b"for the others\n"
        # It counts as a room, and lasts as long as the server.
        with pytest.raises(hubbub.RoomLimitReached):
            server.room("sports")
        with pytest.raises(ValueError, match="the news room lasts as long as the server; close the server instead"):
            news.close()
        for name in (one.name, two.name):
            await clients[name].leave(news)
        assert await clients[root.name].join("news") is news
        assert not news.closed


async def test_a_peer_that_speaks_http_is_ended_before_it_is_heard_where_it_could_be_and_may_not() -> None:
    async def ask(arrival: hubbub.Arrival) -> bool:
        return await arrival.receive() == "open sesame"

    ending = hubbub.Ending(hubbub.EndingCode.WRONG_PROTOCOL, "HTTP is not spoken here")
    listeners = [listening(), listening(authenticate=ask), listening(any_protocol=True), listening(role="read")]
    async with serving(listeners=listeners) as (server, record), Peer.of(at(server, 2)) as witness:
        await record.wait_for_clients(1)
        async with Peer.of(at(server, 3)) as reader:
            await reader.send(b"POST / HTTP/1.1\r\n\r\n")
            _, client = await record.wait_for_clients(2)
            await eventually(lambda: client.bytes_received > 0)
            await client.room.broadcast("news")
            assert await reader.line() == await witness.line() == b"news\n"
        for index in range(3):
            async with Peer.of(at(server, index)) as peer:
                await peer.send(b"POST / HTTP/1.1\r\nHost: localhost:%d\r\n\r\nforged\n" % index)
                peer.end()
                told = [b"%s\n" % ending.reason.encode(), b"%s\n" % str(ending).encode(), b""]
                assert await peer.rest() == told[index]
        assert await record.wait_for_refusals() == [ending]
        assert (await record.wait_for_endings(2))[0] == ending
        for line in (b"POST / HTTP/1.1\n", b"Host: localhost:2\n", b"\n", b"forged\n"):
            assert await witness.line() == line


async def test_clients_of_a_unix_socket_have_names_of_their_own_and_only_the_limit_of_all(tmp_path: Path) -> None:
    path = tmp_path / "hub.sock"
    settings = hubbub.Settings(clients_limit=3, clients_per_address=1, clients_per_subnet=1, connect_burst=1)
    listener = hubbub.Listener[str](endpoint=path, access=hubbub.Access(allow=["192.0.2.0/24"]))
    async with serving(listeners=[listener], settings=settings) as (server, record):
        writers = []
        for _ in range(4):
            reader, writer = await asyncio.open_unix_connection(path)
            writers.append(writer)
        assert await reader.read() == b"full: server full: limit of 3 clients reached\n"
        names = {client.name for client in await record.wait_for_clients(3)}
        await record.wait_for_refusals()
        assert len(names | {str(record.refusals[0][0])}) == 4
        assert server.statistics().endings == {hubbub.EndingCode.FULL: 1}
        for writer in writers:
            writer.close()
            await writer.wait_closed()


async def test_a_server_closes_even_if_its_socket_file_cannot_be_looked_at(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    async with serving(listeners=[hubbub.Listener[str](endpoint=place / "hub.sock")]) as (server, record):
        with socket.socket(socket.AF_UNIX) as plain:
            plain.connect(str(place / "hub.sock"))
            await record.wait_for_clients(1)
            place.rename(tmp_path / "elsewhere")
            place.write_text("a file where a directory was")
            await server.close()
            assert plain.recv(100) == b"server is closing\n"
