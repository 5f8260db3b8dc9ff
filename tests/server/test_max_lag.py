"""Readers that are slower than the feed, where their listener says how far they may lag."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import hubbub

from support.helpers import dial, eventually, serving, transport_of

KIB = 1024
LINE = "x" * 1000
INTERVAL = 0.002
"""Seconds between two lines of the feed: about 500 KB a second."""


@asynccontextmanager
async def fed(**options: Any) -> AsyncIterator[tuple[hubbub.Client[Any], socket.socket, hubbub.Server[Any]]]:
    """A client of a feed, whose lines have their numbers; its socket, and its server."""
    settings = hubbub.Settings(when_slow=options.pop("when_slow", "skip"))
    listener = hubbub.Listener[Any](endpoint=hubbub.Address("127.0.0.1", 0), sndbuf=4 * KIB, **options)

    async def feed(server: hubbub.Server[Any]) -> None:
        for number in range(10**9):
            await server.broadcast(f"{number} {LINE}")
            await asyncio.sleep(INTERVAL)

    async with serving(listeners=[listener], settings=settings) as (server, record):
        with await dial(server, receive_buffer=4 * KIB) as plain:
            (client,) = await record.wait_for_clients(1)
            feeding = asyncio.create_task(feed(server))
            try:
                yield client, plain, server
            finally:
                feeding.cancel()


@pytest.mark.parametrize("max_lag", [8 * KIB, timedelta(seconds=0.2)])
async def test_one_who_reads_slowly_hears_what_is_fresh_and_how_much_it_missed(max_lag: Any) -> None:
    heard = b""
    async with fed(max_lag=max_lag) as (client, plain, server):
        async with asyncio.timeout(30):
            while heard.count(b" messages missed]") < 3:
                heard += await asyncio.get_running_loop().sock_recv(plain, KIB)
                # At its own pace, which is far below that of the feed.
                await asyncio.sleep(0.05)
        assert client.ending is None
        head = server.root.head.seq
    following = 0
    for line in heard.splitlines()[:-1]:
        if line.startswith(b"["):
            following += number_in(line)
        else:
            assert number_in(line) == following
            following += 1
    # What the system holds comes on top of the lag: 8 KiB here, and as much there.
    assert head - following < 500


def number_in(line: bytes) -> int:
    """The number of a line, or of the messages that were missed."""
    return int(line.split()[0].strip(b"["))


async def test_one_who_reads_nothing_is_ended_soon_where_that_is_the_policy() -> None:
    async with fed(max_lag=8 * KIB, when_slow="disconnect") as (client, _, _):
        await eventually(lambda: client.ending is not None)
        assert client.ending is not None
        assert client.ending.code is hubbub.EndingCode.SLOW
        assert client.ending.reason.endswith(" bytes) behind, more than its listener allows (max-lag)")


async def test_patience_and_the_send_buffer_are_those_of_the_listener() -> None:
    async with fed(patience=200) as (client, _, _):
        connection = transport_of(client).get_extra_info("socket")
        # The system doubles what it is asked for (socket(7)).
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 8 * KIB
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 4 * KIB
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 200_000
    async with fed(patience=0.2) as (client, _, _):
        await eventually(lambda: client.ending is not None)
        assert client.ending == hubbub.Ending(hubbub.EndingCode.STALLED, "took nothing for 0.2 s")


async def test_a_send_buffer_holds_for_unix_sockets_too(tmp_path: Path) -> None:
    listener = hubbub.Listener[Any](endpoint=tmp_path / "hub.sock", sndbuf=8 * KIB)
    async with serving(listeners=[listener]) as (_, record):
        _, writer = await asyncio.open_unix_connection(tmp_path / "hub.sock")
        (client,) = await record.wait_for_clients(1)
        connection = transport_of(client).get_extra_info("socket")
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 16 * KIB
        # It has no time in which something is to be acknowledged, either.
        client._reader.mute()
        writer.close()
        await writer.wait_closed()


TOO_SMALL = (
    "max_lag is 256; it must be more than 256 bytes, which each message counts beside its own; "
    "for seconds, write timedelta(seconds=256)"
)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_lag": 256}, TOO_SMALL),
        ({"max_lag": timedelta()}, "max_lag is 0:00:00; it must be more than 0"),
        ({"max_lag": 1.5}, "max_lag is 1.5; it must be a number of bytes or a timedelta"),
        ({"max_lag": True}, "max_lag is True; it must be a number of bytes or a timedelta"),
        ({"sndbuf": 0}, "sndbuf is 0; it must be 1 to 2147483647"),
        ({"patience": 0}, "patience is 0; it must be more than 0"),
        ({"tail": "cut"}, "tail is 'cut'; it must be keep or drop"),
    ],
)
def test_a_limit_that_cannot_be_is_an_error(options: dict[str, Any], error: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{re.escape(error)}$"):
        hubbub.Listener(endpoint=hubbub.Address("h", 1), **options)
