"""What holds for every framing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub import FramingError
from hubbub.framing import (
    ByteLines,
    BytesFraming,
    Decoder,
    Delimited,
    Framing,
    LengthPrefixed,
    Lines,
    Raw,
    TextFraming,
    check_framing,
)
from hubbub.framing.telnet import DO, IAC, SB, SE

from support.feeding import AMPLE, decode, pieces_of

BYTES: list[Framing[Any]] = [
    ByteLines(),
    ByteLines(keepends=True),
    Delimited(b"\0"),
    Delimited(b"<end>"),
    LengthPrefixed(1),
    LengthPrefixed(2, "little"),
    LengthPrefixed(4),
]
DELIMITING: list[Framing[Any]] = [Lines(), Lines(crlf=True), *BYTES]

all_framings = pytest.mark.parametrize("framing", [*DELIMITING, Raw()], ids=str)
delimiting_framings = pytest.mark.parametrize("framing", DELIMITING, ids=str)

words = st.lists(st.text("ab\r é€", max_size=6), max_size=6)


def partials(framing: Framing[Any], *pieces: bytes) -> list[bool]:
    """What a decoder says after each piece."""
    decoder = framing.decoder(AMPLE)
    said = []
    for piece in pieces:
        decoder.feed(piece)
        said.append(decoder.partial)
    return said


# Whether a message has begun and not ended.


@all_framings
@given(words=words, cuts=st.lists(st.integers(0, 100), max_size=8))
def test_a_message_is_partial_exactly_from_its_first_byte_to_its_last_whatever_the_pieces(
    framing: Framing[Any], words: list[str], cuts: list[int]
) -> None:
    wires = [framing.encode([framing.from_text(word)]) for word in words]
    ends = {0, *accumulate(map(len, wires))}
    stream = b"".join(wires)
    some = sorted({min(cut, len(stream)) for cut in cuts})
    for places in (range(len(stream) + 1), some, *([at] for at in range(len(stream)))):
        pieces = [stream[start:end] for start, end in pairwise([0, *places])]
        assert partials(framing, *pieces) == [framing.self_delimiting and at not in ends for at in places]


@pytest.mark.parametrize("command", [bytes([IAC]), bytes([IAC, DO]), bytes([IAC, SB, 1, 2])])
def test_a_telnet_command_that_has_begun_is_no_message(command: bytes) -> None:
    assert partials(Lines(), command) == [False]
    assert partials(Lines(), b"a\n" + command) == [False]
    assert partials(Lines(), b"a" + command) == [True]
    # It goes on through a command that ends.
    command = bytes([IAC, SB, 1, 2, IAC, SE])
    assert partials(Lines(), b"a", command, b"b", b"\n", command) == [True, True, True, False, False]


@pytest.mark.parametrize("framing", [ByteLines(), Delimited(b"\0"), LengthPrefixed(1)], ids=str)
def test_after_the_end_of_the_stream_the_last_message_counts_as_it_did(framing: Framing[Any]) -> None:
    decoder = framing.decoder(AMPLE)
    decoder.feed(b"\4ab")
    assert decoder.partial
    try:
        decoder.end()
    except FramingError:
        return


class _Words(TextFraming):
    """The least that makes a framing: its decoder does not say whether a message is partial."""

    def __repr__(self) -> str:
        return "Words()"

    def decoder(self, limit: int) -> Decoder[str]:
        return _WordDecoder()

    def encode(self, messages: Sequence[str]) -> bytes:
        if any(" " in message for message in messages):
            raise ValueError("a word has no space")
        return "".join(f"{message} " for message in messages).encode()


class _WordDecoder(Decoder[str]):
    def feed(self, data: bytes) -> Sequence[str]:
        return data.decode().split()


def test_a_framing_that_defines_no_more_than_it_must_splits_and_counts_and_says_that_no_message_has_begun() -> None:
    assert partials(_Words(), b"half") == [False]
    assert _Words().decoder(AMPLE).end() == []
    assert _Words().decoder(AMPLE).take_replies() == b""
    assert _Words().split(b"two words ") == ["two", "words"]
    assert _Words().count(b"two words ") == 2


# Encoded bytes.


@all_framings
def test_no_messages_are_no_bytes_and_messages_of_the_other_type_cannot_be_sent(framing: Framing[Any]) -> None:
    assert framing.encode([]) == b""
    assert decode(framing, [b""]).messages == []
    good, other, better = ("x", b"x", r"ByteLines\(\)") if isinstance(framing, Lines) else (b"x", "x", r"Lines\(\)")
    for wrong in (other, 5, None):
        must, kind = type(good).__name__, type(wrong).__name__
        message = f"a message in this framing must be {must}, and this one is {kind}: {wrong!r}; convert it, or choose"
        with pytest.raises(TypeError, match=rf"^{message} a framing of (text|bytes), such as hubbub\.{better}$"):
            framing.encode([good, wrong])


def test_framings_are_values() -> None:
    again = [*DELIMITING, Lines(), Lines(crlf=True), ByteLines(), ByteLines(keepends=True), Delimited(b"\0")]
    assert len({*again}) == len(DELIMITING)


@delimiting_framings
@given(words=words)
def test_encoded_bytes_are_split_and_counted_as_the_decoder_would(framing: Framing[Any], words: list[str]) -> None:
    wire = framing.encode([framing.from_text(word) for word in words])
    assert framing.split(wire) == decode(framing, [wire]).messages
    assert framing.count(wire) == len(words)


def received(message: bytes, framing: Framing[Any]) -> bytes:
    """What a peer that reads in `framing` receives of `message`."""
    match framing:
        case ByteLines(keepends=True):
            return message if message.endswith(b"\n") else message + b"\n"
        case ByteLines():
            content = message[:-1].removesuffix(b"\r") if message.endswith(b"\n") else message
            # Before the LF that it is sent with, a CR is not part of the line either.
            return content.removesuffix(b"\r")
        case _:
            return message


def refuses(framing: Framing[Any], message: bytes) -> bool:
    """Whether a framing cannot carry `message`."""
    match framing:
        case ByteLines():
            return b"\n" in message[:-1]
        case Delimited(delimiter):
            return (message + delimiter).index(delimiter) < len(message)
        case LengthPrefixed(size):
            return len(message) >= 1 << 8 * size
        case _:
            return False


@pytest.mark.parametrize("target", [*BYTES, Raw()], ids=str)
@given(
    source=st.sampled_from([*BYTES, Raw()]),
    pieces=pieces_of([b"\n", b"\r", b"\r\n", b"\0", b"a", b"bc", b"<end>", b"\xff", b"x" * 256]),
)
def test_what_is_received_in_one_framing_of_bytes_another_carries_or_refuses(
    source: Framing[Any], target: Framing[Any], pieces: list[bytes]
) -> None:
    if isinstance(source, LengthPrefixed):
        pieces = [source.encode([piece[:255] for piece in pieces])]
    messages: list[bytes] = decode(source, pieces).messages
    if any(refuses(target, message) for message in messages):
        with pytest.raises(ValueError, match=r"cannot contain|a message of"):
            target.encode(messages)
        return
    decoded = decode(target, [target.encode(messages)]).messages
    if target.self_delimiting:
        assert decoded == [received(message, target) for message in messages]
    else:
        assert b"".join(decoded) == b"".join(messages)


# Text of the server's own.


class _Binary(BytesFraming):
    """The least that makes a framing of bytes."""

    def __repr__(self) -> str:
        return "Binary()"

    def decoder(self, limit: int) -> Decoder[bytes]:
        raise NotImplementedError

    def encode(self, messages: Sequence[bytes]) -> bytes:
        return b"".join(messages)


class _Cobs(Delimited):
    """A binary protocol whose delimiter could end text."""

    textual = False


@pytest.mark.parametrize(
    ("framing", "wire"),
    [
        (Lines(), "é\n".encode()),
        (Lines(crlf=True), "é\r\n".encode()),
        (ByteLines(), "é\n".encode()),
        (ByteLines(keepends=True), "é\n".encode()),
        (Delimited(b"\0"), "é\0".encode()),
        (Delimited(b"<end>"), "é<end>".encode()),
        (_Words(), "é ".encode()),
    ],
    ids=str,
)
def test_text_of_the_servers_own_is_sent_as_a_message(framing: Framing[Any], wire: bytes) -> None:
    assert framing.textual
    assert framing.encode_text("é") == wire


@pytest.mark.parametrize(
    "framing", [Raw(), LengthPrefixed(1), LengthPrefixed(4), Delimited(b"\xc0"), _Cobs(b"\0"), _Binary()], ids=repr
)
def test_no_text_of_the_servers_own_gets_among_binary_messages(framing: Framing[Any]) -> None:
    assert not framing.textual
    assert framing.encode_text("server is closing") == b""
    # What a program sends is its own business.
    assert framing.from_text("é") == "é".encode()


@pytest.mark.parametrize(
    ("framing", "text"),
    [
        (Lines(), "two\nlines"),
        (Lines(), "two\r\0lines"),
        (Lines(), "\ud800"),
        (ByteLines(), "two\nlines"),
        (ByteLines(), "\ud800"),
        (Delimited(b" "), "two words"),
        (_Words(), "two words"),
    ],
    ids=repr,
)
def test_text_that_the_framing_cannot_carry_is_not_sent(framing: Framing[Any], text: str) -> None:
    assert framing.encode_text(text) == b""


# What a server asks of a framing.


@all_framings
def test_a_framing_can_be_served_with(framing: Framing[Any]) -> None:
    check_framing(framing)


@pytest.mark.parametrize("framing", [Lines, "lines", None, b"\n"], ids=repr)
def test_what_is_not_a_framing_cannot_be_served_with(framing: object) -> None:
    with pytest.raises(TypeError, match=r"is not a framing; pass an instance of one, such as hubbub\.Lines\(\)"):
        check_framing(framing)


@dataclass
class _Unhashable(_Binary):
    """A dataclass that is not frozen has no hash."""


@dataclass(frozen=True)
class _HashableByName(_Binary):
    """A frozen dataclass has none either where a value in it has none."""

    values: list[int]


@pytest.mark.parametrize("framing", [_Unhashable(), _HashableByName([])], ids=repr)
def test_a_framing_that_cannot_be_hashed_cannot_be_served_with(framing: Framing[Any]) -> None:
    with pytest.raises(TypeError, match=r"is not hashable \(unhashable type: .*\); make it a frozen dataclass"):
        check_framing(framing)
