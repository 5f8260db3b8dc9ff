"""Messages that stay in the bytes they came in until somebody looks at them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.framing import ByteLines, Delimited, Framing, LengthPrefixed, Lines, Messages, Raw
from hubbub.framing.telnet import DO, IAC, SB
from hubbub.values.errors import MessageTooLong

from support.feeding import AMPLE, pieces_of

TEXT: list[Framing[Any]] = [Lines(), Lines(crlf=True)]
BYTES: list[Framing[Any]] = [
    ByteLines(),
    ByteLines(keepends=True),
    Delimited(b"\0"),
    Delimited(b"\n"),
    Delimited(b"<end>"),
    Delimited(b"aa"),
    LengthPrefixed(1),
    LengthPrefixed(2, "little"),
    Raw(),
]
PARTS = [
    *(b"\n", b"\r", b"\r\n", b"\r\0", b"\0", b"a", b"aa", b"bc", b"<end>", b"<en", b"\x0b", b"\x1c", b"\x85"),
    *("\u2028".encode(), "\x85".encode(), "é".encode(), b"\xe2\x82", b"\xff", bytes([IAC, DO, 1]), bytes([IAC, SB, 9])),
]

LONG = 300
"""Bytes that are not taken apart at once."""

RUNS: list[tuple[Framing[Any], bytes]] = [
    (Lines(), b"line\n" * LONG),
    (Lines(crlf=True), b"line\r\n" * LONG),
    (ByteLines(), b"line\xff\n" * LONG),
    (ByteLines(keepends=True), b"one\r\ntwo\n" * LONG),
    (Delimited(b"\0"), b"one\0two\r\n\0" * LONG),
    (Delimited(b"<end>"), b"one<end>" * LONG),
]

all_runs = pytest.mark.parametrize(("framing", "wire"), RUNS, ids=str)


def run_in(framing: Framing[Any], wire: bytes) -> Messages[Any]:
    run = framing.decoder(AMPLE).feed(wire)
    assert type(run) is Messages
    return run


def encoded(framing: Framing[Any], messages: Any) -> bytes | str:
    """The bytes of `messages`, or that the framing refuses them."""
    try:
        return framing.encode(messages)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("target", [*TEXT, *BYTES], ids=str)
@given(data=st.data(), pieces=pieces_of(PARTS), times=st.sampled_from([1, LONG]))
def test_messages_are_encoded_as_a_list_of_them_would_be(
    target: Framing[Any], data: st.DataObject, pieces: list[bytes], times: int
) -> None:
    source = data.draw(st.sampled_from(TEXT if target in TEXT else BYTES))
    if isinstance(source, LengthPrefixed):
        pieces = [source.encode(pieces)]
    decoder, other = source.decoder(AMPLE), source.decoder(AMPLE)
    for piece in [piece * times for piece in pieces]:
        run, messages = decoder.feed(piece), list(other.feed(piece))
        assert encoded(target, run) == encoded(target, messages)
        assert list(run) == messages
        assert encoded(target, run) == encoded(target, messages)
    assert encoded(target, decoder.end()) == encoded(target, list(other.end()))


@all_runs
def test_passing_messages_on_neither_takes_them_apart_nor_copies_them(
    framing: Framing[Any], wire: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = len(framing.split(wire))

    def split(self: object, wire: bytes) -> list[Any]:
        raise AssertionError("the messages were taken apart")

    monkeypatch.setattr(type(framing), "split", split)
    run = run_in(framing, wire)
    assert run
    assert len(run) == expected
    assert framing.encode(run) is wire


def test_messages_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[bytes] = []

    def count(self: object, wire: bytes) -> int:
        counted.append(wire)
        return wire.count(b"\n")

    monkeypatch.setattr(Lines, "count", count)
    run = run_in(Lines(), b"line\n" * LONG)
    assert run
    assert not counted
    assert [len(run), len(run)] == [LONG, LONG]
    assert counted == [run.wire]


def test_a_long_message_may_be_alone() -> None:
    run = run_in(Lines(), b"x" * LONG + b"\n")
    assert run
    assert list(run) == ["x" * LONG]


def test_messages_after_their_length_are_passed_on_without_joining() -> None:
    framing = LengthPrefixed(2)
    run = run_in(framing, framing.encode([b"x" * LONG] * 2) + b"\0")
    assert framing.encode(run) is run.wire
    assert run.wire == framing.encode([b"x" * LONG] * 2)
    assert len(run) == 2


@pytest.mark.parametrize(
    ("source", "target", "wire"),
    [
        (Lines(crlf=True), Lines(), b"one\n" * LONG),
        (Lines(), Lines(crlf=True), b"one\r\n" * LONG),
        (ByteLines(), ByteLines(keepends=True), b"one\n" * LONG),
        (ByteLines(keepends=True), ByteLines(), b"one\n" * LONG),
    ],
    ids=str,
)
def test_messages_are_passed_on_to_another_framing_that_would_make_the_same_bytes(
    source: Framing[Any], target: Framing[Any], wire: bytes
) -> None:
    assert target.encode(run_in(source, wire)) is wire


@pytest.mark.parametrize(
    ("source", "target", "wire", "expected"),
    [
        (Lines(), Lines(), "é\u2028\n".encode() * LONG, "é\u2028\n".encode() * LONG),
        (Lines(), Lines(), b"a\x85\n" * LONG, "a\ufffd\n".encode() * LONG),
        (Lines(), Lines(), b"a\r\n" * LONG, b"a\n" * LONG),
        (Lines(), Lines(), b"a\rb\r\0" * LONG, b"a\rb\n" * LONG),
        (Lines(), Lines(crlf=True), b"a\r\n" * LONG + b"b\n", b"a\r\n" * LONG + b"b\r\n"),
        (ByteLines(), ByteLines(), b"a\r\r\n" * LONG, b"a\r\n" * LONG),
        (ByteLines(), ByteLines(keepends=True), b"a\r\n" * LONG, b"a\n" * LONG),
        (ByteLines(keepends=True), ByteLines(), b"a\r\n" * LONG, b"a\n" * LONG),
        (ByteLines(keepends=True), Delimited(b"\0"), b"a\r\n" * LONG, b"a\r\n\0" * LONG),
        (Delimited(b"\0"), Delimited(b"<end>"), b"a\0" * LONG, b"a<end>" * LONG),
        (LengthPrefixed(1), LengthPrefixed(2), b"\1a" * LONG, b"\0\1a" * LONG),
    ],
    ids=str,
)
def test_messages_whose_bytes_would_differ_are_encoded(
    source: Framing[Any], target: Framing[Any], wire: bytes, expected: bytes
) -> None:
    assert target.encode(run_in(source, wire)) == expected


def test_a_framing_that_a_user_derived_encodes_for_itself() -> None:
    class Shouted(Lines):
        def split(self, wire: bytes) -> list[str]:
            return super().split(wire.upper())

    class Loud(ByteLines):
        def split(self, wire: bytes) -> list[bytes]:
            return super().split(wire.upper())

    assert Lines().encode(run_in(Shouted(), b"hey\n" * LONG)) == b"HEY\n" * LONG
    assert ByteLines().encode(run_in(Loud(), b"hey\n" * LONG)) == b"HEY\n" * LONG


def test_messages_of_the_other_type_cannot_be_sent() -> None:
    text: Any = run_in(Lines(), b"a\n" * LONG)
    with pytest.raises(TypeError):
        ByteLines().encode(text)
    data: Any = run_in(ByteLines(), b"a\n" * LONG)
    with pytest.raises(TypeError):
        Lines().encode(data)


@all_runs
def test_messages_are_a_sequence_and_to_look_at_them_changes_nothing(framing: Framing[Any], wire: bytes) -> None:
    messages = framing.split(wire)
    seen = list(run_in(framing, wire))
    assert seen == messages
    for look in (
        lambda run: run[0],
        lambda run: run[-1],
        lambda run: run[1:-1],
        lambda run: messages[1] in run,
        lambda run: "elsewhere" in run,
        lambda run: list(reversed(run)),
        len,
        bool,
    ):
        run = run_in(framing, wire)
        assert look(run) == look(messages)
        assert run == run_in(framing, wire) == run
        assert repr(run) == repr(run_in(framing, wire)) == f"Messages({messages!r})"
        assert framing.encode(run) is wire
    with pytest.raises(IndexError):
        run[len(messages)]
    # It gave out a list of its own.
    seen.clear()
    assert run


def test_messages_equal_a_list_of_them() -> None:
    run, messages = run_in(Lines(), b"a\n" * LONG), ["a"] * LONG
    assert run == messages
    assert messages == run
    assert run == run_in(Lines(), b"a\r\n" * LONG)
    assert run != ["a"] * (LONG - 1)
    assert run != run_in(Lines(), b"b\n" * LONG)
    assert run != "a"
    with pytest.raises(TypeError, match="unhashable"):
        hash(run)


@all_runs
@pytest.mark.parametrize("before", [b"", b"begun"])
def test_a_message_over_the_limit_is_refused_before_messages_are_handed_out(
    framing: Framing[Any], wire: bytes, before: bytes
) -> None:
    good, end = before + wire, framing.encode([b"" if framing in BYTES else ""])
    decoder = framing.decoder(LONG)
    decoder.feed(before)
    with pytest.raises(MessageTooLong) as raised:
        decoder.feed(wire + b"x" * (LONG + 1) + end + wire)
    assert raised.value.messages == framing.split(good)
    assert framing.encode(raised.value.messages) == good
