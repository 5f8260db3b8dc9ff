"""One reader's place in a log, and all that one client is still to be sent."""

from __future__ import annotations

from hubbub.cursor import SPLICE_COST, Cursor, Lag, Outbox
from hubbub.framing import ByteLines, Delimited
from hubbub.log import BATCH_COST, SMALL_CHUNK, Log, Renderer

AMPLE = 2**30
FRAMING = ByteLines()
OTHER_FRAMING = Delimited(b"|")


class Room:
    """A log with a name, which its messages begin with."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.log = Log(FRAMING, AMPLE)

    def say(self, text: bytes, *, exclude: Cursor[Room] | None = None, flush: bool = True) -> None:
        self.log.append(FRAMING.encode([self.name + text]), 1, time=0.0, exclude=exclude)
        if flush:
            self.log.flush()
            self.log.compact()

    def fill_chunk(self) -> None:
        """Say something so long that nothing else is in its chunk."""
        self.say(b"x" * SMALL_CHUNK)

    def reader(self, *, notice: bool = True) -> Cursor[Room]:
        """A cursor that reads what is said from now on."""
        return Cursor(self.log, self.log.mark(), self, lambda missed: b"missed %d\n" % missed if notice else b"")

    def other_reader(self) -> Cursor[Room]:
        """A cursor that reads what is said from now on in another framing."""
        return Cursor(self.log, self.log.mark(), self, lambda missed: b"missed %d|" % missed, RENDERER)


RENDERER = Renderer(FRAMING, OTHER_FRAMING, b"missed 1|")


def lose_chunk(room: Room, *cursors: Cursor[Room]) -> None:
    """Drop the oldest chunk, having moved `cursors` behind it."""
    chunk = room.log.chunk_at(room.log.oldest)
    for cursor in cursors:
        cursor.skip(chunk)
    room.log.drop()


def outbox_of(*cursors: Cursor[Room]) -> Outbox[Room]:
    outbox: Outbox[Room] = Outbox()
    for cursor in cursors:
        outbox.add(cursor)
    return outbox


def drain(outbox: Outbox[Room]) -> list[bytes]:
    """All that may be read now, as lines; the long ones by their first byte."""
    wire = b""
    while buffers := outbox.read():
        wire += b"".join(buffers)
    return [line if len(line) < SMALL_CHUNK else line[:1] for line in wire.splitlines()]


def leave(cursor: Cursor[Room]) -> None:
    cursor.end = cursor.log.mark().seq


def test_a_cursor_reads_what_is_flushed_after_it_and_no_more() -> None:
    room = Room(b"")
    room.say(b"before")
    outbox = outbox_of(room.reader())
    room.say(b"a")
    room.say(b"b", flush=False)
    assert drain(outbox) == [b"a"]
    room.log.flush()
    assert drain(outbox) == [b"b"]
    assert drain(outbox) == []


def test_a_cursor_reads_at_most_a_chunk_at_once() -> None:
    room = Room(b"")
    cursor = room.reader()
    room.fill_chunk()
    room.say(b"a")
    assert len(b"".join(cursor.read(stop=2))) == SMALL_CHUNK + 1
    assert cursor.read(stop=2) == [b"a\n"]


def test_a_chunk_without_anything_for_the_reader_is_passed_over() -> None:
    room = Room(b"")
    cursor = room.reader()
    room.say(b"x" * SMALL_CHUNK, exclude=cursor)
    room.say(b"a")
    assert cursor.read(stop=2) == [b"a\n"]


def test_a_reader_that_is_excluded_from_all_reads_nothing_and_is_at_the_head() -> None:
    room = Room(b"")
    cursor = room.reader()
    room.say(b"a", exclude=cursor)
    assert cursor.read(stop=1) == []
    assert cursor.lag == Lag(0, 0)


def test_lag_is_the_head_minus_the_cursor() -> None:
    red, green = Room(b"red "), Room(b"green ")
    outbox = outbox_of(red.reader(), green.reader())
    red.say(b"a")
    green.say(b"a")
    green.say(b"b", flush=False)
    red_size, green_size = BATCH_COST + len(b"red a\n"), BATCH_COST + len(b"green a\n")
    assert [cursor.lag for cursor in outbox.cursors] == [Lag(1, red_size), Lag(2, 2 * green_size)]
    assert outbox.lag == Lag(3, red_size + 2 * green_size)
    drain(outbox)
    assert outbox.lag == Lag(1, green_size)


def test_a_leaving_reader_reads_what_the_room_had_and_no_more() -> None:
    room = Room(b"")
    cursor = room.reader()
    outbox = outbox_of(cursor)
    room.say(b"a", flush=False)
    leave(cursor)
    room.say(b"b")
    assert not cursor.finished
    assert not outbox.idle
    assert cursor.read(stop=2) == [b"a\n"]
    assert cursor.read(stop=2) == []
    assert cursor.finished
    assert outbox.idle


def test_a_reader_that_does_not_leave_is_never_finished() -> None:
    assert not Room(b"").reader().finished


def test_a_skipped_reader_is_told_how_many_messages_it_missed() -> None:
    room = Room(b"")
    cursor = room.reader()
    room.say(b"a")
    room.say(b"b", exclude=cursor)
    room.say(b"c")
    room.fill_chunk()
    room.say(b"d")
    lose_chunk(room, cursor)
    lose_chunk(room, cursor)
    assert drain(outbox_of(cursor)) == [b"missed 3", b"d"]


def test_a_reader_that_missed_only_what_was_not_for_it_is_told_nothing() -> None:
    room = Room(b"")
    cursor = room.reader()
    room.say(b"x" * SMALL_CHUNK, exclude=cursor)
    room.say(b"a")
    lose_chunk(room, cursor)
    assert drain(outbox_of(cursor)) == [b"a"]


def test_a_reader_without_a_notice_reads_on_where_the_log_starts() -> None:
    room = Room(b"")
    cursor = room.reader(notice=False)
    room.fill_chunk()
    room.say(b"a")
    lose_chunk(room, cursor)
    assert cursor.read(stop=2) == [b"a\n"]


def test_a_leaving_reader_is_told_of_what_it_missed_before_it_left_and_no_more() -> None:
    room = Room(b"")
    cursor = room.reader()
    outbox = outbox_of(cursor)
    room.say(b"a")
    leave(cursor)
    room.say(b"b")
    room.fill_chunk()
    lose_chunk(room, cursor)
    assert not cursor.finished
    assert not outbox.idle
    assert drain(outbox) == [b"missed 1"]
    assert cursor.finished
    assert outbox.idle


def test_a_private_message_comes_behind_what_the_rooms_had() -> None:
    red, green = Room(b"red "), Room(b"green ")
    outbox = outbox_of(red.reader(), green.reader())
    red.say(b"a", flush=False)
    outbox.send(b"private\n")
    red.say(b"b")
    green.say(b"c")
    assert outbox.has_private
    heard = drain(outbox)
    assert heard[:2] == [b"red a", b"private"]
    assert sorted(heard[2:]) == [b"green c", b"red b"]
    assert not outbox.has_private


def test_a_private_message_waits_for_a_flush_of_what_is_before_it() -> None:
    room = Room(b"")
    outbox = outbox_of(room.reader())
    room.say(b"a", flush=False)
    outbox.send(b"private\n")
    assert drain(outbox) == []
    assert not outbox.idle
    room.log.flush()
    assert drain(outbox) == [b"a", b"private"]


def test_private_messages_in_a_row_are_read_at_once() -> None:
    room = Room(b"")
    outbox = outbox_of(room.reader())
    outbox.send(b"one\n")
    outbox.send(b"two\n")
    room.say(b"a")
    outbox.send(b"three\n")
    assert outbox.read() == [b"one\n", b"two\n"]
    assert drain(outbox) == [b"a", b"three"]


def test_private_messages_that_wait_are_counted() -> None:
    outbox = outbox_of()
    outbox.send(b"one\n")
    outbox.send(b"three\n")
    assert outbox.private_size == 10 + 2 * SPLICE_COST
    outbox.read()
    assert outbox.private_size == 0


def test_what_was_missed_after_a_private_message_is_told_after_it() -> None:
    room = Room(b"")
    cursor = room.reader()
    outbox = outbox_of(cursor)
    outbox.send(b"private\n")
    room.fill_chunk()
    room.say(b"a")
    lose_chunk(room, cursor)
    assert drain(outbox) == [b"private", b"missed 1", b"a"]


def test_what_was_missed_before_a_private_message_is_told_before_it() -> None:
    room = Room(b"")
    cursor = room.reader()
    outbox = outbox_of(cursor)
    room.fill_chunk()
    leave(cursor)
    room.say(b"a")
    lose_chunk(room, cursor)
    outbox.send(b"private\n")
    assert drain(outbox) == [b"missed 1", b"private"]


def test_the_rooms_take_turns() -> None:
    red, green = Room(b"r"), Room(b"g")
    outbox = outbox_of(red.reader(), green.reader())
    for room in (red, red, green, green):
        room.fill_chunk()
    assert drain(outbox) == [b"r", b"g", b"r", b"g"]


def test_a_client_that_leaves_a_room_and_returns_hears_it_in_order() -> None:
    room = Room(b"")
    cursor = room.reader()
    outbox = outbox_of(cursor)
    for name in (b"a", b"b", b"c"):
        room.say(name * SMALL_CHUNK)
    leave(cursor)
    room.say(b"while away" * SMALL_CHUNK)
    outbox.add(room.reader())
    for name in (b"d", b"e"):
        room.say(name * SMALL_CHUNK)
    assert drain(outbox) == [b"a", b"b", b"c", b"d", b"e"]


def test_a_client_that_returns_waits_for_what_it_had_left_to_hear() -> None:
    room = Room(b"")
    cursor = room.reader()
    outbox = outbox_of(cursor)
    room.say(b"a", flush=False)
    leave(cursor)
    outbox.add(Cursor(room.log, room.log.oldest, room, lambda missed: b""), before=b"before\n")
    assert drain(outbox) == []
    room.log.flush()
    assert drain(outbox) == [b"a", b"before", b"a"]


def test_what_keeps_a_place_without_a_message_is_nothing_to_write() -> None:
    room = Room(b"")
    cursor = room.reader()
    outbox = outbox_of(cursor)
    room.say(b"a", flush=False)
    outbox.send(b"private\n")
    leave(cursor)
    # What it hears from now on has to wait for what it had left to hear.
    outbox.add(room.reader())
    room.log.flush()
    buffers = [outbox.read() for _ in range(3)]
    # Transports of asyncio, from Python 3.12 on, never get rid of an empty buffer at the end of several.
    assert buffers == [[b"a\n"], [b"private\n"], []]


def test_what_keeps_a_place_by_itself_does_not_hold_up_what_is_behind_it() -> None:
    room = Room(b"")
    outbox = outbox_of()
    for text in (b"a", b"b"):
        cursor = room.reader()
        outbox.add(cursor)
        room.say(text)
        leave(cursor)
    outbox.add(room.reader())
    room.say(b"c")
    assert drain(outbox) == [b"a", b"b", b"c"]
    assert outbox.private_size == 0


def test_an_outbox_is_idle_when_nothing_waits_and_exhausted_when_no_room_is_read() -> None:
    room = Room(b"")
    cursor = room.reader()
    outbox = outbox_of(cursor)
    assert outbox.idle
    assert not outbox.exhausted
    room.say(b"a", flush=False)
    assert not outbox.idle
    room.log.flush()
    drain(outbox)
    assert outbox.idle
    outbox.remove(cursor)
    assert outbox.exhausted
    outbox.send(b"private\n")
    assert not outbox.idle
    assert not outbox.exhausted


def test_a_cleared_outbox_has_nothing_left() -> None:
    room = Room(b"")
    outbox = outbox_of(room.reader())
    room.say(b"a")
    outbox.send(b"private\n")
    outbox.clear()
    assert outbox.read() == []
    assert outbox.exhausted
    assert outbox.private_size == 0


# A reader in another framing than the log's.


def drain_other(outbox: Outbox[Room]) -> list[bytes]:
    """The same as `drain` in the other framing."""
    wire = b""
    while buffers := outbox.read():
        wire += b"".join(buffers)
    messages = OTHER_FRAMING.decoder(2 * SMALL_CHUNK).feed(wire)
    assert OTHER_FRAMING.encode(messages) == wire
    return [message if len(message) < SMALL_CHUNK else message[:1] for message in messages]


def test_a_reader_in_another_framing_reads_the_same_messages() -> None:
    room = Room(b"")
    here, there = outbox_of(room.reader()), outbox_of(room.other_reader())
    room.say(b"a")
    room.say(b"b", flush=False)
    assert drain(here) == drain_other(there) == [b"a"]
    room.log.flush()
    assert drain(here) == drain_other(there) == [b"b"]
    assert drain_other(there) == []
    for name in (b"c", b"d"):
        room.say(name * SMALL_CHUNK)
    room.say(b"e")
    assert drain(here) == drain_other(there) == [b"c", b"d", b"e"]
    assert here.lag == there.lag == Lag(0, 0)


def test_a_reader_in_another_framing_reads_at_most_a_chunk_at_once() -> None:
    room = Room(b"")
    cursor = room.other_reader()
    room.fill_chunk()
    room.say(b"a")
    assert b"".join(cursor.read(stop=2)) == b"x" * SMALL_CHUNK + b"|"
    assert cursor.at.seq == 1
    assert cursor.read(stop=2) == [b"a|"]


def test_a_reader_in_another_framing_does_not_read_what_it_is_excluded_from() -> None:
    room = Room(b"")
    cursor = room.other_reader()
    outbox = outbox_of(cursor)
    room.say(b"a")
    room.say(b"its own", exclude=cursor)
    room.say(b"b")
    room.say(b"x" * SMALL_CHUNK, exclude=cursor)
    room.say(b"c")
    assert drain_other(outbox) == [b"a", b"b", b"c"]
    room.say(b"its own", exclude=cursor)
    assert outbox.read() == []
    assert cursor.lag == Lag(0, 0)


def test_a_reader_in_another_framing_reads_on_in_a_chunk_that_has_grown() -> None:
    room = Room(b"")
    cursor = room.other_reader()
    outbox = outbox_of(cursor)
    for name in (b"a", b"b", b"c"):
        room.say(name)
        assert room.log.chunk_at(room.log.oldest).end.seq == room.log.head.seq
        assert drain_other(outbox) == [name]
    room.say(b"d")
    room.say(b"its own", exclude=cursor)
    room.say(b"e")
    assert drain_other(outbox) == [b"d", b"e"]


def test_a_reader_in_another_framing_may_stop_within_a_chunk() -> None:
    room = Room(b"")
    cursor = room.other_reader()
    for name in (b"a", b"b", b"c"):
        room.say(name)
        room.log.mark()
    assert b"".join(cursor.read(stop=2)) == b"a|b|"
    assert b"".join(cursor.read(stop=3)) == b"c|"


def test_a_skipped_reader_in_another_framing_is_told_in_its_own_and_reads_on() -> None:
    room = Room(b"")
    cursor = room.other_reader()
    room.say(b"a")
    room.say(b"its own", exclude=cursor)
    room.fill_chunk()
    room.say(b"b")
    lose_chunk(room, cursor)
    lose_chunk(room, cursor)
    assert drain_other(outbox_of(cursor)) == [b"missed 2", b"b"]


def test_a_message_that_the_readers_framing_cannot_carry_is_told_as_missed_in_its_place() -> None:
    room = Room(b"")
    here, there = outbox_of(room.reader()), outbox_of(room.other_reader())
    for text in (b"a", b"b|c", b"d"):
        room.say(text)
    assert drain(here) == [b"a", b"b|c", b"d"]
    assert drain_other(there) == [b"a", b"missed 1", b"d"]


def test_a_reader_whose_framing_carries_nothing_of_a_chunk_and_is_told_nothing_reads_nothing_of_it() -> None:
    room = Room(b"")
    silent = Renderer(FRAMING, OTHER_FRAMING, b"")
    cursor = Cursor(room.log, room.log.mark(), room, lambda _missed: b"", silent)
    room.say(b"b|c")
    room.say(b"|" * SMALL_CHUNK)
    assert cursor.read(stop=2) == []
    assert cursor.lag == Lag(0, 0)
    room.say(b"d")
    assert cursor.read(stop=3) == [b"d|"]


def test_a_leaving_reader_in_another_framing_reads_what_the_room_had_and_no_more() -> None:
    room = Room(b"")
    cursor = room.other_reader()
    outbox = outbox_of(cursor)
    room.say(b"a", flush=False)
    leave(cursor)
    room.say(b"b")
    assert drain_other(outbox) == [b"a"]
    assert cursor.finished


def test_private_messages_keep_their_place_in_another_framing() -> None:
    room = Room(b"")
    outbox = outbox_of(room.other_reader())
    room.say(b"a", flush=False)
    outbox.send(b"private|")
    room.say(b"b")
    assert drain_other(outbox) == [b"a", b"private", b"b"]
