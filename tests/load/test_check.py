"""Whether a reader of `hubbub bench` heard every line: against a naive model, and however the stream is cut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hubbub.load import check as check_module
from hubbub.load.check import Check, Faults
from hubbub.load.lines import MIN_SIZE, Speech, new_tag

TAG = new_tag(1)
SENDERS = 3


def speeches(tag: bytes = TAG) -> list[Speech]:
    return [Speech(tag, number, MIN_SIZE, block_lines=4, blocks_kept=2) for number in range(SENDERS)]


def cut(stream: bytes, places: Iterable[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(bounds)]


@dataclass
class Model:
    """What a reader has heard, line by line.

    Args:
        senders: how many senders there are.
    """

    senders: int = SENDERS
    next: list[int] = field(default_factory=lambda: [0] * SENDERS)
    missing: set[tuple[int, int]] = field(default_factory=set)
    probed: set[int] = field(default_factory=set)
    heard: int = 0
    foreign: int = 0
    faults: Faults = field(default_factory=Faults)

    def line(self, sender: int, seq: int) -> None:
        if seq >= self.next[sender]:
            self.missing |= {(sender, number) for number in range(self.next[sender], seq)}
            self.next[sender] = seq + 1
            self.heard += 1
        elif (sender, seq) in self.missing:
            self.missing.remove((sender, seq))
            self.faults.reordered += 1
            self.heard += 1
        else:
            self.faults.repeated += 1
        self.faults.lost = len(self.missing)

    def torn(self, sender: int, seq: int) -> None:
        self.faults.torn += 1
        if seq == self.next[sender]:
            self.next[sender] += 1


class Event(NamedTuple):
    """A line that a reader receives; `step` says how far from the next one of its sender."""

    kind: str
    sender: int
    step: int
    before: bytes
    end: bytes


def run(sender: int, length: int, before: bytes, end: bytes) -> list[Event]:
    return [Event("line", sender, 0, before, end) for _ in range(length)]


ends = st.sampled_from([b"\n", b"\r\n"])
befores = st.sampled_from([b"", b"", b"you: ", b"\xff"])
runs = st.builds(run, st.integers(0, SENDERS - 1), st.integers(1, 11), befores, ends)
kinds = st.sampled_from(["line", "torn", "foreign", "probe"])
singles = st.builds(Event, kinds, st.integers(0, SENDERS - 1), st.integers(-4, 4), befores, ends)
streams = st.lists(st.one_of(runs, st.tuples(singles)), max_size=20).map(lambda parts: list(chain(*parts)))


def play(events: list[Event]) -> tuple[bytes, Model]:
    """The stream, and what is to be said of it."""
    model, said, stream = Model(), speeches(), b""
    for event in events:
        seq = max(0, model.next[event.sender] + event.step)
        line = said[event.sender].line(seq)[:-1]
        if event.kind == "line":
            model.line(event.sender, seq)
        elif event.kind == "torn":
            line = line[:-1]
            model.torn(event.sender, seq)
        elif event.kind == "probe":
            line = said[event.sender].probe[:-1]
            model.probed.add(event.sender)
        else:
            line = b"somebody joined"
            model.foreign += 1
        stream += event.before + line + event.end
    return stream, model


@given(streams, st.lists(st.integers(0, 10_000), max_size=12))
@example(run(0, 40, b"", b"\n"), [])
@example(run(0, 40, b"you: ", b"\r\n"), [500])
def test_however_the_stream_is_cut_the_verdict_is_that_of_the_model(events: list[Event], places: list[int]) -> None:
    stream, model = play(events)
    check = Check(TAG, speeches())
    for piece in cut(stream, places):
        before = list(check.next)
        advanced = check.feed(piece)
        assert set(advanced) == {sender for sender in range(SENDERS) if check.next[sender] > before[sender]}
    assert (check.next, check.heard, check.foreign) == (model.next, model.heard, model.foreign)
    assert check.faults == model.faults
    assert check.probed == model.probed


def test_lines_that_a_server_mixes_are_torn_or_lost() -> None:
    """As `ncat --broker` does it: a part of one sender's line, then what another one says."""
    one, other, _ = speeches()
    check = Check(TAG, speeches())
    check.feed(
        one.line(0)[:35] + other.line(0) + one.line(0)[35:] + one.line(1)[:15] + other.line(1) + one.line(1)[15:]
    )
    check.feed(one.line(2) + other.line(2))
    assert check.faults == Faults(torn=1, lost=1)
    assert check.next == [3, 3, 0]
    assert check.heard == 4


@pytest.mark.parametrize("line", [TAG, TAG + b" 0009 000000000000 x", TAG + b" 0000 0000"])
def test_what_is_not_legible_is_none_of_a_sender(line: bytes) -> None:
    check = Check(TAG, speeches())
    assert not check.feed(line + b"\n")
    assert (check.next, check.heard) == ([0, 0, 0], 0)


def test_another_run_is_none_of_this_one() -> None:
    check = Check(TAG, speeches())
    check.feed(speeches(new_tag(2))[0].line(0))
    assert (check.foreign, check.heard, bool(check.faults)) == (1, 0, False)


def test_a_line_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_module, "REST_LIMIT", 100)
    check = Check(TAG, speeches())
    check.feed(b"x" * 60)
    check.feed(b"x" * 60)
    check.feed(speeches()[0].line(0))
    assert (check.foreign, check.heard) == (1, 1)


@pytest.mark.parametrize(
    ("seqs", "faults"),
    [
        # Of the gaps only the latest two are known: the line 0 counts as repeated.
        ((1, 3, 5, 0, 2, 4), Faults(lost=1, reordered=2, repeated=1)),
        # A late line that comes twice is repeated the second time.
        ((0, 4, 2, 2, 1, 3, 3), Faults(reordered=3, repeated=2)),
    ],
)
def test_a_late_line_is_known_by_its_gap(
    seqs: tuple[int, ...], faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_module, "GAPS_KEPT", 2)
    check = Check(TAG, speeches())
    for seq in seqs:
        check.feed(speeches()[0].line(seq))
    assert check.faults == faults


def test_faults_add_up() -> None:
    faults = Faults()
    assert not faults
    faults.add(Faults(lost=1, repeated=2, reordered=3, torn=4))
    faults.add(Faults(lost=1))
    assert faults == Faults(lost=2, repeated=2, reordered=3, torn=4)
    assert faults
