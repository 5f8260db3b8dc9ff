"""What clients send that they should not: they are told, and the others lose nothing by it."""

from __future__ import annotations

from typing import Any

import pytest

import hubbub

from support.helpers import Peer, serving

LIMIT = 100
# A notice that each of the framings can carry.
SETTINGS = hubbub.Settings(message_limit=LIMIT, notice="[{missed}]")
NOTICE = b"message longer than 100 bytes"


@pytest.mark.parametrize(
    ("framing", "data", "before", "notice"),
    [
        (hubbub.Lines(), b"one\ntwo\n" + b"x" * 101 + b"\nthree\n", b"one\ntwo\n", NOTICE + b"\n"),
        (hubbub.Lines(crlf=True), b"one\r\n" + b"x" * 102, b"one\r\n", NOTICE + b"\r\n"),
        (hubbub.ByteLines(keepends=True), b"one\r\n" + b"x" * 101 + b"\r\n", b"one\r\n", NOTICE + b"\n"),
        (hubbub.Delimited(b"\0"), b"one\0" + b"x" * 101, b"one\0", NOTICE + b"\0"),
        # What it is told has spaces.
        (hubbub.Delimited(b" "), b"one " + b"x" * 101, b"one ", b""),
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
