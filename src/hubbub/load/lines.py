"""What senders say: lines of one size that name their run, sender and place, so that a reader knows each of them."""

from __future__ import annotations

import string
from typing import Final

from .blocks import Blocks

MIN_SIZE: Final = 40
"""The shortest line, in bytes: its header, a little of what can be torn, and its end."""

MAX_SENDERS: Final = 9_999
"""As many as the header has digits for."""

PROBE: Final = b"probe"

QUOTED_LIMIT: Final = 4
"""How many ways are remembered in which a server passes on what one sender says: most have one, a clock has many."""

_SENDER: Final = slice(13, 17)
_SEQ: Final = slice(18, 30)
_TAIL: Final = 18

_HEADER_SIZE: Final = 31

_TEXT: Final = (string.ascii_letters + string.digits).encode()[:61]
"""Each line begins with it at another place: a line made of two is not taken for one. Its length is a prime."""


class Speech:
    """What one sender says in a run.

    A line is `bench-RUNRUN SSSS NNNNNNNNNNNN text`: the run in six characters, the sender, the place from 0.

    Args:
        tag: the run's, as `new_tag` makes it.
        sender: its number.
        size: of a line with its end, in bytes.
        block_lines: how many lines a block has.
        blocks_kept: how many blocks are remembered: as many as lie between what is said and what is heard.

    Attributes:
        probe: a line that has no place, said before the others.
        blocks: the lines.
    """

    def __init__(self, tag: bytes, sender: int, size: int, *, block_lines: int, blocks_kept: int) -> None:
        self._start = b"%s %04d " % (tag, sender)
        self.probe = self._start + PROBE + b"\n"
        self._size = size
        self._text_size = size - _HEADER_SIZE - 1
        self._text = _TEXT * (self._text_size // len(_TEXT) + 2)
        self._block_lines = block_lines
        self._blocks_kept = blocks_kept
        self.blocks = Blocks(self._render, size=size, lines=block_lines, kept=blocks_kept)
        self._quoted = {(b"", b"\n"): self.blocks}

    def line(self, seq: int) -> bytes:
        """A line, with its end."""
        place = seq % len(_TEXT)
        return b"%s%012d %s\n" % (self._start, seq, self._text[place : place + self._text_size])

    def quoted(self, before: bytes, end: bytes) -> Blocks:
        """The lines as a server passes them on that writes something before each, or ends it in its own way."""
        blocks = self._quoted.get((before, end))
        if blocks is None:

            def render(first: int, past: int) -> bytes:
                plain = self._render(first, past)
                return before + plain[:-1].replace(b"\n", end + before) + end

            size = len(before) + self._size - 1 + len(end)
            blocks = Blocks(render, size=size, lines=self._block_lines, kept=self._blocks_kept)
            if len(self._quoted) > QUOTED_LIMIT:
                # All but the plain ones.
                self._quoted = {(b"", b"\n"): self.blocks}
            self._quoted[before, end] = blocks
        return blocks

    def _render(self, first: int, past: int) -> bytes:
        return b"".join([self.line(seq) for seq in range(first, past)])


def new_tag(number: int) -> bytes:
    """What begins each line of a run, and no line of another run at the same time; of a random number."""
    return b"bench-%06x" % (number % (1 << 24))


def sender_in(line: bytes) -> int | None:
    """The number of the sender in a line that begins with a tag, if it is legible."""
    return _number(line, _SENDER)


def seq_in(line: bytes) -> int | None:
    """The place in a line that begins with a tag, if it is legible."""
    return _number(line, _SEQ)


def is_probe(line: bytes) -> bool:
    """Whether a line that begins with a tag and has lost its end is a probe."""
    return line[_TAIL:] == PROBE


def _number(line: bytes, place: slice) -> int | None:
    digits = line[place]
    # A number that is cut off is another one.
    return int(digits) if digits.isdigit() and len(digits) == place.stop - place.start else None
