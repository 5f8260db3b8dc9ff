"""How `hubbub top` asks a server for its state, and what it says when there is none."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hubbub
from hubbub.cli import top_asking
from hubbub.cli.target import parse_place
from hubbub.cli.top_asking import LONGEST_PAUSE, PAUSE, SHARE, Asker, NoLookError, pause_after
from hubbub.client.reply import Reply
from hubbub.wire.tls_client import client_context

from support.certificates import make_certificates
from support.helpers import Peer, called, eventually
from support.keys import secret_of, write_keys
from support.web import KIB, LISTENERS, listeners, web_serving


@asynccontextmanager
async def asking(url: str, *, secret: bytes | None = None, context: Any = None) -> AsyncIterator[Asker]:
    """What asks the server with that URL."""
    asker = Asker(parse_place(url), secret, context)
    try:
        yield asker
    finally:
        await asker.close()


async def problem(url: str, **options: Any) -> str:
    """Why the state cannot be shown, without the words that all such messages begin with."""
    async with asking(url, **options) as asker:
        with pytest.raises(NoLookError) as raised:
            await asker.look()
    return str(raised.value).removeprefix(f"cannot watch {asker.target.text}: ")


@asynccontextmanager
async def answering(
    *answers: bytes, begin: Callable[[], None] = lambda: None, taken: asyncio.Event | None = None
) -> AsyncIterator[str]:
    """The URL of a server that gives one answer after the other, on each connection as far as it is asked.

    With `taken`, it writes byte by byte, and each byte once the client has set that event for the one before.
    """
    tasks = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.current_task())
        begin()
        for answer in answers:
            if not await reader.read(64 * KIB):
                break
            if taken is None:
                writer.write(answer)
                continue
            for at in range(len(answer)):
                taken.clear()
                writer.write(answer[at : at + 1])
                await taken.wait()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield "http://{}:{}".format(*server.sockets[0].getsockname())
    await asyncio.gather(*filter(None, tasks))


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """An answer."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""])
    return head.encode() + body


OK = http(b"ok\n")


async def test_a_look_has_what_the_server_has() -> None:
    async with (
        web_serving() as (server, record),
        Peer.of(server) as peer,
        asking(server.urls[1]) as asker,
    ):
        await record.wait_for_clients(1)
        look, pause = await asker.look()
        (row,) = look.connections.values()
        assert (row.name, row.via, row.room) == (peer.name, "tcp", "root")
        assert list(look.rooms) == ["root"]
        assert PAUSE <= pause <= LONGEST_PAUSE
        await peer.send(b"Hey\n")
        await eventually(lambda: record.received_from[peer.name] == ["Hey"])
        again, _ = await asker.look(look)
        (row,) = again.connections.values()
        assert row.said_rate is not None
        assert row.said_rate > 0
        # All of that was one connection.
        assert server.statistics().accepted == 2


async def test_more_rooms_than_an_answer_has_are_asked_for_until_there_is_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with web_serving() as (server, _), asking(server.urls[1]) as asker:
        rooms = [server.room(f"r{number}", keep=True) for number in range(2500)]
        look, _ = await asker.look()
        assert len(look.rooms) == len(rooms) + 1
        assert not look.more
        monkeypatch.setattr(top_asking, "ROWS_LIMIT", 2000)
        look, _ = await asker.look()
        assert len(look.rooms) == 2000
        assert look.more


async def test_a_secret_or_a_key_that_may_watch_is_said(tmp_path: Path) -> None:
    keys = hubbub.Keys(write_keys(tmp_path / "keys.toml", desk="watch", boat="read"))
    async with web_serving(listeners=listeners(authenticate=keys)) as (server, _):
        url = server.urls[1]
        async with asking(url, secret=secret_of("desk")) as asker:
            look, _ = await asker.look()
        assert look.figures["rooms"] == 1
        unknown = "it does not know the secret; ask its operator for a key that may watch"
        assert await problem(url, secret=b"nothing") == unknown
        assert await problem(url, secret=secret_of("boat")) == "the key boat may not watch"
        assert await problem(url) == "it needs a key that may watch; give --secret-file, a file with its secret"


@pytest.mark.parametrize("secret", [b"open\x00sesame", b"a\nb"])
def test_a_secret_that_http_cannot_say_is_an_error(secret: bytes) -> None:
    with pytest.raises(ValueError, match="the secret has characters that a header of HTTP cannot have"):
        Asker(parse_place("http://localhost"), secret, None)


async def test_a_name_that_the_server_does_not_have_is_refused_in_its_words() -> None:
    places = listeners(endpoint=hubbub.Address("0.0.0.0", 0))
    async with web_serving(listeners=places) as (server, _):
        words = await problem(f"http://127.0.0.1:{server.addresses[1].port}")
        assert words.startswith("without keys, only programs on this machine may see this, ")


async def test_https_checks_the_certificate(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    place = replace(LISTENERS[1], tls=certificates.tls())
    async with web_serving(listeners=(LISTENERS[0], place)) as (server, _):
        url = f"https://{server.addresses[1]}"
        async with asking(url, context=client_context(certificates.ca)) as asker:
            look, _ = await asker.look()
        assert look.figures["rooms"] == 1
        words = await problem(url, context=client_context())
        assert words.startswith("its certificate is not trusted: ")
        assert words.endswith("; give --ca, or check the URL")
    async with answering(b"Hey, this is no TLS\n") as plain:
        words = await problem(plain.replace("http", "https"), context=client_context())
    assert words == "TLS with it cannot begin: what the server sent is not TLS; check the URL"


NOT_HTTP = "it does not speak HTTP; give the URL of a place that speaks HTTP (hubbub serve --listen http://HOST:PORT)"
BROKEN_OFF = "it closes the connection in the middle of an answer; check the URL"
NO_STATE = "what it answers is not the state of a hubbub; check the URL"


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([b"Welcome to the chat!\n"], NOT_HTTP),
        ([b""], NOT_HTTP.replace("it does not speak HTTP", "it closes the connection without an answer")),
        ([OK, OK], NO_STATE),
        ([OK, http(b"{}")], NO_STATE),
        ([OK, http(b'{"more": true}'), http(b"{}")], NO_STATE),
        ([OK, http(b"x" * 3000)], NO_STATE),
        (
            [OK, b"HTTP/1.0 404 Not Found\r\n\r\nends with the connection"],
            "it has no page /status; no hubbub is there, or an older one: check the URL",
        ),
        ([OK, http(b"\x1b[2J away\nx", "503 Nope")], r"it answers 503: \x1b[2J away; check the URL"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"], BROKEN_OFF),
        ([b"HTTP/1.1 200 OK\r\nConte"], BROKEN_OFF),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{"], NOT_HTTP),
    ],
)
async def test_what_is_no_look_is_told(answers: list[bytes], words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_asking, "SIZE_LIMIT", 2000)
    async with answering(*answers) as url:
        assert await problem(url) == words


async def test_a_connection_that_is_reset_is_told() -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        Peer(reader, writer).reset()

    async with await asyncio.start_server(reset, "127.0.0.1", 0) as server:
        url = "http://{}:{}".format(*server.sockets[0].getsockname())
        assert await problem(url) == "Connection reset by peer; check the URL"


async def test_an_answer_that_is_too_long_leaves_the_next_look_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_asking, "SIZE_LIMIT", 2000)
    async with answering(OK, http(b"x" * 3000)) as url, asking(url) as asker:
        for _ in range(2):
            with pytest.raises(NoLookError, match="not the state"):
                await asker.look()


async def test_an_answer_may_come_byte_by_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = called(monkeypatch, Reply, "feed")
    async with answering(OK, http(b"", "404 Not Found"), taken=taken) as url:
        assert (await problem(url)).startswith("it has no page /status; ")


async def test_what_comes_before_the_answer_is_skipped() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    async with answering(early + OK, early + http(b"", "404 Not Found")) as url:
        assert (await problem(url)).startswith("it has no page /status; ")


async def test_a_connection_that_ended_meanwhile_is_made_again() -> None:
    connections: list[None] = []
    state = http(b"{}")
    async with answering(OK, state, begin=lambda: connections.append(None)) as url, asking(url) as asker:
        for number in range(1, 3):
            with pytest.raises(NoLookError, match="not the state"):
                await asker.look()
            assert len(connections) == number
    # That of a server that wants no second request is not used again.
    last = http(b"ok\n", "200 OK", "Connection: close")
    async with answering(last, begin=lambda: connections.append(None)) as url:
        assert await problem(url) == NO_STATE
    assert len(connections) == 4


async def test_a_server_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_asking, "TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = "http://{}:{}".format(*listening.getsockname())
        assert await problem(url) == "the server does not answer; check the URL"


async def test_where_nobody_listens_is_told_at_each_address_of_a_name() -> None:
    async with answering() as url:
        pass
    for host in ("127.0.0.1", "localhost"):
        there = url.replace("127.0.0.1", host)
        assert await problem(there) == f"Connection refused; start a server with --listen {there}, or check the URL"


@given(st.floats(0, 1000))
def test_a_server_spends_no_more_than_its_share_on_answers(busy: float) -> None:
    pause = pause_after(busy)
    assert PAUSE <= pause <= LONGEST_PAUSE
    assert pause == LONGEST_PAUSE or busy <= SHARE * (busy + pause) + 1e-9
