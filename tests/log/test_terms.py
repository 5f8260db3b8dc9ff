"""The terms of a log: which position means which place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.log.seeking import seq_of
from hubbub.log.terms import TERMS_LIMIT, Terms
from hubbub.values.errors import PositionLost
from hubbub.values.position import Position

from support.logs import AMPLE, Source
from support.stored import StoredInMemory


def lives(*lengths: int) -> Terms:
    """Terms that follow each other, each with so many messages but the last, which is current."""
    terms, first = Terms(()), 0
    for number, length in enumerate(lengths):
        terms.begin(f"t{number}", first)
        first += length
    return terms


def test_a_position_is_of_the_term_that_brought_the_message_before_it() -> None:
    terms = lives(3, 0, 2, 5)
    names = [terms.position(seq).term for seq in range(11)]
    assert names == ["t0"] * 4 + ["t2"] * 2 + ["t3"] * 5


def test_a_position_is_valid_up_to_where_its_term_came_and_not_before_it_began() -> None:
    terms = lives(3, 0, 2, 5)
    head = 10
    assert terms.reach(Position("t0", 3), head) == 3
    assert terms.reach(Position("t0", 9), head) == 3
    assert terms.reach(Position("t1", 3), head) == 3
    assert terms.reach(Position("t2", 5), head) == 5
    assert terms.reach(Position("t3", 10), head) == 10
    assert terms.reach(Position("t2", 2), head) is None
    assert terms.reach(Position("other", 2), head) is None


@given(st.lists(st.integers(0, 5), min_size=1, max_size=10))
def test_every_place_has_a_position_that_is_valid(lengths: list[int]) -> None:
    terms, head = lives(*lengths), sum(lengths)
    for seq in range(head + 1):
        position = terms.position(seq)
        reach = terms.reach(position, head)
        assert reach is not None
        assert reach >= seq


def test_only_so_many_terms_are_known() -> None:
    terms = lives(*[1] * (TERMS_LIMIT + 5))
    assert terms.reach(Position("t4", 4), TERMS_LIMIT) is None
    assert terms.reach(Position("t5", 5), TERMS_LIMIT) == 6


class Reopened(StoredInMemory):
    """A stored log that an earlier life has left, of which it stored three of four messages."""

    def __init__(self) -> None:
        super().__init__(AMPLE)
        earlier = Source(older=self)
        earlier.say(b"a")
        earlier.say(b"b", b"c")
        self.handed_out = [earlier.log.position(seq) for seq in range(5)]
        self.time = 50.0


def test_a_log_goes_on_where_the_stored_one_ended_in_a_new_term() -> None:
    older = Reopened()
    source = Source(older=older)
    log = source.log
    assert (log.start, log.head.seq) == (0, 3)
    assert [seq_of(log, position) for position in older.handed_out[:4]] == [0, 1, 2, 3]
    source.say(b"d")
    assert log.position(3) == older.handed_out[3]
    assert log.position(4).term != older.handed_out[4].term
    # What the earlier life had given out and not stored is another message now.
    with pytest.raises(PositionLost) as lost:
        seq_of(log, older.handed_out[4])
    assert (lost.value.first, lost.value.missed) == (older.handed_out[3], None)


def test_times_go_on_where_the_stored_ones_ended() -> None:
    source = Source(older=Reopened())
    source.now = 10.0
    source.say(b"d")
    assert source.log.batch_at(source.log.oldest).time == 50.0


def test_a_store_that_is_back_begins_a_term_behind_what_it_has_missed() -> None:
    older = StoredInMemory(AMPLE)
    source = Source(older=older)
    log = source.log
    source.say(b"a")
    source.drop()
    older.taking = False
    source.say(b"b")
    before = log.head
    source.say(b"c", flush=False)
    older.ready = True
    # What is pending was given out in the term before.
    source.say(b"d", flush=False)
    given = log.position(log.head.seq)
    source.flush()
    assert older.end == 1
    source.say(b"e")
    assert older.taking
    assert (older.start, older.end) == (4, 5)
    assert log.position(5).term != given.term
    assert seq_of(log, given) == 4
    assert before.seq == 2
    while source.drop():
        pass
    assert log.start == 4
    with pytest.raises(PositionLost) as lost:
        seq_of(log, given._replace(seq=2))
    assert (lost.value.first.seq, lost.value.missed) == (4, 2)
