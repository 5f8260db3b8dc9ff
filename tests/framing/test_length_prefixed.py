"""Messages that come after their length."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.framing import LengthPrefixed
from hubbub.values.errors import IncompleteMessage, MessageTooLong

from support.feeding import decode, decode_however_cut, pieces_of

LIMIT = 4
FRAMINGS = st.builds(LengthPrefixed, st.sampled_from((1, 2, 4)), st.sampled_from(("big", "little")))
PARTS = [b"\0", b"\1", b"\0\0\0\2", b"\3\0", b"abc"]


def messages_in(stream: bytes, framing: LengthPrefixed, limit: int) -> tuple[list[bytes], str | None]:
    """The plainest way to find the messages, and what is wrong with the one that ends the search, if anything is."""
    messages: list[bytes] = []
    while stream:
        if len(stream) < framing.size:
            return messages, f"the stream ended {framing.size - len(stream)} bytes before the end of a message"
        length = int.from_bytes(stream[: framing.size], framing.byteorder)
        stream = stream[framing.size :]
        if length > limit:
            return messages, f"message longer than {limit} bytes"
        if length > len(stream):
            return messages, f"the stream ended {length - len(stream)} bytes before the end of a message"
        messages.append(stream[:length])
        stream = stream[length:]
    return messages, None


@given(pieces_of(PARTS), FRAMINGS)
def test_messages_are_the_same_however_the_stream_is_cut(pieces: list[bytes], framing: LengthPrefixed) -> None:
    outcome = decode_however_cut(framing, *pieces, limit=LIMIT)
    assert (outcome.messages, outcome.failure) == messages_in(b"".join(pieces), framing, LIMIT)


@given(st.lists(st.binary(max_size=300)), FRAMINGS)
def test_messages_are_taken_apart_as_they_were_put_together(messages: list[bytes], framing: LengthPrefixed) -> None:
    if framing.size == 1:
        messages = [message[:255] for message in messages]
    assert decode(framing, [framing.encode(messages)]).messages == messages


def test_the_length_is_sent_in_the_size_and_order_that_were_chosen() -> None:
    assert LengthPrefixed().encode([b"abc", b""]) == b"\0\0\0\3abc\0\0\0\0"
    assert LengthPrefixed(2, "little").encode([b"abc"]) == b"\3\0abc"
    assert LengthPrefixed(size=1).encode([b"abc"]) == b"\3abc"


@pytest.mark.parametrize("before", [[], [b"abcd", b""]])
def test_a_message_over_the_limit_is_refused_for_its_length_alone(before: list[bytes]) -> None:
    framing = LengthPrefixed()
    decoder = framing.decoder(LIMIT)
    with pytest.raises(MessageTooLong) as raised:
        decoder.feed(framing.encode(before) + b"\0\0\0\5")
    assert raised.value.limit == LIMIT
    assert list(raised.value.messages) == before


def test_a_stream_that_ends_within_a_message_is_an_error_that_says_how_much_is_missing() -> None:
    decoder = LengthPrefixed().decoder(LIMIT)
    assert decoder.feed(b"\0\0\0\4ab") == []
    with pytest.raises(IncompleteMessage) as raised:
        decoder.end()
    assert raised.value.missing == 2


def test_a_message_longer_than_its_length_can_say_cannot_be_sent() -> None:
    framing = LengthPrefixed(size=1)
    assert framing.encode([b"x" * 255])[:1] == b"\xff"
    with pytest.raises(ValueError, match="a message of 256 bytes; 1 bytes of length carry 255"):
        framing.encode([b"x" * 256])


@pytest.mark.parametrize("size", [0, 3, 8])
def test_a_length_has_one_two_or_four_bytes(size: Literal[1]) -> None:
    with pytest.raises(ValueError, match=f"has {size} bytes"):
        LengthPrefixed(size)


def test_a_byte_order_is_big_or_little() -> None:
    with pytest.raises(ValueError, match="byte order is 'middle'"):
        LengthPrefixed(byteorder="middle")  # type: ignore[arg-type]
