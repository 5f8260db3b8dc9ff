"""What holds the senders of a room back."""

from __future__ import annotations

from typing import Any

import pytest

from hubbub.hub import reader as reader_module
from hubbub.hub.client import Client

from support.stepping import FakeHub, FakeTransport, SteppedLoop, hub_of, left_over

KIB = 1024


HOLDING: dict[str, Any] = {"retention": 64 * KIB, "pace": KIB * KIB}


def lagging(loop: SteppedLoop, **options: Any) -> tuple[FakeHub, Client[Any], FakeTransport]:
    """A client that has taken something just now, and lags by more than half of the retention."""
    hub = hub_of(loop, **{**HOLDING, **options})
    client, transport = hub.joined(credit=KIB)
    while client.lag.bytes <= hub.settings.retention // 2 + hub.settings.chunk_size:
        hub.say(b"x" * KIB)
    return hub, client, transport


def test_a_reader_that_takes_little_holds_senders_and_one_that_stalls_does_not(
    loop: SteppedLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "PUMP_SIZE", 1)
    hub, _, transport = lagging(loop)
    fan_out = hub.root.fan_out
    assert fan_out.holding
    loop.advance(hub.settings.hold_time + 1)
    fan_out.check_hold()
    assert not fan_out.holding
    # It stands still, until it takes something again.
    loop.advance(1)
    transport.take(2 * KIB)
    loop.turn()
    fan_out.check_hold()
    assert fan_out.holding
    transport.take()
    loop.settle()
    fan_out.check_hold()
    assert not fan_out.holding
    assert not left_over(hub.root)


def test_one_reader_that_moves_holds_senders_among_many_that_do_not(
    loop: SteppedLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader_module, "PUMP_SIZE", 1)
    hub, _, _ = lagging(loop)
    loop.advance(hub.settings.hold_time + 1)
    client, _ = hub.connect(credit=1)
    loop.do(client.join(hub.root, since=hub.root.oldest))
    loop.turn()
    hub.root.fan_out.check_hold()
    assert hub.root.fan_out.holding


def test_what_would_take_a_reader_behind_the_retention_at_once_is_held(loop: SteppedLoop) -> None:
    hub = hub_of(loop, **HOLDING)
    hub.joined(credit=1)
    hub.say(b"x" * KIB, b"x" * KIB)
    fan_out = hub.root.fan_out
    fan_out.check_hold()
    assert not fan_out.holding
    fan_out.check_hold(size=32 * KIB)
    assert fan_out.holding


def test_a_large_message_waits_that_would_take_a_reader_behind_the_retention(loop: SteppedLoop) -> None:
    hub = hub_of(loop, **{**HOLDING, "pace": 0})
    hub.joined(credit=1)
    hub.say(b"x" * KIB, b"x" * KIB)
    assert not hub.root._hold.must_wait(KIB)
    assert hub.root._hold.must_wait(32 * KIB)


def test_where_senders_are_never_held_nobody_looks(loop: SteppedLoop) -> None:
    hub, _, _ = lagging(loop, pace=None)
    assert not hub.root.fan_out.holding


@pytest.mark.parametrize("when_slow", ["skip", "disconnect"])
def test_a_reader_that_retention_has_passed_holds_nobody_once_it_takes_nothing(
    loop: SteppedLoop, when_slow: str
) -> None:
    hub, client, transport = lagging(loop, when_slow=when_slow)
    for _ in range(80):
        hub.root._log.append(b"y" * KIB + b"\n", 1, time=0.0)
        hub.root.fan_out.flush_soon()
        loop.turn()
    assert (client.ending is None) == (when_slow == "skip")
    loop.advance(2 * hub.settings.hold_time)
    hub.root.fan_out.check_hold()
    assert not hub.root.fan_out.holding
    transport.take()
    loop.settle()
    assert b" missed" in transport.taken or client.ending
    assert not left_over(hub.root)
