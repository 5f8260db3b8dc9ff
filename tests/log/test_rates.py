"""How much was said in the last minute, as a log shows it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hubbub.log.history import batches_since
from hubbub.log.rates import LEAST, PERIOD, Rate, rate_of

from support.logs import Said, Source, broadcasts


@given(st.lists(st.tuples(broadcasts(), st.integers(0, 30)), max_size=20), st.integers(0, 9), st.floats(0, 90))
def test_a_rate_is_that_of_the_last_minute_or_of_what_memory_has_of_it(
    said: list[tuple[Said, int]], drops: int, pause: float
) -> None:
    source = Source()
    for one, seconds in said:
        source.clock.seconds += seconds
        # The other clock may be set.
        source.now -= 7
        source.repeat([one])
    for _ in range(drops):
        source.drop()
    log, now = source.log, source.clock.seconds + pause
    held = [batch for batch, _ in batches_since(log, 0)]
    recent = [batch for batch in held if batch.born >= now - PERIOD]
    if not recent:
        assert rate_of(log, now) == Rate(0, 0)
        return
    first = recent[0]
    period = PERIOD if first is not held[0] or not first.start.seq else max(LEAST, now - first.born)
    messages, size = log.head.seq - first.start.seq, log.head.offset - first.start.offset
    assert rate_of(log, now) == Rate(messages / period, size / period)


def test_what_is_older_than_a_minute_does_not_count() -> None:
    source = Source()
    source.say(b"a")
    size = source.log.head.offset
    assert rate_of(source.log, PERIOD) == Rate(1 / PERIOD, size / PERIOD)
    assert rate_of(source.log, PERIOD + 0.5) == Rate(0, 0)


def test_a_rate_is_taken_over_a_second_at_least() -> None:
    source = Source()
    for message in (b"a", b"b"):
        source.say(message)
    assert source.drop()
    assert rate_of(source.log, source.now) == Rate(1 / LEAST, source.log.head.offset / 2 / LEAST)
