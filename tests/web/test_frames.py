"""The frames of WebSocket as bytes, against a library that is not ours and against the plainest reader of RFC 6455."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame
from websockets.protocol import CLIENT, SERVER, Protocol

from hubbub import EndingCode, FramingError, MessageTooLong
from hubbub.web import frames
from hubbub.web.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, BrokenRules, FrameDecoder, PeerCloses
from hubbub.web.streams.ws import STREAM

from support.websocket import MASK, Heard, Said, close_code, heard, said

KIB = 1024
LIMIT = 300
"""How long a message may be, in bytes: more than the longest control frame."""

SHORT = 200
"""A stream of up to so many bytes is cut in two at each place."""


@dataclass
class Read:
    """What a decoder made of a stream.

    Attributes:
        messages: the payloads of the messages.
        failed: the close code that the client is told; None: nothing is wrong.
        pong: the last one that is owed to the client.
        partial: whether a message, or a frame, has begun.
    """

    messages: list[bytes]
    failed: int | None = None
    pong: bytes | None = None
    partial: bool = False


def feed(pieces: Iterable[bytes], limit: int) -> Read:
    decoder = FrameDecoder[bytes](limit, list)
    found = Read([])
    for piece in pieces:
        try:
            found.messages += decoder.feed(piece)
        except FramingError as error:
            found.messages += error.messages
            found.failed = close_code(STREAM.failed(error))
        for frame in heard(decoder.take_replies()):
            assert frame.opcode == PONG
            found.pong = frame.payload
        assert decoder.take_replies() == b""
        if found.failed is not None:
            return found
        # A message, and the head of a frame or the longest control frame beside it.
        assert len(decoder._data) + len(decoder._told) <= limit + 131
    found.partial = decoder.partial
    return found


def read(stream: bytes, *, cuts: Sequence[int] = (), limit: int = LIMIT) -> Read:
    """What becomes of a stream: the same whole, byte by byte, cut at some places or any one, and with more behind."""
    found = feed([stream], limit)
    places = [range(len(stream)), sorted(cuts), *([at] for at in range(1, len(stream)) if len(stream) <= SHORT)]
    for cut in places:
        assert feed([stream[start:end] for start, end in pairwise([0, *cut, len(stream)])], limit) == found, cut
    if found.failed is not None:
        assert feed([stream + b"\0\x81?"], limit) == found
    elif not found.partial:
        assert feed([stream + said(TEXT, b"more")], limit).messages == [*found.messages, b"more"]
    return found


def naive(stream: Iterable[Said], limit: int = LIMIT) -> Read:
    """The same, by the plainest reader."""
    found, begun, told = Read([]), 0, b""
    for frame in stream:
        opcode, payload = frame.opcode, frame.payload
        if frame.reserved or not frame.key or opcode not in (0, 1, 2, 8, 9, 10):
            found.failed = 1002
        elif opcode >= 8:
            if not frame.last or len(payload) > 125:
                found.failed = 1002
            elif opcode == CLOSE:
                found.failed = naive_code(payload)
            elif opcode == PING:
                found.pong = payload
        elif (opcode == CONTINUATION) != bool(begun):
            found.failed = 1002
        elif len(told + payload) > limit:
            found.failed = 1009
        else:
            begun, told = begun or opcode, told + payload
            if frame.last and begun == TEXT and not is_text(told):
                found.failed = 1007
            elif frame.last:
                found.messages.append(told)
                begun, told = 0, b""
        if found.failed is not None:
            return found
    found.partial = bool(begun)
    return found


def naive_code(payload: bytes) -> int:
    """The code with which a close frame is answered."""
    if not payload:
        return 1000
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or code not in {*range(1000, 1015), *range(3000, 5000)} - {1004, 1005, 1006}:
        return 1002
    return code if is_text(payload[2:]) else 1007


def is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


# Against the plainest reader, and the library.

texts = st.one_of(st.binary(max_size=140), st.text(max_size=20).map(str.encode), st.sampled_from([b"x" * 299, b"\xe2"]))
codes = st.one_of(st.integers(0, 5010), st.sampled_from([1000, 1004, 1005, 1006, 1014, 1015, 2999, 3000, 4999, 5000]))
closes = st.tuples(codes, texts).map(lambda pair: pair[0].to_bytes(2, "big") + pair[1][:123])
keys = st.binary(min_size=4, max_size=4)


@st.composite
def frames_said(draw: st.DrawFn, *, good: bool = False) -> Said:
    """A frame of a client, mostly a good one."""
    opcode = draw(st.sampled_from([CONTINUATION, CONTINUATION, TEXT, TEXT, BINARY, PING, PONG, CLOSE]))
    payload = draw(closes if opcode == CLOSE else texts)
    frame = Said(opcode, payload, last=opcode >= CLOSE or draw(st.booleans()), key=draw(keys))
    if good or draw(st.integers(0, 7)):
        return frame
    wrong = draw(st.sampled_from(["opcode", "reserved", "key", "last"]))
    return Said(
        draw(st.integers(0, 15)) if wrong == "opcode" else opcode,
        payload,
        last=draw(st.booleans()) if wrong == "last" else frame.last,
        reserved=0x40 if wrong == "reserved" else 0,
        key=b"" if wrong == "key" else frame.key,
    )


@given(stream=st.lists(frames_said(), max_size=6), cuts=st.lists(st.integers(0, 300), max_size=4))
def test_what_is_read_is_what_the_plainest_reader_reads(stream: list[Said], cuts: list[int]) -> None:
    wire = b"".join(frame.wire for frame in stream)
    assert read(wire, cuts=[min(cut, len(wire)) for cut in cuts]) == naive(stream)


@given(stream=st.lists(frames_said(good=True), max_size=6))
def test_what_is_read_is_what_the_library_reads(stream: list[Said]) -> None:
    other = Protocol(SERVER, max_size=LIMIT)
    wire = b"".join(frame.wire for frame in stream)
    other.receive_data(wire)
    messages, told = [], b""
    for event in other.events_received():
        assert isinstance(event, Frame)
        told += event.data if event.opcode < CLOSE else b""
        if event.opcode < CLOSE and event.fin:
            messages.append(told)
            told = b""
    found = feed([wire], LIMIT)
    # It leaves text to those who ask for a `str`. Within a message, it takes a close frame for an error, and a ping for
    # more of that message.
    if found.failed != 1007 and not (told and any(frame.opcode >= CLOSE for frame in stream)):
        assert messages == found.messages
        code = None if other.close_sent is None else int(other.close_sent.code)
        # Of a frame with which two things are wrong, it may tell the other one.
        wrong = {1002, 1007, 1009}
        assert found.failed == (1000 if code == 1005 else code) or {found.failed, code} <= wrong


@given(payloads=st.lists(st.tuples(st.booleans(), texts), max_size=5), size=st.sampled_from([0, 1, 125, 126]))
def test_what_the_library_writes_is_read(payloads: list[tuple[bool, bytes]], size: int) -> None:
    other = Protocol(CLIENT)
    for is_ping, payload in payloads:
        if is_ping:
            other.send_ping(payload[:125])
        else:
            other.send_binary(payload[:size], fin=False)
            other.send_continuation(payload[size:], fin=True)
    found = read(b"".join(other.data_to_send()))
    assert found.messages == [payload for is_ping, payload in payloads if not is_ping]
    assert found.pong == next((payload[:125] for is_ping, payload in reversed(payloads) if is_ping), None)


@given(payloads=st.lists(st.one_of(texts, st.sampled_from([b"x" * size for size in (125, 126, 127, 0xFFFF, 0x10000)]))))
def test_what_is_written_the_library_reads(payloads: list[bytes]) -> None:
    for opcode in (TEXT, BINARY):
        wire = frames.frames_of(opcode, payloads)
        assert heard(wire) == [Heard(opcode, payload) for payload in payloads]
        assert b"".join(frames.frame(opcode, payload) for payload in payloads) == wire


@pytest.mark.parametrize("size", [0, 125, 126, 0xFFFF, 0x10000, 0x10001])
def test_a_head_tells_the_size_in_as_few_bytes_as_can_be(size: int) -> None:
    wire = frames.frame(BINARY, bytes(size))
    assert heard(wire) == [Heard(BINARY, bytes(size))]
    assert len(wire) == len(Said(BINARY, bytes(size), key=b"").wire)


@given(payload=st.binary(max_size=300), key=keys)
def test_a_mask_is_put_on_byte_by_byte_and_taken_off_by_the_same(payload: bytes, key: bytes) -> None:
    masked = frames.mask(payload, key)
    assert masked == bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))
    assert frames.mask(masked, key) == payload


def test_the_examples_of_the_rfc_are_read() -> None:
    # RFC 6455, 5.7: those of clients.
    assert read(bytes.fromhex("818537fa213d7f9f4d5158")).messages == [b"Hello"]
    assert read(bytes.fromhex("898537fa213d7f9f4d5158")).pong == b"Hello"


# The rules.


WHOLE = said(TEXT, b"before")
BEGUN = said(TEXT, b"be", last=False)


@pytest.mark.parametrize(
    ("wire", "code", "words"),
    [
        *((said(TEXT, reserved=bit), 1002, "a reserved bit") for bit in (0x40, 0x20, 0x10)),
        *((said(opcode), 1002, f"the opcode {opcode}") for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)),
        *((said(opcode, key=b""), 1002, "not masked") for opcode in (TEXT, BINARY, PING, CLOSE)),
        *((said(opcode, last=False), 1002, "a control frame is in parts") for opcode in (PING, PONG, CLOSE)),
        *((said(opcode, bytes(126)), 1002, "or too long") for opcode in (PING, PONG, CLOSE)),
        # However few bytes it says that it has.
        (said(PING, size=1, long=2), 1002, "or too long"),
        (said(CONTINUATION), 1002, "that has not begun"),
        (said(CONTINUATION, last=False), 1002, "that has not begun"),
        *((BEGUN + said(opcode), 1002, "within another one") for opcode in (TEXT, BINARY)),
        (BEGUN + said(PONG) + said(TEXT, last=False), 1002, "within another one"),
        (said(TEXT, b"\xff"), 1007, "not UTF-8"),
        (said(TEXT, b"\xe2\x82"), 1007, "not UTF-8"),
        # A surrogate, and more bytes than are needed.
        (said(TEXT, b"\xed\xa0\x80"), 1007, "not UTF-8"),
        (said(TEXT, b"\xc0\xaf"), 1007, "not UTF-8"),
        (said(TEXT, b"\xe2\x82", last=False) + said(CONTINUATION, b"x"), 1007, "not UTF-8"),
        (said(CLOSE, b"\x03"), 1002, "a close frame has a code"),
        *(
            (said(CLOSE, code.to_bytes(2, "big")), 1002, "a close frame has a code")
            for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)
        ),
        (said(CLOSE, b"\x03\xe8\xff"), 1007, "not UTF-8"),
    ],
)
def test_broken_rules_end_with_their_code_and_what_was_said_before_is_heard(wire: bytes, code: int, words: str) -> None:
    assert read(WHOLE + wire) == Read([b"before"], code)
    with pytest.raises(BrokenRules, match=words) as caught:
        FrameDecoder(LIMIT, list).feed(wire)
    assert caught.value.code is EndingCode.MALFORMED
    assert caught.value.close_code == code


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 4999])
def test_a_close_frame_is_answered_with_its_code(code: int) -> None:
    wire = said(CLOSE, code.to_bytes(2, "big") + "für".encode())
    for before in (WHOLE, WHOLE + BEGUN):
        assert read(before + wire) == Read([b"before"], code)
    with pytest.raises(PeerCloses) as caught:
        FrameDecoder(LIMIT, list).feed(wire)
    assert caught.value.code is EndingCode.LEFT


def test_a_close_frame_that_says_nothing_is_answered_as_a_normal_one() -> None:
    assert read(said(CLOSE)) == Read([], 1000)


def test_the_size_may_be_told_in_more_bytes_than_it_needs() -> None:
    # As all libraries take it, though RFC 6455 (5.2) forbids it.
    assert read(said(TEXT, b"a", long=2) + said(TEXT, b"b", long=8)).messages == [b"a", b"b"]


# Control frames.


def test_a_ping_is_answered_between_the_parts_of_a_message() -> None:
    stream = BEGUN + said(PING, b"here?") + said(CONTINUATION, b"fore")
    assert read(stream) == Read([b"before"], pong=b"here?")


def test_of_pings_that_come_together_the_newest_is_answered() -> None:
    decoder = FrameDecoder[bytes](LIMIT, list)
    decoder.feed(b"".join(said(PING, b"%d" % number) for number in range(1000)))
    assert heard(decoder.take_replies()) == [Heard(PONG, b"999")]
    assert decoder.take_replies() == b""


def test_a_ping_before_what_is_wrong_is_answered() -> None:
    assert read(said(PING, b"here?") + said(TEXT, key=b"")) == Read([], 1002, pong=b"here?")


def test_a_pong_is_taken_for_nothing() -> None:
    assert read(said(PONG, b"here")) == Read([])


# Whether something has begun.


def test_a_message_is_partial_from_the_first_byte_of_its_first_frame_to_the_last_one_of_its_last() -> None:
    stream = [BEGUN, said(PING), said(CONTINUATION, b"", last=False), said(CONTINUATION, b"fore")]
    decoder = FrameDecoder[bytes](LIMIT, list)
    wire = b"".join(stream)
    told = []
    for at in range(len(wire)):
        decoder.feed(wire[at : at + 1])
        told.append(decoder.partial)
    assert told == [True] * (len(wire) - 1) + [False]
    decoder.feed(WHOLE + said(PING))
    assert not decoder.partial


# The limit.


@pytest.mark.parametrize(
    "head",
    [
        said(BINARY, size=LIMIT + 1),
        said(TEXT, size=LIMIT + 1, last=False),
        said(BINARY, size=1 << 16),
        # The highest bit must not be set (RFC 6455, 5.2).
        said(BINARY, size=1 << 63),
        said(BINARY, size=(1 << 64) - 1),
        said(BINARY, bytes(LIMIT), last=False) + said(CONTINUATION, size=1),
        said(BINARY, bytes(LIMIT - 1), last=False) + said(PONG, bytes(125)) + said(CONTINUATION, size=2),
    ],
)
def test_what_says_that_it_is_too_long_is_refused_before_it_comes(head: bytes) -> None:
    # Not even the key is needed.
    assert read(WHOLE + head[: -len(MASK)]) == Read([b"before"], 1009)
    with pytest.raises(MessageTooLong, match="longer than 300 bytes"):
        FrameDecoder(LIMIT, list).feed(head)


@pytest.mark.parametrize("part", [1, 7, LIMIT])
def test_a_message_may_have_as_many_bytes_as_the_limit_in_whatever_parts(part: int) -> None:
    whole = bytes(range(256)) + bytes(LIMIT - 256)
    parts = [whole[at : at + part] for at in range(0, LIMIT, part)]
    stream = [Said(CONTINUATION if at else BINARY, each, at == len(parts) - 1) for at, each in enumerate(parts)]
    wire = b"".join(frame.wire for frame in stream)
    assert feed([wire], LIMIT).messages == feed([wire[:500], wire[500:]], LIMIT).messages == [whole]
    # What one message had is not counted for the next one.
    assert feed([wire + wire], LIMIT).messages == [whole, whole]


def test_a_frame_is_kept_once_however_many_pieces_it_comes_in_and_nothing_is_kept_behind_it() -> None:
    decoder, wire = FrameDecoder[bytes](LIMIT, list), said(BINARY, b"xyz")
    nothing = decoder._data
    decoder.feed(wire[:-2])
    kept = decoder._data
    decoder.feed(wire[-2:-1])
    assert decoder._data is kept
    assert decoder.feed(wire[-1:]) == [b"xyz"]
    assert decoder._data is nothing


@pytest.mark.parametrize("payload", [b"", b"x"])
def test_parts_of_a_byte_or_none_take_no_more_memory_than_the_message(payload: bytes) -> None:
    limit = 16 * KIB
    decoder = FrameDecoder[bytes](limit, list)
    decoder.feed(said(BINARY, last=False))
    tracemalloc.start()
    try:
        for _ in range(16):
            decoder.feed(said(CONTINUATION, payload, last=False) * KIB)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A bytearray that grows has an eighth in reserve.
    assert kept <= limit * len(payload) * 9 / 8 + 2 * KIB
    assert decoder.feed(said(CONTINUATION)) == [payload * limit]


# What the server says.


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("bye", "bye"),
        ("", ""),
        ("x" * 200, "x" * 123),
        ("é" * 100, "é" * 61),
        ("\ud800", "?"),
    ],
)
def test_a_close_frame_has_as_much_of_its_reason_as_it_carries(reason: str, told: str) -> None:
    assert heard(frames.close(1000, reason)) == [Heard(CLOSE, b"\x03\xe8" + told.encode())]
