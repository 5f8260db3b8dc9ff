"""Whether a reader hears every line, whole, once, and in the order of its sender."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..values.settings import MIB
from .lines import MIN_SIZE, is_probe, sender_in, seq_in

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from .lines import Speech

GAPS_KEPT: Final = 1_000
"""Gaps that a line which comes late is still looked for in; behind them, it counts as repeated."""

REST_LIMIT: Final = 2 * MIB
"""Bytes without the end of a line that are kept: more than the longest line, and what a server may write before it."""


@dataclass(slots=True)
class Faults:
    """How many lines were not as they should be.

    Attributes:
        lost: lines that were passed over and never came.
        repeated: lines that came again.
        reordered: lines that came behind later ones of their sender.
        torn: lines that came, but not whole.
    """

    lost: int = 0
    repeated: int = 0
    reordered: int = 0
    torn: int = 0

    def add(self, other: Faults) -> None:
        """Count those of another reader, too."""
        self.lost += other.lost
        self.repeated += other.repeated
        self.reordered += other.reordered
        self.torn += other.torn

    def __bool__(self) -> bool:
        return bool(self.lost or self.repeated or self.reordered or self.torn)


class Check:
    """What one reader has heard, compared with what was said.

    A line is known by its tag, wherever in a received line that is: a server may write something before it, and end it
    with CR LF. Lines without the tag are none of the run: a greeting, a notice, a line of somebody else.

    Args:
        tag: the run's.
        speeches: what each sender says.

    Attributes:
        next: for each sender, the place behind the last of its lines that has come.
        heard: lines of the run that have come, but for repeated and torn ones.
        foreign: lines that are none of the run.
        probed: senders of which a probe was heard.
        faults: what was wrong.
    """

    def __init__(self, tag: bytes, speeches: Sequence[Speech]) -> None:
        self._tag = tag
        self._speeches = speeches
        self._blocks = [speech.blocks for speech in speeches]
        self._quotes = [(b"", b"\n") for _ in speeches]
        self.next = [0] * len(speeches)
        self.heard = 0
        self.foreign = 0
        self.probed: set[int] = set()
        self.faults = Faults()
        self._gaps: list[tuple[int, int, int]] = []
        self._rest = b""
        self._speaker = 0
        self._advanced: set[int] = set()

    def feed(self, piece: bytes) -> Collection[int]:
        """Take what has arrived, cut anywhere; the senders of which later lines have come than before."""
        data = self._rest + piece if self._rest else piece
        self._advanced = set()
        at = 0
        while True:
            if run := self._match(data, at):
                at += run
                continue
            end = data.find(b"\n", at)
            if end < 0:
                break
            self._judge(data[at:end])
            at = end + 1
        self._rest = data[at:]
        if len(self._rest) > REST_LIMIT:
            self._rest = b""
            self.foreign += 1
        return self._advanced

    def _match(self, data: bytes, at: int) -> int:
        """How many bytes from there on are the very next lines of a sender: by comparing memory, not line by line."""
        size = self._match_lines(data, at, self._speaker)
        if size or len(self._speeches) == 1:
            return size
        tag_at = data.find(self._tag, at)
        sender = sender_in(data[tag_at : tag_at + MIN_SIZE]) if tag_at >= 0 else None
        if sender is None or sender >= len(self._speeches) or sender == self._speaker:
            return 0
        self._speaker = sender
        return self._match_lines(data, at, sender)

    def _match_lines(self, data: bytes, at: int, sender: int) -> int:
        blocks = self._blocks[sender]
        count = (len(data) - at) // blocks.size
        if not count:
            return 0
        expected = blocks.lines(self.next[sender], count)
        size = len(expected) if data.startswith(expected, at) else _common_lines(data, at, expected, blocks.size)
        if size:
            lines = size // blocks.size
            self.next[sender] += lines
            self.heard += lines
            self._advanced.add(sender)
        return size

    def _judge(self, line: bytes) -> None:
        end = b"\n"
        if line.endswith(b"\r"):
            line, end = line[:-1], b"\r\n"
        at = line.find(self._tag)
        if at < 0:
            self.foreign += 1
        # Where a server has mixed two lines there are two tags.
        while at >= 0:
            self._judge_tagged(line[at:], quote=(line[:at], end))
            at = line.find(self._tag, at + len(self._tag))

    def _judge_tagged(self, line: bytes, quote: tuple[bytes, bytes]) -> None:
        sender = sender_in(line)
        if sender is None or sender >= len(self._speeches):
            # Its line will be missed.
            return
        if is_probe(line):
            self.probed.add(sender)
            return
        seq = seq_in(line)
        if seq is None:
            # Likewise.
            return
        if self._speeches[sender].line(seq)[:-1] == line:
            self._learn(sender, quote)
            self._accept(sender, seq)
            return
        self.faults.torn += 1
        if seq == self.next[sender]:
            # It is not lost as well.
            self.next[sender] += 1
            self._advanced.add(sender)

    def _learn(self, sender: int, quote: tuple[bytes, bytes]) -> None:
        """From the second line on that is passed on in the same way, more of the kind are expected."""
        if quote == self._quotes[sender]:
            self._blocks[sender] = self._speeches[sender].quoted(*quote)
        self._quotes[sender] = quote

    def _accept(self, sender: int, seq: int) -> None:
        expected = self.next[sender]
        if seq < expected:
            self._accept_late(sender, seq)
            return
        if seq > expected:
            self.faults.lost += seq - expected
            self._gaps.append((sender, expected, seq))
            del self._gaps[:-GAPS_KEPT]
        self.next[sender] = seq + 1
        self.heard += 1
        self._advanced.add(sender)

    def _accept_late(self, sender: int, seq: int) -> None:
        for number, (speaker, start, stop) in enumerate(self._gaps):
            if speaker == sender and start <= seq < stop:
                parts = ((sender, start, seq), (sender, seq + 1, stop))
                self._gaps[number : number + 1] = [part for part in parts if part[1] < part[2]]
                self.faults.lost -= 1
                self.faults.reordered += 1
                self.heard += 1
                return
        self.faults.repeated += 1


def _common_lines(data: bytes, at: int, expected: memoryview, line_size: int) -> int:
    """How many bytes, in whole lines, are the same; not all are."""
    same, step = 0, line_size
    while step:
        if data.startswith(expected[same : same + step], at + same):
            same += step
            step *= 2
        else:
            step = step // (2 * line_size) * line_size
    return same
