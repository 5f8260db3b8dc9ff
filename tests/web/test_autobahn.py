"""The cases of Autobahn's test suite for WebSocket, under its numbers, with messages echoed as they are.

The suite itself (autobahntestsuite 0.8.2) needs Python 2.7. With it all cases of 1 to 7, 9 and 10 pass, at a place of
text or at a binary one as they need it, but 2.10 and, at times, 2.11. Those of 12 and 13 are about compression, which
is off. What differs:

- 2.10, 2.11: of pings that come together the newest alone is answered, as RFC 6455 (5.5.3) allows.
- 3.2, 3.3, 4.1.3, 4.1.4, 4.2.3, 4.2.4, 5.15: a message that comes together with the frame that ends the connection is
  heard, but may not be answered any more. The suite calls that non-strict.
- 6.4: text is checked once all of it is there, and not while it comes. Non-strict too.
- 1.2.1: where messages are text, an empty binary message comes back as an empty text.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

import pytest

import hubbub
from hubbub.web.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from hubbub.wire.link import Link

from support.helpers import WAIT_TIME, Peer, called
from support.web import answer, requesting, web_serving
from support.websocket import ASKING, Ear, Heard, said

KIB = 1024

# Text has line ends and NUL in it, and is to come back as it is.
FRAMINGS: tuple[hubbub.Framing[Any], ...] = (hubbub.Delimited(b"<end of message>"), hubbub.LengthPrefixed(4))
LISTENERS = [
    hubbub.Listener(endpoint=hubbub.Address("127.0.0.1", 0), framing=framing, http=hubbub.Http())
    for framing in FRAMINGS
]

HELLO = b"Hello, world!"
PARTS = (b"fragment1", b"fragment2", b"fragment3", b"fragment4")


class Case(NamedTuple):
    """What one case does.

    Attributes:
        steps: what is said, and what is heard before the next step.
        code: the close code that ends it after the last step; None: the client ends it, as it should.
        singly: whether it is said byte by byte.
    """

    steps: tuple[tuple[bytes, tuple[Heard, ...]], ...]
    code: int | None = None
    singly: bool = False


def echo(opcode: int, payload: bytes, *, part: int = 0, singly: bool = False) -> Case:
    """A message that comes back, said in parts of so many bytes."""
    pieces = [payload[at : at + part] for at in range(0, len(payload), part)] if part else [payload]
    return in_parts(opcode, pieces, singly=singly)


def in_parts(opcode: int, pieces: list[bytes], *, singly: bool = False) -> Case:
    return Case(((parts(opcode, pieces), (Heard(opcode, b"".join(pieces)),)),), singly=singly)


def many(opcode: int, payload: bytes) -> Case:
    return Case(((said(opcode, payload) * 1000, (Heard(opcode, payload),) * 1000),))


def parts(opcode: int, pieces: Iterable[bytes], *, between: bytes = b"") -> bytes:
    """A message in several frames, with something else between them."""
    *first, last = pieces
    frames = [said(CONTINUATION if at else opcode, piece, last=False) for at, piece in enumerate(first)]
    return between.join([*frames, said(CONTINUATION if first else opcode, last)])


def fails(*frames: bytes, code: int = 1002, after: bytes = b"", singly: bool = False) -> Case:
    """The connection fails at these frames; after a text that is echoed, where there is one."""
    before = ((said(TEXT, after), (Heard(TEXT, after),)),) if after else ()
    return Case((*before, (b"".join(frames), ())), code, singly)


def pings(*payloads: bytes, singly: bool = False) -> Case:
    wire = b"".join(said(PING, payload) for payload in payloads)
    return Case(((wire, (Heard(PONG, payloads[-1]),)),), singly=singly)


def ends(*frames: bytes, code: int = 1000) -> Case:
    """The client ends the connection, and is answered with that code and with nothing else."""
    return Case(((b"".join(frames), ()),), code)


def closing(code: int, reason: bytes = b"") -> bytes:
    return said(CLOSE, code.to_bytes(2, "big") + reason)


def numbered(group: str, cases: Iterable[Case]) -> dict[str, Case]:
    return {f"{group}.{number}": case for number, case in enumerate(cases, 1)}


SIZES = (0, 125, 126, 127, 128, 65535, 65536)
MESSAGES = {
    **numbered("1.1", [*(echo(TEXT, b"*" * size) for size in SIZES), echo(TEXT, b"*" * 65536, part=997)]),
    **numbered("1.2", [*(echo(BINARY, b"\xfe" * size) for size in SIZES), echo(BINARY, b"\xfe" * 65536, part=997)]),
}

PINGS = {
    "2.1": pings(b""),
    "2.2": pings(HELLO),
    "2.3": pings(bytes.fromhex("00fffefdfcfb00ff")),
    "2.4": pings(b"\xfe" * 125),
    "2.5": fails(said(PING, b"\xfe" * 126)),
    "2.6": pings(b"\xfe" * 125, singly=True),
    "2.7": Case(((said(PONG), ()),)),
    "2.8": Case(((said(PONG, b"unsolicited"), ()),)),
    "2.9": Case(((said(PONG, b"unsolicited") + said(PING, HELLO), (Heard(PONG, HELLO),)),)),
    # In one piece: the newest. The suite wants all ten.
    "2.10": pings(*(b"payload-%d" % number for number in range(10))),
    "2.11": Case(tuple((said(PING, b"%d" % number), (Heard(PONG, b"%d" % number),)) for number in range(10))),
}

RESERVED = {
    "3.1": fails(said(TEXT, HELLO, reserved=0x10)),
    "3.2": fails(said(TEXT, HELLO, reserved=0x20), said(PING), after=HELLO),
    "3.3": fails(said(TEXT, HELLO, reserved=0x30), said(PING), after=HELLO),
    "3.4": fails(said(TEXT, HELLO, reserved=0x40), said(PING), after=HELLO, singly=True),
    "3.5": fails(said(BINARY, b"\0\xff", reserved=0x50)),
    "3.6": fails(said(PING, HELLO, reserved=0x60)),
    "3.7": fails(said(CLOSE, reserved=0x70)),
}

OPCODES = {
    f"4.{group}.{number}": fails(
        said(first + number, HELLO if number % 2 == 0 else b""),
        said(PING),
        after=HELLO if number > 2 else b"",
        singly=number == 5,
    )
    for group, first in ((1, 2), (2, 10))
    for number in range(1, 6)
}

BEGUN, ONE_AND_TWO = said(TEXT, PARTS[0], last=False), (Heard(TEXT, b"".join(PARTS[:2])),)
LOST, LOST_AND_LAST = said(CONTINUATION, PARTS[2], last=False), said(CONTINUATION, PARTS[2])
WITH_PING = ((parts(TEXT, PARTS[:2], between=said(PING, HELLO)), (Heard(PONG, HELLO), *ONE_AND_TWO)),)
WITH_PINGS = (
    (BEGUN + said(CONTINUATION, PARTS[1], last=False) + said(PING, b"1"), (Heard(PONG, b"1"),)),
    (LOST + said(PING, b"2") + said(CONTINUATION, PARTS[3]), (Heard(PONG, b"2"), Heard(TEXT, b"".join(PARTS)))),
)
FRAGMENTS = {
    "5.1": fails(parts(PING, PARTS[:2])),
    "5.2": fails(parts(PONG, PARTS[:2])),
    **{f"5.{number}": Case(((parts(TEXT, PARTS[:2]), ONE_AND_TWO),), singly=number == 5) for number in (3, 4, 5)},
    **{f"5.{number}": Case(WITH_PING, singly=number == 8) for number in (6, 7, 8)},
    **{f"5.{number}": fails(LOST_AND_LAST, said(TEXT, HELLO), singly=number == 11) for number in (9, 10, 11)},
    **{f"5.{number}": fails(LOST, said(TEXT, HELLO), singly=number == 14) for number in (12, 13, 14)},
    "5.15": Case(((parts(TEXT, PARTS[:2]), ONE_AND_TWO), (LOST + said(TEXT, PARTS[3]), ())), 1002),
    "5.16": fails(LOST, parts(TEXT, PARTS[1:3]), LOST, parts(TEXT, PARTS[1:3])),
    "5.17": fails(LOST_AND_LAST, parts(TEXT, PARTS[1:3]), LOST_AND_LAST, parts(TEXT, PARTS[1:3])),
    "5.18": fails(BEGUN, said(TEXT, PARTS[1])),
    **{f"5.{number}": Case(WITH_PINGS, singly=number == 20) for number in (19, 20)},
}

GREEK = bytes.fromhex("cebae1bdb9cf83cebcceb5")
BEYOND, SURROGATE = bytes.fromhex("f4908080"), bytes.fromhex("eda080")
MIDDLE, WRONG = b"middle frame payload", GREEK + SURROGATE + b"edited"
SPLITS = ((GREEK, BEYOND, b"edited"), (GREEK + BEYOND[:1], BEYOND[1:], b"edited"), (GREEK + BEYOND + b"edited",))
# Those of Markus Kuhn's test of UTF-8 decoders.
CUT_SHORT = "c0 e080 f08080 f8808080 fc80808080 df efbf f7bfbf fbbfbfbf fdbfbfbfbf"
HIGH, LOW = ("eda080", "edadbf", "edae80", "edafbf"), ("edb080", "edbfbf")
STARTS = ((0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7), (0xF8, 0xFB), (0xFC, 0xFD))
NONCHARACTERS = [chr(plane << 16 | low).encode().hex() for plane in range(17) for low in (0xFFFE, 0xFFFF)]
SEQUENCES = {
    "6.5": " ".join(text.encode().hex() for text in (*(f"hello{sign}world" for sign in "$¢€𤭢"), GREEK.decode())),
    "6.6": " ".join(GREEK[:size].hex() for size in range(1, len(GREEK) + 1)),
    "6.7": "00 c280 e0a080 f0908080",
    "6.8": "f888808080 fc8480808080",
    "6.9": "7f dfbf efbfbf f48fbfbf",
    "6.10": "f7bfbfbf fbbfbfbfbf fdbfbfbfbfbf",
    "6.11": "ed9fbf ee8080 efbfbd f48fbfbf f4908080",
    "6.12": f"80 bf 80bf 80bf80 80bf80bf 80bf80bf80 80bf80bf80bf {bytes(range(0x80, 0xBF)).hex()}",
    "6.13": " ".join("".join(f"{byte:02x}20" for byte in range(*start)) for start in STARTS),
    "6.14": CUT_SHORT,
    "6.15": CUT_SHORT.replace(" ", ""),
    "6.16": "fe ff fefeffff",
    "6.17": "c0af e080af f08080af f8808080af fc80808080af",
    "6.18": "c1bf e09fbf f08fbfbf f887bfbfbf fc83bfbfbfbf",
    "6.19": "c080 e08080 f0808080 f880808080 fc8080808080",
    "6.20": " ".join([*HIGH, "edb080 edbe80 edbfbf"]),
    "6.21": " ".join(high + low for high in HIGH for low in LOW),
    "6.22": " ".join(NONCHARACTERS),
    "6.23": " ".join(chr(code).encode().hex() for code in range(0xFFF9, 0x10000)),
}
VALID = {"6.5", "6.7", "6.9", "6.11", "6.22", "6.23", *(f"6.6.{size}" for size in (2, 5, 7, 9, 11))}


def sequence(group: str, number: int, payload: bytes) -> Case:
    is_valid = (group in VALID or f"{group}.{number}" in VALID) and payload != BEYOND
    return echo(TEXT, payload) if is_valid else fails(said(TEXT, payload), code=1007)


UTF8 = {
    **numbered("6.1", [in_parts(TEXT, each) for each in ([b""], [b""] * 3, [b"", MIDDLE, b""])]),
    **numbered("6.2", [echo(TEXT, GREEK, part=part) for part in (0, 5, 1, 1)]),
    **numbered("6.3", [fails(parts(TEXT, each), code=1007) for each in ([WRONG], list(WRONG.partition(SURROGATE)))]),
    **numbered("6.4", [fails(parts(TEXT, each), code=1007, singly=len(each) == 1) for each in (*SPLITS, SPLITS[-1])]),
    **{
        f"{group}.{number}": sequence(group, number, bytes.fromhex(text))
        for group, texts in SEQUENCES.items()
        for number, text in enumerate(texts.split(), 1)
    },
}

VALID_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
INVALID_CODES = (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999)
CLOSES = {
    "7.1.1": echo(TEXT, HELLO),
    "7.1.2": ends(closing(1000), closing(1000)),
    "7.1.3": ends(closing(1000), said(PING)),
    "7.1.4": ends(closing(1000), said(TEXT, HELLO)),
    "7.1.5": ends(BEGUN, closing(1000), said(CONTINUATION, PARTS[1])),
    "7.1.6": ends(said(TEXT, b"BAsd7&jh23" * 500), closing(1000), said(PING)),
    "7.3.1": ends(said(CLOSE)),
    "7.3.2": ends(said(CLOSE, b"a"), code=1002),
    "7.3.3": ends(closing(1000)),
    "7.3.4": ends(closing(1000, HELLO)),
    "7.3.5": ends(closing(1000, b"*" * 123)),
    "7.3.6": ends(closing(1000, b"*" * 124), code=1002),
    "7.5.1": ends(closing(1000, WRONG), code=1007),
    **numbered("7.7", [ends(closing(code), code=code) for code in VALID_CODES]),
    **numbered("7.9", [ends(closing(code), code=1002) for code in INVALID_CODES]),
    **numbered("7.13", [ends(closing(code), code=1002) for code in (5000, 65535)]),
}

# The suite goes up to 16 MiB.
LARGEST = 256 * KIB
LARGE = {"10.1.1": echo(TEXT, b"*" * 65536, part=1300)}
for odd, opcode in ((1, TEXT), (2, BINARY)):
    LARGE |= numbered(f"9.{odd}", [echo(opcode, b"*" * size) for size in (64 * KIB, LARGEST)])
    LARGE |= numbered(f"9.{odd + 2}", [echo(opcode, b"*" * LARGEST, part=64 << 2 * power) for power in range(7)])
    # Said in pieces of few bytes.
    LARGE |= numbered(f"9.{odd + 4}", [echo(opcode, b"*" * 2 * KIB, singly=True)])
    LARGE |= numbered(f"9.{odd + 6}", [many(opcode, b"*" * size) for size in (0, 16, 64, 256)])


async def echoing(client: hubbub.Client[bytes]) -> None:
    while messages := await client.receive_many():
        await client.send_many(messages)


async def check(server: hubbub.Server[Any], case: Case, read: asyncio.Event) -> None:
    """Go through a case at the place where its messages come back as they are."""
    place = 1 if any(frame.opcode == BINARY for _, heard in case.steps for frame in heard) else 0
    async with requesting(server, *ASKING, place=place) as peer:
        await answer(peer)
        ear = Ear()
        for wire, expected in case.steps:
            await say(peer, wire, read, singly=case.singly)
            heard: list[Heard] = []
            async with asyncio.timeout(WAIT_TIME):
                while len(heard) < len(expected):
                    heard += hear(ear, await peer.reader.read(64 * KIB))
            assert heard == list(expected)
        if case.code is None:
            await peer.send(closing(1000))
        (last,) = hear(ear, await peer.rest())
        assert (last.opcode, int.from_bytes(last.payload[:2], "big")) == (CLOSE, case.code or 1000)


def hear(ear: Ear, data: bytes) -> list[Heard]:
    """The frames but those that show that the connection lives, which come at any time."""
    return [frame for frame in ear.hear(data) if frame.opcode != PING]


async def say(peer: Peer, wire: bytes, read: asyncio.Event, *, singly: bool) -> None:
    """Say it; byte by byte, so that the server reads each by itself, or at once."""
    for piece in [wire[at : at + 1] for at in range(len(wire))] if singly else [wire]:
        read.clear()
        await peer.send(piece)
        async with asyncio.timeout(WAIT_TIME):
            await read.wait()


ALL = (MESSAGES, PINGS, RESERVED, OPCODES, FRAGMENTS, UTF8, CLOSES, LARGE)


@pytest.mark.parametrize("cases", ALL, ids=lambda cases: max(cases).partition(".")[0])
async def test_the_cases_of_autobahn(cases: dict[str, Case], monkeypatch: pytest.MonkeyPatch) -> None:
    read = called(monkeypatch, Link, "data_received")
    settings = hubbub.Settings(message_limit=LARGEST, clients_per_address=None, connect_rate=None)
    async with web_serving(echoing, framing=FRAMINGS[0], listeners=LISTENERS, settings=settings) as (server, _):
        for number, case in cases.items():
            try:
                await check(server, case, read)
            except Exception as error:
                error.add_note(f"in case {number}")
                raise
