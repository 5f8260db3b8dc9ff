"""A log and its older end: between them they hold all that was said."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubbub.log.history import entries_in, entries_since
from hubbub.log.seeking import find, older_chunk
from hubbub.values.errors import PositionLost
from hubbub.values.since import Since

from support.logs import AMPLE, Said, Source, broadcasts, locate
from support.stored import StoredInMemory


@given(st.lists(broadcasts(), min_size=1, max_size=30))
def test_a_log_and_its_older_end_hold_all_messages_between_them(said: list[Said]) -> None:
    asyncio.run(check_all_is_held(said))


async def check_all_is_held(said: list[Said]) -> None:
    source, texts = Source(older=StoredInMemory(AMPLE)), [text for one in said for text in one.messages]
    log = source.log
    for one in said:
        source.repeat([one])
        source.drop()
    assert log.start == 0
    held: list[bytes] = []
    while len(held) < log.oldest.seq:
        chunk = await older_chunk(log, len(held))
        held += [entry.message for entry in entries_in(log, chunk, len(held), log.oldest.seq)]
    assert len(held) == log.oldest.seq
    assert held + [entry.message for entry in entries_since(log, len(held))] == texts
    for seq in range(len(texts) + 1):
        assert (await find(log, Since.of(log.position(seq)), now=0.0)).seq == seq
    for seq in range(log.oldest.seq):
        assert locate(log, log.position(seq)) is None


async def test_without_an_older_end_nothing_older_is_found() -> None:
    source = Source()
    for text in (b"a", b"b", b"c"):
        source.say(text)
        source.drop()
    for seq in (0, 1):
        with pytest.raises(PositionLost):
            await older_chunk(source.log, seq)
    with pytest.raises(PositionLost):
        locate(source.log, source.log.position(0))
