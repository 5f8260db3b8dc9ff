"""Logs, cursors and outboxes against a naive model, in which each client has its own list of what it is to hear."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
)

from hubbub.framing import Lines
from hubbub.log.cursor import Cursor, Lag, Outbox
from hubbub.log.log import BATCH_COST, Buffer, Chunk, Log
from hubbub.values.settings import WhenSlow

FRAMING = Lines()
CHUNK_BATCHES = 3
RETENTION = 8 * CHUNK_BATCHES * (BATCH_COST + 32)


@dataclass
class Due:
    """One message that a client is to hear; a private one has no room."""

    text: str
    room: str = ""
    seq: float = 0
    membership: int = 0
    missed: int = 0


class Model:
    """One client's own list."""

    def __init__(self) -> None:
        self.due: list[Due] = []
        self._memberships = 0
        self._rooms: dict[str, int] = {}

    def join(self, room: str) -> None:
        self._memberships += 1
        self._rooms[room] = self._memberships

    def leave(self, room: str) -> None:
        del self._rooms[room]

    def say(self, room: str, seq: float, text: str) -> None:
        if room in self._rooms:
            self.due.append(Due(text, room, seq, self._rooms[room]))

    def send(self, text: str) -> None:
        self.due.append(Due(text))

    def lose(self, room: str, oldest: int) -> None:
        """What is lost gives way to one notice for each membership, where the first lost message stood."""
        notices = {due.membership: due for due in self.due if due.room == room and due.missed}
        kept = []
        for due in self.due:
            if due.room != room or due.missed or due.seq >= oldest:
                kept.append(due)
                continue
            if due.membership not in notices:
                notices[due.membership] = Due("", room, membership=due.membership)
                kept.append(notices[due.membership])
            notice = notices[due.membership]
            notice.missed += 1
            notice.text = notice_of(room, notice.missed)
        self.due = kept

    def hear(self, text: str) -> None:
        at = next((at for at, due in enumerate(self.due) if due.text == text), None)
        assert at is not None, f"{text!r} is not among {self.due}"
        heard = self.due.pop(at)
        overtaken = [due for due in self.due[:at] if not _may_overtake(heard, due)]
        assert not overtaken, f"{text!r} is before {overtaken}"


def _may_overtake(heard: Due, other: Due) -> bool:
    """Rooms may overtake each other, and a notice a private message; nothing else may."""
    if not other.room:
        return heard.missed > 0
    return heard.room not in {"", other.room}


def notice_of(room: str, missed: int) -> str:
    return f"missed {missed} of {room}"


class Client:
    """A client that takes a number of writes and then no more, driven as `hubbub.hub.reader` does.

    Attributes:
        credit: how many writes it takes before it is paused.
    """

    def __init__(self, when_slow: WhenSlow) -> None:
        self.when_slow = when_slow
        self.outbox: Outbox[Room] = Outbox()
        self.model = Model()
        self.credit = inf
        self.ended = False

    @property
    def unhindered(self) -> bool:
        return self.credit > 0 and not self.outbox.has_private

    def write(self, buffers: list[Buffer]) -> None:
        assert self.credit > 0
        self.credit -= 1
        wire = b"".join(buffers)
        assert wire.endswith(b"\n") or not wire
        for text in FRAMING.decoder(len(wire)).feed(wire):
            self.model.hear(text)

    def send(self, text: str) -> None:
        self.model.send(text)
        wire = FRAMING.encode([text])
        if self.credit and self.outbox.idle:
            self.write([wire])
        else:
            self.outbox.send(wire)
            self.pump()

    def enter(self, room: Room, seq: int) -> None:
        cursor, before = room.enter(self, seq)
        self.model.join(room.name)
        for at, text in enumerate(room.said[seq:], start=seq):
            # The rest of a batch waits with the client, where retention cannot reach it.
            self.model.say(room.name, inf if at < cursor.at.seq else at, text)
        self.outbox.add(cursor, before)
        self.pump()

    def leave(self, room: Room) -> None:
        self.model.leave(room.name)
        room.leave(self)
        self.pump()

    def pump(self) -> None:
        while self.credit and (buffers := self.outbox.read()):
            self.write(buffers)
        for cursor in self.outbox.cursors:
            if cursor.finished:
                self.outbox.remove(cursor)
                del cursor.owner.cursors[cursor]

    def overrun(self, cursor: Cursor[Room], chunk: Chunk) -> None:
        assert not self.unhindered
        if self.when_slow == "skip":
            cursor.skip(chunk)
            self.model.lose(cursor.owner.name, chunk.end.seq)
        else:
            self.end()

    def end(self) -> None:
        self.ended = True
        for cursor in self.outbox.cursors:
            cursor.owner.members.pop(self, None)
            del cursor.owner.cursors[cursor]
        self.outbox.clear()
        self.model = Model()


class Room:
    """A log and the cursors on it, driven as `hubbub.hub.room` and `hubbub.hub.fan_out` do."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.log = Log(FRAMING, RETENTION)
        self.members: dict[Client, Cursor[Room]] = {}
        self.cursors: dict[Cursor[Room], Client] = {}
        self.said: list[str] = []

    def broadcast(self, count: int, exclude: Client | None) -> None:
        texts = [f"{self.name} {len(self.said) + index}" for index in range(count)]
        for client in self.members:
            if client is not exclude:
                for seq, text in enumerate(texts, start=len(self.said)):
                    client.model.say(self.name, seq, text)
        self.said += texts
        cursor = self.members.get(exclude) if exclude is not None else None
        self.log.append(FRAMING.encode(texts), len(texts), time=0.0, exclude=cursor)

    def enter(self, client: Client, seq: int) -> tuple[Cursor[Room], bytes]:
        at, rest = self.log.mark_after(seq)
        cursor = Cursor(self.log, at, self, lambda missed: FRAMING.encode([notice_of(self.name, missed)]))
        self.members[client] = cursor
        self.cursors[cursor] = client
        return cursor, FRAMING.encode(rest) if rest else b""

    def leave(self, client: Client) -> None:
        self.members.pop(client).end = self.log.mark().seq

    def flush(self) -> None:
        ready = {cursor for cursor, client in self.cursors.items() if self._is_ready(cursor, client)}
        start, flushed = self.log.flushed, self.log.flush()
        for cursor in ready if flushed.batches else ():
            buffers, cursor.at = flushed.read(start.seq, self.log.flushed.seq, cursor)
            if buffers:
                self.cursors[cursor].write(buffers)
        for client in list(self.cursors.values()):
            client.pump()
        self.log.compact()
        while (chunk := self.log.overdue()) is not None:
            for cursor, client in list(self.cursors.items()):
                if cursor.at.seq < chunk.end.seq and not client.ended:
                    client.overrun(cursor, chunk)
            self.log.drop()

    def _is_ready(self, cursor: Cursor[Room], client: Client) -> bool:
        return cursor.at == self.log.flushed and cursor.end is None and client.unhindered


class Hub(RuleBasedStateMachine):
    """Two rooms and some clients, of which some take their time."""

    clients = Bundle[Client]("clients")
    rooms = st.sampled_from((0, 1))

    def __init__(self) -> None:
        super().__init__()
        self.all_rooms = [Room("red"), Room("green")]
        self.all_clients: list[Client] = []
        self.sent = 0

    @initialize(target=clients, whens=st.lists(st.sampled_from(("skip", "disconnect")), min_size=2, max_size=3))
    def start(self, whens: list[WhenSlow]) -> MultipleResults[Client]:
        self.all_clients = [Client(when_slow) for when_slow in whens]
        for client in self.all_clients:
            for room in self.all_rooms:
                client.enter(room, 0)
        return multiple(*self.all_clients)

    @rule(client=clients, room=rooms, back=st.none() | st.integers(0, 60))
    def join(self, client: Client, room: int, back: int | None) -> None:
        entered = self.all_rooms[room]
        if not client.ended and client not in entered.members:
            log = entered.log
            client.enter(entered, log.head.seq if back is None else max(log.oldest.seq, log.head.seq - back))

    @rule(client=clients, room=rooms)
    def leave(self, client: Client, room: int) -> None:
        if client in self.all_rooms[room].members:
            client.leave(self.all_rooms[room])

    @rule(room=rooms, counts=st.lists(st.integers(1, 3), min_size=1, max_size=4), exclude=st.none() | clients)
    def broadcast(self, room: int, counts: list[int], exclude: Client | None) -> None:
        for count in counts:
            self.all_rooms[room].broadcast(count, exclude)

    @rule(room=rooms, flushes=st.integers(1, 12 * CHUNK_BATCHES), exclude=clients, every=st.integers(1, 4))
    def broadcast_on_and_on(self, room: int, flushes: int, exclude: Client, every: int) -> None:
        for at in range(flushes):
            self.all_rooms[room].broadcast(1 + at % 2, None if at % every else exclude)
            self.all_rooms[room].flush()

    @rule(client=clients, room=rooms, credit=st.integers(0, 2))
    def leave_and_return(self, client: Client, room: int, credit: int) -> None:
        if client in self.all_rooms[room].members:
            client.credit = credit
            client.leave(self.all_rooms[room])
            client.enter(self.all_rooms[room], self.all_rooms[room].log.head.seq)

    @rule(client=clients)
    def send(self, client: Client) -> None:
        if not client.ended:
            self.sent += 1
            client.send(f"private {self.sent}")

    @rule(room=rooms)
    def flush(self, room: int) -> None:
        flushed = self.all_rooms[room]
        flushed.flush()
        oldest = flushed.log.oldest.seq
        assert [entry.message for entry in flushed.log.entries_since(oldest)] == flushed.said[oldest:]

    @rule(client=clients, credit=st.integers(0, 4))
    def take(self, client: Client, credit: int) -> None:
        client.credit = credit
        client.pump()

    @rule(client=clients)
    def take_all(self, client: Client) -> None:
        client.credit = inf
        client.pump()

    @rule(client=clients)
    def finish(self, client: Client) -> None:
        for room in self.all_rooms:
            if client in room.members:
                await client.leave(room)

    @invariant()
    def who_takes_all_has_all(self) -> None:
        pending = {room for room in self.all_rooms if room.log.pending_size}
        for client in self.all_clients:
            if client.credit == inf and not pending.intersection(cursor.owner for cursor in client.outbox.cursors):
                assert not client.model.due
                assert client.outbox.idle
                assert client.outbox.private_size == 0
                assert client.outbox.lag == Lag(0, 0)
                assert client.outbox.exhausted == (not any(client in room.members for room in self.all_rooms))

    def teardown(self) -> None:
        for client in self.all_clients:
            self.take_all(client)
        for room in range(len(self.all_rooms)):
            self.flush(room)
        self.who_takes_all_has_all()


TestHub = Hub.TestCase
TestHub.settings = settings(
    max_examples=150,
    stateful_step_count=50,
    deadline=None,
    # To shrink a run of so many steps takes longer than a test may.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
