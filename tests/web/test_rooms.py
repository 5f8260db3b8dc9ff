"""Which rooms requests reach, by which names, and what becomes of those that they make."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import hubbub
from hubbub.apps.relay import relay
from hubbub.hub.fan_out import FanOut
from hubbub.web.reading import StreamSession

from support.helpers import Peer, at, eventually, idle
from support.web import LISTENERS, answer, json_line, refusal, requesting, socket_of, web_serving

NO_NAME = "is not a name for a room; use 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', and not '.' or '..' alone"


@asynccontextmanager
async def opened(*patterns: str, handler: Any = None, **options: Any) -> AsyncIterator[hubbub.Server[Any]]:
    """A server whose requests reach the rooms of these patterns, too."""
    listeners = (LISTENERS[0], replace(LISTENERS[1], http=hubbub.Http(rooms=patterns)))
    async with web_serving(*((handler,) if handler else ()), listeners=listeners, **options) as (server, _):
        yield server


# Rooms that requests make.


async def test_a_room_that_a_pattern_allows_is_made_and_goes_with_its_last_reader() -> None:
    async with opened("ais", "wx-[ab]*") as server:
        async with requesting(server, "GET /wx-a1/json") as one, requesting(server, "GET /wx-a1/json") as two:
            for peer in (one, two):
                await answer(peer)
            await eventually(lambda: "wx-a1" in server.rooms and len(server.rooms["wx-a1"]) == 2)
            assert not server.rooms["wx-a1"].keep
            await server.rooms["wx-a1"].broadcast("wind")
            for peer in (one, two):
                assert (await json_line(peer))["message"] == "wind"
            one.end()
            await eventually(lambda: len(server.rooms["wx-a1"]) == 1)
        await eventually(lambda: set(server.rooms) == {"root"})
        assert await refusal(server, "GET /wx-c/raw") == (404, "the room 'wx-c' does not exist")
        assert await refusal(server, "GET /AIS/raw") == (404, "the room 'AIS' does not exist")


async def test_a_room_that_a_client_made_can_be_read_by_any_name_where_a_pattern_allows_it() -> None:
    async def join(client: hubbub.Client[Any]) -> None:
        await client.join("wx-north east")
        await client.join("private")
        await idle(client)

    async with opened("wx-*", handler=join) as server:
        async with Peer.of(server):
            await eventually(lambda: "private" in server.rooms)
            assert (await refusal(server, "GET /private/raw"))[0] == 404
            async with requesting(server, "GET /wx-north%20east/raw") as peer:
                await answer(peer)
                await eventually(lambda: len(server.rooms["wx-north east"]) == 2)
        await eventually(lambda: set(server.rooms) == {"root"})


async def test_beyond_the_limit_no_room_is_made_and_the_reader_may_come_back() -> None:
    async with opened("*", settings=hubbub.Settings(rooms_limit=2)) as server:
        async with requesting(server, "GET /one/raw") as one:
            assert (await answer(one)).status == 200
            async with requesting(server, "GET /two/raw") as two:
                head = await answer(two)
                assert head.status == 503
                assert 5 <= int(head.headers["Retry-After"]) <= 15
                assert (await two.exactly(int(head.headers["Content-Length"]))).startswith(b"no room 'two': limit of 2")
            async with requesting(server, "GET /one/raw") as again:
                assert (await answer(again)).status == 200
        await eventually(lambda: set(server.rooms) == {"root"})


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (("HEAD /wx-1/sse",), 200),
        (("POST /wx-1/sse",), 405),
        (("OPTIONS /wx-1/sse",), 204),
        (("GET /wx-1/xml",), 404),
        (("GET /wx-1/ws",), 426),
        (("GET /wx-1/raw?since=x",), 400),
        (("GET /wx-1/raw?poll=2",), 400),
        (("GET /wx-1/raw HTTP/1.1", "Host: localhost", "Origin: http://evil.example"), 403),
    ],
)
async def test_only_a_stream_makes_a_room(lines: tuple[str, ...], status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened("wx-*") as server, requesting(server, *lines) as peer:
        assert (await answer(peer)).status == status
        assert set(server.rooms) == {"root"}


async def test_a_stream_that_ends_when_it_has_caught_up_leaves_no_room() -> None:
    async with opened("wx-*") as server:
        async with requesting(server, "GET /wx-1/raw?poll=1&since=all") as peer:
            await answer(peer)
            assert await peer.rest() == b""
        await eventually(lambda: set(server.rooms) == {"root"})


async def test_a_stream_that_cannot_begin_leaves_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    async def find(*_: object) -> None:
        raise OSError("no such luck")

    monkeypatch.setattr("hubbub.hub.fetches.find", find)
    async with opened("wx-*") as server, requesting(server, "GET /wx-1/json?since=all") as peer:
        await answer(peer)
        assert (await json_line(peer))["end"] == "undeliverable"
        assert await peer.rest() == b""
        assert set(server.rooms) == {"root"}


async def test_a_stream_that_fails_before_it_joins_leaves_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no such luck")

    monkeypatch.setattr(FanOut, "join", fail)
    async with opened("wx-*") as server, requesting(server, "GET /wx-1/json") as peer:
        await answer(peer)
        assert (await json_line(peer))["end"] == "failed"
        assert await peer.rest() == b""
        assert set(server.rooms) == {"root"}


async def test_one_that_is_cancelled_while_its_place_is_looked_for_leaves_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looking = asyncio.Event()

    async def find(*_: object) -> None:
        looking.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("hubbub.hub.fetches.find", find)
    settings = hubbub.Settings(drain_time=0.1, cancel_time=0.1)
    async with opened("wx-*", settings=settings) as server, requesting(server, "GET /wx-1/json?since=all") as peer:
        await answer(peer)
        await looking.wait()
        assert "wx-1" in server.rooms
        await server.close()
        assert set(server.rooms) == {"root"}


async def test_a_room_stays_while_a_place_is_looked_for_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    going, looking = asyncio.Event(), asyncio.Event()

    async def find(*_: object) -> object:
        looking.set()
        await going.wait()
        return server.rooms["wx-1"].fan_out.log.mark()

    async with opened("wx-*") as server, requesting(server, "GET /wx-1/json") as one:
        await answer(one)
        await eventually(lambda: "wx-1" in server.rooms and len(server.rooms["wx-1"]) == 1)
        room = server.rooms["wx-1"]
        monkeypatch.setattr("hubbub.hub.fetches.find", find)
        async with requesting(server, "GET /wx-1/json?since=all") as two:
            await answer(two)
            await looking.wait()
            one.end()
            await eventually(lambda: len(room) == 0)
            assert server.rooms["wx-1"] is room
            going.set()
            await eventually(lambda: len(room) == 1)
            await room.broadcast("wind")
            assert (await json_line(two))["message"] == "wind"
        await eventually(lambda: set(server.rooms) == {"root"})


async def test_a_room_that_the_store_has_in_another_framing_is_an_error_of_the_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened("wx-*", store=hubbub.SqliteStore(tmp_path / "log.db")) as server:
        await server.room("wx-1", framing=hubbub.Lines(crlf=True)).broadcast("wind")
        server.rooms["wx-1"].close()
        assert await refusal(server, "GET /wx-1/raw") == (500, "the room 'wx-1' cannot be opened")
        assert "the room wx-1 cannot be opened" in caplog.text
        assert str(tmp_path) in caplog.text


async def test_what_a_room_said_before_it_went_is_read_from_the_store(tmp_path: Path) -> None:
    async with opened("wx-*", store=hubbub.SqliteStore(tmp_path / "log.db")) as server:
        async with requesting(server, "GET /wx-1/raw") as peer:
            await answer(peer)
            await eventually(lambda: "wx-1" in server.rooms)
            await server.rooms["wx-1"].broadcast("wind")
            assert await peer.line() == b"wind\n"
        await eventually(lambda: set(server.rooms) == {"root"})
        for _ in range(3):
            async with requesting(server, "GET /wx-1/raw?since=all&poll=1") as peer:
                await answer(peer)
                assert await peer.rest() == b"wind\n"


async def test_many_that_ask_for_one_room_at_once_share_it() -> None:
    async with opened("wx-*") as server:

        async def read() -> bytes:
            async with requesting(server, "GET /wx-1/raw") as peer:
                await answer(peer)
                return await peer.line()

        reading = [asyncio.ensure_future(read()) for _ in range(50)]
        await eventually(lambda: "wx-1" in server.rooms and len(server.rooms["wx-1"]) == 50)
        await server.rooms["wx-1"].broadcast("wind")
        assert await asyncio.gather(*reading) == [b"wind\n"] * 50
        await eventually(lambda: set(server.rooms) == {"root"})


async def test_a_room_stays_for_a_web_socket_that_only_writes() -> None:
    listeners = (LISTENERS[0], replace(LISTENERS[1], role="write", http=hubbub.Http(rooms=("wx-*",))))
    reading = replace(LISTENERS[1], http=hubbub.Http(rooms=("wx-*",)))
    async with web_serving(relay, listeners=(*listeners, reading)) as (server, _):
        async with socket_of(server, "/wx-1/ws") as socket:
            await eventually(lambda: "wx-1" in server.rooms)
            room = server.rooms["wx-1"]
            async with requesting(server, "GET /wx-1/raw", place=2) as peer:
                await answer(peer)
                await eventually(lambda: len(room) == 1)
            await eventually(lambda: len(room) == 0)
            assert server.rooms["wx-1"] is room
            async with requesting(server, "GET /wx-1/raw", place=2) as peer:
                await answer(peer)
                await eventually(lambda: len(room) == 1)
                await socket.send("wind")
                assert await peer.line() == b"wind\n"
        await eventually(lambda: set(server.rooms) == {"root"})


async def test_one_whose_answer_is_not_taken_leaves_no_room() -> None:
    """The room is made before the head is written, which may wait."""
    head = b"OPTIONS / HTTP/1.1\r\nHost: localhost\r\nAccess-Control-Request-Headers: " + b"x" * 15_000 + b"\r\n\r\n"
    settings = hubbub.Settings(handshake_time=0.5, linger_time=0.2, unsent_limit=16 * 1024)
    async with opened("wx-*", settings=settings) as server, Peer.of(at(server, 1), receive_buffer=4096) as peer:
        peer.stall()
        await eventually(lambda: bool(server._sessions.arrivals._tasks))
        (arrival,) = server._sessions.arrivals._tasks
        await eventually(lambda: arrival.link.writable)
        while arrival.link.writable:
            received = arrival.link.bytes_received
            await peer.send(head)
            await eventually(lambda received=received: arrival.link.bytes_received >= received + len(head))  # type: ignore[misc] # mypy wants no default
        await peer.send(b"GET /wx-1/json HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await eventually(lambda: "wx-1" in server.rooms)
        await eventually(lambda: bool(server.statistics().endings))
        assert set(server.rooms) == {"root"}


# Names.


@pytest.mark.parametrize("segment", ["wx-1", "wx%2D1", "%77%78%2d%31"])
async def test_a_name_may_be_written_byte_by_byte(segment: str) -> None:
    async with opened("wx-*") as server, requesting(server, f"GET /{segment}/raw") as peer:
        assert (await answer(peer)).status == 200
        await eventually(lambda: set(server.rooms) == {"root", "wx-1"})


@pytest.mark.parametrize(
    "name", ["Ärger", "a b", "a/b", "天気", "?", "a%2Fb", "..", "\n", "x" * 200, "100%", "\U0001f300"]
)
async def test_a_room_that_the_app_keeps_is_reached_by_any_name(name: str) -> None:
    async with web_serving() as (server, _):
        server.room(name)
        async with requesting(server, f"GET /{quote(name, safe='')}/raw") as peer:
            assert (await answer(peer)).status == 200
            await eventually(lambda: len(server.rooms[name]) == 1)


async def test_a_name_that_is_typed_by_hand_may_be_in_utf_8() -> None:
    async with web_serving() as (server, _), Peer.of(at(server, 1)) as peer:
        server.room("Ärger")
        await peer.send("GET /Ärger/raw\n".encode())
        await eventually(lambda: len(server.rooms["Ärger"]) == 1)


@pytest.mark.parametrize(
    ("segment", "name"),
    [
        ("%C3%84rger", "Ärger"),
        ("a%2Fb", "a/b"),
        ("a%20b", "a b"),
        (".", "."),
        ("%2e%2E", ".."),
        ("%00", "\0"),
        ("a%0Ab", "a\nb"),
        ("%1b[31m", "\x1b[31m"),
        ("%e2%80%ae", "\u202e"),
        ("", ""),
        ("x" * 65, "x" * 65),
        ("x" * 15_000, "x" * 15_000),
        ("%zz", "%zz"),
        ("%", "%"),
        ("a%252Fb", "a%2Fb"),
        ("wx*", "wx*"),
    ],
)
async def test_no_room_is_made_whose_name_a_listener_could_not_have(segment: str, name: str) -> None:
    async with opened("*") as server:
        assert await refusal(server, f"GET /{segment}/raw") == (400, f"{name!r} {NO_NAME}")
        assert set(server.rooms) == {"root"}
    async with web_serving() as (server, _):
        assert await refusal(server, f"GET /{segment}/raw") == (404, f"the room {name!r} does not exist")


@pytest.mark.parametrize("segment", ["%FF", "%C3", "%ed%a0%80", "a%80"])
async def test_a_name_that_is_not_utf_8_is_refused(segment: str) -> None:
    async with opened("*") as server:
        assert await refusal(server, f"GET /{segment}/raw") == (
            400,
            f"the name {segment!r} of a room is not in UTF-8",
        )


@pytest.mark.parametrize("path", ["a/b/raw", "../wx-1/raw", "./wx-1/raw", "wx-1/../raw", "wx-1//raw", "/wx-1/raw"])
async def test_a_path_is_a_room_and_a_kind_and_nothing_else(path: str) -> None:
    async with opened("*") as server:
        assert (await refusal(server, f"GET /{path}"))[0] == 404
        assert set(server.rooms) == {"root"}


async def test_the_reader_of_a_room_is_closed_with_it() -> None:
    async with opened("wx-*") as server, requesting(server, "GET /wx-1/json") as peer:
        await answer(peer)
        await eventually(lambda: "wx-1" in server.rooms and len(server.rooms["wx-1"]) == 1)
        (reader,) = server._sessions.readers
        assert isinstance(reader, StreamSession)
        server.rooms["wx-1"].close()
        assert (await json_line(peer))["end"] == "closed"
        assert await peer.rest() == b""
