"""Lines of one length in blocks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hubbub.load.blocks import Blocks


def render(first: int, past: int) -> bytes:
    return b"".join([b"%04d\n" % number for number in range(first, past)])


@given(st.integers(1, 5), st.integers(1, 3), st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9))))
def test_it_gives_the_lines_up_to_the_end_of_their_block(lines: int, kept: int, asked: list[tuple[int, int]]) -> None:
    blocks = Blocks(render, size=5, lines=lines, kept=kept)
    for seq, count in asked:
        past = min(seq + count, (seq // lines + 1) * lines)
        assert blocks.lines(seq, count) == render(seq, past)


def test_the_latest_blocks_are_remembered() -> None:
    made = []

    def note(first: int, past: int) -> bytes:
        made.append(first)
        return render(first, past)

    blocks = Blocks(note, size=5, lines=10, kept=2)
    for seq in (0, 9, 10, 5, 20, 15, 29, 0):
        blocks.lines(seq, 1)
    assert made == [0, 10, 20, 0]
