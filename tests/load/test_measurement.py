"""What was said and heard in a run."""

from __future__ import annotations

import pytest

from hubbub.load.check import Faults
from hubbub.load.lines import new_tag
from hubbub.load.measurement import Measurement
from hubbub.load.plan import Plan

TAG = new_tag(1)


def say(measurement: Measurement, sender: int, count: int) -> list[bytes]:
    """So many lines of a sender."""
    first = measurement.said[sender]
    measurement.said[sender] += count
    return [measurement.speeches[sender].line(seq) for seq in range(first, first + count)]


def test_latency_is_that_of_the_last_reader_from_when_the_line_was_due() -> None:
    measurement = Measurement(Plan(readers=2, senders=2, rate=10, time=1.0), TAG)
    latencies = measurement.latencies
    assert latencies is not None
    for sender in (0, 1):
        (line,) = say(measurement, sender, 1)
        assert measurement.hear(0, line, 0.1 * sender + 0.01) == []
        assert len(latencies) == sender
        assert measurement.hear(1, line, 0.1 * sender + 0.03) == [sender]
        assert latencies.latest == pytest.approx(0.03)
    figures = measurement.figures(0.5)
    assert (figures.seconds, figures.messages, figures.deliveries, figures.received) == (0.2, 2, 4, 400)
    assert (figures.outstanding, figures.unsaid, bool(figures.faults)) == (0, 0, False)
    assert figures.latencies is latencies


def test_what_was_due_and_not_said_is_counted() -> None:
    measurement = Measurement(Plan(readers=1, rate=1_000, time=1.0), TAG)
    measurement.hear(0, b"".join(say(measurement, 0, 100)), 0.5)
    assert measurement.figures(0.0).unsaid == 401


def test_before_the_start_only_probes_count() -> None:
    measurement = Measurement(Plan(readers=2, senders=2), TAG)
    first, second = (speech.probe for speech in measurement.speeches)
    assert measurement.unheard() == "reader 1 of 2 heard nothing"
    measurement.hear(0, first, None)
    assert measurement.unheard() == "reader 1 of 2 heard nothing of sender 2"
    measurement.hear(0, second, None)
    assert measurement.unprobed == {1}
    measurement.hear(1, first + second, None)
    assert measurement.unprobed == set()
    assert measurement.figures(0.0).received == 0


def test_what_is_still_to_be_heard_is_known() -> None:
    measurement = Measurement(Plan(readers=2), TAG)
    assert measurement.standing(1) == "reader 2 of 2"
    lines = say(measurement, 0, 5)
    measurement.hear(0, b"".join(lines), 0.1)
    # The second one never comes.
    measurement.hear(1, lines[0] + lines[2], 0.2)
    # Nothing of the run.
    measurement.hear(1, b"somebody joined\n", 0.3)
    assert (measurement.passed, measurement.outstanding, measurement.deliveries) == (8, 2, 7)
    assert measurement.slowest() == 1
    assert measurement.standing(1) == "reader 2 of 2 has 3 of 5 messages"
    figures = measurement.figures(0.0)
    assert (figures.seconds, figures.outstanding, figures.foreign, figures.faults) == (0.2, 2, 1, Faults(lost=1))
    assert figures.latencies is None
