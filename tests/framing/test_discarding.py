"""What is said by those who may not speak."""

from __future__ import annotations

import pytest

from hubbub.framing import ByteLines, Discarder, LengthPrefixed, Lines
from hubbub.framing.discarding import PROPOSALS_LIMIT

PROPOSAL, REFUSAL = b"\xff\xfd\x01", b"\xff\xfc\x01"


@pytest.mark.parametrize(
    ("framing", "pieces", "replies"),
    [
        (Lines(), [PROPOSAL], REFUSAL),
        (Lines(), [b"text" + PROPOSAL[:1], PROPOSAL[1:]], REFUSAL),
        # In bytes that are not telnet from the beginning it may be anything.
        (ByteLines(), [PROPOSAL + b"text", b"text" + PROPOSAL], 2 * REFUSAL),
        (ByteLines(), [b"text" + PROPOSAL, PROPOSAL], b""),
        (LengthPrefixed(2), [PROPOSAL], b""),
    ],
)
def test_what_telnet_proposes_is_refused(framing: Lines | ByteLines, pieces: list[bytes], replies: bytes) -> None:
    discarder = Discarder(framing)
    assert not any(discarder.feed(piece) for piece in pieces)
    assert discarder.take_replies() == replies
    assert not discarder.take_replies()


def test_a_flood_of_proposals_is_not_answered_for_ever() -> None:
    discarder = Discarder(Lines())
    for _ in range(4):
        discarder.feed(PROPOSAL * PROPOSALS_LIMIT)
    assert len(discarder.take_replies()) <= PROPOSALS_LIMIT
