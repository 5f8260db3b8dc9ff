"""Publishing over HTTP with real parts: curl as the client, and a store on a disk."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import hubbub
from hubbub.apps import relay

from support.helpers import Peer, at, eventually, history_of
from support.programs import Finished, Program, finish, require_program
from support.stores import SqliteBench, storing
from support.web import LISTENERS, answer, post, posted, web_serving


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[hubbub.Server[Any], str]]:
    """A server that publishes lines, and the URL of its root room."""
    framing = hubbub.ByteLines(keepends=True)
    async with web_serving(relay.relay, framing=framing, publish=relay.publish) as (server, _):
        yield server, f"{server.urls[1]}/root"


async def curl(*arguments: str, **options: Any) -> Finished:
    return await asyncio.to_thread(finish, require_program("curl"), "-sS", *arguments, **options)


async def said(server: hubbub.Server[Any]) -> bytes:
    return b"".join([entry.message for entry in await history_of(server.root)])


def messages_in(output: str) -> list[int]:
    """How many messages each answer says that there were."""
    return [json.loads(line)["messages"] for line in output.splitlines()]


async def test_curl_publishes_text_and_several_requests_use_one_connection() -> None:
    async with serving() as (server, url):
        out = await curl("-d", "one", url, "--next", "-sS", "-d", "two", "-w", "%{num_connects}", url)
        assert (out.status, out.errors) == (0, "")
        first, second, connects = out.output.splitlines()
        assert messages_in(f"{first}\n{second}") == [1, 1]
        assert connects == "0"
        assert await said(server) == b"one\ntwo\n"


@pytest.mark.parametrize(
    "how",
    [
        ("--data-binary", "@-"),
        ("-T", "-"),
        ("-X", "POST", "-T", "-"),
        ("-X", "POST", "-T", "-", "-H", "Expect:"),
        ("--data-binary", "@-", "-H", "Expect: 100-continue"),
        ("--data-binary", "@-", "-H", "Transfer-Encoding: chunked"),
        ("--data-binary", "@-", "--http1.0"),
    ],
    ids=" ".join,
)
async def test_curl_publishes_what_it_reads(how: tuple[str, ...]) -> None:
    lines = b"".join(b"line %d\n" % number for number in range(30_000))
    async with serving() as (server, url):
        out = await curl(*how, url, input=lines)
        assert (out.status, out.errors) == (0, "")
        assert messages_in(out.output) == [30_000]
        assert await said(server) == lines


async def test_curl_streams_a_pipe_line_by_line() -> None:
    async with serving() as (server, url), Peer.of(server) as reader:
        await eventually(lambda: len(server.root) == 1)
        command = (require_program("curl"), "-sS", "--no-buffer", "-X", "POST", "-T", ".", url)
        with Program(*command) as pipe:
            for number in range(3):
                pipe.send(b"%d\n" % number)
                assert await reader.line() == b"%d\n" % number
            pipe.end()
            assert await asyncio.to_thread(pipe.wait) == 0
            assert messages_in(pipe.output.rest().decode()) == [3]


async def test_curl_is_told_what_is_wrong() -> None:
    async with serving() as (_, url):
        for arguments, status, words in (
            (("-F", "a=b"), "415", "messages are text here, not multipart/form-data; send text/plain"),
            (("-X", "PATCH", "-d", "x"), "405", "use one of GET, HEAD, OPTIONS, POST, PUT"),
            (("-H", "Origin: https://boat.example", "-d", "x"), "403", None),
        ):
            out = await curl("-w", "%{http_code}", *arguments, url, input=b"x\n" * 100)
            assert (out.status, out.errors) == (0, "")
            assert out.output.endswith(f"\n{status}")
            assert words in (None, out.output.removesuffix(f"\n{status}"))


async def test_a_curl_that_is_killed_publishes_no_part_of_a_line() -> None:
    async with serving() as (server, url):
        with Program(require_program("curl"), "-sS", "-X", "POST", "-T", ".", url) as pipe:
            pipe.send(b"one\ntw")
            await eventually(lambda: server.root.head.seq == 1)
        await eventually(lambda: not server._sessions.arrivals.tasks)
        assert await said(server) == b"one\n"


@pytest.fixture
def bench(tmp_path: Path) -> SqliteBench:
    return SqliteBench(tmp_path)


async def test_where_a_message_is_durable_it_is_created_once_it_is_committed(bench: SqliteBench) -> None:
    async with (
        storing(bench, listeners=LISTENERS, publish=relay.publish, durable="ack") as (server, _),
        Peer.of(at(server, 1)) as peer,
    ):
        await peer.send(post(b"kept\nkept too"))
        status, fields = await posted(peer)
        assert (status, fields["messages"]) == (201, 2)
    async with storing(bench, listeners=LISTENERS) as (server, _):
        assert await said(server) == b"keptkept too"
        assert str(server.root.head) == fields["position"]


@pytest.mark.parametrize(("trouble", "status"), [("fill", 507), ("stall", 503)])
async def test_what_cannot_be_stored_is_to_be_tried_again(bench: SqliteBench, trouble: str, status: int) -> None:
    settings = {"durable": "ack", "store_patience": 0.5}
    async with storing(bench, listeners=LISTENERS, publish=relay.publish, **settings) as (server, _):
        async with Peer.of(at(server, 1)) as peer:
            await peer.send(post(b"first"))
            assert (await posted(peer))[0] == 201
        getattr(bench, trouble)()
        # One that waits, and one that comes when the store is out.
        for _ in range(2):
            async with Peer.of(at(server, 1)) as peer:
                await peer.send(post(b"second"))
                head = await answer(peer)
                assert (head.status, "Retry-After" in head.headers) == (status, True)
                assert b"was delivered and not stored" in await peer.rest()
        bench.heal()
