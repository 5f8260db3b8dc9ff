"""The beginning of a stream: telnet's negotiation, byte order marks, and peers that speak HTTP or TLS."""

from __future__ import annotations

from codecs import BOM_UTF8
from typing import Any

import pytest

from hubbub.framing import Beginning, ByteLines, Delimited, Framing, LengthPrefixed, Lines, Raw
from hubbub.framing.telnet import DONT, IAC, WILL, WONT

from support.certificates import client_hello
from support.feeding import AMPLE, Outcome, decode, decode_however_cut

PUTTY = b"\xff\xfb\x1f\xff\xfb \xff\xfb\x18\xff\xfb'\xff\xfd\x01\xff\xfb\x03\xff\xfd\x03"
REFUSED = b"\xff\xfe\x1f\xff\xfe \xff\xfe\x18\xff\xfe'\xff\xfc\x01\xff\xfe\x03\xff\xfc\x03"
"""What PuTTY 0.78 begins with, and the answers."""

REQUEST = b"POST /x HTTP/1.1\r\n"
HELLO = client_hello()

OLD_ENVIRON = 36
END_OF_FILE = 0xEC

KEEPING = ByteLines(keepends=True)

byte_lines = pytest.mark.parametrize("framing", [ByteLines(), KEEPING], ids=str)
text = pytest.mark.parametrize("framing", [Lines(), ByteLines(), KEEPING, Delimited(b"\0")], ids=str)


def content(outcome: Outcome[Any]) -> list[bytes]:
    """The messages, as bytes without their ends."""
    return [(message.encode() if isinstance(message, str) else message).rstrip(b"\r\n") for message in outcome.messages]


# Telnet.


@byte_lines
def test_a_stream_of_bytes_that_begins_with_negotiation_is_one_of_telnet(framing: Framing[bytes]) -> None:
    # PuTTY goes on once it was refused, escapes what looks like a command, and says its end.
    stream = PUTTY + b"first\n" + bytes([IAC, WILL, OLD_ENVIRON]) + b"b\xff\xff\xfb\n" + bytes([IAC, END_OF_FILE])
    outcome = decode_however_cut(framing, stream, guarded=True)
    assert content(outcome) == [b"first", b"b\xff\xfb"]
    assert outcome.replies == REFUSED + bytes([IAC, DONT, OLD_ENVIRON])
    assert outcome.failure is None


@byte_lines
def test_the_option_that_is_proposed_may_be_any_that_is_assigned(framing: Framing[bytes]) -> None:
    assert content(decode_however_cut(framing, b"\xff\xfd\x31a\n", guarded=False)) == [b"a"]


def test_text_is_filtered_once() -> None:
    stream = PUTTY + b"a\xff\xff\xff\xff\n"
    assert decode_however_cut(Lines(), stream, guarded=True) == decode(Lines(), [stream])


@pytest.mark.parametrize(("framing", "guarded"), [(ByteLines(), False), (Lines(), True)], ids=str)
def test_an_empty_piece_is_no_beginning(framing: Framing[Any], guarded: bool) -> None:
    stream = HELLO if guarded else PUTTY + b"a\n"
    assert decode(framing, [b"", stream], guarded=guarded) == decode(framing, [stream], guarded=guarded)


@pytest.mark.parametrize(
    "stream",
    [
        *(b"", b"\xff", b"\xff\xfb", b"\xff\xff\n", b"\xff\xec\n", bytes([IAC, WONT, 1]) + b"\n"),
        # A byte order mark of UTF-16, a frame of MP3, and commands anywhere but at the beginning.
        *(b"\xff\xfea\0\n\0", b"\xff\xfb\x90d\n", b"\xff\xfb\x32\n", b"a\n" + PUTTY + b"\n", b"\n" + PUTTY + b"\n"),
    ],
)
@byte_lines
def test_any_other_stream_of_bytes_is_left_as_it_is(framing: Framing[bytes], stream: bytes) -> None:
    outcome = decode_however_cut(framing, stream, guarded=True)
    assert outcome == decode(framing, [stream])
    assert not outcome.replies


def test_negotiation_is_no_message_that_has_begun_but_a_part_of_it_may_be_one() -> None:
    said = []
    decoder = Beginning(ByteLines(), AMPLE, guarded=True)
    for piece in (b"\xff", b"\xfd", b"\x01", PUTTY, b"a", b"\n"):
        decoder.feed(piece)
        said.append(decoder.partial)
    assert said == [True, True, False, False, True, False]
    assert decoder.rest is not None
    decoder.rest.feed(b"a")
    assert decoder.rest.partial


# Byte order marks.


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize(
    ("stream", "messages"),
    [
        (BOM_UTF8 + b"12345678\nb\n", ["12345678", "b"]),
        (BOM_UTF8 + b"a", ["a"]),
        (BOM_UTF8 + b"\n", [""]),
        (BOM_UTF8, []),
        # All else is text.
        *((BOM_UTF8[:2] + end, ["\ufffd"]) for end in (b"", b"\n")),
        (BOM_UTF8 * 2 + b"a\n", ["\ufeffa"]),
        (b"\n" + BOM_UTF8 + b"a\n", ["", "\ufeffa"]),
    ],
)
def test_a_byte_order_mark_at_the_beginning_is_no_part_of_the_text(
    stream: bytes, messages: list[str], guarded: bool
) -> None:
    assert decode_however_cut(Lines(), stream, limit=8, guarded=guarded).messages == messages


@byte_lines
def test_a_byte_order_mark_in_a_stream_of_bytes_is_left_as_it_is(framing: Framing[bytes]) -> None:
    stream = BOM_UTF8 + b"a\n"
    assert decode_however_cut(framing, stream, guarded=True) == decode(framing, [stream])


# HTTP and TLS.


@pytest.mark.parametrize(
    ("stream", "protocol"),
    [
        (REQUEST + b"Host: localhost:5000\r\nContent-Length: 8\r\n\r\n$FORGED\n", "HTTP"),
        (b"GET http://localhost:5000/ HTTP/1.0\n\n", "HTTP"),
        (b"M-SEARCH * HTTP/1.1", "HTTP"),
        # More than what is taken apart at once.
        (REQUEST + b"forged\n" * 50, "HTTP"),
        (HELLO, "TLS"),
        (b"\x16\x03\x01\x0a\x0a\x01", "TLS"),
        (b"\x16\x03\x04\xff\xff\x01", "TLS"),
    ],
)
@text
def test_who_speaks_http_or_tls_where_messages_are_text_is_heard_only_where_that_is_allowed(
    framing: Framing[Any], stream: bytes, protocol: str
) -> None:
    # In other framings, what ends a line of a request ends no message.
    stream += b"\0" if isinstance(framing, Delimited) else b""
    outcome = decode_however_cut(framing, stream, guarded=True)
    assert (outcome.messages, outcome.failure) == ([], f"{protocol} is not spoken here")
    assert decode_however_cut(framing, stream, guarded=False).messages


@pytest.mark.parametrize("framing", [Lines(), KEEPING], ids=str)
def test_of_a_request_nothing_is_heard_whatever_stands_before_it_or_is_wrong_behind_it(framing: Framing[Any]) -> None:
    outcome = decode_however_cut(framing, PUTTY + REQUEST + b"Host: localhost\r\n" + b"x" * 30, limit=20, guarded=True)
    assert (outcome.messages, outcome.failure) == ([], "HTTP is not spoken here")


@pytest.mark.parametrize(
    "stream",
    [
        *(
            b"GET / HTTP/1.1 x\n",
            b" GET / HTTP/1.1\n",
            b"GET /\n",
            b"GET / HTTP/2\n",
            b"GET  HTTP/1.1\n",
            b"GET a b HTTP/1.1\n",
            b"\n",
        ),
        *(b"I like HTTP/1.1\n", b"Use plain HTTP/1.1\n", b"hello\n" + REQUEST, b"\r\n" + REQUEST),
        *(b"\x16", b"\x16\n", b"\x16\x03", b"\x16\x03\x03ab", b"\x16\x03\x05ab\x01\n", b"\x16\x03\x01\0\n\x02\n"),
        *(b"\n" + HELLO, b"\n" * 300 + REQUEST, b"a\0" * 200),
    ],
)
@text
def test_any_other_text_is_left_as_it_is(framing: Framing[Any], stream: bytes) -> None:
    assert decode_however_cut(framing, stream, guarded=True) == decode(framing, [stream])


@pytest.mark.parametrize("stream", [REQUEST, HELLO, PUTTY + b"\n"])
@pytest.mark.parametrize("framing", [Raw(), LengthPrefixed(1), Delimited(b"\xc0")], ids=str)
def test_binary_messages_may_begin_as_they_like(framing: Framing[bytes], stream: bytes) -> None:
    assert decode(framing, [stream], guarded=True) == decode(framing, [stream])
