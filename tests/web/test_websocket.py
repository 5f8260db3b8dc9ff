"""Clients that speak WebSocket: they are as all clients are, and each room is one stream for them and the others."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

import hubbub
from hubbub.apps.chat import chat
from hubbub.apps.relay import relay
from hubbub.server import deadlines
from hubbub.web import frames

from support.helpers import Door, Peer, at, eventually, fall_behind
from support.web import SMALL, answer, listeners, overwhelmed, refusal, requesting, socket_of, web_serving
from support.websocket import ASKING, KEY, UPGRADE


async def closed(connection: ClientConnection) -> tuple[int, str]:
    """The code and the reason in the close frame that comes, behind whatever else."""
    async with asyncio.timeout(10):
        with suppress(ConnectionClosed):
            async for _ in connection:
                pass
    assert connection.close_code is not None
    assert connection.close_reason is not None
    return connection.close_code, connection.close_reason


async def objects(connection: ClientConnection, count: int) -> list[dict[str, Any]]:
    """So many objects of JSON."""
    async with asyncio.timeout(10):
        return [json.loads(await connection.recv()) for _ in range(count)]


# The handshake.


@pytest.mark.parametrize(
    ("lines", "status", "words"),
    [
        (("GET /root/ws HTTP/1.1", "Host: localhost"), 426, "missing Connection header"),
        (("HEAD /root/ws HTTP/1.1", *UPGRADE), 405, None),
        (("POST /root/ws HTTP/1.1", *UPGRADE), 405, None),
        ((*ASKING[:-2], "Sec-WebSocket-Version: 8", KEY), 400, "invalid Sec-WebSocket-Version header: 8"),
        ((*ASKING[:-1], "Sec-WebSocket-Key: short"), 400, "invalid Sec-WebSocket-Key header: short"),
        ((*ASKING, KEY), 400, "invalid Sec-WebSocket-Key header"),
        ((*ASKING, "Origin: http://evil.example"), 403, "pages of 'http://evil.example' may not read here"),
        (("GET /nowhere/ws HTTP/1.1", *UPGRADE), 404, "the room 'nowhere' does not exist"),
        (("GET /root/ws?since=x HTTP/1.1", *UPGRADE), 400, "since"),
    ],
)
async def test_a_handshake_that_is_not_one_is_refused(lines: tuple[str, ...], status: int, words: str | None) -> None:
    async with web_serving() as (server, record), requesting(server, *lines) as peer:
        head = await answer(peer)
        assert head.status == status
        assert head.headers.get("Upgrade") == ("websocket" if status == 426 else None)
        if words is not None:
            assert words in (await peer.exactly(int(head.headers["Content-Length"]))).decode()
        assert not record.clients


async def test_a_client_that_says_more_before_the_answer_is_refused() -> None:
    async with web_serving() as (server, _), Peer.of(at(server, 1)) as peer:
        await peer.send("\r\n".join([*ASKING, "", ""]).encode() + b"\x81\x80abcd")
        assert (await answer(peer)).status == 400


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (None, None),
        (["hubbub.plain"], "hubbub.plain"),
        (["hubbub.json", "hubbub.plain"], "hubbub.json"),
        (["bearer.secret", "hubbub.json"], "hubbub.json"),
        (["bearer.secret"], None),
    ],
)
async def test_the_first_subprotocol_that_is_known_is_spoken_and_no_other_is_echoed(
    offered: Any, chosen: str | None
) -> None:
    async with web_serving() as (server, _), socket_of(server, subprotocols=offered) as connection:
        assert connection.subprotocol == chosen


# What is said.


async def test_browsers_and_telnets_are_in_one_chat() -> None:
    async with (
        web_serving(chat) as (server, record),
        Peer.of(server) as peer,
        socket_of(server) as connection,
    ):
        await eventually(lambda: len(server.clients) == 2)
        assert server.clients == frozenset(record.clients)
        await connection.send("from the web")
        await peer.send(b"from telnet\r\n")
        # Before that, they hear who has connected.
        while (line := await peer.line()).endswith(b" connected.\n"):
            pass
        assert line.endswith(b" says: from the web\n")
        while str(text := await connection.recv()).endswith(" connected."):
            pass
        assert text == f"{peer.name} says: from telnet"


async def test_a_text_with_several_lines_is_as_many_messages() -> None:
    async with web_serving(relay) as (server, _), Peer.of(server) as peer, socket_of(server) as connection:
        await connection.send("one\ntwo\r\nthrée\n")
        await connection.send("")
        assert await peer.exactly(16) == "one\ntwo\nthrée\n\n".encode()


async def test_where_messages_are_bytes_frames_are_binary_both_ways() -> None:
    framing = hubbub.LengthPrefixed(2)
    async with (
        web_serving(relay, framing=framing) as (server, _),
        socket_of(server) as one,
        socket_of(server) as other,
    ):
        await one.send(b"\xff\x00\n")
        assert await other.recv() == b"\xff\x00\n"


async def test_json_tells_what_is_known_of_each_message() -> None:
    async with web_serving(relay) as (server, _), socket_of(server, subprotocols=["hubbub.json"]) as connection:
        (client,) = server.clients
        last = await server.broadcast_many(["one", "two"], sender="alice")
        await client.send("for you alone")
        first, second, third = await objects(connection, 3)
        assert first["message"] == "one"
        assert first["sender"] == "alice"
        assert second["position"] == str(last)
        assert third == {"message": "for you alone"}


async def test_those_of_one_kind_share_their_bytes() -> None:
    async with (
        web_serving() as (server, _),
        socket_of(server),
        socket_of(server, subprotocols=["hubbub.plain"]),
        socket_of(server, subprotocols=["hubbub.json"]),
        socket_of(server, subprotocols=["hubbub.json"]),
    ):
        await eventually(lambda: len(server.root) == 4)
        assert len({cursor.rendering for cursor in server.root.fan_out.members.values()}) == 2


# Where it begins.


@pytest.mark.parametrize("protocol", ["hubbub.plain", "hubbub.json"])
async def test_it_begins_where_it_says(protocol: Any) -> None:
    async with web_serving() as (server, _):
        position = await server.broadcast("one")
        await server.broadcast_many(["two", "three"])
        async with socket_of(server, f"/root/ws?since={position}", subprotocols=[protocol]) as connection:
            texts = [await connection.recv(), await connection.recv()]
        assert [json.loads(text)["message"] if protocol == "hubbub.json" else text for text in texts] == [
            "two",
            "three",
        ]


@pytest.mark.parametrize("protocol", ["hubbub.plain", "hubbub.json"])
@pytest.mark.parametrize("notice", ["you missed {missed}", None])
async def test_a_place_that_is_lost_is_told_and_reading_goes_on(protocol: Any, notice: str | None) -> None:
    async with web_serving(settings=hubbub.Settings(notice=notice)) as (server, _):
        await server.broadcast("one")
        asked = f"/root/ws?since={'0' * 16}:7"
        async with socket_of(server, asked, subprotocols=[protocol]) as connection:
            if protocol == "hubbub.json":
                gap, message = await objects(connection, 2)
                assert gap == {"missed": None, "first": str(hubbub.Position(server.root.head.term, 0))}
                assert message["message"] == "one"
            else:
                expected = ["you missed some", "one"] if notice else ["one"]
                assert [await connection.recv() for _ in expected] == expected


async def test_with_poll_it_is_no_client_and_ends_when_it_has_caught_up() -> None:
    async with web_serving() as (server, record):
        await server.broadcast("one")
        async with socket_of(server, "/root/ws?since=all&poll=1") as connection:
            assert await connection.recv() == "one"
            assert await closed(connection) == (1000, "finished: the stream has caught up")
        assert not record.clients


# What it may do.


async def test_one_that_only_reads_is_not_heard_and_its_pings_are_answered() -> None:
    async with web_serving(relay, listeners=listeners(role="read")) as (server, _), socket_of(server) as connection:
        await connection.send("not heard")
        async with asyncio.timeout(10):
            await (await connection.ping())
        await server.broadcast("heard")
        assert await connection.recv() == "heard"
        await connection.close(3000, "enough")
        assert connection.close_code == 3000


async def test_one_that_only_writes_hears_nothing() -> None:
    async with (
        web_serving(relay, listeners=listeners(role="write")) as (server, _),
        Peer.of(server) as peer,
        socket_of(server) as connection,
    ):
        await connection.send("one")
        assert await peer.line() == b"one\n"
        async with asyncio.timeout(10):
            await (await connection.ping())
        await server.close()
        assert (await closed(connection))[0] == 1012
    async with web_serving(listeners=listeners(role="write")) as (server, _):
        asking = ("GET /root/ws?poll=1 HTTP/1.1", *UPGRADE)
        assert await refusal(server, *asking) == (403, "nobody may read here")


async def test_one_that_is_muted_because_it_takes_nothing_is_not_answered() -> None:
    async with web_serving() as (server, record), requesting(server, *ASKING) as peer:
        await answer(peer)
        (client,) = await record.wait_for_clients(1)
        client._reader.mute()
        await peer.send(b"\x89\x80\0\0\0\0")
        await eventually(lambda: client.bytes_received == 6)
        client._reader.unmute()
        await client.send("a")
        assert await peer.exactly(3) == b"\x81\x01a"


async def test_a_client_that_leaves_its_room_stays_connected() -> None:
    async def leave(client: hubbub.Client) -> None:
        await client.leave(client.room)
        await client.send("left")
        async for message in client:
            await client.send(f"you said: {message}")

    async with web_serving(leave) as (server, _), socket_of(server) as connection:
        assert await connection.recv() == "left"
        await connection.send("a")
        assert await connection.recv() == "you said: a"


async def test_a_client_whose_room_was_closed_can_join_another_one() -> None:
    async def move(client: hubbub.Client) -> None:
        async for _ in client:
            client.room.close()
            await (await client.join("shelter")).broadcast("welcome")

    async with web_serving(move) as (server, _):
        server.room("alarms")
        async with socket_of(server, "/alarms/ws") as connection:
            await connection.send("move")
            assert await connection.recv() == "welcome"


# How it ends.


async def returns(client: hubbub.Client) -> None:
    await client.receive()


async def raises(client: hubbub.Client) -> None:
    raise RuntimeError(await client.receive())


async def closes(client: hubbub.Client) -> None:
    await client.receive()
    await client.close("no more of you")


@pytest.mark.parametrize(
    ("handler", "said", "code", "reason"),
    [
        (returns, "a", 1000, "finished: the handler returned"),
        (closes, "a", 1000, "closed"),
        (raises, "a", 1011, "failed: the log of the server says why"),
        (returns, "a" * 300, 1009, "too-long: message longer than 200 bytes"),
    ],
)
async def test_the_code_of_the_close_frame_says_why_it_ends(handler: Any, said: str, code: int, reason: str) -> None:
    settings = hubbub.Settings(message_limit=200)
    async with web_serving(handler, settings=settings) as (server, _), socket_of(server) as connection:
        await connection.send(said)
        assert await closed(connection) == (code, reason)


async def test_broken_rules_end_it_with_their_code() -> None:
    async with web_serving() as (server, record), requesting(server, *ASKING) as peer:
        await answer(peer)
        await peer.send(b"\x81\x01a")
        assert await peer.rest() == frames.close(1002, "a frame is not masked")
        (ending,) = await record.wait_for_endings()
        assert ending == hubbub.Ending(hubbub.EndingCode.MALFORMED, "a frame is not masked")


@pytest.mark.parametrize("role", ["both", "read"])
async def test_a_close_frame_is_answered_with_its_own_code(role: str) -> None:
    async with (
        web_serving(listeners=listeners(role=role)) as (server, record),
        socket_of(server) as connection,
    ):
        await record.wait_for_clients(1)
        await connection.close(4321, "bye")
        assert connection.close_code == 4321
        assert [ending.code for ending in await record.wait_for_endings()] == [hubbub.EndingCode.LEFT]


async def test_one_that_leaves_while_it_is_ended_is_not_told_twice() -> None:
    async def say(client: hubbub.Client) -> None:
        async for _ in client:
            await client.close()

    async with web_serving(say) as (server, _), requesting(server, *ASKING) as peer:
        await answer(peer)
        # A text, and a close frame behind it.
        await peer.send(b"\x81\x81\0\0\0\0a\x88\x80\0\0\0\0")
        assert await peer.rest() == frames.close(1000, "")


async def test_one_that_its_observer_has_ended_is_told_that_alone(caplog: pytest.LogCaptureFixture) -> None:
    async with web_serving(observer=Door()) as (server, _), requesting(server, *ASKING) as peer:
        await answer(peer)
        # A text, and a ping behind it.
        await peer.send(b"\x81\x81\0\0\0\0a\x89\x80\0\0\0\0")
        assert await peer.rest() == frames.close(1000, "closed")
    assert not caplog.records


async def test_what_waits_for_one_that_leaves_is_dropped() -> None:
    async with web_serving() as (server, record), requesting(server, *ASKING, receive_buffer=16 * 1024) as peer:
        await answer(peer)
        (client,) = await record.wait_for_clients(1)
        peer.stall()
        await fall_behind(client, server.root, "x" * 1000)
        await server.broadcast("unheard")
        await peer.send(b"\x88\x80\0\0\0\0")
        await record.wait_for_endings()
        peer.resume()
        rest = await peer.rest()
        assert rest.endswith(frames.close(1000))
        assert b"unheard" not in rest


@pytest.mark.parametrize("role", ["both", "read"])
@pytest.mark.parametrize("frame", [b"\x88\x80\0\0\0\0", b"\x81\0"], ids=["a close frame", "no mask"])
async def test_what_it_says_once_it_is_being_ended_takes_nothing_from_what_it_is_to_hear(
    frame: bytes, role: str
) -> None:
    settings = hubbub.Settings(drain_time=10)
    async with (
        web_serving(listeners=listeners(role=role), settings=settings) as (server, record),
        requesting(server, *ASKING, receive_buffer=16 * 1024) as peer,
    ):
        await answer(peer)
        (client,) = await record.wait_for_clients(1)
        peer.stall()
        await fall_behind(client, server.root, "x" * 1000)
        await server.broadcast("last")
        closing = asyncio.create_task(server.close())
        await record.wait_for_endings()
        received = client.bytes_received
        await peer.send(frame)
        await eventually(lambda: role == "both" or client.bytes_received > received)
        peer.resume()
        words = (frames.frame(frames.TEXT, text) for text in (b"last", b"server is closing"))
        assert (await peer.rest()).endswith(b"".join(words) + frames.close(1012, "shutdown: the server closed"))
        peer.end()
        await closing


async def test_one_that_was_told_the_end_hears_no_farewell(caplog: pytest.LogCaptureFixture) -> None:
    async with web_serving(returns) as (server, record), requesting(server, *ASKING) as peer:
        await answer(peer)
        await peer.send(b"\x81\x80\0\0\0\0")
        await record.wait_for_endings()
        await server.close()
        assert await peer.rest() == frames.close(1000, "finished: the handler returned")
    assert not caplog.records


@pytest.mark.parametrize(
    ("limit", "said", "words"),
    [
        ({"idle_time": 0.2}, b"", "idle: nothing said for 0.2 s"),
        ({"message_time": 0.2}, b"\x01\x80\0\0\0\0", "unfinished: message not complete within 0.2 s"),
    ],
)
async def test_one_that_says_nothing_in_time_is_told_to_come_back(
    limit: Any, said: bytes, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with web_serving(settings=hubbub.Settings(**limit)) as (server, _), requesting(server, *ASKING) as peer:
        await answer(peer)
        await peer.send(said)
        assert await peer.rest() == frames.close(1013, words)
    assert not caplog.records


async def test_the_end_of_the_server_is_told_behind_everything_else_and_with_its_farewell() -> None:
    settings = hubbub.Settings(farewell="see you")
    async with web_serving(settings=settings) as (server, _), socket_of(server) as connection:
        await eventually(lambda: bool(server.clients))
        await server.broadcast("last")
        await server.close()
        assert [await connection.recv(), await connection.recv()] == ["last", "see you"]
        assert await closed(connection) == (1012, "shutdown: the server closed")


async def test_one_that_is_too_slow_is_told_to_come_back() -> None:
    async with overwhelmed(SMALL, *ASKING) as (_, record, peer, _):
        await record.wait_for_endings()
        peer.resume()
        rest = await peer.rest()
        at_end = rest.rindex(b"\x88")
        assert rest[at_end + 2 : at_end + 4] == (1013).to_bytes(2, "big")
        assert rest[at_end + 4 :].startswith(b"slow: ")


async def test_a_heartbeat_is_a_ping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "HEARTBEAT_TIME", 0.5)
    async with web_serving() as (server, record), requesting(server, *ASKING) as peer:
        await answer(peer)
        assert await peer.exactly(4) == 2 * frames.frame(frames.PING)
        await peer.send(b"\x8a\x80\0\0\0\0")
        (client,) = record.clients
        await eventually(lambda: client.bytes_received == 6)
        assert client.ending is None
