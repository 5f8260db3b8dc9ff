"""Requests over HTTP, by hand: what a test writes is what goes over the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

import hubbub

from support.helpers import WAIT_TIME, Peer, Record, at, eventually, idle, serving

KIB = 1024

LISTENERS: Any = (
    hubbub.Listener(endpoint=hubbub.Address("127.0.0.1", 0)),
    hubbub.Listener(endpoint=hubbub.Address("127.0.0.1", 0), http=hubbub.Http()),
)
"""A place for lines, and one for HTTP."""

SMALL = hubbub.Settings(retention=64 * KIB, chunk_limit=16 * KIB, unsent_limit=16 * KIB, pace=None, patience=60)
"""Settings with which memory holds little, and nobody waits for a reader."""


def url_of(server: hubbub.Server[Any], room: str = "root") -> str:
    """That of a room at the place for HTTP."""
    return f"http://{server.addresses[1]}/{room}"


def listeners(**options: Any) -> Any:
    """The same places, and what else is so at that for HTTP."""
    return (LISTENERS[0], replace(LISTENERS[1], **options))


@dataclass(frozen=True)
class Answer:
    """The head of an answer: its status and its headers, by their names as they were written."""

    status: int
    headers: dict[str, str]


@asynccontextmanager
async def web_serving(handler: Any = idle, **options: Any) -> AsyncIterator[tuple[hubbub.Server[Any], Record]]:
    """A server for lines and HTTP, unless `listeners` says otherwise."""
    options.setdefault("listeners", LISTENERS)
    # It has no port of its own, as its listeners have.
    async with serving(handler, **options) as served:
        yield served


@asynccontextmanager
async def requesting(server: hubbub.Server[Any], *lines: str, place: int = 1, **options: Any) -> AsyncIterator[Peer]:
    """A peer that has sent a request of these lines, or only its first one for HTTP/1.1 on localhost."""
    if len(lines) == 1:
        lines = (f"{lines[0]} HTTP/1.1", "Host: localhost")
    async with Peer.of(at(server, place), **options) as peer:
        await peer.send("\r\n".join([*lines, "", ""]).encode())
        yield peer


async def answer(peer: Peer) -> Answer:
    """The head of the next answer."""
    async with asyncio.timeout(WAIT_TIME):
        first, *headers = (await peer.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
    return Answer(int(first.split()[1]), dict(header.split(": ", 1) for header in headers))


async def said(peer: Peer) -> str:
    """The body of an error, whose head is to come."""
    headers = (await answer(peer)).headers
    return (await peer.exactly(int(headers["Content-Length"]))).decode().removesuffix("\n")


def post(body: bytes, *headers: str, target: str = "/root", chunked: bool = False) -> bytes:
    """A request that publishes: with its length, or as one chunk."""
    about = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    lines = f"POST {target} HTTP/1.1", "Host: localhost", about, *headers, "", ""
    return "\r\n".join(lines).encode() + (chunk(body) + LAST_CHUNK if chunked else body)


def chunk(data: bytes) -> bytes:
    """A chunk of a body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


async def posted(peer: Peer) -> tuple[int, Any]:
    """The status of the next answer, and what it says: an object, or the words of an error."""
    head = await answer(peer)
    body = await peer.exactly(int(head.headers["Content-Length"]))
    is_json = head.headers["Content-Type"] == "application/json"
    return head.status, json.loads(body) if is_json else body.decode().removesuffix("\n")


async def refusal(server: hubbub.Server[Any], *lines: str, **options: Any) -> tuple[int, str]:
    """The status of the answer to a request, and what it says."""
    async with requesting(server, *lines, **options) as peer:
        head = await answer(peer)
        return head.status, (await peer.exactly(int(head.headers["Content-Length"]))).decode().removesuffix("\n")


async def json_line(peer: Peer) -> dict[str, Any]:
    """The next object of a stream."""
    fields: dict[str, Any] = json.loads(await peer.line())
    return fields


async def event(peer: Peer) -> dict[str, str]:
    """The next server-sent event, field by field; several of the same name are joined as in a browser."""
    fields: dict[str, str] = {}
    while (line := (await peer.line()).decode()) not in ("\n", ""):
        name, _, value = line.removesuffix("\n").partition(": ")
        fields[name] = f"{fields[name]}\n{value}" if name in fields else value
    return fields


@asynccontextmanager
async def socket_of(
    server: hubbub.Server[Any], path: str = "/root/ws", *, place: int = 1, **options: Any
) -> AsyncIterator[ClientConnection]:
    """A client of WebSocket, of a library that is not ours."""
    async with connect(f"ws://{at(server, place).addresses[0]}{path}", proxy=None, **options) as connection:
        yield connection


@asynccontextmanager
async def overwhelmed(
    settings: hubbub.Settings, *asking: str
) -> AsyncIterator[tuple[hubbub.Server[Any], Record, Peer, int]]:
    """A server that has said more than memory holds, and its reader, which took nothing of that; how many messages."""
    async with (
        web_serving(settings=settings) as (server, record),
        requesting(server, *(asking or ["GET /root/json"]), receive_buffer=16 * KIB) as peer,
    ):
        await answer(peer)
        await eventually(lambda: len(server.root) == 1)
        peer.stall()
        for number in range(3000):
            await server.broadcast(f"{number:>6} {'.' * 1000}")
            await server.root.fan_out.flushed.wait()
        yield server, record, peer, 3000
