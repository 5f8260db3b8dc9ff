"""Lines, of text and of bytes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.framing import ByteLines, Framing, Lines
from hubbub.framing.telnet import DO, DONT, IAC, WILL, WONT
from hubbub.values.errors import MessageTooLong

from support.feeding import decode, decode_however_cut, pieces_of

LIMIT = 8
GA = 0xF9
PARTS = [b"\n", b"\r", b"\r\n", b"a", b"bc", b"def", "é€😀".encode(), b"\xe2\x82", b"\x80"]

any_lines = pytest.mark.parametrize("framing", [Lines(), ByteLines(), ByteLines(keepends=True)], ids=str)


def lines_in(stream: bytes) -> list[bytes]:
    """The plainest way to find lines; each has its terminator."""
    return re.findall(rb"[^\n]*\n|[^\n]+", stream)


def content_of(line: bytes) -> bytes:
    return line[:-1].removesuffix(b"\r") if line.endswith(b"\n") else line


@given(pieces_of(PARTS))
def test_lines_are_the_same_however_the_stream_is_cut(pieces: list[bytes]) -> None:
    lines = lines_in(b"".join(pieces))
    assert decode_however_cut(ByteLines(keepends=True), *pieces).messages == lines
    assert decode_however_cut(ByteLines(), *pieces).messages == [content_of(line) for line in lines]
    text = [content_of(line).decode(errors="replace") for line in lines]
    assert decode_however_cut(Lines(), *pieces).messages == text


@given(pieces_of([*PARTS, b"\0", b"\r\0", bytes([IAC, GA])]))
def test_in_text_cr_nul_ends_a_line_however_the_stream_is_cut(pieces: list[bytes]) -> None:
    stream = b"".join(pieces).replace(bytes([IAC, GA]), b"")
    lines = lines_in(stream.replace(b"\r\0", b"\r\n"))
    expected = [content_of(line).decode(errors="replace") for line in lines]
    assert decode_however_cut(Lines(), *pieces).messages == expected
    too_long = [at for at, line in enumerate(lines) if len(content_of(line)) > LIMIT]
    outcome = decode_however_cut(Lines(), *pieces, limit=LIMIT)
    assert outcome.messages == (expected[: too_long[0]] if too_long else expected)


def test_a_line_of_text_that_ends_with_cr_nul_needs_nothing_more() -> None:
    decoder = Lines().decoder(LIMIT)
    assert decoder.feed(b"x" * LIMIT + b"\r") == []
    assert decoder.partial
    assert decoder.feed(b"\0") == ["x" * LIMIT]
    assert not decoder.partial
    assert decoder.feed(b"\0a\r\r\0") == ["\0a\r"]


@any_lines
@given(pieces=pieces_of(PARTS))
def test_what_comes_before_a_line_over_the_limit_is_kept_however_the_stream_is_cut(
    framing: Framing[Any], pieces: list[bytes]
) -> None:
    lines = lines_in(b"".join(pieces))
    too_long = [at for at, line in enumerate(lines) if len(content_of(line)) > LIMIT]
    kept = lines[: too_long[0]] if too_long else lines
    outcome = decode_however_cut(framing, *pieces, limit=LIMIT)
    assert outcome.messages == decode(framing, kept).messages
    assert outcome.failure == ("message longer than 8 bytes" if too_long else None)


@any_lines
@pytest.mark.parametrize(
    ("last", "fits"),
    [
        *((b"x" * LIMIT + end, True) for end in (b"\n", b"\r\n", b"")),
        *((b"x" * (LIMIT + 1) + end, False) for end in (b"\n", b"\r\n", b"", b"\r\n\n")),
        # At the very end a CR counts: it ends no line.
        (b"x" * LIMIT + b"\r", False),
    ],
)
def test_a_line_may_be_as_long_as_the_limit_and_no_longer(framing: Framing[Any], last: bytes, fits: bool) -> None:
    outcome = decode_however_cut(framing, b"a\n" * 20 + last, limit=LIMIT)
    assert len(outcome.messages) == (21 if fits else 20)
    assert outcome.failure == (None if fits else "message longer than 8 bytes")


@any_lines
def test_a_line_over_the_limit_is_refused_before_it_ends(framing: Framing[Any]) -> None:
    decoder = framing.decoder(LIMIT)
    decoder.feed(b"x" * LIMIT)
    with pytest.raises(MessageTooLong) as raised:
        decoder.feed(b"x")
    assert raised.value.limit == LIMIT


@pytest.mark.parametrize("framing", [ByteLines(), ByteLines(keepends=True)], ids=str)
def test_lines_of_bytes_are_left_cr_nul_and_telnet_commands(framing: Framing[Any]) -> None:
    line = b"a\r\0" + bytes([IAC, WILL, 31])
    outcome = decode_however_cut(framing, line + b"\n")
    assert outcome.messages == [line + b"\n" if framing == ByteLines(keepends=True) else line]
    assert outcome.replies == b""


def test_text_lines_are_freed_of_telnet_commands_which_are_refused_once() -> None:
    offer, request = bytes([IAC, WILL, 31]), bytes([IAC, DO, 1])
    outcome = decode_however_cut(Lines(), b"a" + offer + b"b\n" + request + b"c\n")
    assert outcome.messages == ["ab", "c"]
    assert outcome.replies == bytes([IAC, DONT, 31, IAC, WONT, 1])


def test_telnet_commands_do_not_count_to_the_length_of_a_line() -> None:
    outcome = decode_however_cut(Lines(), bytes([IAC, WILL, 31]) * 10 + b"x" * LIMIT + b"\n", limit=LIMIT)
    assert outcome.messages == ["x" * LIMIT]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\n"))), st.booleans())
def test_text_is_taken_apart_as_it_was_put_together(messages: list[str], crlf: bool) -> None:
    framing = Lines(crlf=crlf)
    decoded = decode(framing, [framing.encode(messages)]).messages
    # With LF alone, a CR at the end of a message cannot be told from one of the terminator.
    assert decoded == (messages if crlf else [message.removesuffix("\r") for message in messages])


@given(st.lists(st.binary().map(lambda line: line.replace(b"\n", b"\r"))), st.booleans())
def test_bytes_are_taken_apart_as_they_were_put_together(messages: list[bytes], keepends: bool) -> None:
    framing = ByteLines(keepends=keepends)
    decoded = decode(framing, [framing.encode(messages)]).messages
    assert decoded == [m + b"\n" if keepends else m.removesuffix(b"\r") for m in messages]


@pytest.mark.parametrize(
    ("framing", "messages", "wire"),
    [
        (Lines(), ["a", "", "b"], b"a\n\nb\n"),
        (Lines(crlf=True), ["a", "", "b"], b"a\r\n\r\nb\r\n"),
        (ByteLines(keepends=True), [b"a\r\n", b"b\n", b"c"], b"a\r\nb\nc\n"),
        # Where ends are not kept, they are replaced.
        (ByteLines(), [b"a\r\n", b"b\n", b"c", b"\n", b"d\r"], b"a\nb\nc\n\nd\r\n"),
    ],
    ids=str,
)
def test_lines_are_sent_with_the_terminator_that_was_chosen(
    framing: Framing[Any], messages: list[Any], wire: bytes
) -> None:
    assert framing.encode(messages) == wire


def test_received_lines_are_sent_on_as_they_came() -> None:
    framing = ByteLines(keepends=True)
    decoder = framing.decoder(LIMIT)
    lines = decoder.feed(b"a\r\nb\nc")
    assert framing.encode(lines) == b"a\r\nb\n"
    # They are few, and still joined only once.
    assert framing.encode(lines) is framing.encode(lines)
    assert framing.encode(lines[1:]) == b"b\n"
    assert framing.encode(decoder.end()) == b"c\n"


@pytest.mark.parametrize("message", ["a\nb", "\n", "a\n", "a\r\0", "a\r\0b", "\ud800"])
@pytest.mark.parametrize("crlf", [False, True])
def test_text_that_is_not_a_line_cannot_be_sent(message: str, crlf: bool) -> None:
    with pytest.raises(ValueError, match=r"line end|surrogate"):
        Lines(crlf=crlf).encode(["x", message])


@pytest.mark.parametrize("messages", [["a\r", "\0b"], ["\0", "a\0b"]])
@pytest.mark.parametrize("crlf", [False, True])
def test_text_may_have_nul_where_it_ends_no_line(messages: list[str], crlf: bool) -> None:
    framing = Lines(crlf=crlf)
    assert len(decode(framing, [framing.encode(messages)]).messages) == 2


@pytest.mark.parametrize("message", [b"a\nb", b"\n\n", b"a\n\r\n"])
@pytest.mark.parametrize("keepends", [False, True])
def test_bytes_that_are_not_a_line_cannot_be_sent(message: bytes, keepends: bool) -> None:
    with pytest.raises(ValueError, match="line end"):
        ByteLines(keepends=keepends).encode([b"x", message])
