"""Requests that want no stream: what they are answered, and how long a connection may take."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

import hubbub
from hubbub.web.conversation import Conversation

from support.certificates import make_certificates
from support.helpers import Peer, at, eventually
from support.programs import Finished, finish, require_program
from support.web import LISTENERS, answer, refusal, requesting, said, web_serving

NOTHING_HERE = "there is nothing here; the streams of the room root are /root/json, /root/raw, /root/sse, /root/ws"


@pytest.mark.parametrize(
    ("request_line", "status", "reason"),
    [
        ("GET /root", 404, NOTHING_HERE),
        ("GET /root/xml", 404, NOTHING_HERE),
        ("GET /root/raw/", 404, NOTHING_HERE),
        ("GET /root/raw/../../etc/passwd", 404, NOTHING_HERE),
        ("GET /root/__init__", 404, NOTHING_HERE),
        ("GET /../raw", 404, "the room '..' does not exist"),
        ("GET /nowhere/raw", 404, "the room 'nowhere' does not exist"),
        ("GET /root/raw?since=x", 400, None),
        ("GET /root/raw?poll=yes", 400, "poll must be 0 or 1"),
        ("GET /root/raw?sinse=1", 400, "the parameter 'sinse' is not known; use beat, poll, since"),
        ("POST /root/raw", 405, "use one of GET, HEAD, OPTIONS"),
        ("DELETE /root/raw", 405, "use one of GET, HEAD, OPTIONS"),
    ],
)
async def test_what_is_not_there_is_said(request_line: str, status: int, reason: str | None) -> None:
    async with web_serving() as (server, _):
        assert (await refusal(server, request_line))[0] == status
        if reason is not None:
            assert (await refusal(server, request_line))[1] == reason


async def test_rooms_that_the_app_keeps_can_be_read_and_those_of_clients_not() -> None:
    async def join(client: hubbub.Client) -> None:
        await client.join("private")
        await client.join("kept")
        await client.wait_closed()

    async with web_serving(join) as (server, _):
        # Before a client could make it, which keeps none.
        server.room("kept")
        async with Peer.of(server):
            await eventually(lambda: "private" in server.rooms)
            assert (await refusal(server, "GET /private/raw"))[0] == 404
            async with requesting(server, "GET /kept/raw") as peer:
                assert (await answer(peer)).status == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost@evil.example", ""])
async def test_a_name_that_is_not_known_is_refused(host: str) -> None:
    async with web_serving() as (server, _):
        status, reason = await refusal(server, "GET /root/raw HTTP/1.1", f"Host: {host}")
        assert status == 403
        assert reason == f"this server is not known as {host!r}; its operator can --allow-host it"


FOREIGN = "Origin: https://boat.example"


async def test_pages_of_other_sites_read_only_where_they_may() -> None:
    lines = "GET /root/sse HTTP/1.1", "Host: localhost:8080"
    trusting = (LISTENERS[0], replace(LISTENERS[1], http=hubbub.Http(origins=("https://boat.example",))))
    async with web_serving() as (server, _):
        status, reason = await refusal(server, *lines, FOREIGN)
        assert status == 403
        assert reason.startswith("pages of 'https://boat.example' may not read here; the operator")
        async with requesting(server, *lines, "Origin: http://localhost:8080") as peer:
            assert (await answer(peer)).status == 200
    async with web_serving(listeners=trusting) as (server, _):
        async with requesting(server, *lines, FOREIGN) as peer:
            headers = (await answer(peer)).headers
            assert headers["Access-Control-Allow-Origin"] == "https://boat.example"
            assert headers["Access-Control-Expose-Headers"] == "Retry-After"
            assert headers["Vary"] == "Origin"
        asking = (
            "OPTIONS /root/sse HTTP/1.1",
            "Host: localhost",
            FOREIGN,
            "Access-Control-Request-Headers: last-event-id",
        )
        async with requesting(server, *asking) as peer:
            head = await answer(peer)
            assert head.status == 204
            assert head.headers["Access-Control-Allow-Methods"] == head.headers["Allow"] == "GET, HEAD, OPTIONS"
            assert head.headers["Access-Control-Allow-Headers"] == "last-event-id"
            assert "Content-Length" not in head.headers


async def test_a_page_that_may_read_can_read_what_is_wrong() -> None:
    trusting = (LISTENERS[0], replace(LISTENERS[1], http=hubbub.Http(origins=("https://boat.example",))))
    async with (
        web_serving(listeners=trusting) as (server, _),
        requesting(server, "GET /nowhere/sse HTTP/1.1", "Host: localhost", FOREIGN) as peer,
    ):
        head = await answer(peer)
        assert (head.status, head.headers["Access-Control-Allow-Origin"]) == (404, "https://boat.example")


@pytest.mark.parametrize(
    ("site", "what", "status"),
    [
        ("cross-site", "image", 403),
        ("same-site", "empty", 403),
        ("cross-site", "iframe", 403),
        ("cross-site", "document", 200),
        ("same-origin", "empty", 200),
        ("none", "document", 200),
    ],
)
async def test_no_page_of_another_site_has_a_browser_read_for_nothing(site: str, what: str, status: int) -> None:
    lines = "GET /root/raw HTTP/1.1", "Host: localhost", f"Sec-Fetch-Site: {site}", f"Sec-Fetch-Dest: {what}"
    everybody = (LISTENERS[0], replace(LISTENERS[1], http=hubbub.Http(origins=("*",))))
    async with web_serving() as (server, _), requesting(server, *lines) as peer:
        assert (await answer(peer)).status == status
    async with web_serving(listeners=everybody) as (server, _), requesting(server, *lines) as peer:
        assert (await answer(peer)).status == 200


@pytest.mark.parametrize("target", ["//[", "//[x]y/raw", "http://[/raw", "*", "x", "%", "/%00/raw"])
async def test_a_target_that_is_none_ends_nothing(target: str) -> None:
    async with web_serving() as (server, _):
        assert (await refusal(server, f"GET {target}"))[0] == 404
        await eventually(lambda: not server._sessions.arrivals.tasks)


async def test_whatever_fails_concerns_its_connection_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with web_serving(settings=hubbub.Settings(clients_limit=1)) as (server, _):
        with monkeypatch.context() as broken:
            broken.setattr(Conversation, "_answer", None)
            async with requesting(server, "GET /root/raw") as peer:
                assert await peer.rest() == b""
        assert server.statistics().endings == {hubbub.EndingCode.FAILED: 1}
        assert "cannot be let in" in caplog.text
        async with requesting(server, "GET /root/raw") as peer:
            assert (await answer(peer)).status == 200


async def test_one_that_reads_no_answer_is_forgotten() -> None:
    settings = hubbub.Settings(handshake_time=0.3, linger_time=0.2)
    head = b"OPTIONS / HTTP/1.1\r\nHost: localhost\r\nAccess-Control-Request-Headers: "
    asking = head + b"x" * 15_000 + b"\r\n\r\n"
    async with web_serving(settings=settings) as (server, _), Peer.of(at(server, 1), receive_buffer=4096) as peer:
        peer.stall()
        peer.writer.write(asking * 500)
        await eventually(lambda: server.statistics().endings == {hubbub.EndingCode.LATE: 1})
        await eventually(lambda: not server._sessions.arrivals.tasks)


async def test_what_is_no_request_is_said_without_its_bytes() -> None:
    async with web_serving() as (server, _), Peer.of(at(server, 1)) as peer:
        await peer.send(b"\x16\x03\x01\r\n\r\n")
        assert await said(peer) == "illegal request line"


async def test_one_that_was_answered_and_asks_nothing_more_is_not_told_to_anybody() -> None:
    settings = hubbub.Settings(handshake_time=0.3)
    async with web_serving(settings=settings) as (server, record), requesting(server, "GET /nowhere/raw") as peer:
        await said(peer)
        assert await peer.rest() == b""
        await eventually(lambda: server.statistics().endings == {hubbub.EndingCode.FINISHED: 1})
        assert record.refusals == []


async def test_head_has_the_head_of_the_stream_and_nothing_else() -> None:
    async with web_serving() as (server, record):
        async with requesting(server, "HEAD /root/sse") as peer:
            head = await answer(peer)
            assert (head.status, head.headers["Content-Type"]) == (200, "text/event-stream")
            assert await peer.rest() == b""
        async with requesting(server, "HEAD /root/xml") as peer:
            assert (await answer(peer)).status == 404
            peer.end()
            assert await peer.rest() == b""
        await eventually(lambda: server.statistics().endings.get(hubbub.EndingCode.FINISHED, 0) >= 1)
        assert not record.clients


async def test_where_clients_only_write_nobody_reads_over_http() -> None:
    listeners = (LISTENERS[0], replace(LISTENERS[1], role="write"))
    async with web_serving(listeners=listeners) as (server, _):
        assert await refusal(server, "GET /root/raw") == (403, "nobody may read here")


async def test_requests_that_come_at_once_are_answered_one_after_the_other() -> None:
    request = b"GET /nowhere/raw HTTP/1.1\r\nHost: localhost\r\n\r\n"
    async with web_serving() as (server, _), Peer.of(at(server, 1)) as peer:
        await peer.send(request * 200 + b"GET /root/raw?since=all HTTP/1.1\r\nHost: localhost\r\n\r\n" + request)
        for _ in range(200):
            assert await said(peer) == "the room 'nowhere' does not exist"
        assert (await answer(peer)).status == 200
        await eventually(lambda: len(server.root) == 1)
        await server.broadcast("a")
        # Nothing answers what came behind the request for the stream.
        assert await peer.line() == b"a\n"


@pytest.mark.parametrize("request_line", ["OPTIONS /root", "GET /nowhere/raw", "GET /healthz"])
async def test_only_the_last_answer_of_a_connection_says_that_it_ends(request_line: str) -> None:
    async with web_serving() as (server, _), Peer.of(at(server, 1)) as peer:
        for header, told in (("X: y", None), ("Connection: close", "close")):
            await peer.send(f"{request_line} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n".encode())
            headers = (await answer(peer)).headers
            assert headers.get("Connection") == told
            assert "Access-Control-Allow-Headers" not in headers
            await peer.exactly(int(headers.get("Content-Length", 0)))
        assert await peer.rest() == b""


@pytest.mark.parametrize("data", [b"", b"GET /root/raw HTTP/1.1\r\nHost: local"])
async def test_a_request_must_come_in_time(data: bytes) -> None:
    settings = hubbub.Settings(handshake_time=0.2)
    async with web_serving(settings=settings) as (server, record), Peer.of(at(server, 1)) as peer:
        await peer.send(data)
        head, _, words = (await peer.rest()).partition(b"\r\n\r\n")
        assert words == (b"the request did not come within 0.2 s\n" if data else b"")
        assert head.startswith(b"HTTP/1.1 408 Request Timeout\r\n") is bool(data)
        assert (b"\r\nConnection: close" in head) is bool(data)
        (ending,) = await record.wait_for_refusals(1)
        assert ending == hubbub.Ending(hubbub.EndingCode.LATE, "no whole request within 0.2 s")


async def test_a_head_that_is_too_long_is_refused_before_it_has_come() -> None:
    async with web_serving() as (server, record), Peer.of(at(server, 1)) as peer:
        await peer.send(b"GET /root/raw HTTP/1.1\r\nX: " + b"x" * 17 * 1024)
        head = await answer(peer)
        assert (head.status, head.headers["Connection"]) == (431, "close")
        (ending,) = await record.wait_for_refusals(1)
        assert ending.code is hubbub.EndingCode.MALFORMED


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", hubbub.EndingCode.PROBE),
        (b"GET /nowhere/raw HTTP/1.1\r\nHost: localhost\r\n\r\n", hubbub.EndingCode.FINISHED),
    ],
)
async def test_one_that_asks_for_nothing_more_is_forgotten(data: bytes, code: hubbub.EndingCode) -> None:
    async with web_serving() as (server, _):
        async with Peer.of(at(server, 1)) as peer:
            await peer.send(data)
            if data:
                await said(peer)
            peer.end()
            assert await peer.rest() == b""
        await eventually(lambda: server.statistics().endings == {code: 1})
        await eventually(lambda: not server._sessions.arrivals.tasks)


async def test_a_bare_request_is_refused_in_a_line() -> None:
    async with web_serving() as (server, _), Peer.of(at(server, 1)) as peer:
        await peer.send(b"GET /nowhere/raw\n")
        assert await peer.rest() == b"the room 'nowhere' does not exist\n"


async def test_a_server_that_closes_waits_for_no_request() -> None:
    async with web_serving() as (server, _), requesting(server, "GET /nowhere/raw") as peer:
        await said(peer)
        async with asyncio.timeout(5):
            await server.close()
        assert await peer.rest() == b""


async def test_curl_reads_a_room_with_tls_and_without(tmp_path: Path) -> None:
    curl, certificates = require_program("curl"), make_certificates(tmp_path)
    listeners = (LISTENERS[1], certificates.listener(http=hubbub.Http()))
    async with web_serving(listeners=listeners) as (server, _):
        await server.broadcast("a")
        for url, scheme in zip(server.urls, ("http://127.0.0.1:", "https://127.0.0.1:"), strict=True):
            assert url.startswith(scheme)
            command = (curl, "-sS", "--cacert", str(certificates.ca), f"{url}/root/raw?since=all&poll=1")
            assert await asyncio.to_thread(finish, *command) == Finished(0, "a\n", "")
