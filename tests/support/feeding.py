"""What the tests of the framings share: one stream, fed to a decoder in every way in which it can be cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic

from hypothesis import strategies as st

from hubbub.framing import Beginning, Framing, M
from hubbub.values.errors import FramingError

AMPLE = 2**20
"""A limit that no test's message reaches."""


@dataclass
class Outcome(Generic[M]):
    """All that a decoder made of a stream, its end included."""

    messages: list[M]
    failure: str | None
    replies: bytes


def decode(
    framing: Framing[M], pieces: Iterable[bytes], *, limit: int = AMPLE, guarded: bool | None = None
) -> Outcome[M]:
    """Feed `pieces` and then the end of the stream; with `guarded`, from its beginning on as a connection does."""
    decoder = framing.decoder(limit) if guarded is None else Beginning(framing, limit, guarded=guarded)
    outcome: Outcome[M] = Outcome([], None, b"")
    try:
        for piece in pieces:
            outcome.messages += decoder.feed(piece)
            outcome.replies += decoder.take_replies()
            if isinstance(decoder, Beginning):
                decoder = decoder.rest or decoder
        outcome.messages += decoder.end()
    except FramingError as error:
        outcome.messages += error.messages
        outcome.failure = str(error)
    outcome.replies += decoder.take_replies()
    return outcome


def decode_however_cut(
    framing: Framing[M], *pieces: bytes, limit: int = AMPLE, guarded: bool | None = None
) -> Outcome[M]:
    """What becomes of the joined `pieces`: the same whole, in these pieces, byte by byte and cut at any one place."""
    stream = b"".join(pieces)
    outcome = decode(framing, [stream], limit=limit, guarded=guarded)
    byte_by_byte = [stream[at : at + 1] for at in range(len(stream))]
    for cut in (pieces, byte_by_byte, *([stream[:at], stream[at:]] for at in range(1, len(stream)))):
        assert decode(framing, cut, limit=limit, guarded=guarded) == outcome, cut
    return outcome


@st.composite
def pieces_of(draw: st.DrawFn, parts: Sequence[bytes], *, max_parts: int = 12) -> list[bytes]:
    """A stream of some of `parts`, cut at some places, which have nothing to do with the parts; pieces may be empty."""
    stream = b"".join(draw(st.lists(st.sampled_from(parts), max_size=max_parts)))
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    return [stream[start:end] for start, end in pairwise([0, *cuts, len(stream)])]
