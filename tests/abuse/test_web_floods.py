"""Abuse 42 to 44: clients of WebSocket that flood with frames, or with the heads of giant ones."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

import hubbub
from hubbub.apps.relay import relay
from hubbub.web.frames import BINARY, CONTINUATION, PING, PONG, TEXT
from hubbub.web.reading import WebSession

from support.abuse_tools import KIB, MIB, endings, forget_peak, peak, resident_memory
from support.abuse_web import WebPeer, web_serve
from support.figures import FULL, note, scaled
from support.helpers import Peer, called, eventually, transport_of, waiting_for
from support.turns import Turns, shortest_of
from support.web import LISTENERS, answer, requesting, web_serving
from support.websocket import ASKING, close_code, said

pytestmark = pytest.mark.quiet

FLOOD = scaled(4, 1) * MIB

LONGEST = 0.2
"""The longest turn that is wanted, in seconds. The loop reads 256 KiB at once, in which are 43,000 of the shortest."""

SLACK = 1.0 if FULL else 3.0

FLOODS = {
    # What comes first, and then again and again.
    "pings": (b"", said(PING)),
    "pings of 125 bytes": (b"", said(PING, b"x" * 125)),
    "pongs": (b"", said(PONG)),
    "empty texts": (b"", said(TEXT)),
    "texts of a byte": (b"", said(TEXT, b"x")),
    "texts of 30,000 lines": (b"", said(TEXT, b"\n" * 30_000)),
    "parts of a byte": (
        b"",
        said(TEXT, last=False) + said(CONTINUATION, b"x", last=False) * 60_000 + said(CONTINUATION),
    ),
    "parts of nothing": (said(BINARY, last=False), said(CONTINUATION, last=False)),
}
SHORT_FORM = ("pings", "empty texts")


def parameters(role: str) -> list[Any]:
    short = () if role == "both" else (pytest.mark.long,)
    return [
        pytest.param(flood, role, marks=short if flood in SHORT_FORM else pytest.mark.long, id=f"{flood}, {role}")
        for flood in FLOODS
    ]


async def sent(peer: Peer, data: bytes) -> None:
    """Send it, and hear whatever comes meanwhile."""

    async def hear() -> None:
        while await peer.reader.read(64 * KIB):
            pass

    hearing = asyncio.create_task(hear())
    try:
        # All of it takes more than a moment.
        peer.writer.write(data)
        await peer.writer.drain()
    finally:
        hearing.cancel()
        with suppress(asyncio.CancelledError):
            await hearing


@pytest.mark.parametrize(("flood", "role"), [*parameters("both"), *parameters("read")])
async def test_42_a_flood_of_the_shortest_frames_leaves_time_to_others(flood: str, role: str) -> None:
    first, again = FLOODS[flood]
    data = first + again * (FLOOD // len(again))
    listeners = (LISTENERS[0], replace(LISTENERS[1], role=role))

    async def measure() -> float:
        async with (
            web_serving(relay, listeners=listeners) as (server, record),
            requesting(server, *ASKING) as peer,
        ):
            await answer(peer)
            (client,) = await record.wait_for_clients(1)
            with Turns() as turns:
                await sent(peer, data)
                await eventually(lambda: client.bytes_received >= len(data))
            assert client.ending is None
            return turns.longest

    longest = await shortest_of(scaled(3, 1), measure)
    note(42, f"a flood of {flood}, role {role}: longest turn", f"{longest * 1e3:.0f} ms", f"{LONGEST * 1e3:g} ms")
    assert longest <= SLACK * LONGEST


async def test_43_a_client_that_pings_and_reads_nothing_is_owed_little(monkeypatch: pytest.MonkeyPatch) -> None:
    answered = called(monkeypatch, WebSession, "on_replies")
    limit, count = 16 * KIB, scaled(20_000, 3_000)
    settings = hubbub.Settings(outbox_limit=limit, unsent_limit=4 * KIB)
    async with (
        web_serving(settings=settings) as (server, record),
        requesting(server, *ASKING, receive_buffer=4 * KIB) as peer,
    ):
        await answer(peer)
        peer.stall()
        (client,) = await record.wait_for_clients(1)
        held = 0
        for _ in range(count):
            answered.clear()
            await peer.send(said(PING, b"x" * 125))
            # Each is read by itself.
            await answered.wait()
            held = max(held, waiting_for(client) + transport_of(client).get_write_buffer_size())
        assert not client._reader.link.writable
        note(43, f"{count:,} pings from one that reads nothing: owed", f"{held / KIB:.1f} KiB", f"{limit / KIB:g} KiB")
        # The last one may go beyond, and the socket has taken a part of what is owed.
        assert held <= limit + KIB
        assert client.ending is None


GIANTS = {
    "an exabyte": said(BINARY, size=1 << 60),
    "the highest bit": said(BINARY, size=(1 << 64) - 1),
    "a byte too many": said(TEXT, size=64 * KIB + 1),
    "parts that are too long": said(TEXT, b"x" * 60 * KIB, last=False) + said(CONTINUATION, size=8 * KIB),
}


@pytest.mark.parametrize(
    "giant", ["an exabyte", *(pytest.param(giant, marks=pytest.mark.long) for giant in [*GIANTS][1:])]
)
def test_44_a_giant_frame_is_refused_at_its_head(giant: str) -> None:
    size = scaled(256, 8) * MIB
    with web_serve("relay", "--quiet") as (server, web):
        with WebPeer(web) as peer:
            peer.send(said(TEXT, b"x" * 60 * KIB))
        before = resident_memory(server.pid)
        forget_peak(server)
        with WebPeer(web) as peer:
            peer.send(GIANTS[giant])
            # It is refused while nothing of it has come, and what comes then is not kept.
            (frame,) = peer.frames()
            assert close_code(b"\x88%c" % len(frame.payload) + frame.payload) == 1009
            sent = 0
            with suppress(ConnectionError):
                while sent < size:
                    peer.send(b"x" * MIB)
                    sent += MIB
        memory = peak(server) - before
        note(44, f"{giant}, {sent // MIB} MiB of it: memory", f"{memory / MIB:.2f} MiB", "1.06 MiB")
        assert memory <= MIB + 64 * KIB
        assert endings(server).get("too-long") == 1
