"""What senders of `hubbub bench` say."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hubbub.load.lines import MIN_SIZE, QUOTED_LIMIT, Speech, is_probe, new_tag, sender_in, seq_in

TAG = new_tag(0xABCDEF)


def speech(sender: int = 0, size: int = MIN_SIZE, block_lines: int = 4) -> Speech:
    return Speech(TAG, sender, size, block_lines=block_lines, blocks_kept=2)


@given(st.integers(0, 9_999), st.integers(0, 10**12 - 1), st.integers(MIN_SIZE, 300))
def test_a_line_has_its_size_and_names_its_run_sender_and_place(sender: int, seq: int, size: int) -> None:
    line = speech(sender, size).line(seq)
    assert len(line) == size
    assert line.index(b"\n") == size - 1
    assert line.startswith(TAG)
    assert (sender_in(line), seq_in(line), is_probe(line[:-1])) == (sender, seq, False)


def test_a_probe_names_its_run_and_sender() -> None:
    probe = speech(7).probe
    assert probe == b"bench-abcdef 0007 probe\n"
    assert (sender_in(probe), is_probe(probe[:-1])) == (7, True)


@given(st.integers(0, 10**6), st.integers(1, 1_000), st.integers(0, MIN_SIZE - 1))
@example(1, 609, 29)
def test_the_beginning_of_one_line_and_the_rest_of_another_are_neither(seq: int, distance: int, cut: int) -> None:
    one, other = speech().line(seq), speech().line(seq + distance)
    mixed = one[:cut] + other[cut:]
    # Cut within their numbers, they may make a third line, whose turn it is not.
    assert (
        mixed in (one, other)
        or mixed != speech().line(seq_in(mixed) or 0)
        or seq_in(mixed) not in (seq, seq + distance)
    )


@pytest.mark.parametrize("line", [b"", TAG, TAG + b" 00", TAG + b" 00x1 000000000001 x", TAG + b" 0000 00000000-001 x"])
def test_what_is_cut_off_is_not_legible(line: bytes) -> None:
    assert sender_in(line) is None or seq_in(line) is None
    assert not is_probe(line)


@given(st.integers(0, 50), st.integers(1, 9), st.binary(max_size=9), st.sampled_from([b"\n", b"\r\n"]))
def test_a_server_may_write_the_same_around_each_line(seq: int, count: int, before: bytes, end: bytes) -> None:
    said = speech()
    past = min(seq + count, (seq // 4 + 1) * 4)
    expected = b"".join([before + said.line(number)[:-1] + end for number in range(seq, past)])
    assert said.quoted(before, end).lines(seq, count) == expected
    assert said.quoted(before, end).size * (past - seq) == len(expected)


def test_few_ways_of_passing_it_on_are_remembered() -> None:
    said = speech()
    assert said.quoted(b"", b"\n") is said.blocks
    first = said.quoted(b"0 ", b"\n")
    assert said.quoted(b"0 ", b"\n") is first
    for number in range(QUOTED_LIMIT):
        said.quoted(b"at %d " % number, b"\n")
    assert said.quoted(b"0 ", b"\n") is not first
    assert said.quoted(b"", b"\n") is said.blocks
