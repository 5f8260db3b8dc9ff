"""Keys over HTTP: which requests are answered, and which readers end."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

import hubbub
from hubbub.hub.fan_out import FanOut
from hubbub.server.summary import describe
from hubbub.web.conversation import Conversation

from support.helpers import Peer, at, eventually
from support.keys import secret_of, write_keys
from support.programs import finish, require_program
from support.web import LISTENERS, answer, json_line, refusal, requesting, said, socket_of, web_serving

HOST = "Host: localhost"
NEEDED = "a key is needed here; send Authorization: Bearer KEY"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_keys(tmp_path / "keys.toml", screen="read", sensor="write", deck="read: ais", boat="read write")


def asking(path: Path, **place: Any) -> Sequence[Any]:
    """A place for lines, and one for HTTP that asks for a key."""
    keys = hubbub.Keys(path)
    web = hubbub.Listener[Any](
        endpoint=hubbub.Address("127.0.0.1", 0), **{"http": hubbub.Http(), "authenticate": keys, **place}
    )
    return LISTENERS[0], web


def bearer(name: str, scheme: str = "Bearer") -> str:
    return f"Authorization: {scheme} {secret_of(name).decode()}"


def get(kind: str, *headers: str) -> tuple[str, ...]:
    return f"GET /root/{kind} HTTP/1.1", HOST, *headers


# Which requests are answered.


@pytest.mark.parametrize(
    "header",
    [
        bearer("screen"),
        bearer("boat", "bearer"),
        bearer("boat", "BEARER "),
        f"Sec-WebSocket-Protocol: hubbub.json, bearer.{secret_of('screen').decode()}",
    ],
)
async def test_a_request_with_a_key_is_answered(path: Path, header: str) -> None:
    async with (
        web_serving(listeners=asking(path)) as (server, _),
        requesting(server, *get("json?poll=1", header)) as peer,
    ):
        assert (await answer(peer)).status == 200
        assert (await json_line(peer))["end"] == "finished"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ((), NEEDED),
        (("Authorization: Basic eDp5",), NEEDED),
        (("Sec-WebSocket-Protocol: hubbub.json",), NEEDED),
        (("Authorization: Bearer",), "the key is not valid"),
        (("Authorization: Bearer screen",), "the key is not valid"),
        (("Authorization: Bearer \u00fc",), "the key is not valid"),
        (("Sec-WebSocket-Protocol: bearer.screen",), "the key is not valid"),
    ],
)
@pytest.mark.parametrize("target", ["/root/json", "/nowhere/json", "/nowhere"])
async def test_a_request_without_a_key_is_told_so_and_ends_its_connection(
    path: Path, headers: tuple[str, ...], reason: str, target: str
) -> None:
    async with (
        web_serving(listeners=asking(path)) as (server, record),
        requesting(server, f"GET {target} HTTP/1.1", HOST, *headers, "", f"GET {target} HTTP/1.1", HOST) as peer,
    ):
        head = await answer(peer)
        assert (head.status, head.headers["WWW-Authenticate"], head.headers["Connection"]) == (401, "Bearer", "close")
        # The second guess has no answer.
        assert await peer.rest() == f"{reason}\n".encode()
        (ending,) = await record.wait_for_refusals()
        assert (ending.code, ending.reason) == (hubbub.EndingCode.UNAUTHENTICATED, reason)


@pytest.mark.parametrize(
    ("name", "target", "reason"),
    [
        ("sensor", "/root/json", "the key sensor may not read"),
        ("deck", "/root/json", "the key deck does not open the room root"),
        ("deck", "/%72oot/json", "the key deck does not open the room root"),
        ("deck", "/ais%2f../json", "the key deck does not open the room ais/.."),
        # Whether such a room exists, it does not say.
        ("deck", "/nowhere/json", "the key deck does not open the room nowhere"),
    ],
)
async def test_a_key_that_does_not_allow_what_is_asked_for_is_told_so(
    path: Path, name: str, target: str, reason: str
) -> None:
    async with web_serving(listeners=asking(path)) as (server, _):
        assert await refusal(server, f"GET {target} HTTP/1.1", HOST, bearer(name)) == (403, reason)


async def test_each_request_of_a_connection_has_its_own_key(path: Path) -> None:
    async with web_serving(listeners=asking(path)) as (server, _), Peer.of(at(server, 1)) as peer:
        for name, status in (("sensor", 403), ("deck", 403), ("screen", 200)):
            await peer.send("\r\n".join([*get("sse", bearer(name)), "", ""]).encode())
            if status == 200:
                assert (await answer(peer)).status == status
            else:
                assert (await said(peer)).startswith(f"the key {name} ")
        await eventually(lambda: len(server.root) == 1)


async def test_an_earlier_key_of_a_connection_does_not_count(path: Path) -> None:
    async with web_serving(listeners=asking(path)) as (server, _), Peer.of(at(server, 1)) as peer:
        await peer.send("\r\n".join([*get("xml", bearer("screen")), "", "", *get("json"), "", ""]).encode())
        assert (await said(peer)).startswith("there is nothing here")
        assert await said(peer) == NEEDED


async def test_a_browser_asks_without_the_key_whether_it_may_ask_with_it(path: Path) -> None:
    page = "Origin: https://boat.example"
    http = hubbub.Http(origins=("https://boat.example",))
    async with web_serving(listeners=asking(path, http=http)) as (server, _):
        preflight = ("OPTIONS /root/json HTTP/1.1", HOST, page, "Access-Control-Request-Headers: authorization")
        async with requesting(server, *preflight) as peer:
            head = await answer(peer)
            assert (head.status, head.headers["Access-Control-Allow-Headers"]) == (204, "authorization")
        async with requesting(server, *get("json", page)) as peer:
            head = await answer(peer)
            # The page can read why.
            assert (head.status, head.headers["Access-Control-Allow-Origin"]) == (401, "https://boat.example")


async def test_the_line_typed_by_hand_has_no_key(path: Path) -> None:
    async with web_serving(listeners=asking(path)) as (server, _), Peer.of(at(server, 1)) as peer:
        await peer.send(b"GET /root/raw\n")
        assert await peer.rest() == f"{NEEDED}\n".encode()


async def test_a_key_in_the_target_is_not_one(path: Path) -> None:
    async with web_serving(listeners=asking(path)) as (server, _):
        target = f"/root/json?access_token={secret_of('screen').decode()}"
        assert await refusal(server, f"GET {target} HTTP/1.1", HOST) == (401, NEEDED)


async def test_a_shared_secret_lets_in_over_http_too(path: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("open sésame\n")
    shared = hubbub.SharedSecret(tmp_path / "secret")
    async with web_serving(listeners=asking(path, authenticate=shared)) as (server, _):
        assert await refusal(server, *get("json", "Authorization: Bearer open sesam")) == (401, "the key is not valid")
        async with Peer.of(at(server, 1)) as peer:
            lines = "\r\n".join([*get("json", "Authorization: Bearer open sésame"), "", ""])
            await peer.send(lines.encode())
            assert (await answer(peer)).status == 200
            await eventually(lambda: len(server.root) == 1)
            (reader,) = server._sessions.readers
            assert str(reader) == peer.name


async def test_a_place_with_keys_needs_no_framing_that_ends_messages(path: Path) -> None:
    async with (
        web_serving(listeners=asking(path)[1:], framing=hubbub.Raw()) as (server, _),
        requesting(server, *get("raw", bearer("screen")), place=0) as peer,
    ):
        assert (await answer(peer)).status == 200


async def test_a_place_with_keys_asks_the_requests_of_a_trusted_proxy_too(path: Path) -> None:
    proxies = hubbub.Networks(["127.0.0.1"])
    async with web_serving(listeners=asking(path, proxies=proxies)) as (server, _), Peer.of(at(server, 1)) as peer:
        await peer.send(b"PROXY TCP4 192.0.2.9 192.0.2.1 4000 80\r\n")
        await peer.send("\r\n".join([*get("raw", bearer("screen")), "", ""]).encode())
        assert (await answer(peer)).status == 200
        await eventually(lambda: len(server.root) == 1)
        (reader,) = server._sessions.readers
        assert str(reader) == "192.0.2.9:4000 (key screen)"


# What is told of it.


async def test_the_name_of_a_key_is_told_and_its_secret_is_not(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with web_serving(listeners=asking(path)) as (server, _):
        async with requesting(server, *get("sse", bearer("screen"))) as peer:
            assert secret_of("screen").decode() not in str(await answer(peer))
            await eventually(lambda: len(server.root) == 1)
            assert "connections with keys: screen 1" in describe(server)
        await eventually(lambda: not server._sessions.readers)
        await refusal(server, *get("sse", "Authorization: Bearer a-wrong-secret"))
    assert f"{peer.name} (key screen) ended: left" in caplog.text
    told = caplog.text + repr([vars(record) for record in caplog.records])
    assert "secret-of" not in told
    assert "a-wrong-secret" not in told


# What a reload takes away.


async def test_a_stream_ends_whose_key_was_taken_away_and_says_why(path: Path) -> None:
    async with (
        web_serving(listeners=asking(path)) as (server, _),
        requesting(server, *get("json", bearer("screen"))) as screen,
        requesting(server, *get("json", bearer("boat"))) as boat,
    ):
        await answer(screen)
        await answer(boat)
        await eventually(lambda: len(server.root) == 2)
        # What a stream does not do, its key need not allow.
        write_keys(path, boat="read")
        assert server.reload()[1] == "connections ended, because their keys do not let them in any more: 1"
        end = {"end": "unauthenticated", "reason": "the key screen is not valid any more", "retry": False}
        assert json.loads(await screen.rest()) == end
        await server.broadcast("Hey")
        assert (await json_line(boat))["message"] == "Hey"


async def test_what_waits_for_a_stream_whose_key_was_taken_away_is_dropped(path: Path) -> None:
    settings = hubbub.Settings(retention=2**20)
    async with (
        web_serving(listeners=asking(path), settings=settings) as (server, _),
        requesting(server, *get("json", bearer("screen")), receive_buffer=4096) as peer,
    ):
        await answer(peer)
        peer.stall()
        await eventually(lambda: len(server.root) == 1)
        (reader,) = server._sessions.readers
        while reader.link.writable:
            await server.broadcast("x" * 10_000)
            await server.root.fan_out.flushed.wait()
        await server.broadcast("unheard")
        write_keys(path)
        server.reload()
        peer.resume()
        *messages, end = (await peer.rest()).splitlines()
        assert {json.loads(line)["message"] for line in messages} == {"x" * 10_000}
        assert json.loads(end)["end"] == "unauthenticated"


async def test_a_key_that_is_taken_away_before_its_stream_begins_begins_none(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = Conversation.hold
    joined: list[object] = []

    async def take_away(conversation: Conversation, arrival: hubbub.Arrival[Any]) -> None:
        await hold(conversation, arrival)
        write_keys(path)
        server.reload()

    monkeypatch.setattr(Conversation, "hold", take_away)
    monkeypatch.setattr(FanOut, "join", lambda *given: joined.append(given))
    async with web_serving(listeners=asking(path)) as (server, _):
        async with requesting(server, *get("sse", bearer("screen"))) as peer:
            await answer(peer)
            assert b"not valid any more" in await peer.rest()
        assert server.statistics().endings == {hubbub.EndingCode.UNAUTHENTICATED: 1}
    assert not joined


# WebSocket.


def offering(name: str) -> list[Any]:
    """The subprotocols that a page offers with a key."""
    return ["hubbub.json", f"bearer.{secret_of(name).decode()}"]


@pytest.mark.parametrize(
    ("name", "role", "left"),
    [("boat", "both", "both"), ("screen", "both", "read"), ("sensor", "both", "write"), ("boat", "read", "read")],
)
async def test_a_client_of_websocket_may_do_what_its_key_and_its_place_allow(
    path: Path, name: str, role: str, left: str
) -> None:
    async with (
        web_serving(listeners=asking(path, role=role, replay="all")) as (server, record),
        socket_of(server, subprotocols=offering(name)) as connection,
    ):
        # The key is not echoed.
        assert connection.subprotocol == "hubbub.json"
        (client,) = await record.wait_for_clients(1)
        assert (client.key, client.role) == (name, left)
        assert (client in server.root) == client.role.hears


async def test_a_key_of_an_earlier_request_does_not_narrow_the_next_one(path: Path) -> None:
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    lines = get("ws", *upgrade, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", bearer("boat"))
    async with web_serving(listeners=asking(path)) as (server, record), Peer.of(at(server, 1)) as peer:
        await peer.send("\r\n".join([*get("json?since=x", bearer("screen")), "", ""]).encode())
        assert (await said(peer)).startswith("since: ")
        await peer.send("\r\n".join([*lines, "", ""]).encode())
        assert (await answer(peer)).status == 101
        (client,) = await record.wait_for_clients(1)
        assert (client.key, client.role) == ("boat", "both")


@pytest.mark.parametrize(("name", "status"), [("nobody", 401), ("deck", 403)])
async def test_a_websocket_without_such_a_key_is_refused_before_it_opens(path: Path, name: str, status: int) -> None:
    async with web_serving(listeners=asking(path)) as (server, record):
        with pytest.raises(InvalidStatus) as refused:
            async with socket_of(server, subprotocols=offering(name)):
                raise NotImplementedError
        assert refused.value.response.status_code == status
        assert not record.clients


async def test_who_may_only_write_by_websocket_is_replayed_nothing(path: Path, tmp_path: Path) -> None:
    heard: list[tuple[str, int]] = []

    async def listen(client: hubbub.Client) -> None:
        heard.extend([(message, len(client.rooms)) async for message in client])

    options: Any = {"settings": hubbub.Settings(retention=4096), "store": hubbub.SqliteStore(tmp_path / "log.db")}
    async with web_serving(listen, listeners=asking(path), **options) as (server, _):
        for number in range(100):
            await server.broadcast(f"{number:0200}")
        async with socket_of(server, "/root/ws?since=all", subprotocols=offering("sensor")) as connection:
            await connection.send("heard")
        await eventually(lambda: heard == [("heard", 0)])


async def test_a_websocket_is_closed_whose_key_was_taken_away_and_told_not_to_come_back(path: Path) -> None:
    async with (
        web_serving(listeners=asking(path)) as (server, record),
        socket_of(server, subprotocols=offering("boat")) as connection,
    ):
        await record.wait_for_clients(1)
        write_keys(path)
        assert len(server.reload()) == 2
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
        assert closed.value.rcvd is not None
        code, reason = closed.value.rcvd.code, closed.value.rcvd.reason
        assert (code, reason) == (1008, "unauthenticated: the key boat is not valid any more")
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.UNAUTHENTICATED


# Real programs.


async def test_curl_reads_with_a_key_and_without_one_says_why_not(path: Path) -> None:
    curl = require_program("curl")
    async with web_serving(listeners=asking(path)) as (server, _):
        await server.broadcast("Hey")
        url = f"http://{server.addresses[1]}/root/raw?since=all&poll=1"
        with_key = await asyncio.to_thread(finish, curl, "-sS", "-H", bearer("screen"), url)
        assert with_key.output == "Hey\n"
        without = await asyncio.to_thread(finish, curl, "-sS", "-w", "%{http_code}", url)
        assert without.output == f"{NEEDED}\n401"
