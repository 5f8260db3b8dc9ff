"""Messages that end at a delimiter."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.framing import Delimited
from hubbub.values.errors import MessageTooLong

from support.feeding import AMPLE, decode, decode_however_cut, pieces_of

LIMIT = 3
DELIMITERS = [b"\0", b"\r\n", b"aa", b"aba", b"abb"]
PARTS = [b"\0", b"\r", b"\n", b"a", b"b"]


@given(pieces_of(PARTS, max_parts=20), st.sampled_from(DELIMITERS), st.sampled_from([LIMIT, AMPLE]))
def test_messages_are_the_same_however_the_stream_is_cut_until_one_is_over_the_limit(
    pieces: list[bytes], delimiter: bytes, limit: int
) -> None:
    *messages, last = b"".join(pieces).split(delimiter)
    messages += [last] * bool(last)
    too_long = [at for at, message in enumerate(messages) if len(message) > limit]
    outcome = decode_however_cut(Delimited(delimiter), *pieces, limit=limit)
    assert outcome.messages == (messages[: too_long[0]] if too_long else messages)
    assert outcome.failure == ("message longer than 3 bytes" if too_long else None)


@pytest.mark.parametrize(
    ("delimiter", "stream", "messages"),
    [(b"aa", b"aaaaab", [b"", b"", b"ab"]), (b"aba", b"abababaxaba", [b"", b"b", b"x"]), (b"abb", b"ababb", [b"ab"])],
)
def test_of_delimiters_that_overlap_the_first_counts(delimiter: bytes, stream: bytes, messages: list[bytes]) -> None:
    assert decode_however_cut(Delimited(delimiter), stream).messages == messages


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_no_more_than_a_message_as_long_as_the_limit_and_a_part_of_its_delimiter_is_kept(delimiter: bytes) -> None:
    assert decode_however_cut(Delimited(delimiter), b"x" * LIMIT + delimiter, limit=LIMIT).messages == [b"x" * LIMIT]
    decoder = Delimited(delimiter).decoder(LIMIT)
    assert decoder.feed(b"x" * (LIMIT + len(delimiter) - 1)) == []
    with pytest.raises(MessageTooLong) as raised:
        decoder.feed(b"x")
    assert raised.value.limit == LIMIT


def test_part_of_a_delimiter_at_the_end_of_the_stream_belongs_to_the_message() -> None:
    framing = Delimited(b"<end>")
    assert decode_however_cut(framing, b"x<en", limit=4).messages == [b"x<en"]
    assert decode_however_cut(framing, b"x<en", limit=3).failure == "message longer than 3 bytes"


@given(st.lists(st.text("ab\r\n\0", max_size=6).map(str.encode)), st.sampled_from(DELIMITERS))
def test_messages_are_taken_apart_as_they_were_put_together_or_refused(messages: list[bytes], delimiter: bytes) -> None:
    framing = Delimited(delimiter)
    try:
        wire = framing.encode(messages)
    except ValueError:
        # Then one of them is to blame by itself.
        assert any((message + delimiter).index(delimiter) < len(message) for message in messages)
    else:
        assert decode(framing, [wire]).messages == messages


@pytest.mark.parametrize(
    ("delimiter", "message"), [(b"\0", b"a\0b"), (b"\r\n", b"\r\n"), (b"aa", b"a"), (b"aba", b"ab")]
)
def test_a_message_in_which_the_delimiter_would_be_found_early_cannot_be_sent(delimiter: bytes, message: bytes) -> None:
    with pytest.raises(ValueError, match="cannot contain its delimiter"):
        Delimited(delimiter).encode([b"x", message])


def test_a_delimiter_has_at_least_one_byte() -> None:
    with pytest.raises(ValueError, match="delimiter is empty"):
        Delimited(b"")


def test_a_delimiter_is_bytes() -> None:
    with pytest.raises(TypeError, match=r"^the delimiter is '\|'; it must be bytes, as in b'\\0'$"):
        Delimited(cast("bytes", "|"))


@pytest.mark.parametrize("rest", [b"y" * (LIMIT + 1) + b"aa", b"y" * (LIMIT + 2)])
def test_a_message_that_was_begun_may_be_too_long_behind_one_that_is_not(rest: bytes) -> None:
    decoder = Delimited(b"aa").decoder(LIMIT)
    with pytest.raises(MessageTooLong) as caught:
        decoder.feed(b"xaa" + rest)
    assert caught.value.messages == [b"x"]
