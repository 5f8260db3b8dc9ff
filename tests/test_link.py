"""One TCP connection from either side: flow control, endings, and what the kernel is told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence

import pytest

import hubbub
from hubbub.link import Link

from helpers import WAIT_TIME, eventually

KIB = 1024


class Plain(Link[bytes]):
    """A link that notes what it is told."""

    def __init__(self, settings: hubbub.Settings) -> None:
        super().__init__(hubbub.ByteLines(), settings, asyncio.get_running_loop())
        self.told: list[object] = []

    @property
    def full(self) -> bool:
        return not self.writable

    def on_opened(self) -> None:
        self.told.append("opened")

    def on_paused(self) -> None:
        self.told.append("paused")

    def on_resumed(self) -> None:
        self.told.append("resumed")

    def on_received(self, messages: Sequence[bytes]) -> None:
        self.told.append(list(messages))

    def on_slowed(self) -> None:
        self.told.append("slowed")

    def on_replies(self, replies: bytes) -> None:
        self.told.append(replies)

    def on_failed(self, error: hubbub.FramingError) -> None:
        self.told.append(error.reason)

    def on_lost(self, error: Exception | None) -> None:
        self.told.append(type(error))


@contextlib.asynccontextmanager
async def linked(settings: hubbub.Settings | None = None) -> AsyncIterator[tuple[Plain, socket.socket]]:
    """A link and the socket at its other end, which holds little."""
    loop = asyncio.get_running_loop()
    link = Plain(settings or hubbub.Settings())
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * KIB)
        await loop.create_connection(lambda: link, *listening.getsockname())
        plain, _ = listening.accept()
    plain.setblocking(False)
    with plain:
        try:
            yield link, plain
        finally:
            link.abort()
            await link.wait_closed()


async def read(plain: socket.socket) -> bytes:
    """All until the end."""
    data = b""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(WAIT_TIME):
        while piece := await loop.sock_recv(plain, 64 * KIB):
            data += piece
    return data


async def fill(link: Plain) -> int:
    """Write until neither the kernel nor the transport has room; the bytes written."""
    size = 0
    while True:
        if link.writable:
            link.write(b"x" * 64 * KIB)
            size += 64 * KIB
            continue
        await asyncio.sleep(0.1)
        if not link.writable:
            return size


@pytest.mark.parametrize("late", [False, True])
async def test_messages_are_told_of_before_they_are_given_out(late: bool) -> None:
    """Whether they are awaited when they come, or asked for when all has come and ended."""
    async with linked() as (link, plain):
        plain.send(b"one\ntwo\nlast")
        plain.shutdown(socket.SHUT_WR)
        if late:
            await eventually(lambda: link.at_end)
        received = []
        while (message := await link.receive()) is not None:
            received.append(message)
        assert received == [b"one", b"two", b"last"]
        assert link.told[0] == "opened"
        told = [batch for batch in link.told if isinstance(batch, list)]
        assert [message for batch in told for message in batch] == received
        assert link.at_end
        assert not link.lost


async def test_a_last_line_whose_end_arrives_with_it_is_received() -> None:
    async with linked() as (link, plain):
        plain.send(b"last")
        plain.shutdown(socket.SHUT_WR)
        await eventually(lambda: link.at_end)
        assert await link.receive_many() == [b"last"]
        assert await link.receive_many() == []


async def test_a_full_inbox_stops_the_reading_and_an_empty_one_resumes_it() -> None:
    async with linked(hubbub.Settings(inbox_limit=8)) as (link, plain):
        plain.send(b"1234567\n")
        await eventually(lambda: not link._transport.is_reading())
        plain.send(b"more\n")
        assert await link.receive_many() == [b"1234567"]
        assert link._transport.is_reading()
        assert await link.receive_many() == [b"more"]


async def test_a_link_is_writable_until_its_transport_holds_something_back() -> None:
    async with linked(hubbub.Settings(unsent_limit=4 * KIB)) as (link, plain):
        size = await fill(link)
        assert link.told[-1] == "paused"
        held_at = link.taken_at()
        await asyncio.sleep(0.02)
        # A socket that takes nothing does not look as if it did.
        assert link.taken_at() == held_at
        link.finish()
        assert await read(plain) == b"x" * size
        # By now the link may be gone: it lingers for a second.
        assert "resumed" in link.told


async def test_a_socket_that_takes_a_little_is_seen_to() -> None:
    async with linked(hubbub.Settings(unsent_limit=4 * KIB)) as (link, plain):
        await fill(link)
        link.write(b"x" * 1024 * KIB)
        before = link.taken_at()
        while link.taken_at() == before:
            with contextlib.suppress(BlockingIOError):
                plain.recv(64 * KIB)
            await asyncio.sleep(0.005)
        assert not link.writable


async def test_finish_ends_the_stream_behind_what_was_written_and_waits_for_the_other_end() -> None:
    async with linked() as (link, plain):
        link.write(b"bye\n")
        link.finish()
        link.finish()
        assert await read(plain) == b"bye\n"
        # What still comes is dropped, so that the end of the connection is no reset.
        plain.send(b"but\n")
        assert await link.receive_many() == []
        assert not link.lost
        plain.shutdown(socket.SHUT_WR)
        await link.wait_closed()
        assert link.told[-1] is type(None)
        link.finish()


async def test_finish_ends_the_connection_at_once_where_the_other_side_has_ended() -> None:
    async with linked() as (link, plain):
        plain.shutdown(socket.SHUT_WR)
        await eventually(lambda: link.at_end)
        link.write(b"bye\n")
        link.finish()
        assert await read(plain) == b"bye\n"
        await link.wait_closed()


async def test_finish_gives_the_other_side_a_while_and_no_more() -> None:
    async with linked(hubbub.Settings(linger_time=0.1)) as (link, plain):
        loop = asyncio.get_running_loop()
        start = loop.time()
        link.finish()
        await link.wait_closed()
        assert 0.05 <= loop.time() - start < 2
        assert plain.recv(10) == b""


async def test_finish_reads_on_where_a_full_inbox_had_stopped_the_reading() -> None:
    async with linked(hubbub.Settings(inbox_limit=1)) as (link, plain):
        plain.send(b"unread\n")
        await eventually(lambda: not link._transport.is_reading())
        link.finish()
        plain.send(b"more\n")
        plain.shutdown(socket.SHUT_WR)
        await link.wait_closed()
        assert plain.recv(10) == b""


@pytest.mark.parametrize("turns", range(3))
async def test_finish_of_a_connection_that_is_reset_is_no_error(turns: int) -> None:
    """Whether the event loop has heard of it or not."""
    async with linked() as (link, plain):
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        plain.close()
        for _ in range(turns):
            await asyncio.sleep(0)
        link.finish()
        await link.wait_closed()


async def test_from_a_lost_connection_all_is_received_that_had_arrived() -> None:
    async with linked() as (link, plain):
        plain.send(b"one\ntwo\npart")
        await eventually(lambda: link._inbox_size > 0)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        plain.close()
        await link.wait_closed()
        await link.wait_closed()
        assert link.told[-1] is ConnectionResetError
        assert await link.receive_many() == [b"one", b"two"]
        assert await link.receive_many() == []


async def test_a_receiver_wakes_when_the_connection_is_lost() -> None:
    async with linked() as (link, _):
        receiving = asyncio.create_task(link.receive())
        await asyncio.sleep(0)
        link.abort()
        assert await receiving is None


async def test_a_receiver_that_is_woken_twice_wakes_once() -> None:
    async with linked() as (link, _):
        receiving = asyncio.create_task(link.receive_many())
        await asyncio.sleep(0)
        link.data_received(b"one\n")
        link.data_received(b"two\n")
        assert await receiving == [b"one", b"two"]


async def test_what_comes_before_a_fault_is_given_out_and_nothing_after_it() -> None:
    async with linked(hubbub.Settings(message_limit=3)) as (link, plain):
        plain.send(b"one\nlonger\ntwo\n")
        assert await link.receive_many() == [b"one"]
        assert link.told[-1] == "message longer than 3 bytes"
        plain.send(b"two\n")
        assert await link.receive_many() == []
        assert await link.receive() is None
