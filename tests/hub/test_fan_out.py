"""The readers of one room: the flush and retention."""

from __future__ import annotations

import pytest

from hubbub.framing import ByteLines, Delimited, LengthPrefixed
from hubbub.hub import pump as pump_module
from hubbub.values.ending import EndingCode

from support.logs import Failing
from support.stepping import SteppedLoop, hub_of, left_over

KIB = 1024


def test_the_last_words_of_a_closed_room_come_before_the_first_of_its_successor(loop: SteppedLoop) -> None:
    """Although the flush of the closed room takes several turns."""
    hub = hub_of(loop, flush_slice=1)
    room = hub.room("news")
    members = [hub.joined(room) for _ in range(4)]
    loop.do(room.broadcast(b"first"))
    loop.turn(2)
    loop.do(room.broadcast(b"last"))
    room.close()
    successor = hub.room("news")
    for client, _ in members:
        loop.do(client.join(successor))
    loop.do(successor.broadcast(b"next"))
    loop.settle()
    assert [bytes(transport.taken) for _, transport in members] == [b"first\nlast\nnext\n"] * 4


def test_a_client_with_two_places_in_a_chunk_is_ended_once_when_retention_passes_them(
    loop: SteppedLoop, caplog: pytest.LogCaptureFixture
) -> None:
    hub = hub_of(loop, retention=4 * KIB)
    client, _ = hub.joined(credit=0)
    other, _ = hub.joined()
    loop.do(hub.root.broadcast(b"it takes none of this"))
    loop.turn()
    before = hub.root.head
    loop.do(hub.root.broadcast(b"it stands before this"))
    loop.turn()
    loop.do(client.leave(hub.root))
    loop.do(client.join(hub.root, since=before))
    for _ in range(20):
        loop.do(hub.root.broadcast(b"x" * 200))
        loop.turn()
    assert client.ending
    assert client.ending.code is EndingCode.SLOW
    assert not left_over(hub.root)
    assert hub.root.clients == {other}
    assert [record.message for record in caplog.records] == []


def test_a_message_that_a_framing_can_neither_carry_nor_tell_of_ends_only_those_it_is_for(loop: SteppedLoop) -> None:
    def fails(message: bytes) -> None:
        if message != b"fine":
            raise ValueError(message)

    hub, framing = hub_of(loop), Failing(fails)
    (excluded, its), (other, _), (late, later) = [hub.joined(framing=framing) for _ in range(3)]
    loop.do(late.leave(hub.root))
    loop.do(hub.root.broadcast(b"not so", exclude=excluded))
    loop.do(late.join(hub.root, since=hub.root.head))
    loop.do(hub.root.broadcast(b"fine"))
    loop.settle()
    assert other.ending
    assert other.ending.code is EndingCode.UNDELIVERABLE
    assert [client.ending for client in (excluded, late)] == [None, None]
    assert [bytes(transport.taken) for transport in (its, later)] == [b"fine|", b"fine|"]
    assert not left_over(hub.root)


def test_a_reader_is_ready_while_it_takes_what_it_is_given_and_behind_while_not(loop: SteppedLoop) -> None:
    hub = hub_of(loop)
    client, transport = hub.joined()
    (cursor,) = hub.root.fan_out.members.values()
    assert cursor.ready
    transport.stall()
    hub.say(b"a", b"b")
    assert not cursor.ready
    assert client.lag.messages == 1
    assert left_over(hub.root)
    transport.take()
    loop.turn()
    assert cursor.ready
    assert transport.taken == b"a\nb\n"
    assert not left_over(hub.root)


def test_one_flush_carries_all_that_was_broadcast_in_one_turn(loop: SteppedLoop) -> None:
    hub = hub_of(loop)
    _, transport = hub.joined()
    flushes = loop.start(hub.root.fan_out.flushed.wait())
    for number in range(100):
        loop.do(hub.root.broadcast(b"%d" % number))
    assert transport.writes == 0
    loop.turn(2)
    assert flushes.done()
    assert transport.writes == 1
    assert transport.taken.split() == [b"%d" % number for number in range(100)]


def test_a_private_message_behind_a_join_leaves_though_the_flush_takes_several_turns(loop: SteppedLoop) -> None:
    hub = hub_of(loop, flush_slice=1)
    for _ in range(3):
        hub.joined()
    client, transport = hub.connect()
    loop.do(hub.root.broadcast(b"before"))
    loop.do(client.join(hub.root))
    loop.do(client.send(b"private"))
    loop.turn(2)
    assert transport.taken == b""
    loop.turn(10)
    assert transport.taken == b"private\n"


def test_a_flush_writes_a_slice_in_each_turn_and_what_comes_between_goes_with_the_next_one(loop: SteppedLoop) -> None:
    hub = hub_of(loop, flush_slice=1)
    transports = [hub.joined()[1] for _ in range(3)]
    loop.do(hub.root.broadcast(b"a"))
    loop.turn()
    assert sorted(bytes(transport.taken) for transport in transports) == [b"", b"", b"a\n"]
    loop.do(hub.root.broadcast(b"b"))
    loop.turn()
    assert sorted(bytes(transport.taken) for transport in transports) == [b"", b"a\n", b"a\n"]
    loop.settle()
    assert [bytes(transport.taken) for transport in transports] == [b"a\nb\n"] * 3


def test_a_reader_reads_on_or_leaves_between_the_slices_of_a_flush_and_hears_all_once(loop: SteppedLoop) -> None:
    hub = hub_of(loop, flush_slice=1)
    members = [hub.joined() for _ in range(4)]
    loop.do(hub.root.broadcast(b"a"))
    loop.turn()
    for client, _ in members[:2]:
        loop.do(client.leave(hub.root))
    for client, _ in members[2:]:
        loop.do(client.send(b"private"))
    loop.do(hub.root.broadcast(b"b"))
    loop.settle()
    heard = [bytes(transport.taken) for _, transport in members]
    assert heard == [b"a\n"] * 2 + [b"a\nprivate\nb\n"] * 2
    assert not left_over(hub.root)


def test_a_private_message_waits_for_a_flush_that_has_begun_and_not_come_to_its_reader(loop: SteppedLoop) -> None:
    hub = hub_of(loop, flush_slice=1)
    members = [hub.joined() for _ in range(4)]
    loop.do(hub.root.broadcast(b"a"))
    loop.turn()
    client, transport = members[-1]
    loop.do(client.send(b"private"))
    loop.turn()
    assert transport.taken == b""
    loop.settle()
    assert transport.taken == b"a\nprivate\n"


def test_a_message_that_is_missed_without_a_notice_is_nothing_to_write(loop: SteppedLoop) -> None:
    hub = hub_of(loop, notice=None)
    client, transport = hub.joined(framing=LengthPrefixed(1))
    hub.say(b"x" * 300)
    assert transport.writes == 0
    assert client.lag.messages == 0
    hub.say(b"a")
    assert transport.taken == b"\1a"


def test_what_excludes_a_reader_is_not_among_what_it_missed(loop: SteppedLoop) -> None:
    hub = hub_of(loop, retention=4 * KIB, when_slow="skip")
    client, transport = hub.joined(credit=0)
    for number in range(40):
        hub.say(b"%d" % number + b"x" * 200, exclude=client if number % 3 == 1 else None)
    transport.take()
    loop.settle()
    first, notice, second, *_ = transport.taken.splitlines()
    assert first == b"0" + b"x" * 200
    missed = [number for number in range(1, int(second.rstrip(b"x"))) if number % 3 != 1]
    assert int(notice[1:].split()[0]) == len(missed)


def test_of_many_that_retention_has_passed_some_are_ended_in_each_turn_and_none_reads_on(
    loop: SteppedLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump_module, "JUDGED_AT_ONCE", 2)
    hub = hub_of(loop, retention=4 * KIB)
    readers = [hub.joined(credit=0) for _ in range(9)]
    while not hub.told.endings:
        loop.do(hub.root.broadcast(b"x" * 500))
        ended = [0]
        while len(ended) < 4:
            loop.turn()
            ended.append(len(hub.told.endings))
    assert ended == [0, 2, 4, 6]
    # It takes all there is before it is its turn.
    client, transport = readers[-1]
    assert client.ending is None
    loop.do(client.send(b"private"))
    transport.take()
    loop.settle()
    assert b"private" not in transport.taken
    assert {ending.code for ending in hub.told.endings} == {EndingCode.SLOW}
    assert len(hub.told.endings) == 9
    assert b"missed" not in transport.taken


def test_a_reader_that_is_ended_in_its_pump_is_written_nothing_of_what_that_has_read(
    loop: SteppedLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump_module, "JUDGED_AT_ONCE", 0)
    hub = hub_of(loop, retention=4 * KIB)
    client, transport = hub.joined(credit=0)
    other = hub.room("other")
    loop.do(client.join(other))
    loop.do(hub.root.broadcast(b"first"))
    loop.turn()
    loop.do(other.broadcast(b"read before the end"))
    loop.turn()
    loop.do(client.send(b"private"))
    while not hub._pump.overrun:
        loop.do(hub.root.broadcast(b"x" * 500))
        loop.turn()
    transport.take()
    loop.settle()
    assert client.ending
    assert transport.taken == b"first\n"


def test_those_that_may_stay_do_not_delay_the_end_of_others(loop: SteppedLoop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pump_module, "JUDGED_AT_ONCE", 2)
    hub = hub_of(loop, retention=4 * KIB)
    for _ in range(6):
        hub.joined(credit=0)[0].when_slow = "skip"
    hub.joined(credit=0)
    while not hub._pump.overrun:
        loop.do(hub.root.broadcast(b"x" * 500))
        loop.turn()
    loop.settle()
    assert [ending.code for ending in hub.told.endings] == [EndingCode.SLOW]


def test_a_reader_that_joins_while_something_waits_for_a_flush_hears_what_comes_later(loop: SteppedLoop) -> None:
    hub = hub_of(loop)
    loop.do(hub.root.broadcast(b"before"))
    client, transport = hub.joined()
    loop.do(hub.root.broadcast(b"after"))
    assert client._reader.unsettled
    loop.settle()
    assert transport.taken == b"after\n"
    assert not client._reader.unsettled


def test_a_reader_that_goes_before_it_was_placed_is_not_placed(loop: SteppedLoop) -> None:
    hub = hub_of(loop)
    loop.do(hub.root.broadcast(b"before"))
    client, transport = hub.joined()
    transport.break_off(None)
    loop.settle()
    assert client.ending
    assert not left_over(hub.root)
    assert not hub.root.clients


def test_a_flush_cuts_out_what_excludes_a_reader_and_writes_it_nothing_where_there_is_no_more(
    loop: SteppedLoop,
) -> None:
    hub = hub_of(loop)
    client, transport = hub.joined()
    _, other = hub.joined()
    hub.say(b"a", exclude=client)
    assert transport.writes == 0
    loop.do(hub.root.broadcast(b"b"))
    hub.say(b"c", exclude=client)
    hub.say(b"d")
    assert transport.taken == b"b\nd\n"
    assert other.taken == b"a\nb\nc\nd\n"


@pytest.mark.parametrize("excluding", [False, True], ids=["to all", "to all but some"])
def test_a_reader_that_cannot_be_written_to_ends_and_nobody_else(
    loop: SteppedLoop, caplog: pytest.LogCaptureFixture, excluding: bool
) -> None:
    hub = hub_of(loop)
    client, transport = hub.joined()
    _, other = hub.joined()
    transport.failure = LookupError("broken")
    if excluding:
        loop.do(hub.root.broadcast(b"not for it", exclude=client))
    loop.do(hub.root.broadcast(b"for both"))
    loop.settle()
    assert client.ending
    assert (client.ending.code, client.ending.reason) == (EndingCode.UNDELIVERABLE, "broken")
    assert other.taken.endswith(b"for both\n")
    assert [record.getMessage() for record in caplog.records] == [f"{client} cannot be written to"]


def test_a_room_whose_framing_cannot_read_its_own_bytes_ends_readers_in_other_framings_only(
    loop: SteppedLoop, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    framing = ByteLines(keepends=True)
    hub = hub_of(loop)
    room = hub.room("blind", framing=framing)
    client, _ = hub.joined(room, framing=Delimited(b"\0"))
    _, other = hub.joined(room, framing=framing)
    monkeypatch.setattr(ByteLines, "decoder", None)
    hub.say(b"a", b"b", room=room)
    assert client.ending
    assert client.ending.code is EndingCode.UNDELIVERABLE
    assert other.taken == b"a\nb\n"
    assert len(caplog.records) == 1


def test_chunks_that_are_joined_keep_those_who_stand_in_them(loop: SteppedLoop) -> None:
    hub = hub_of(loop)
    members = [hub.joined(credit=0) for _ in range(3)]
    for (client, _), message in zip(members, (b"a", b"b", b"c"), strict=True):
        hub.say(message)
        loop.do(client.leave(hub.root))
        loop.do(client.join(hub.root, since=hub.root.head))
    hub.say(b"d", b"e")
    assert sum(map(len, hub.root.fan_out._stragglers._moving.values())) >= 3
    for _, transport in members:
        transport.take()
    loop.settle()
    assert [bytes(transport.taken) for _, transport in members] == [b"a\nb\nc\nd\ne\n"[at:] for at in (0, 0, 0)]
    assert not left_over(hub.root)
