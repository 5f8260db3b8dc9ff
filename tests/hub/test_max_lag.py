"""A reader whose listener says how far it may lag."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from hubbub.framing import ByteLines
from hubbub.hub import policies
from hubbub.hub.reader import FRESH_SIZE
from hubbub.values.ending import Ending, EndingCode
from hubbub.values.settings import Settings

from support.stepping import FakeHub, SteppedLoop, hub_of
from support.stored import StoredInMemory

KIB = 1024
BATCH = 256 + 501
"""What a message counts that stands alone."""


def message(number: int) -> bytes:
    return b"%03d" % number + b"x" * 497


def lagging(loop: SteppedLoop, max_lag: Any, count: int, **settings: Any) -> tuple[FakeHub, Any, Any]:
    """A hub that has said so many messages, and a client that has taken nothing of the first; its transport."""
    hub = hub_of(loop, **{"when_slow": "skip", "retention": 256 * KIB, **settings})
    client, transport = hub.joined(credit=0, max_lag=max_lag)
    hub.say(*[message(number) for number in range(count)])
    return hub, client, transport


def heard(transport: Any) -> list[bytes]:
    """The first words of what it has taken."""
    return [line[:3] if line.endswith(b"x") else line for line in transport.taken.splitlines()]


def test_when_it_takes_something_it_misses_what_is_too_old_and_is_told(loop: SteppedLoop) -> None:
    _, client, transport = lagging(loop, 2 * BATCH, 20)
    transport.take()
    loop.settle()
    assert heard(transport) == [b"000", b"[17 messages missed] in root.0", b"018", b"019"]
    assert client.lag.messages == 0


def test_what_it_is_excluded_from_is_not_missed(loop: SteppedLoop) -> None:
    hub, client, transport = lagging(loop, 2 * BATCH, 5)
    hub.say(message(5), exclude=client)
    hub.say(*[message(number) for number in range(6, 20)])
    transport.take()
    loop.settle()
    assert heard(transport) == [b"000", b"[16 messages missed] in root.0", b"018", b"019"]


def test_what_a_room_that_it_has_left_still_has_for_it_may_be_too_old(loop: SteppedLoop) -> None:
    hub, client, transport = lagging(loop, 2 * BATCH, 5)
    loop.do(client.leave(hub.root))
    hub.say(*[message(number) for number in range(5, 20)])
    transport.take()
    loop.settle()
    assert heard(transport) == [b"000", b"[4 messages missed] in root.0"]


def test_one_that_lags_less_misses_nothing(loop: SteppedLoop) -> None:
    _, _, transport = lagging(loop, 19 * BATCH, 20)
    transport.take()
    loop.settle()
    assert heard(transport) == [b"%03d" % number for number in range(20)]


def test_a_message_may_wait_for_a_time(loop: SteppedLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    # The wall clock may jump.
    monkeypatch.setattr(time, "time", lambda: -100 * now)
    hub, client, transport = lagging(loop, timedelta(seconds=10), 10)
    now += 8
    hub.say(message(10))
    now += 3
    hub.say(message(11))
    client._reader.check_lag()
    now += 3
    transport.take()
    loop.settle()
    assert heard(transport) == [b"000", b"[9 messages missed] in root.0", b"010", b"011"]
    # So old is all of it.
    transport.stall()
    hub.say(message(12), message(13))
    now += 60
    transport.take()
    loop.settle()
    assert heard(transport)[4:] == [b"012", b"[1 messages missed] in root.0"]


def test_it_is_written_little_at_a_time(loop: SteppedLoop) -> None:
    """What it was written cannot be skipped any more."""
    _, _, transport = lagging(loop, 100 * BATCH, 100)
    transport.take(501)
    loop.settle()
    assert FRESH_SIZE <= transport.get_write_buffer_size() < FRESH_SIZE + BATCH
    transport.take()
    loop.settle()
    assert len(heard(transport)) == 100


def test_another_policy_holds_as_soon_as_somebody_looks(loop: SteppedLoop) -> None:
    _, client, _ = lagging(loop, 2 * BATCH, 20, when_slow="disconnect")
    assert not client.ending
    client._reader.check_lag()
    reason = f"19 messages ({19 * BATCH} bytes) behind, more than its listener allows (max-lag)"
    assert client.ending == Ending(EndingCode.SLOW, reason)
    client._reader.check_lag()


def test_one_that_reads_the_older_end_hears_all_of_it(loop: SteppedLoop) -> None:
    settings = Settings(pace=None, retention=8 * KIB)
    hub = FakeHub(loop, ByteLines(), settings, lambda: StoredInMemory(1024 * KIB))
    client, transport = hub.joined(credit=0, max_lag=2 * BATCH)
    hub.say(*[message(number) for number in range(60)])
    client._reader.check_lag()
    transport.take()
    loop.settle()
    assert heard(transport) == [b"%03d" % number for number in range(60)]


def test_a_policy_that_raises_ends_its_reader_and_no_other(loop: SteppedLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(cursor: Any, room: str) -> None:
        raise KeyError(room)

    hub, client, transport = lagging(loop, 2 * BATCH, 20)
    other, its_transport = hub.joined()
    monkeypatch.setattr(policies, "find", lambda name: raising)
    transport.take(501)
    loop.settle()
    assert client.ending.code is EndingCode.UNDELIVERABLE
    hub.say(b"more")
    assert other.ending is None
    assert its_transport.taken == b"more\n"
