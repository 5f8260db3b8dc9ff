"""A place's framing by way of WebSocket: what a client sends is what comes out, whatever the place speaks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    Messages,
    Raw,
    TextFraming,
)
from hubbub.web.framed import Framed, FramedBytes, FramedText, framed
from hubbub.web.frames import BINARY, TEXT, BrokenRules
from hubbub.web.streams.ws import STREAM

from support.feeding import AMPLE, decode
from support.websocket import Heard, close_code, heard, said

TEXTUAL: list[Framing[Any]] = [
    Lines(),
    Lines(crlf=True),
    ByteLines(),
    ByteLines(keepends=True),
    Delimited(b"\0"),
    Delimited(b"\r\n"),
]
BINARY_ONES: list[Framing[Any]] = [LengthPrefixed(1), Raw(), Delimited(b"\xc0")]
ALL = [*TEXTUAL, *BINARY_ONES]

all_framings = pytest.mark.parametrize("inner", ALL, ids=str)
textual_framings = pytest.mark.parametrize("inner", TEXTUAL, ids=str)
binary_framings = pytest.mark.parametrize("inner", BINARY_ONES, ids=str)


def of(inner: Framing[Any], *, as_json: bool = False) -> Framed[Any]:
    return framed(inner, as_json=as_json)


def received(inner: Framing[Any], *payloads: bytes, opcode: int = TEXT) -> list[Any]:
    """The messages in what a client sends, a frame each."""
    return list(of(inner).decoder(AMPLE).feed(b"".join(said(opcode, payload) for payload in payloads)))


def shown(inner: Framing[Any], messages: Sequence[Any], *, as_json: bool = False) -> list[Heard]:
    """The frames that a client hears."""
    return heard(of(inner, as_json=as_json).encode(messages))


def ended(inner: Framing[Any], payload: bytes) -> bytes:
    """What one that does not speak WebSocket would send for a text: its last message has its end."""
    ends = (inner.encode_text(""), *([b"\n", b"\r\0"] if isinstance(inner, Lines) else []))
    return payload if payload.endswith(ends) else payload + ends[0]


# What is sent is what comes out.


@all_framings
@given(payload=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=80))
def test_what_is_sent_is_what_comes_out(inner: Framing[Any], payload: str) -> None:
    sent = Heard(TEXT if inner.textual else BINARY, payload.encode()[:255])
    sent = sent._replace(payload=sent.payload.decode(errors="ignore").encode())
    assert shown(inner, received(inner, sent.payload, opcode=sent.opcode)) == [sent]


@textual_framings
@given(text=st.text("a\r\n\0é", max_size=12))
def test_a_text_is_the_messages_that_it_is_without_websocket(inner: Framing[Any], text: str) -> None:
    assert received(inner, text.encode()) == decode(inner, [ended(inner, text.encode())]).messages


@pytest.mark.parametrize(
    ("inner", "payload", "messages"),
    [
        *((lines, "a", ["a"]) for lines in (Lines(), Lines(crlf=True))),
        (Lines(), "a\n", ["a"]),
        (Lines(), "a\r\n", ["a"]),
        (Lines(), "", [""]),
        (Lines(), "\n", [""]),
        (Lines(), "one\r\ntwo\nthrée", ["one", "two", "thrée"]),
        (Lines(), "a\n\n", ["a", ""]),
        (ByteLines(), "a\r\nb", [b"a", b"b"]),
        (ByteLines(keepends=True), "a\r\nb", [b"a\r\n", b"b\n"]),
        (ByteLines(keepends=True), "", [b"\n"]),
        (Delimited(b"\0"), "one\r\ntwo\n", [b"one\r\ntwo\n"]),
        (Delimited(b"\0"), "a\0b\0", [b"a", b"b"]),
        (Delimited(b"\0"), "", [b""]),
        (Delimited(b"\r\n"), "a\nb\r\nc\r", [b"a\nb", b"c\r"]),
    ],
)
def test_a_text_may_have_several_messages_and_the_last_one_needs_no_end(
    inner: Framing[Any], payload: str, messages: list[Any]
) -> None:
    assert received(inner, payload.encode()) == messages
    # However it is marked: the place has text.
    assert received(inner, payload.encode(), opcode=BINARY) == messages
    # What is within one frame is not within the next.
    assert received(inner, b"before", payload.encode(), b"behind")[1:-1] == messages


@pytest.mark.parametrize(
    ("inner", "message", "text"),
    [
        (ByteLines(keepends=True), b"a\n", "a"),
        (ByteLines(keepends=True), b"a\r\n", "a"),
        (ByteLines(keepends=True), b"a\r\r\n", "a\r"),
        (ByteLines(), b"a\r\n", "a"),
        (ByteLines(), b"a\r", "a\r"),
        (Lines(), "a\r", "a\r"),
        # These are a part of the message where lines are none.
        (Delimited(b"\0"), b"a\r\n", "a\r\n"),
        (Delimited(b"\0"), b"a\n", "a\n"),
        (Delimited(b"\r\n"), b"a\r", "a\r"),
    ],
)
def test_a_line_is_shown_without_its_end_and_any_other_message_as_it_is(
    inner: Framing[Any], message: Any, text: str
) -> None:
    assert shown(inner, [message]) == [Heard(TEXT, text.encode())]
    (frame,) = shown(inner, [message], as_json=True)
    assert json.loads(frame.payload) == {"message": text}


def test_bytes_that_are_not_utf8_become_what_they_become_at_places_of_text() -> None:
    assert received(Lines(), b"a\xc3", opcode=BINARY) == ["a\ufffd"]


@pytest.mark.parametrize("inner", [ByteLines(), ByteLines(keepends=True), Delimited(b"\0")], ids=str)
def test_bytes_that_are_not_utf8_stay_so_and_are_in_a_binary_frame(inner: Framing[Any]) -> None:
    assert shown(inner, received(inner, b"a", b"\xc3", b"b", opcode=BINARY)) == [
        Heard(TEXT, b"a"),
        Heard(BINARY, b"\xc3"),
        Heard(TEXT, b"b"),
    ]


@binary_framings
@given(payload=st.binary(max_size=255).map(lambda data: data.replace(b"\xc0", b"")))
def test_where_messages_are_bytes_each_frame_is_one(inner: Framing[Any], payload: bytes) -> None:
    messages = received(inner, b"a", payload, b"\r\n", opcode=BINARY)
    assert messages == [b"a", payload, b"\r\n"]
    assert shown(inner, messages) == [Heard(BINARY, message) for message in messages]
    # A browser may send text.
    assert received(inner, "é\n".encode()) == ["é\n".encode()]


@textual_framings
@given(texts=st.lists(st.text("ab\r\n\0é", max_size=4), max_size=8), opcode=st.sampled_from([TEXT, BINARY]))
def test_texts_that_come_together_are_the_same_messages_as_one_by_one(
    inner: Framing[Any], texts: list[str], opcode: int
) -> None:
    payloads = [text.encode() for text in texts]
    one_by_one = [message for payload in payloads for message in received(inner, payload, opcode=opcode)]
    assert received(inner, *payloads, opcode=opcode) == one_by_one


@textual_framings
def test_what_looks_like_telnet_in_one_frame_takes_nothing_from_the_next(inner: Framing[Any]) -> None:
    # The beginning of a subnegotiation, which has no end.
    assert received(inner, b"a\xff\xfab", b"one", b"two", opcode=BINARY)[-2:] == received(inner, b"one", b"two")


# What cannot be carried.


@pytest.mark.parametrize(
    ("inner", "payload"),
    [(LengthPrefixed(1), bytes(256)), (Delimited(b"\xc0"), b"a\xc0b"), (Delimited(b"\xc0"), b"\xc0")],
    ids=str,
)
def test_a_message_that_the_place_cannot_carry_ends_the_client(inner: Framing[Any], payload: bytes) -> None:
    with pytest.raises(BrokenRules) as caught:
        received(inner, b"one", b"two", payload, b"three", opcode=BINARY)
    assert caught.value.messages == [b"one", b"two"]
    assert close_code(STREAM.failed(caught.value)) == 1007


class _Verses(TextFraming):
    """Each byte is a message, and 'x' is none."""

    def decoder(self, limit: int) -> Decoder[str]:
        return _VerseDecoder()

    def encode(self, messages: Sequence[str]) -> bytes:
        return "".join(messages).encode()


class _VerseDecoder(Decoder[str]):
    def feed(self, data: bytes) -> Sequence[str]:
        before, found, _ = data.partition(b"x")
        if found:
            raise FramingError("x is no message", list(before.decode()))
        return list(data.decode())


def test_what_a_text_has_before_what_is_no_message_is_heard() -> None:
    with pytest.raises(FramingError) as caught:
        received(_Verses(), b"ab", b"cdxe")
    assert caught.value.messages == ["a", "b", "c", "d"]


def test_what_comes_first_is_told_of_two_things_that_are_wrong() -> None:
    with pytest.raises(BrokenRules, match="a message of 256 bytes") as caught:
        of(LengthPrefixed(1)).decoder(AMPLE).feed(said(BINARY, b"a") + said(BINARY, bytes(256)) + said(TEXT, key=b""))
    assert caught.value.messages == [b"a"]


@all_framings
@pytest.mark.parametrize("as_json", [False, True])
def test_no_messages_are_no_frames_and_those_of_the_other_type_cannot_be_sent(
    inner: Framing[Any], as_json: bool
) -> None:
    assert of(inner, as_json=as_json).encode([]) == b""
    good, *wrong = ["a", b"a", 5, None] if isinstance(inner, Lines) else [b"a", "a", 5, None]
    for each in wrong:
        with pytest.raises(TypeError) as expected:
            inner.encode([good, each])
        with pytest.raises(TypeError) as caught:
            of(inner, as_json=as_json).encode([good, each])
        assert str(caught.value) == str(expected.value)


def test_lines_of_the_other_type_cannot_be_sent_either_however_they_came() -> None:
    for inner, source in ((Lines(), ByteLines()), (ByteLines(), Lines())):
        with pytest.raises(TypeError, match="a message in this framing must be"):
            of(inner).encode(Messages(source, b"a\n" * 200))


# JSON, and the server's own words.


@pytest.mark.parametrize(
    ("inner", "message", "fields"),
    [
        (Lines(), 'é "x"\t', {"message": 'é "x"\t'}),
        (Lines(), "", {"message": ""}),
        (ByteLines(), "é".encode(), {"message": "é"}),
        (ByteLines(), b"\xff", {"message": "/w==", "base64": True}),
        (ByteLines(keepends=True), b"\xff\r\n", {"message": "/w==", "base64": True}),
        (Raw(), b"a\n", {"message": "a\n"}),
        (LengthPrefixed(1), b"\xff\n", {"message": "/wo=", "base64": True}),
    ],
)
def test_as_json_a_message_is_an_object(inner: Framing[Any], message: Any, fields: dict[str, Any]) -> None:
    frames = shown(inner, [message] * 2, as_json=True)
    assert [frame.opcode for frame in frames] == [TEXT, TEXT]
    assert [json.loads(frame.payload) for frame in frames] == [fields] * 2
    assert all(frame.payload.isascii() for frame in frames)


@all_framings
def test_the_servers_own_words_are_text_everywhere(inner: Framing[Any]) -> None:
    assert of(inner).textual
    assert heard(of(inner).encode_text("é\n")) == [Heard(TEXT, "é\n".encode())]
    assert heard(of(inner).encode_text("\ud800")) == [Heard(TEXT, b"?")]
    (frame,) = heard(of(inner, as_json=True).encode_text("é"))
    assert json.loads(frame.payload) == {"message": "é"}


# Values.


def test_equal_framings_share_one_and_others_do_not() -> None:
    for inner in ALL:
        again = replace(inner)  # type: ignore[type-var] # all of them are dataclasses
        assert of(again) is of(inner)
        assert of(again, as_json=True) is of(inner, as_json=True)
        made = type(of(inner))(again)
        assert (made, hash(made)) == (of(inner), hash(of(inner)))
    assert len({of(inner, as_json=as_json) for inner in ALL for as_json in (False, True)}) == 2 * len(ALL)
    assert isinstance(of(Lines()), FramedText)
    assert isinstance(of(Raw()), FramedBytes)


@all_framings
def test_a_text_becomes_a_message_of_the_place(inner: Framing[Any]) -> None:
    assert of(inner).from_text("é") == inner.from_text("é")


# The short cut for lines that stay in the bytes in which they came.


@dataclass(frozen=True)
class _OwnLines(ByteLines):
    """Lines of a user's own, in which a semicolon ends a line too."""

    def split(self, wire: bytes) -> list[bytes]:
        return wire.replace(b";", b"\n").removesuffix(b"\n").split(b"\n")


SOURCES: list[Framing[Any]] = [Lines(), ByteLines(), ByteLines(keepends=True), Delimited(b"\n"), _OwnLines()]


@pytest.mark.parametrize("source", SOURCES, ids=str)
@given(
    lines=st.lists(st.text("ab;\r\0é", max_size=5), min_size=1, max_size=8),
    end=st.sampled_from([b"\n", b"\r\n"]),
    inner=st.sampled_from(ALL),
    as_json=st.booleans(),
)
def test_lines_that_came_together_are_the_same_frames_as_one_by_one(
    source: Framing[Any], lines: list[str], end: bytes, inner: Framing[Any], as_json: bool
) -> None:
    if isinstance(source, TextFraming) != isinstance(inner, TextFraming):
        inner = Lines() if isinstance(source, TextFraming) else ByteLines()
    # Enough of them to stay as they are.
    wire = b"".join(line.encode() + end for line in [*lines, "x" * 300])
    together = source.decoder(AMPLE).feed(wire)
    assert type(together) is Messages
    framing = of(inner, as_json=as_json)
    assert framing.encode(together) == framing.encode(list(together))


def test_ascii_lines_take_the_short_cut_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Messages, "_split", None)
    wire = b"a\r\nb\n" * 100
    for inner in (Lines(), Lines(crlf=True), ByteLines(), ByteLines(keepends=True)):
        assert len(shown(inner, inner.decoder(AMPLE).feed(wire))) == 200
        assert len(shown(inner, of(inner).decoder(AMPLE).feed(said(TEXT, b"some words") * 200))) == 200


@pytest.mark.parametrize(("inner", "wire"), [(Delimited(b"\n"), b"a\r\n"), (ByteLines(), b"\xff\n")], ids=str)
def test_what_is_not_ascii_or_not_lines_takes_no_short_cut(inner: Framing[bytes], wire: bytes) -> None:
    together = Messages(inner, wire * 200)
    assert of(inner).encode(together) == of(inner).encode(list(together))


class _Cobs(BytesFraming):
    """The least that makes a framing of bytes, which is binary."""

    def decoder(self, limit: int) -> Decoder[bytes]:
        raise NotImplementedError

    def encode(self, messages: Sequence[bytes]) -> bytes:
        return b"".join(messages)


def test_a_binary_framing_of_a_users_own_is_carried() -> None:
    assert received(_Cobs(), b"\xff\n", opcode=BINARY) == [b"\xff\n"]
    assert shown(_Cobs(), [b"\xff\n"]) == [Heard(BINARY, b"\xff\n")]
