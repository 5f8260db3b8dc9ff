"""The ends of a TLS connection: clean ones, those that break it, and what goes wrong before it begins."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import weakref
from typing import TYPE_CHECKING, Any, cast

import pytest

import hubbub
from hubbub.wire.link import Link
from hubbub.wire.tls_transport import TlsTransport

from support.certificates import CLIENT_HELLO, Certificates, tls_message, tls_record
from support.helpers import Peer, Record, dial, eventually, fall_behind, serving, unread

if TYPE_CHECKING:
    from hubbub.hub.session import Session
    from wire.conftest import Tls

KIB = 1024
MIB = 1024 * KIB

SMALL = {"receive_buffer": 4 * KIB}
"""A peer that soon takes nothing more."""

GARBAGE = b"\x17\x03\x03\x00\x20" + b"x" * 32
"""A record that nobody has encrypted."""

all_versions = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


# Clean ends.


@all_versions
@pytest.mark.parametrize("cut", [False, True])
async def test_g4_the_last_line_counts_at_a_clean_end_and_the_client_still_listens(
    tls: Tls, version: ssl.TLSVersion, cut: bool
) -> None:
    """TLS's own end is one of one direction (RFC 8446, 6.1), be TCP's behind it or not."""

    async def stay(client: hubbub.Client) -> None:
        async for message in client:
            await client.send(f"heard {message}")
        await ended.wait()
        await client.server.broadcast("and on")

    ended = asyncio.Event()
    async with tls.talk(stay, first={"context": tls.certificates.client_context(version=version)}) as at:
        await at.peer.send(b"one\ntwo")
        await at.peer.end()
        if cut:
            at.peer.cut()
        assert await at.peer.line() == b"heard one\n"
        assert await at.peer.line() == b"heard two\n"
        ended.set()
        assert await at.peer.rest() == b"and on\n"
        (ending,) = await at.record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.LEFT


@all_versions
async def test_the_end_that_the_server_makes_is_that_of_tls(tls: Tls, version: ssl.TLSVersion) -> None:
    async def greet(client: hubbub.Client) -> None:
        await client.send("Hello")

    async with tls.talk(greet, first={"context": tls.certificates.client_context(version=version)}) as at:
        assert await at.peer.rest() == b"Hello\n"
        # It is not known yet whether the peer has heard: what it says is dropped.
        await at.peer.send(b"And now?\n")
        await at.peer.end()
        at.peer.cut()
        await at.peer.tcp_ends()
        (ending,) = await at.record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.FINISHED
        assert not at.record.received_from


async def test_a_peer_that_does_not_hear_the_end_is_let_go_of(tls: Tls) -> None:
    async with tls.talk(settings=hubbub.Settings(linger_time=0.05)) as at:
        await at.client.close()
        await at.client.wait_closed()
        assert await at.peer.rest() == b""


async def test_g6_who_is_behind_when_the_server_closes_gets_all_and_a_clean_end(tls: Tls) -> None:
    async with tls.talk(first=SMALL, settings=hubbub.Settings(unsent_limit=4 * KIB)) as at:
        count = await fall_behind(at.client, at.server.root, "x" * 8 * KIB)
        closing = asyncio.create_task(at.server.close())
        assert await at.peer.rest() == count * (b"x" * 8 * KIB + b"\n") + b"server is closing\n"
        await at.peer.end()
        at.peer.cut()
        await closing
        (ending,) = await at.record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.SHUTDOWN


async def test_g5_what_comes_behind_tls_s_own_end_is_dropped(tls: Tls) -> None:
    heard: list[str] = []
    go_home = asyncio.Event()

    async def stay(client: hubbub.Client) -> None:
        heard.extend([message async for message in client])
        await go_home.wait()

    async with tls.talk(stay) as at:
        await at.peer.send(b"Hey\n")
        await at.peer.end()
        await eventually(lambda: heard == ["Hey"])
        await at.peer.send_plain(b"x" * MIB)
        await eventually(lambda: unread(at.client) == 0)
        assert at.transport._incoming.pending == 0
        go_home.set()
        await at.client.wait_closed()


# Connections that break.


@all_versions
@pytest.mark.parametrize("garbage", [False, True])
async def test_g7_only_whole_messages_count_at_an_end_without_that_of_tls_and_before_garbage(
    tls: Tls, version: ssl.TLSVersion, garbage: bool
) -> None:
    """Either may be an attacker's, who has cut the stream."""
    async with tls.talk(clients=2, first={"context": tls.certificates.client_context(version=version)}) as at:
        await at.peer.send(b"whole\npart")
        if garbage:
            await at.peer.send_plain(GARBAGE)
            with pytest.raises((ssl.SSLError, ConnectionResetError)):
                await at.peer.rest()
        else:
            at.peer.cut()
            assert await at.peer.rest() == b""
        (ending,) = await at.record.wait_for_endings()
        assert ending.code is (hubbub.EndingCode.LOST if garbage else hubbub.EndingCode.LEFT)
        await at.server.broadcast("end")
        assert await at.other.line() == b"whole\n"
        assert await at.other.line() == b"end\n"


async def test_an_end_without_that_of_tls_is_heard_behind_what_waits_and_all_of_it_is_answered(tls: Tls) -> None:
    read = asyncio.Event()

    async def answer(client: hubbub.Client) -> None:
        await read.wait()
        while messages := await client.receive_many():
            await client.send_many(messages)

    async with tls.talk(answer, settings=hubbub.Settings(inbox_limit=1)) as at:
        await at.peer.send(b"one\n")
        await eventually(lambda: not at.transport.is_reading())
        at.transport.eof_received()
        read.set()
        assert await at.peer.rest() == b"one\n"
        (ending,) = await at.record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.LEFT


async def test_what_is_written_behind_garbage_goes_nowhere_and_does_not_change_the_reason(tls: Tls) -> None:
    async with tls.talk() as at:
        at.transport.get_buffer(-1)[: len(GARBAGE)] = GARBAGE
        at.transport.buffer_updated(len(GARBAGE))
        # The event loop has yet to say that the connection is gone.
        at.transport.write(b"Hey\n")
        assert await at.record.wait_for_endings() == [
            hubbub.Ending(hubbub.EndingCode.LOST, "decryption failed or bad record mac")
        ]


async def test_g7_garbage_from_a_reader_that_is_behind_ends_it(tls: Tls) -> None:
    async with tls.talk(first=SMALL, settings=hubbub.Settings(unsent_limit=4 * KIB)) as at:
        await fall_behind(at.client, at.server.root, "x" * 100 * KIB)
        await at.peer.send_plain(GARBAGE)
        await eventually(at.transport.is_closing)
        # What is encrypted already still goes out; nothing can be encrypted behind it.
        with pytest.raises((ssl.SSLError, ConnectionResetError)):
            await at.peer.rest()
        (ending,) = await at.record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.LOST
        await at.client.wait_closed()


async def test_g7_a_reset_is_a_lost_connection(tls: Tls) -> None:
    async with tls.talk(clients=2) as at:
        await at.peer.send(b"Hey\n")
        assert await at.other.line() == b"Hey\n"
        at.peer.reset()
        (ending,) = await at.record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.LOST
        assert "reset" in ending.reason.lower()
        await at.server.broadcast("and on")
        assert await at.other.line() == b"and on\n"


async def test_what_is_written_after_a_reset_goes_nowhere(tls: Tls) -> None:
    """The event loop has yet to find out."""
    async with tls.talk() as at:
        at.peer.reset()
        for _ in range(3):
            await at.client.send("x" * 4 * KIB)
            await at.server.broadcast("x" * 4 * KIB)
        await at.record.wait_for_endings()
        await at.client.wait_closed()
        with pytest.raises(hubbub.ConnectionClosed):
            await at.client.send("still there?")


async def test_a_close_after_a_reset_is_an_end_as_well(tls: Tls) -> None:
    async with tls.talk() as at:
        at.peer.reset()
        await at.client.close()
        assert not at.server.clients


async def test_an_abort_ends_it_at_once_and_without_a_clean_end(tls: Tls) -> None:
    async with tls.talk() as at:
        at.transport.abort()
        assert at.transport.is_closing()
        await at.client.wait_closed()
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            await at.peer.rest()


# Handshakes that do not end.


BEGINNING = b"\x16\x03\x01\x02\x00\x01\x00"
"""The first bytes of a ClientHello."""

FAILED = "the TLS handshake failed: "


@pytest.mark.parametrize(
    ("start", "refusal"),
    [
        (BEGINNING, hubbub.Ending(hubbub.EndingCode.LATE, "not let in within 1 s")),
        (b"\0" * 100_000, hubbub.Ending(hubbub.EndingCode.BAD_TLS, FAILED + "what the client sent is not TLS")),
        # What OpenSSL itself refuses.
        (
            tls_record(tls_message(CLIENT_HELLO, b"x" * 28)),
            hubbub.Ending(hubbub.EndingCode.BAD_TLS, FAILED + "length mismatch"),
        ),
    ],
    ids=["a beginning", "garbage", "a bad message"],
)
async def test_g7_who_does_not_shake_hands_is_refused_in_plain_words_and_hears_none(
    tls: Tls, start: bytes, refusal: hubbub.Ending
) -> None:
    observer = Record()
    async with (
        tls.talk(clients=2, observer=observer, settings=hubbub.Settings(handshake_time=1)) as at,
        Peer.of(at.server) as stranger,
    ):
        await stranger.send(start)
        await observer.wait_for_refusals()
        assert observer.refusals == [(hubbub.Address.parse(stranger.name), refusal)]
        assert at.server.statistics().endings == {refusal.code: 1}
        if start == BEGINNING:
            assert await stranger.rest() == b""
        await at.peer.send(b"Hey\n")
        assert await at.other.line() == b"Hey\n"
        assert len(observer.clients) == 2


@pytest.mark.parametrize("how", ["end", "reset"])
async def test_g7_a_client_that_leaves_in_the_middle_of_its_handshake(certificates: Certificates, how: str) -> None:
    async with serving(listeners=[certificates.listener()]) as (server, record):
        async with Peer.of(server) as peer:
            await peer.send(BEGINNING)
            if how == "end":
                peer.end()
            else:
                await eventually(lambda: bool(server.statistics().accepted))
                peer.reset()
            words = {"end": "the client left during the handshake", "reset": "Connection reset by peer"}
            assert await record.wait_for_refusals() == [hubbub.Ending(hubbub.EndingCode.BAD_TLS, FAILED + words[how])]
        assert not record.clients


@pytest.mark.parametrize("framing", [hubbub.Lines(), hubbub.LengthPrefixed(2)], ids=str)
async def test_who_does_not_speak_tls_hears_so_where_text_can_be_said(
    certificates: Certificates, framing: hubbub.Framing[Any]
) -> None:
    async with serving(listeners=[certificates.listener()], framing=framing) as (server, _), Peer.of(server) as peer:
        await peer.send(b"Hey\n")
        words = b"bad-tls: this port speaks TLS, and what the client sent is not TLS\n"
        assert await peer.rest() == (words if framing.textual else b"")


async def test_a_handshake_that_fails_when_nobody_waits_for_it_any_more_is_not_reported(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> weakref.ref[asyncio.Future[None]]:
        loop = asyncio.get_running_loop()
        nobody = cast("Session[Any]", None)
        link = Link(nobody, hubbub.Lines(), hubbub.Settings(), loop)
        transport = TlsTransport(link, certificates.tls().context, None, loop)
        here, there = socket.socketpair()
        await loop.connect_accepted_socket(lambda: transport, here)
        there.close()
        await eventually(transport.handshaken.done)
        return weakref.ref(transport.handshaken)

    future = await fail()
    # asyncio reports an exception that was never retrieved when its future goes.
    await eventually(lambda: gc.collect() >= 0 and future() is None)
    assert not caplog.records


@pytest.mark.parametrize("turns", range(6))
async def test_a_server_that_closes_while_a_handshake_begins_does_not_wait_and_leaves_nothing_behind(
    certificates: Certificates, turns: int
) -> None:
    loop = asyncio.get_running_loop()
    async with serving(listeners=[certificates.listener()]) as (server, record):
        with await dial(server) as plain:
            plain.send(BEGINNING)
            for _ in range(turns):
                await asyncio.sleep(0)
            start = loop.time()
            await server.close()
            assert loop.time() - start < 3
        assert not record.clients
        assert sum(server.statistics().endings.values()) == server.statistics().accepted
