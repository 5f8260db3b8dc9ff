"""One TCP connection from either side: flow control, endings, and what the kernel is told."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Sequence

import pytest

import hubbub
from hubbub.values.pace import Throttle
from hubbub.wire.link import Link, describe
from hubbub.wire.state import State

from support.helpers import WAIT_TIME, eventually

KIB = 1024


class Owner:
    """Notes what its link tells it."""

    def __init__(self) -> None:
        self.told: list[object] = []

    @property
    def messages(self) -> list[bytes]:
        """What it was told had been received."""
        return [message for batch in self.told if isinstance(batch, list) for message in batch]

    def on_paused(self) -> None:
        self.told.append("paused")

    def on_resumed(self) -> None:
        self.told.append("resumed")

    def on_received(self, messages: Sequence[bytes]) -> None:
        self.told.append(list(messages))

    def on_slowed(self) -> None:
        raise NotImplementedError

    def on_replies(self, replies: bytes) -> None:
        raise NotImplementedError

    def on_failed(self, error: hubbub.FramingError) -> None:
        raise NotImplementedError

    def on_ignored(self) -> None:
        self.told.append("ignored")

    def on_closed(self, error: Exception | None) -> None:
        self.told.append(type(error))


class Plain(Link[bytes]):
    """A link whose owner is in reach."""

    def __init__(self, settings: hubbub.Settings) -> None:
        self.owner = Owner()
        super().__init__(self.owner, hubbub.ByteLines(), settings, asyncio.get_running_loop())


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


def reset(plain: socket.socket) -> None:
    """Reset the connection, as a peer does that has crashed."""
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    plain.close()


async def fill(link: Plain) -> int:
    """Write until neither the kernel nor the transport has room; the bytes written."""
    size = 0
    while True:
        if link.writable:
            link.write([b"x" * 64 * KIB])
            size += 64 * KIB
            continue
        # The kernel moves some from one end to the other, and no event tells when it has moved all it can.
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
        assert link.owner.messages == received
        assert link.at_end
        assert not link.lost


async def test_a_full_inbox_stops_the_reading_and_an_empty_one_resumes_it() -> None:
    async with linked(hubbub.Settings(inbox_limit=8)) as (link, plain):
        plain.send(b"1234567\n")
        await eventually(lambda: not link.transport.is_reading())
        plain.send(b"more\n")
        assert await link.receive_many() == [b"1234567"]
        assert link.transport.is_reading()
        assert await link.receive_many() == [b"more"]


async def test_a_link_is_writable_until_its_transport_holds_something_back() -> None:
    async with linked(hubbub.Settings(unsent_limit=4 * KIB)) as (link, plain):
        size = await fill(link)
        assert link.owner.told[-1] == "paused"
        held_at = link.see_progress()
        await asyncio.sleep(0.02)
        # A socket that takes nothing does not look as if it did.
        assert link.see_progress() == held_at
        link.finish()
        assert await read(plain) == b"x" * size
        # By now the link may be gone: it lingers for a second.
        assert "resumed" in link.owner.told


async def test_more_that_waits_is_not_taken_for_progress() -> None:
    """OpenSSL adds answers of its own."""
    async with linked(hubbub.Settings(unsent_limit=4 * KIB)) as (link, _):
        await fill(link)
        before = link.see_progress()
        unsent = link.transport.get_write_buffer_size()
        link.write([b"x"])
        assert link.transport.get_write_buffer_size() == unsent + 1
        await asyncio.sleep(0.005)
        assert link.see_progress() == before < link.loop.time()


async def test_pieces_are_written_in_their_order_and_hold_the_writer_back_as_one_does() -> None:
    async with linked(hubbub.Settings(unsent_limit=4 * KIB)) as (link, plain):
        pieces = [b"%d" % digit * 64 * KIB for digit in range(10)]
        while link.writable:
            link.write(pieces)
        assert link.owner.told == ["paused"]
        link.finish()
        data = await read(plain)
        assert data == b"".join(pieces) * (len(data) // len(b"".join(pieces)))


async def test_a_socket_that_takes_a_little_is_seen_to() -> None:
    async with linked(hubbub.Settings(unsent_limit=4 * KIB)) as (link, plain):
        await fill(link)
        link.write([b"x" * 1024 * KIB])
        before = link.see_progress()
        while link.see_progress() == before:
            with contextlib.suppress(BlockingIOError):
                plain.recv(64 * KIB)
            await asyncio.sleep(0.005)
        assert not link.writable


async def test_finish_ends_the_stream_behind_what_was_written_and_waits_for_the_other_end() -> None:
    async with linked() as (link, plain):
        link.write([b"bye\n"])
        link.finish()
        link.finish()
        assert await read(plain) == b"bye\n"
        # What still comes is dropped, so that the end of the connection is no reset.
        plain.send(b"but\n")
        assert not await link.receive_many()
        assert not link.lost
        plain.shutdown(socket.SHUT_WR)
        await link.wait_closed()
        assert link.owner.told[-1] is type(None)
        link.finish()


async def test_finish_ends_the_connection_at_once_where_the_other_side_has_ended() -> None:
    async with linked() as (link, plain):
        plain.shutdown(socket.SHUT_WR)
        await eventually(lambda: link.at_end)
        link.write([b"bye\n"])
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
        await eventually(lambda: not link.transport.is_reading())
        link.finish()
        plain.send(b"more\n")
        plain.shutdown(socket.SHUT_WR)
        await link.wait_closed()
        assert plain.recv(10) == b""


@pytest.mark.parametrize("turns", range(3))
async def test_finish_of_a_connection_that_is_reset_is_no_error(turns: int) -> None:
    """Whether the event loop has heard of it or not."""
    async with linked() as (link, plain):
        reset(plain)
        for _ in range(turns):
            await asyncio.sleep(0)
        link.finish()
        await link.wait_closed()


async def test_from_a_lost_connection_all_is_received_that_had_arrived() -> None:
    async with linked() as (link, plain):
        plain.send(b"one\ntwo\npart")
        await eventually(lambda: link._inbox_size > 0)
        reset(plain)
        await link.wait_closed()
        await link.wait_closed()
        assert link.owner.told[-1] is ConnectionResetError
        assert await link.receive_many() == [b"one", b"two"]
        assert not await link.receive_many()


async def test_a_receiver_and_all_who_wait_for_the_end_wake_when_the_connection_is_lost() -> None:
    async with linked() as (link, _):
        waiting = [asyncio.create_task(wait()) for wait in (link.receive, link.wait_closed, link.wait_closed)]
        await asyncio.sleep(0)
        link.abort()
        async with asyncio.timeout(WAIT_TIME):
            assert await asyncio.gather(*waiting) == [None] * 3


# The life of a link.


async def test_a_link_is_open_until_the_peer_ends_its_stream_and_closed_when_both_have() -> None:
    async with linked() as (link, plain):
        states = [link.state]
        assert (link.lost, link.closing) == (False, False)
        plain.shutdown(socket.SHUT_WR)
        await eventually(lambda: link.at_end)
        states.append(link.state)
        assert (link.lost, link.closing) == (False, False)
        link.finish()
        states.append(link.state)
        assert (link.lost, link.closing) == (False, True)
        await link.wait_closed()
        states.append(link.state)
        assert (link.lost, link.closing, link.writable) == (True, True, False)
    assert states == [State.OPEN, State.HALF_CLOSED, State.FINISHING, State.CLOSED]


async def test_a_link_without_a_transport_has_nothing_to_finish_or_to_wait_for_and_can_be_closed() -> None:
    link = Plain(hubbub.Settings())
    assert link.lost
    assert link.closing
    assert not link.writable
    link.finish()
    await link.wait_closed()
    states = [link.state]
    link.connection_lost(None)
    states.append(link.state)
    assert states == [State.OPENING, State.CLOSED]
    assert link.owner.told == [type(None)]


async def test_another_owner_is_told_from_when_it_is_handed_the_link() -> None:
    async with linked() as (link, plain):
        plain.send(b"one\n")
        assert await link.receive() == b"one"
        other = Owner()
        link.hand_to(other, Throttle(None, None))
        plain.send(b"two\n")
        assert await link.receive() == b"two"
        assert (link.owner.messages, other.messages) == ([b"one"], [b"two"])
        link.abort()
        await link.wait_closed()
        assert other.told[-1] is type(None)
        assert link.owner.told == [[b"one"]]


async def test_a_link_that_is_reset_has_the_peer_told_so() -> None:
    async with linked() as (link, plain):
        link.reset()
        await link.wait_closed()
        with pytest.raises(ConnectionResetError):
            await read(plain)


async def test_a_link_without_tls_has_no_name_from_a_certificate() -> None:
    async with linked() as (link, _):
        assert link.certificate_name is None


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "Connection reset by peer"),
        (OSError("broken"), "broken"),
        (OSError(), "OSError"),
        (ValueError("bad"), "bad"),
        (KeyError(), "KeyError"),
    ],
    ids=repr,
)
def test_what_broke_a_connection_is_described_without_numbers(error: Exception, words: str) -> None:
    assert describe(error) == words
