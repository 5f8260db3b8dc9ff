"""What clients send that they should not, and how they go: the others lose nothing by it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

import hubbub
from hubbub.framing.telnet import DO, DONT, IAC, IAC_BYTE, SB, SE, WILL, WONT

from support.helpers import Peer, eventually, fall_behind, serving, transport_of

KIB = 1024
LIMIT = 100
SETTINGS = hubbub.Settings(message_limit=LIMIT)
NOTICE = b"message longer than 100 bytes"


async def hears(witness: Peer, *lines: bytes) -> None:
    for line in lines:
        assert await witness.line() == line


# Over-long messages.


@pytest.mark.parametrize(
    ("framing", "data", "before", "notice"),
    [
        (hubbub.Lines(), b"one\ntwo\n" + b"x" * 101, b"one\ntwo\n", NOTICE + b"\n"),
        (hubbub.Lines(), b"one\ntwo\n" + b"x" * 101 + b"\nthree\n", b"one\ntwo\n", NOTICE + b"\n"),
        (hubbub.Lines(crlf=True), b"one\r\n" + b"x" * 102, b"one\r\n", NOTICE + b"\r\n"),
        (hubbub.ByteLines(keepends=True), b"one\r\n" + b"x" * 101 + b"\r\n", b"one\r\n", NOTICE + b"\n"),
        (hubbub.Delimited(b"\0"), b"one\0" + b"x" * 101, b"one\0", NOTICE + b"\0"),
        (hubbub.LengthPrefixed(size=2), b"\0\3one\0\x65", b"\0\3one", b""),
    ],
)
async def test_an_over_long_message_ends_its_sender_with_a_notice_and_those_before_it_count(
    framing: hubbub.Framing[Any], data: bytes, before: bytes, notice: bytes
) -> None:
    async with (
        serving(framing=framing, settings=SETTINGS) as (server, record),
        Peer.of(server) as sender,
        Peer.of(server) as witness,
    ):
        await record.wait_for_clients(2)
        await sender.send(data)
        assert await sender.rest() == notice
        assert await record.wait_for_endings() == [hubbub.Ending(hubbub.EndingCode.TOO_LONG, NOTICE.decode())]
        assert await witness.exactly(len(before)) == before
        assert server.root.head.seq == len(framing.decoder(LIMIT).feed(before))


async def test_a_sender_that_sends_on_and_on_hears_the_notice_too() -> None:
    settings = replace(SETTINGS, linger_time=0.2)
    async with serving(settings=settings) as (server, record), Peer.of(server) as sender:
        await record.wait_for_clients(1)

        async def send_on() -> None:
            try:
                while True:
                    await sender.send(b"x" * 64 * KIB)
            except ConnectionError:
                return

        sending = asyncio.create_task(send_on())
        assert await sender.line() == NOTICE + b"\n"
        # And is ended, if it does not stop.
        await sending


async def test_a_message_without_end_is_never_kept_beyond_its_limit() -> None:
    release = asyncio.Event()

    async def busy(client: hubbub.Client) -> None:
        await release.wait()
        async for _ in client:
            pass

    settings = hubbub.Settings(message_limit=LIMIT, inbox_limit=64 * KIB)
    async with serving(busy, settings=settings) as (server, record), Peer.of(server) as sender:
        (client,) = await record.wait_for_clients(1)
        sender.writer.write(b"x" * 16 * 1024 * KIB)
        link = client._reader.link
        await eventually(lambda: not transport_of(client).is_reading())
        # What one read of the socket gave may be over.
        assert link._inbox_size < settings.inbox_limit + 512 * KIB
        release.set()
        assert await record.wait_for_endings() == [hubbub.Ending(hubbub.EndingCode.TOO_LONG, NOTICE.decode())]
        assert not link._inbox


async def test_an_ending_needs_no_notice_where_the_framing_cannot_carry_it() -> None:
    settings = hubbub.Settings(message_limit=LIMIT, notice="[{missed}]")
    async with (
        serving(framing=hubbub.Delimited(b" "), settings=settings) as (server, record),
        Peer.of(server) as sender,
    ):
        await sender.send(b"x" * 101)
        assert await sender.rest() == b""
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.TOO_LONG


# Ends and losses.


async def test_an_end_within_a_line_delivers_it() -> None:
    async with serving() as (server, record), Peer.of(server) as sender, Peer.of(server) as witness:
        await record.wait_for_clients(2)
        await sender.send(b"one\nlast")
        sender.end()
        await hears(witness, b"one\n", b"last\n")
        assert await sender.rest() == b""
        (ending,) = await record.wait_for_endings()
        assert ending.code is hubbub.EndingCode.LEFT


async def test_an_end_within_a_length_prefixed_message_drops_it() -> None:
    async with (
        serving(framing=hubbub.LengthPrefixed(size=1)) as (server, record),
        Peer.of(server) as sender,
        Peer.of(server) as witness,
    ):
        await record.wait_for_clients(2)
        await sender.send(b"\3one\5part")
        sender.end()
        assert await sender.rest() == b""
        reason = "the stream ended 1 bytes before the end of a message"
        assert await record.wait_for_endings() == [hubbub.Ending(hubbub.EndingCode.INCOMPLETE, reason)]
        await server.broadcast(b"two")
        assert await witness.exactly(8) == b"\3one\3two"


async def test_a_client_that_vanishes_takes_nothing_with_it() -> None:
    async with (
        serving() as (server, record),
        Peer.of(server) as vanishing,
        Peer.of(server) as alice,
        Peer.of(server) as witness,
    ):
        await record.wait_for_clients(3)
        await vanishing.send(b"from the one\n")
        await hears(witness, b"from the one\n")
        vanishing.reset()
        for number in range(100):
            await alice.send(f"{number}\n".encode())
        await hears(witness, *[f"{number}\n".encode() for number in range(100)])
        assert [ending.code for ending in await record.wait_for_endings()] == [hubbub.EndingCode.LOST]


async def test_what_had_arrived_from_a_client_that_is_gone_is_still_received() -> None:
    """A program that sends and exits, such as `nc -N`, may be gone before its handler comes to read."""
    release = asyncio.Event()
    received: list[str] = []

    async def busy(client: hubbub.Client) -> None:
        await release.wait()
        received.extend([text async for text in client])

    async with serving(busy) as (server, record), Peer.of(server) as sender:
        (client,) = await record.wait_for_clients(1)
        await sender.send(b"famous\nlast words\npart")
        await eventually(lambda: client._reader.link._inbox_size > 0)
        sender.reset()
        assert [ending.code for ending in await record.wait_for_endings()] == [hubbub.EndingCode.LOST]
        release.set()
        await server.close()
    assert received == ["famous", "last words"]


async def test_a_reset_while_much_is_being_written_harms_nobody_else() -> None:
    async with (
        serving(settings=hubbub.Settings(unsent_limit=4 * KIB)) as (server, record),
        Peer.of(server, receive_buffer=4 * KIB) as resetting,
        Peer.of(server) as witness,
    ):
        clients = {client.name: client for client in await record.wait_for_clients(2)}
        client = clients[resetting.name]
        resetting.stall()
        line = "x" * 8 * KIB
        count = await fall_behind(client, server.root, line)
        resetting.reset()
        while client.ending is None:
            await server.broadcast(line)
            count += 1
            await asyncio.sleep(0)
        assert client.ending.code is hubbub.EndingCode.LOST
        for _ in range(count):
            assert len(await witness.line()) == len(line) + 1
        assert not client.lag.messages


async def test_clients_that_come_and_go_at_once_harm_nobody() -> None:
    async with serving() as (server, _), Peer.of(server) as witness:

        async def come_and_go(leave: Callable[[Peer], None]) -> None:
            async with Peer.of(server) as peer:
                leave(peer)

        ways: list[Callable[[Peer], None]] = [Peer.reset, Peer.end, lambda _: None]
        visits: list[Coroutine[Any, Any, None]] = [come_and_go(ways[number % 3]) for number in range(60)]
        for visit in visits:
            await visit
            await server.broadcast("tick")
        await hears(witness, *[b"tick\n"] * 60)


# Bytes.


async def test_nul_and_bytes_that_are_no_utf_8_are_carried_and_visible() -> None:
    async with serving() as (server, record), Peer.of(server) as sender, Peer.of(server) as witness:
        await record.wait_for_clients(2)
        await sender.send(b"a\0b\n\xc3(\xe2\x82\n\xf0\x9f\x98\x80\n")
        await hears(witness, b"a\0b\n", "\ufffd(\ufffd\n".encode(), "😀\n".encode())


async def test_bytes_of_any_value_are_carried_untouched_where_messages_are_bytes() -> None:
    everything = bytes(value for value in range(256) if value != 0x0A) + b"\n"
    async with (
        serving(framing=hubbub.ByteLines()) as (server, record),
        Peer.of(server) as sender,
        Peer.of(server) as witness,
    ):
        await record.wait_for_clients(2)
        await sender.send(everything)
        await hears(witness, everything)


NEGOTIATION = (
    bytes([IAC, WILL, 31, IAC, DO, 1])
    + b"he"
    + bytes([IAC, SB, 31, 0, 80, IAC, IAC, 24, IAC, SE])
    + b"ll"
    + bytes([IAC, WONT, 3, IAC, DONT, 3, IAC, 241])
    + b"o\r\n"
)
REFUSALS = IAC_BYTE + bytes([DONT, 31]) + IAC_BYTE + bytes([WONT, 1])


async def test_telnet_negotiation_is_taken_out_and_refused_wherever_it_is_split() -> None:
    async with serving() as (server, record), Peer.of(server) as witness:
        (_,) = await record.wait_for_clients(1)
        for at in range(1, len(NEGOTIATION)):
            async with Peer.of(server) as sender:
                link = (await record.wait_for_clients(at + 1))[-1]._reader.link
                await sender.send(NEGOTIATION[:at])
                # So that the rest comes in a piece of its own.
                await eventually(lambda: not link._inbox_size and link._decoder._telnet is not None)  # type: ignore[attr-defined] # noqa: B023 (it is called here)
                await sender.send(NEGOTIATION[at:])
                await hears(witness, b"hello\n")
                assert await sender.exactly(len(REFUSALS)) == REFUSALS


async def test_a_peer_that_asks_on_and_on_and_reads_no_answer_is_owed_none() -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB, outbox_limit=4 * KIB)
    async with (
        serving(settings=settings) as (server, record),
        Peer.of(server, receive_buffer=4 * KIB) as asking,
        Peer.of(server) as witness,
    ):
        clients = {client.name: client for client in await record.wait_for_clients(2)}
        client = clients[asking.name]
        asking.stall()
        for number in range(20):
            line = f"{number}\n".encode()
            await asking.send(bytes([IAC, DO, 1]) * 2 * KIB + line)
            await hears(witness, line)
            # The last answer may be over the limit.
            assert client._reader.outbox.private_size < 4 * KIB + 8 * KIB
