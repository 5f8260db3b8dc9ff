"""What holds for every framing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, chain, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubbub import FramingError
from hubbub.framing import ByteLines, BytesFraming, Decoder, Delimited, Framing, LengthPrefixed, Lines, Raw, TextFraming
from hubbub.framing.telnet import DO, IAC, SB, SE

from support.feeding import AMPLE

DELIMITING: list[Framing[Any]] = [
    Lines(),
    Lines(crlf=True),
    ByteLines(),
    ByteLines(keepends=True),
    Delimited(b"\0"),
    Delimited(b"<end>"),
    LengthPrefixed(1),
    LengthPrefixed(2, "little"),
    LengthPrefixed(4),
]

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
def test_before_anything_has_come_no_message_has_begun(framing: Framing[Any]) -> None:
    assert not framing.decoder(AMPLE).partial
    assert partials(framing, b"") == [False]


@delimiting_framings
@given(words=words)
@settings(max_examples=50, deadline=None)
def test_a_message_is_partial_exactly_from_its_first_byte_to_its_last(framing: Framing[Any], words: list[str]) -> None:
    wires = [framing.encode([framing.from_text(word)]) for word in words]
    ends = {0, *accumulate(map(len, wires))}
    stream = b"".join(wires)
    for at in range(len(stream) + 1):
        assert partials(framing, stream[:at]) == [at not in ends]
    singly = partials(framing, *(stream[at : at + 1] for at in range(len(stream))))
    assert singly == [at not in ends for at in range(1, len(stream) + 1)]


@delimiting_framings
@given(words=words, cuts=st.lists(st.integers(0, 100), max_size=8))
@settings(max_examples=50, deadline=None)
def test_whether_a_message_is_partial_does_not_depend_on_the_pieces(
    framing: Framing[Any], words: list[str], cuts: list[int]
) -> None:
    stream = framing.encode([framing.from_text(word) for word in words])
    places = sorted({min(cut, len(stream)) for cut in cuts} | {len(stream)})
    pieces = [stream[start:end] for start, end in pairwise([0, *places])]
    assert partials(framing, *pieces) == list(chain(*(partials(framing, stream[:place]) for place in places)))


@given(st.lists(st.binary(max_size=5), max_size=5))
def test_what_arrives_raw_is_never_partial(pieces: list[bytes]) -> None:
    assert not any(partials(Raw(), *pieces))


@pytest.mark.parametrize("command", [bytes([IAC]), bytes([IAC, DO]), bytes([IAC, SB, 1, 2])])
def test_a_telnet_command_that_has_begun_is_no_message(command: bytes) -> None:
    assert partials(Lines(), command) == [False]
    assert partials(Lines(), b"a\n" + command) == [False]
    assert partials(Lines(), b"a" + command) == [True]


def test_a_message_goes_on_through_a_telnet_command() -> None:
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


def test_a_decoder_that_does_not_know_says_that_no_message_has_begun() -> None:
    assert partials(_Words(), b"half") == [False]
    assert _Words().decoder(AMPLE).end() == []
    assert _Words().decoder(AMPLE).take_replies() == b""


# What the server itself has to say.


@delimiting_framings
def test_what_the_server_says_is_found_again_as_one_message(framing: Framing[Any]) -> None:
    words = "the server is full: é"
    (message,) = framing.decoder(AMPLE).feed(framing.encode_text(words))
    assert message in (framing.from_text(words), framing.from_text(words + "\n"))


@pytest.mark.parametrize(
    ("framing", "wire"),
    [
        (Lines(), "é\n".encode()),
        (Lines(crlf=True), "é\r\n".encode()),
        (ByteLines(), "é\n".encode()),
        (ByteLines(keepends=True), "é\n".encode()),
        (Delimited(b"<end>"), "é<end>".encode()),
        (LengthPrefixed(2), b"\0\2" + "é".encode()),
        (Raw(), "é".encode()),
    ],
    ids=str,
)
def test_what_the_server_says_goes_out_as_any_message_does(framing: Framing[Any], wire: bytes) -> None:
    assert framing.encode_text("é") == wire


@pytest.mark.parametrize(
    ("framing", "text"),
    [
        (Lines(), "two\nlines"),
        (Lines(), "\ud800"),
        (ByteLines(), "two\nlines"),
        (ByteLines(), "\ud800"),
        (Delimited(b" "), "two words"),
        (LengthPrefixed(1), "x" * 256),
        (_Words(), "two words"),
    ],
    ids=repr,
)
def test_what_the_framing_cannot_carry_the_server_does_not_say(framing: Framing[Any], text: str) -> None:
    assert framing.encode_text(text) == b""


def test_a_framing_of_bytes_says_text_as_utf_8() -> None:
    class Plain(BytesFraming):
        def decoder(self, limit: int) -> Decoder[bytes]:
            raise NotImplementedError

        def encode(self, messages: Sequence[bytes]) -> bytes:
            return b"".join(messages)

    assert Plain().encode_text("é") == "é".encode()
