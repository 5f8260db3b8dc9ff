"""What has arrived on a connection, until somebody receives it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hubbub
from hubbub.framing import Discarder
from hubbub.values.fixed_limits import READ_SIZE
from hubbub.wire.inbox import PIECES_LIMIT

from support.feeding import pieces_of
from support.helpers import WAIT_TIME, eventually
from support.inboxes import Box, receiving


async def test_a_receiver_waits_for_a_whole_message() -> None:
    box = Box()
    task = await receiving(box)
    box.arrive(b"on")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not task.done()
    box.arrive(b"e\n")
    box.arrive(b"two\n")
    assert await task == "one"
    assert await box.receive() == "two"


async def test_messages_that_came_together_are_counted_and_given_out_one_by_one_or_all_that_are_left() -> None:
    box = Box()
    assert box.take_decoded() is None
    box.arrive(b"one\ntwo\nthree\npart")
    assert (box.messages_received, box.bytes_received) == (0, 0)
    assert await box.receive() == "one"
    assert (box.messages_received, box.bytes_received) == (3, 18)
    assert box.in_message
    assert box.decoded() == ["two", "three"]
    assert box.take_decoded() == "two"
    assert await box.receive_many() == ["three"]
    assert box.take_decoded() is None
    box.arrive(b"\n")
    assert await box.receive_many() == ["part"]
    assert (box.messages_received, box.bytes_received) == (4, 19)
    assert not box.in_message
    # They are told of once.
    assert box.told == [["one", "two", "three"], ["part"]]


async def test_many_small_pieces_are_joined_while_they_wait() -> None:
    box = Box()
    for _ in range(30_000):
        box.arrive(b"x\n")
    assert len(box._inbox) < PIECES_LIMIT
    assert await box.receive_many() == ["x"] * 30_000


async def test_a_flood_that_nobody_receives_lets_the_event_loop_turn() -> None:
    box = Box()
    box.discard(Discarder(box.framing))
    box._discard(b"x" * (READ_SIZE - 1))
    assert box.reading
    box._discard(b"x" * READ_SIZE)
    assert not box.reading
    await eventually(lambda: box.reading)
    # What is at its end is not read on.
    box._discard(b"x" * READ_SIZE)
    box.end()
    box._read_on()
    assert not box.reading


@given(st.data())
def test_however_a_stream_is_cut_and_read_all_of_it_is_received(data: st.DataObject) -> None:
    pieces = data.draw(pieces_of([b"\n", b"a", b"bc\n", b"\r\n"]))

    async def receive() -> list[str]:
        box = Box()
        messages: list[str] = []
        for piece in filter(None, pieces):
            box.arrive(piece)
            if data.draw(st.booleans(), label="receive") and b"\n" in piece:
                messages += await box.receive_many()
        box.end()
        while some := await box.receive_many():
            messages += some
        return messages

    assert asyncio.run(receive()) == b"".join(pieces).decode().replace("\r\n", "\n").splitlines()


# Bounds.


@pytest.mark.parametrize("how", [None, Box.end, Box.lose])
async def test_a_full_inbox_is_read_no_further_until_it_is_received_from_and_something_can_come(
    how: Callable[[Box], None] | None,
) -> None:
    box = Box(hubbub.Settings(inbox_limit=4))
    box.arrive(b"on\n")
    assert box.reading
    box.arrive(b"t")
    assert not box.reading
    if how is not None:
        how(box)
    assert await box.receive() == "on"
    assert box.reading == (how is None)


# The end.


@pytest.mark.parametrize(
    ("how", "cut", "last"), [(Box.end, False, ["last"]), (Box.end, True, []), (Box.lose, False, [])]
)
async def test_a_last_line_without_its_end_is_received_only_where_the_stream_ended_cleanly(
    how: Callable[[Box], None], cut: bool, last: list[str]
) -> None:
    box = Box()
    box.drop_tail = cut
    box.arrive(b"one\nlast")
    assert await box.receive_many() == ["one"]
    assert box.in_message
    how(box)
    assert box.in_message == (how is Box.lose)
    assert await box.receive_many() == last
    assert not await box.receive_many()
    assert await box.receive() is None


@pytest.mark.parametrize("how", [Box.end, Box.lose, Box.stop_receiving])
async def test_a_receiver_that_waits_is_woken_by_the_end(how: Callable[[Box], None]) -> None:
    box = Box()
    task = await receiving(box)
    how(box)
    how(box)
    assert await task is None


async def test_an_inbox_that_discards_forgets_what_it_has_and_reads_on() -> None:
    box = Box(hubbub.Settings(inbox_limit=4))
    box.arrive(b"one\n")
    box.arrive(b"two\n")
    assert not box.reading
    box.discard(Discarder(box.framing))
    assert box.reading
    assert box.bytes_received == 8
    receiver = await receiving(box)
    box.end()
    await asyncio.sleep(0)
    assert not receiver.done()
    box.lose()
    assert await receiver is None


async def test_nothing_is_given_out_after_receiving_was_stopped() -> None:
    box = Box()
    box.arrive(b"one\ntwo\n")
    assert await box.receive() == "one"
    box.arrive(b"three\n")
    box.stop_receiving()
    assert box.take_decoded() is None
    assert await box.receive() is None
    box.arrive(b"four\n")
    assert not await box.receive_many()


@pytest.mark.parametrize("before", [[], ["one"]], ids=str)
async def test_what_comes_before_a_fault_is_received_and_nothing_after_it(before: list[str]) -> None:
    box = Box(hubbub.Settings(message_limit=3))
    box.arrive(b"".join(b"%s\n" % message.encode() for message in before) + b"longer\ntwo\n")
    assert await box.receive_many() == before
    assert box.told == [*filter(None, [before]), "message longer than 3 bytes"]
    box.arrive(b"two\n")
    assert await box.receive() is None


async def test_a_request_of_http_is_a_fault_only_at_the_beginning_and_where_that_is_guarded() -> None:
    request = b"GET / HTTP/1.1\r\n"
    box = Box(guarded=True)
    box.arrive(request)
    assert await box.receive() is None
    assert box.told == ["HTTP is not spoken here"]
    for box, before in ((Box(guarded=True), [b"one\n"]), (Box(), [])):
        for data in (*before, request):
            box.arrive(data)
            assert await box.receive() is not None


async def test_what_the_framing_owes_the_peer_is_told_once() -> None:
    box = Box()
    box.arrive(b"\xff\xfb\x01one\ntwo\n")
    assert await box.receive() == "one"
    assert box.told == [["one", "two"], b"\xff\xfe\x01"]
    box.arrive(b"three\n")
    assert [await box.receive() for _ in range(2)] == ["two", "three"]
    assert box.told[2:] == [["three"]]


# Who receives.


async def test_two_tasks_cannot_receive_from_one_connection() -> None:
    box = Box()
    task = await receiving(box)
    for method in (box.receive, box.receive_many):
        with pytest.raises(RuntimeError, match="two tasks receive from the same connection"):
            await method()
    box.arrive(b"one\n")
    assert await task == "one"


async def test_somebody_is_awaited_while_a_task_receives() -> None:
    box = Box()
    assert not box.awaited
    task = await receiving(box)
    assert box.awaited is True
    box.arrive(b"one\n")
    # A byte in time gains no time.
    assert box.awaited is True
    await task
    assert not box.awaited


@pytest.mark.parametrize("before", [False, True])
async def test_another_task_receives_as_soon_as_the_first_was_cancelled(before: bool) -> None:
    """Be it what came just before or what came then; and the first, when it ends, does not take the other's place."""
    box = Box()
    task = await receiving(box)
    if before:
        box.arrive(b"one\n")
    task.cancel()
    if not before:
        asyncio.get_running_loop().call_soon(box.arrive, b"one\n")
    async with asyncio.timeout(WAIT_TIME):
        assert await box.receive() == "one"
    await asyncio.sleep(0)
    assert task.cancelled()
    assert not box.awaited


async def test_a_task_that_went_on_after_it_was_cancelled_does_not_take_the_place_of_another() -> None:
    box = Box()

    async def go_on() -> str | None:
        try:
            await box.receive()
        except asyncio.CancelledError:
            return await box.receive()
        return None

    task = asyncio.create_task(go_on())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert box.awaited is True
    with pytest.raises(RuntimeError, match="two tasks receive"):
        await box.receive()
    box.arrive(b"one\n")
    assert await task == "one"


async def test_of_two_tasks_the_one_that_was_woken_before_finds_out_that_the_other_waits() -> None:
    box = Box()
    task = await receiving(box)
    box.arrive(b"on")
    asyncio.get_running_loop().call_soon(box.arrive, b"e\n")
    async with asyncio.timeout(WAIT_TIME):
        assert await box.receive() == "one"
    with pytest.raises(RuntimeError, match="two tasks receive"):
        await task
