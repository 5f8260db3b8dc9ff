"""All that one client is still to be sent, in order."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hubbub.log.chunk import Buffer
from hubbub.log.clock import NEVER, Clock
from hubbub.log.outbox import SPLICE_COST, Outbox

from support.logs import OTHER_FRAMING, Seat, Source, joined, leave


class Desk:
    """A client's outbox, its rooms, and what its reader and their fan-outs do with them.

    Args:
        names: what the messages of each room begin with.
    """

    def __init__(self, *names: bytes) -> None:
        self.clock = Clock()
        self.rooms = [Source(clock=self.clock, name=name) for name in names]
        self.outbox = Outbox()

    def send(self, text: bytes) -> None:
        self.outbox.send(self.clock.place(), text + b"\n")

    def settle(self) -> None:
        """Flush all rooms; cursors that have something to read then are behind."""
        for room in self.rooms:
            room.flush()
            for cursor in room.cursors:
                if cursor.waiting and cursor not in self.outbox.cursors:
                    self.outbox.add(cursor)

    def read(self) -> list[Buffer] | None:
        """What is to be written next, as a reader finds it once everything was flushed; None: there is nothing."""
        outbox = self.outbox
        if (cursor := outbox.take_cursor()) is not None:
            buffers = cursor.read(outbox.tick)
            if cursor.waiting:
                outbox.add(cursor)
            return buffers
        return outbox.take_private(NEVER) if outbox.has_private else None

    def drain(self) -> list[bytes]:
        """All there is, as lines."""
        self.settle()
        wire = b""
        while (buffers := self.read()) is not None:
            wire += joined(buffers)
        return wire.splitlines()


def desk_of(*names: bytes) -> tuple[Desk, list[Seat]]:
    """A client that is in rooms of these names."""
    desk = Desk(*names)
    return desk, [room.cursor() for room in desk.rooms]


def test_an_outbox_is_idle_when_nothing_waits() -> None:
    desk, _ = desk_of(b"")
    outbox = desk.outbox
    assert outbox.idle
    assert not outbox.has_private
    assert outbox.take_cursor() is None
    desk.send(b"private")
    assert not outbox.idle
    assert outbox.has_private
    assert outbox.take_private(NEVER) == [b"private\n"]
    assert outbox.idle
    desk.rooms[0].say(b"a")
    desk.settle()
    assert not outbox.idle
    desk.drain()
    assert outbox.idle


def test_private_messages_in_a_row_are_one_splice() -> None:
    desk, _ = desk_of(b"")
    desk.send(b"one")
    desk.send(b"two")
    desk.rooms[0].say(b"a")
    desk.send(b"three")
    assert desk.outbox.take_private(desk.outbox.tick) == [b"one\n", b"two\n"]
    assert desk.drain() == [b"a", b"three"]


def test_private_messages_that_wait_are_counted() -> None:
    desk, _ = desk_of(b"")
    desk.send(b"one")
    # An empty one keeps its place and counts, too.
    desk.outbox.send(desk.clock.now, b"")
    assert desk.outbox.private_size == len(b"one\n") + 2 * SPLICE_COST
    desk.rooms[0].say(b"a")
    desk.send(b"x")
    desk.outbox.take_private(desk.outbox.tick)
    assert desk.outbox.private_size == len(b"x\n") + SPLICE_COST
    desk.drain()
    assert desk.outbox.private_size == 0


def test_the_tick_of_an_outbox_is_that_of_its_next_private_message() -> None:
    desk, _ = desk_of(b"")
    assert desk.outbox.tick == NEVER
    desk.send(b"one")
    first = desk.clock.now
    desk.rooms[0].say(b"a")
    desk.send(b"two")
    assert desk.outbox.tick == first < desk.clock.now
    desk.outbox.take_private(desk.outbox.tick)
    assert desk.outbox.tick == desk.clock.now


def test_a_cursor_at_the_tick_of_a_private_message_comes_behind_it() -> None:
    desk, (cursor,) = desk_of(b"")
    desk.send(b"private")
    desk.rooms[0].say(b"a")
    desk.settle()
    assert cursor.tick == desk.outbox.tick
    assert desk.outbox.take_cursor() is None
    desk.outbox.take_private(desk.outbox.tick)
    assert desk.outbox.take_cursor() is cursor


def test_a_cursor_that_was_taken_is_not_in_the_outbox_until_it_is_added_again() -> None:
    desk, (cursor,) = desk_of(b"")
    desk.rooms[0].say(b"a")
    desk.settle()
    assert desk.outbox.cursors == [cursor]
    assert desk.outbox.take_cursor() is cursor
    assert desk.outbox.cursors == []
    assert desk.outbox.take_cursor() is None


def test_rooms_whose_next_messages_are_as_old_take_turns() -> None:
    desk, _ = desk_of(b"red ", b"green ")
    for room in desk.rooms:
        for text in (b"a", b"b"):
            room.say(text)
    assert desk.drain() == [b"red a", b"green a", b"red b", b"green b"]


def test_rooms_are_read_in_the_order_in_which_something_private_came_between() -> None:
    desk, _ = desk_of(b"red ", b"green ")
    for name in (1, 0, 1):
        desk.rooms[name].say(b"a")
        desk.clock.place()
    assert desk.drain() == [b"green a", b"red a", b"green a"]


def test_what_was_missed_is_told_where_it_would_have_been_read() -> None:
    desk, _ = desk_of(b"")
    (room,) = desk.rooms
    desk.send(b"one")
    room.say(b"a")
    desk.settle()
    desk.send(b"two")
    room.say(b"b")
    room.say(b"c")
    for _ in range(2):
        assert room.drop()
    assert desk.drain() == [b"one", b"2 missed", b"two", b"c"]


def test_messages_in_another_framing_keep_their_place_too() -> None:
    desk = Desk(b"")
    (room,) = desk.rooms
    cursor = room.cursor(framing=OTHER_FRAMING)
    room.say(b"a", flush=False)
    desk.send(b"private")
    room.say(b"b")
    assert desk.drain() == [b"a|private", b"b|"]
    assert cursor.lag.messages == 0


# Against a naive model: what came between two private messages is heard between them, each room in its order.

NAMES = (b"red ", b"green ", b"blue ")

steps = st.one_of(
    st.tuples(st.just("say"), st.integers(0, 2), st.sampled_from((0, 1)), st.booleans()),
    st.tuples(st.just("send")),
    st.tuples(st.just("join"), st.integers(0, 2), st.integers(0, 5)),
    st.tuples(st.just("leave"), st.integers(0, 2)),
    st.tuples(st.just("read"), st.integers(1, 4)),
)


@given(st.lists(steps, max_size=40))
def test_each_private_message_is_between_what_came_before_it_in_any_room_and_what_came_after(script: list[Any]) -> None:
    desk = Desk(*NAMES)
    said: list[list[tuple[bytes, int]]] = [[] for _ in NAMES]
    members: dict[int, Seat] = {}
    due: list[dict[int, list[bytes]]] = [{}]
    """What each room has for the client, between one private message and the next."""
    wire = b""

    for step in script:
        match step:
            case "say", room, excluded, flush:
                text = b"%d" % len(said[room])
                said[room].append((NAMES[room] + text, excluded))
                desk.rooms[room].say(text, excluded=excluded, flush=flush)
                if room in members and excluded != members[room].token:
                    due[-1].setdefault(room, []).append(NAMES[room] + text)
            case ("send",):
                desk.send(b"private %d" % len(due))
                due.append({})
            case "join", room, back if room not in members:
                since = max(0, len(said[room]) - back)
                members[room] = cursor = desk.rooms[room].cursor(since=since)
                replayed = [message for message, excluded in said[room][since:] if excluded != cursor.token]
                due[-1].setdefault(room, []).extend(replayed)
            case "leave", room if room in members:
                leave(members.pop(room))
            case "read", times:
                desk.settle()
                for _ in range(times):
                    wire += joined(desk.read() or [])
    wire += b"".join(line + b"\n" for line in desk.drain())

    heard: list[dict[int, list[bytes]]] = [{}]
    for line in wire.splitlines():
        if line.startswith(b"private"):
            assert line == b"private %d" % len(heard)
            heard.append({})
        else:
            room = next(room for room, name in enumerate(NAMES) if line.startswith(name))
            heard[-1].setdefault(room, []).append(line)
    assert heard == [{room: lines for room, lines in rooms.items() if lines} for rooms in due]
    assert desk.outbox.idle
    assert desk.outbox.private_size == 0
