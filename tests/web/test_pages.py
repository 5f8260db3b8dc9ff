"""The pages that show the server: who may see them, and what the small ones say."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from contextlib import AsyncExitStack, nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import hubbub
from hubbub.server.watch import Watch
from hubbub.web.pages import status as status_module
from hubbub.web.requests import Problem, Request
from hubbub.web.watching import check_watcher

from support.certificates import TlsPeer, make_certificates
from support.helpers import Peer, at, eventually
from support.keys import secret_of, write_keys
from support.programs import finish, require_program
from support.stores import SqliteBench, storing
from support.web import (
    LISTENERS,
    SMALL,
    answer,
    listeners,
    overwhelmed,
    posted,
    refusal,
    requesting,
    said,
    socket_of,
    web_serving,
)

HOST = "Host: localhost"
LOCAL_ONLY = (
    "without keys, only programs on this machine may see this, at a place on a loopback address; "
    "the operator of this server can give out keys that may watch"
)


async def status(server: hubbub.Server[Any], query: str = "", *headers: str, place: int = 1) -> Any:
    async with requesting(server, f"GET /status{query} HTTP/1.1", HOST, *headers, place=place) as peer:
        code, fields = await posted(peer)
        assert code == 200, fields
        return fields


def peer_of(host: str, port: int) -> Any:
    return Peer.of(SimpleNamespace(addresses=(hubbub.Address(host, port),)))  # type: ignore[arg-type] # it only dials


# Who may see them.


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1", "127.9.9.9:8080", "[::1]:8080"])
async def test_without_keys_programs_on_this_machine_may_watch(host: str) -> None:
    async with web_serving() as (server, _):
        assert (await refusal(server, "GET /status HTTP/1.1", f"Host: {host}"))[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        ("Host: 192.0.2.1",),
        ("Host: boat.example",),
        (HOST, "X-Forwarded-For: 127.0.0.1"),
        (HOST, "X-Forwarded-Proto: https"),
        (HOST, "X-Forwarded-Host: localhost"),
        (HOST, "X-Forwarded-Port: 80"),
        (HOST, "X-Real-IP: 127.0.0.1"),
        (HOST, "Forwarded: for=127.0.0.1"),
        (HOST, "Via: 1.1 proxy"),
        (HOST, "Origin: https://boat.example"),
        (HOST, "Origin: https://localhost"),
        (HOST, "Sec-Fetch-Site: cross-site"),
        (HOST, "Sec-Fetch-Site: same-site"),
    ],
)
async def test_without_keys_what_is_asked_for_others_or_by_another_name_is_refused(headers: tuple[str, ...]) -> None:
    # Pages of all sites may read rooms.
    places = listeners(http=hubbub.Http(hosts=("boat.example",), origins=("*",)))
    async with web_serving(listeners=places) as (server, _):
        assert await refusal(server, "GET /status HTTP/1.1", *headers) == (403, LOCAL_ONLY)


@pytest.mark.parametrize(
    ("bound", "asked", "code"),
    [
        ("0.0.0.0", "127.0.0.1", 403),
        ("127.0.0.2", "127.0.0.2", 200),
        ("LocalHost", "127.0.0.1", 200),
    ],
)
async def test_without_keys_the_place_must_be_on_a_loopback_address(bound: str, asked: str, code: int) -> None:
    async with (
        web_serving(listeners=listeners(endpoint=hubbub.Address(bound, 0))) as (server, _),
        peer_of(asked, server.addresses[1].port) as peer,
    ):
        await peer.send(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await answer(peer)).status == code


async def test_without_keys_a_descriptor_is_watched_through_a_loopback_address() -> None:
    descriptor = socket.create_server(("0.0.0.0", 0)).detach()
    async with web_serving(listeners=listeners(endpoint=descriptor)) as (server, _):
        assert (await refusal(server, "GET /status"))[0] == 200


@pytest.mark.parametrize(("reached", "code"), [("127.0.0.1", 200), ("192.0.2.1", 403)])
def test_without_keys_a_descriptor_is_watched_through_no_other_address(reached: str, code: int) -> None:
    def about(name: str) -> tuple[str, int]:
        assert name == "sockname"
        return reached, 8080

    link = SimpleNamespace(transport=SimpleNamespace(get_extra_info=about))
    arrival: Any = SimpleNamespace(listener=listeners(endpoint=3)[1], address="127.0.0.1", link=link)
    with nullcontext() if code == 200 else pytest.raises(Problem, match="only programs on this machine"):
        check_watcher(arrival, Request("GET", "/status"))


@pytest.mark.parametrize("told", ["TCP4 127.0.0.1 127.0.0.1 1 2", "TCP4 192.0.2.66 127.0.0.1 1 2", "UNKNOWN"])
async def test_without_keys_nobody_watches_where_proxies_say_who_it_is(told: str) -> None:
    places = listeners(proxies=hubbub.Networks(["127.0.0.1"]))
    async with web_serving(listeners=places) as (server, _), Peer.of(at(server, 1)) as peer:
        await peer.send(f"PROXY {told}\r\nGET /status HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert (await answer(peer)).status == 403


async def test_without_keys_pages_of_the_server_itself_may_watch(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    async with web_serving(listeners=(*LISTENERS, certificates.listener(http=hubbub.Http()))) as (server, _):
        own = "Host: localhost:8080", "Origin: http://localhost:8080", "Sec-Fetch-Site: same-origin"
        assert (await refusal(server, "GET /status HTTP/1.1", *own))[0] == 200
        async with TlsPeer.of(at(server, 2), certificates.client_context()) as peer:
            request = "\r\n".join(["GET /status HTTP/1.1", *own, "", ""])
            await peer.send(request.replace("http:", "https:").encode())
            assert await peer.line() == b"HTTP/1.1 200 OK\r\n"


async def test_without_keys_a_program_need_name_no_host_and_may_send_other_headers() -> None:
    async with web_serving() as (server, _):
        assert (await refusal(server, "GET /status HTTP/1.0", "Viaduct: 7"))[0] == 200


async def test_without_keys_a_unix_socket_may_be_a_descriptor(tmp_path: Path) -> None:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "socket"))
    listening.listen()
    async with web_serving(listeners=listeners(endpoint=listening.detach())):
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "socket"))
        writer.write(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        writer.close()
        await writer.wait_closed()


async def test_through_a_trusted_proxy_nobody_is_on_this_machine() -> None:
    http = hubbub.Http(forwarded=hubbub.Networks(["127.0.0.1"]))
    async with web_serving(listeners=listeners(http=http)) as (server, _):
        assert (await refusal(server, "GET /status HTTP/1.1", HOST, "X-Forwarded-For: 127.0.0.1"))[0] == 403


@pytest.mark.real
async def test_through_a_unix_socket_its_permissions_decide(tmp_path: Path) -> None:
    path = tmp_path / "http.sock"
    async with web_serving(listeners=listeners(endpoint=path)):
        words = ("-sS", "-w", "%{http_code}", "--unix-socket", str(path), "http://localhost/status")
        curl = await asyncio.to_thread(finish, require_program("curl"), *words)
        assert curl.output.endswith("200")


async def test_with_keys_one_that_may_watch_is_needed(tmp_path: Path) -> None:
    keys = hubbub.Keys(write_keys(tmp_path / "keys.toml", desk="watch", boat="read write"))
    async with web_serving(listeners=listeners(authenticate=keys)) as (server, _):
        for name, code in (("desk", 200), ("boat", 403), ("nobody", 401), (None, 401)):
            bearer = [] if name is None else [f"Authorization: Bearer {secret_of(name).decode()}"]
            async with requesting(server, "GET /status HTTP/1.1", HOST, *bearer) as peer:
                head = await answer(peer)
                assert head.status == code
                if code == 403:
                    assert await peer.line() == b"the key boat may not watch\n"
        # Such a key opens no room.
        bearer = [f"Authorization: Bearer {secret_of('desk').decode()}"]
        assert (await refusal(server, "GET /root/json HTTP/1.1", HOST, *bearer))[0] == 403
        # Probes have no key.
        for target in ("/healthz", "/readyz"):
            assert await refusal(server, f"GET {target}") == (200, "ok")


async def test_with_a_shared_secret_who_knows_it_may_watch(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("open sesame\n")
    secret = hubbub.SharedSecret(tmp_path / "secret")
    places = listeners(authenticate=secret, endpoint=hubbub.Address("0.0.0.0", 0))
    async with web_serving(listeners=places) as (server, _), peer_of("127.0.0.1", server.addresses[1].port) as peer:
        await peer.send(b"GET /status HTTP/1.1\r\nHost: 192.0.2.1\r\nAuthorization: Bearer open sesame\r\n\r\n")
        assert (await answer(peer)).status == 200


# The small ones.


async def test_a_page_is_read_and_not_written_and_its_connection_stays() -> None:
    async with web_serving() as (server, _), Peer.of(at(server, 1)) as peer:
        await peer.send(b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2)
        for _ in range(2):
            head = await answer(peer)
            assert (head.status, head.headers["Content-Length"]) == (200, "3")
        await peer.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert await said(peer) == "ok"
        assert await peer.rest() == b""
        # That is the room of this name, which does not exist.
        assert (await refusal(server, "DELETE /healthz"))[0] == 405
        assert (await refusal(server, "GET /healthz/raw"))[0] == 404


async def test_pages_of_other_sites_see_none(tmp_path: Path) -> None:
    async with web_serving() as (server, _):
        for target in ("/healthz", "/readyz", "/status", "/hubbub.js"):
            headers = f"GET {target} HTTP/1.1", HOST, "Origin: https://evil.example"
            assert (await refusal(server, *headers))[0] == 403


async def test_a_server_that_lives_is_ready_unless_its_store_is_out(tmp_path: Path) -> None:
    bench = SqliteBench(tmp_path)
    async with storing(bench, listeners=LISTENERS, store_patience=0.2) as (server, _):
        assert await refusal(server, "GET /readyz") == (200, "ok")
        fields = await status(server)
        assert fields["trouble"] is None
        assert "committed" not in fields["figures"]["store"]
        assert fields["rooms"][0].keys() >= {"committed", "reads"}
        bench.fill()
        await server.broadcast(b"x")
        await eventually(lambda: (store := server.statistics().store) is not None and store.out)
        reason = "the store takes nothing: what is said is kept in memory alone"
        assert await refusal(server, "GET /readyz") == (503, reason)
        assert (await status(server))["trouble"] == reason
        assert await refusal(server, "GET /healthz") == (200, "ok")
        bench.heal()


async def test_the_client_for_browsers_is_for_all_and_a_module_for_pages_of_allowed_origins(tmp_path: Path) -> None:
    page = "https://boat.example"
    keys = hubbub.Keys(write_keys(tmp_path / "keys.toml", boat="read"))
    places = listeners(http=hubbub.Http(origins=(page,)), authenticate=keys, role="write")
    async with web_serving(listeners=places) as (server, _):
        for headers in ((HOST,), (HOST, f"Origin: {page}", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: script")):
            async with requesting(server, "GET /hubbub.js HTTP/1.1", *headers) as peer:
                head = await answer(peer)
                assert (head.status, head.headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
                assert head.headers.get("Access-Control-Allow-Origin") == (page if len(headers) > 1 else None)
                body = await peer.exactly(int(head.headers["Content-Length"]))
                assert b"export async function* subscribe" in body


# The state.


async def test_the_state_has_rooms_and_connections_as_they_are() -> None:
    places = replace(LISTENERS[0], role="write"), LISTENERS[1]
    async with (
        web_serving(listeners=places) as (server, _),
        Peer.of(server) as speaker,
        requesting(server, "GET /root/sse"),
        socket_of(server),
    ):
        alarms = server.room("alarms")
        await eventually(lambda: len(server.root) == 2)
        await alarms.broadcast("fire")
        await server.broadcast("one")
        await speaker.send(b"said")
        await eventually(lambda: max(client.bytes_received for client in server.clients) == 4)
        fields = await status(server)
        assert fields["urls"] == list(server.urls)
        assert fields["places"] == [{"url": url, "room": "root"} for url in server.urls]
        assert fields["figures"]["clients"] == 2
        assert 0 < fields["uptime"] < 60
        root, other = fields["rooms"]
        assert (root["name"], root["readers"], root["position"]) == ("root", 2, str(server.root.head))
        assert (other["name"], other["messages"], other["retained"]["messages"]) == ("alarms", 1, 1)
        assert other["rate"]["messages"] == pytest.approx(1 / 60, abs=0.001)
        assert other["rate"]["bytes"] == pytest.approx(other["bytes"] / 60, abs=0.05)
        assert root.keys() & {"committed", "reads"} == set()
        written = {one["via"]: one for one in fields["connections"]}
        assert set(written) == {"tcp", "sse", "ws"}
        assert (written["tcp"]["name"], written["tcp"]["role"]) == (speaker.name, "write")
        assert {len(one["id"]) for one in written.values()} == {12}
        for via in ("sse", "ws"):
            assert written[via]["rooms"] == 1
            assert written[via]["lag"] == {"messages": 0, "bytes": 0}
            assert written[via]["heard"] == 1
        assert [written["tcp"][name] for name in ("said", "heard", "muted", "key")] == [4, 0, False, None]


async def test_the_state_says_what_memory_still_has() -> None:
    async with overwhelmed(SMALL) as (server, _, _peer, count):
        (room,) = (await status(server))["rooms"]
        log = server.root.fan_out.log
        retained = {"messages": count - log.oldest.seq, "bytes": log.head.offset - log.oldest.offset}
        assert (room["messages"], room["retained"]) == (count, retained)
        assert 0 < room["retained"]["messages"] < count


async def test_the_state_has_the_names_of_keys(tmp_path: Path) -> None:
    keys = hubbub.Keys(write_keys(tmp_path / "keys.toml", desk="watch", boat="read"))
    desk, boat = (f"Authorization: Bearer {secret_of(name).decode()}" for name in ("desk", "boat"))
    async with (
        web_serving(listeners=listeners(authenticate=keys)) as (server, _),
        requesting(server, "GET /root/sse HTTP/1.1", HOST, boat),
    ):
        await eventually(lambda: len(server.root) == 1)
        assert [one["key"] for one in (await status(server, "", desk))["connections"]] == ["boat"]


async def test_the_state_says_how_each_came(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    loopback = hubbub.Address("127.0.0.1", 0)
    tls = certificates.tls()
    places = (hubbub.Listener[Any](endpoint=tmp_path / "socket"), hubbub.Listener[Any](endpoint=loopback, tls=tls))
    async with (
        web_serving(listeners=(*LISTENERS, *places)) as (server, _),
        hubbub.connect(tmp_path / "socket"),
        hubbub.connect(*server.addresses[3], tls=ssl.create_default_context(cafile=certificates.ca)),
        Peer.of(server),
    ):
        await eventually(lambda: len(server.clients) == 3)
        fields = await status(server)
        assert sorted(one["via"] for one in fields["connections"]) == ["tcp", "tls", "unix"]


async def test_the_state_is_given_out_in_parts_and_one_that_ends_meanwhile_is_left_out() -> None:
    async with web_serving(settings=hubbub.Settings(rooms_limit=200)) as (server, _), Peer.of(server):
        for number in range(119):
            server.room(f"room-{number}")
        await eventually(lambda: len(server.clients) == 1)
        first, second = await status(server), await status(server, "?offset=100")
        assert [first["more"], second["more"]] == [True, False]
        names = [room["name"] for fields in (first, second) for room in fields["rooms"]]
        assert names == list(server.rooms)
        assert [len(fields["connections"]) for fields in (first, second)] == [1, 0]
        assert len((await status(server, "?limit=7&offset=2"))["rooms"]) == 7
        assert len((await status(server, "?limit=999999999"))["rooms"]) == 120
        for query, words in (
            ("?limit=1000000000", "limit is '1000000000'; it must be a whole number of up to 9 digits"),
            ("?limit=-1", "limit is '-1'; it must be a whole number of up to 9 digits"),
            ("?limit=%D9%A3", "limit is '\u0663'; it must be a whole number of up to 9 digits"),
            ("?offset=1e3", "offset is '1e3'; it must be a whole number of up to 9 digits"),
            ("?sort=lag", "the parameter 'sort' is not known; use limit, offset"),
        ):
            assert await refusal(server, f"GET /status{query}") == (400, words)


async def test_connections_are_given_out_in_parts_of_a_size_that_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_module, "LARGEST_LIMIT", 2)
    async with web_serving() as (server, record), AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(Peer.of(server))
        await record.wait_for_clients(4)
        for query, count, more in (("?limit=1", 1, True), ("?limit=9", 2, True), ("?limit=9&offset=2", 2, False)):
            fields = await status(server, query)
            assert (len(fields["connections"]), fields["more"]) == (count, more)


async def test_a_connection_that_reads_many_rooms_counts_more_and_one_that_ends_meanwhile_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As many as the rooms, which are written first, leave over.
    monkeypatch.setattr(status_module, "SLICE", 7)
    ended: list[str] = []

    def end(client: hubbub.Client[Any]) -> None:
        ended.append(client.name)
        client._reader.end(hubbub.Ending(hubbub.EndingCode.CLOSED, "it is enough"), deliver=False)

    async with web_serving() as (server, record), AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(Peer.of(server))
        first, second, third = await record.wait_for_clients(3)
        for number in range(5):
            await first.join(f"{number}")
        request = Request("GET", "/status")
        # Behind the first one is a turn of the loop.
        asyncio.get_running_loop().call_soon(end, third)
        readers = [client._reader for client in (first, second, third)]
        watch = Watch(server, lambda: readers, lambda: [""] * len(server.urls))
        shown = await status_module.PAGE.show(request, watch)
        names = [one["name"] for one in json.loads(shown.body)["connections"]]
        assert ended == [third.name]
        assert names == [first.name, second.name]


def test_each_slice_of_a_list_is_a_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_module, "SLICE", 4)
    written: list[int] = []

    def row(number: int) -> dict[str, int]:
        written.append(number)
        return {"number": number}

    writing, turns = status_module._list([1, 1, 1, 1, 5, 1], row, lambda number: number), list[int]()
    with suppress(StopIteration):
        while True:
            # A turn of the loop.
            writing.send(None)
            turns.append(len(written))
    assert (turns, len(written)) == ([2, 4, 5], 6)
