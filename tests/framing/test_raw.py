"""Whatever arrives."""

from __future__ import annotations

from hypothesis import given

from hubbub.framing import Raw

from support.feeding import decode, pieces_of


@given(pieces_of([b"\0", b"\r\n", b"\xff", b"abc"]))
def test_each_piece_that_arrives_is_a_message(pieces: list[bytes]) -> None:
    outcome = decode(Raw(), pieces, limit=1)
    assert outcome.messages == [piece for piece in pieces if piece]
    assert outcome.failure is None
    assert outcome.replies == b""


def test_messages_are_sent_as_they_are_and_cannot_be_told_apart_again() -> None:
    assert Raw().encode([b"a", b"", b"\r\nb"]) == b"a\r\nb"
    assert not Raw().self_delimiting
