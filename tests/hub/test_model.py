"""Real rooms, clients and outboxes, on transports that stall and fail, against a naive model."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from math import inf
from typing import Any
from unittest.mock import patch

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hubbub.framing import ByteLines, Framing, LengthPrefixed, Raw
from hubbub.hub import fetches as fetches_module
from hubbub.hub import pump as pump_module
from hubbub.hub import reader as reader_module
from hubbub.hub.room import Room
from hubbub.log.cursor import Lag
from hubbub.log.history import entries_since
from hubbub.log.outbox import IDLE, SPLICE_COST
from hubbub.values.ending import Ending, EndingCode
from hubbub.values.settings import Settings

from support.naive import KIB, NOTICE, Counted, Due, Listener, Picky, Play, Watch
from support.stepping import FakeHub, left_over, new_loop
from support.stored import SlowOlderEnd

OUTBOX_LIMIT = 3 * SPLICE_COST
LONGEST_PRIVATE = 64
MOST_CLIENTS = 5
MOST_ROOMS = 4


ROOMS: dict[str, Framing[bytes]] = {"red": Counted(), "raw": Raw()}
FRAMINGS = (ByteLines(), ByteLines(), Counted(), LengthPrefixed(4), Picky(), Picky(tells=False))


class Rooms(RuleBasedStateMachine):
    """Some rooms and clients, of which some take their time."""

    clients = st.integers(0, MOST_CLIENTS - 1)
    names = st.sampled_from(("root", *ROOMS))
    backs = st.none() | st.integers(0, 3) | st.integers(0, 30) | st.integers(0, 300)
    amounts = st.sampled_from((0, 1, 30, 600, inf))

    def __init__(self) -> None:
        super().__init__()
        self.loop = new_loop()
        self.loop.__enter__()
        self.play = Play(lambda room: f"{room.name}.{self.hub.made.index(room)}")
        self.tasks: list[asyncio.Task[None]] = []
        self.errors: list[logging.LogRecord] = []
        self.numbers = 0
        self._undo: list[Callable[[], object]] = [self.loop.__exit__]
        handler = logging.Handler(logging.ERROR)
        handler.emit = self.errors.append  # type: ignore[assignment, method-assign]
        logger = logging.getLogger("hubbub")
        logger.addHandler(handler)
        logger.propagate = False
        self._undo += [lambda: logger.removeHandler(handler), lambda: setattr(logger, "propagate", True)]

    @initialize(
        slice_size=st.sampled_from((1, 2, 256)),
        reads=st.sampled_from((1, 2, 256)),
        piece=st.sampled_from((1, 64 * KIB)),
        judged=st.sampled_from((1, 64)),
        retention=st.sampled_from((4, 8)),
        when_slow=st.sampled_from(("skip", "disconnect")),
        pace=st.sampled_from((None, 64 * KIB)),
        framings=st.lists(st.sampled_from(FRAMINGS), min_size=2, max_size=4),
        older=st.sampled_from(
            (None, (8, 0, 0), (8, 3, 2), (KIB, 0, 0), (KIB, 0, 1), (KIB, 1, 3), (KIB, 3, 0), (KIB, 3, 2))
        ),
    )
    def start(  # noqa: PLR0917 (hypothesis gives them by name)
        self,
        slice_size: int,
        reads: int,
        piece: int,
        judged: int,
        retention: int,
        when_slow: Any,
        pace: int | None,
        framings: list[Framing[bytes]],
        older: tuple[int, int, int] | None,
    ) -> None:
        values = ((reader_module, "PUMP_READS", reads), (reader_module, "JOIN_SIZE", piece))
        once = ((module, "JUDGED_AT_ONCE", judged) for module in (pump_module, fetches_module))
        for module, name, value in (*values, *once):
            patched = patch.object(module, name, value)
            patched.start()
            self._undo.append(patched.stop)
        limits = Settings(
            flush_slice=slice_size,
            retention=retention * KIB,
            when_slow=when_slow,
            pace=pace,
            notice=NOTICE,
            outbox_limit=OUTBOX_LIMIT,
            fetch_time=inf,
        )
        self.hub = FakeHub(self.loop, ByteLines(), limits, older and partial(SlowOlderEnd, older[0] * KIB, *older[1:]))
        self.watch = self.hub.told = Watch()
        for framing in framings:
            self.connect(framing)

    def _client(self, number: int) -> Listener:
        """One of those that have not ended, if there are any."""
        living = [listener for listener in self.play.listeners if listener.client.ending is None] or self.play.listeners
        return living[number % len(living)]

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(self.loop.start(coroutine))

    def _room(self, name: str) -> Room[bytes]:
        return self.hub.root if name == "root" else self.hub.room(name, framing=ROOMS[name])

    def _text(self, room: str, padding: int, mark: str = "") -> bytes:
        self.numbers += 1
        return f"{room} {self.numbers}{mark} {'x' * padding}".encode()

    def _texts(self, room: Room[bytes], paddings: list[int], mark: str) -> list[bytes]:
        # In a framing that keeps messages singly they do not stay together.
        taken = paddings[:1] if room.framing == Raw() else paddings
        return [self._text(room.name, padding, mark if at == 0 else "") for at, padding in enumerate(taken)]

    # The rules.

    @rule(framing=st.sampled_from(FRAMINGS))
    def connect(self, framing: Framing[bytes]) -> None:
        if len(self.hub.clients) < MOST_CLIENTS:
            listener = Listener(*self.hub.connect(framing))
            self.play.listeners.append(listener)
            self.watch.listeners[listener.client] = listener
            for name in ("root", *ROOMS):
                self._start(self.play.join(listener, self._room(name), None))

    @rule(client=clients, name=names | st.just("passing"), back=backs)
    def join(self, client: int, name: str, back: int | None) -> None:
        room = name if name == "passing" else self._room(name)
        self._start(self.play.join(self._client(client), room, back))

    @rule(client=clients, name=names)
    def leave(self, client: int, name: str) -> None:
        self._start(self.play.leave(self._client(client), self._room(name)))

    @rule(client=clients)
    def leave_all(self, client: int) -> None:
        listener = self._client(client)
        for said in list(listener.rooms):
            self._start(self.play.leave(listener, said.room))

    @rule(client=clients, name=names, back=backs, credit=amounts)
    def leave_and_return(self, client: int, name: str, back: int | None, credit: float) -> None:
        listener = self._client(client)
        listener.transport.credit = credit
        self._start(self.play.leave(listener, self._room(name)))
        self._start(self.play.join(listener, self._room(name), back))

    @rule(client=clients, name=names, back=st.integers(1, 3))
    def return_into_what_excludes_it(self, client: int, name: str, back: int) -> None:
        room, listener = self._room(name), self._client(client)
        self._start(self.play.say(room, self._texts(room, [0, 0, 0], ""), listener, None))
        self._start(self.play.leave(listener, room))
        self._start(self.play.join(listener, room, back))

    @rule(name=st.sampled_from(tuple(ROOMS)), last=st.integers(0, 2))
    def close_and_succeed(self, name: str, last: int) -> None:
        closed = self._room(name)
        members = [listener for listener in self.play.listeners if self.play.said(closed) in listener.rooms]
        for _ in range(last):
            self._start(self.play.say(closed, [self._text(name, 0)], None, None))
        closed.close()
        for listener in members:
            del listener.rooms[self.play.said(closed)]
            self._start(self.play.join(listener, self._room(name), None))
        self._start(self.play.say(self._room(name), [self._text(name, 0)], None, None))

    @rule(
        name=names,
        paddings=st.lists(st.integers(0, 30), min_size=1, max_size=3),
        mark=st.sampled_from(("", "", "!", "?")),
        exclude=st.none() | clients,
        sender=st.sampled_from((None, "code")),
    )
    def broadcast(self, name: str, paddings: list[int], mark: str, exclude: int | None, sender: Any) -> None:
        room = self._room(name)
        excluded = None if exclude is None else self._client(exclude)
        self._start(self.play.say(room, self._texts(room, paddings, mark), excluded, sender))

    @rule(client=clients)
    def broadcast_to_the_passing(self, client: int) -> None:
        for said in list(self._client(client).rooms):
            if said.room.name == "passing":
                self._start(self.play.say(said.room, [self._text("passing", 10)], None, None))

    @rule(name=names, turns=st.integers(1, 20), exclude=clients, every=st.integers(1, 4), mark=st.sampled_from("  ?"))
    def broadcast_on_and_on(self, name: str, turns: int, exclude: int, every: int, mark: str) -> None:
        room = self._room(name)
        for at in range(turns):
            texts = self._texts(room, [100] * (1 + at % 2), mark)
            self._start(self.play.say(room, texts, None if at % every else self._client(exclude), None))
            self.loop.turn()

    @rule(client=clients, count=st.integers(1, 4))
    def send(self, client: int, count: int) -> None:
        for _ in range(count):
            self._start(self.play.send(self._client(client), self._text("private", count)))

    @rule(client=clients)
    def try_send(self, client: int) -> None:
        listener = self._client(client)
        text = self._text("private", 0)
        able = not listener.client._reader.full and listener.client.ending is None
        taken = listener.client.try_send(text)
        # A transport that breaks just then ends the client.
        assert taken == (able and listener.client.ending is None)
        if taken:
            listener.due.append(Due(text))

    @rule(turns=st.sampled_from((1, 1, 1, 2, 20)), seconds=st.sampled_from((0, 20)))
    def turn(self, turns: int, seconds: int) -> None:
        self.loop.advance(seconds)
        self.loop.turn(turns)

    @rule(client=clients, credit=amounts)
    def let_take(self, client: int, credit: float) -> None:
        self._client(client).transport.credit = 0
        self._client(client).transport.take(credit)

    @rule(client=clients, when_slow=st.sampled_from((None, "skip", "disconnect")))
    def change_policy(self, client: int, when_slow: str | None) -> None:
        listener = self._client(client)
        try:
            listener.client.when_slow = when_slow
        except ValueError:
            assert when_slow == "skip"
            assert not listener.framing.textual
            return
        listener.policies.add(when_slow)

    @rule(client=clients, how=st.sampled_from(("close", "dismiss", "drop", "break off", "fail")))
    def end(self, client: int, how: str) -> None:
        listener = self._client(client)
        reader = listener.client._reader
        listener.whole = listener.whole and how in ("close", "dismiss")
        if how == "dismiss" and not reader.ending and reader.link.framing.encode_text("that is all"):
            listener.due.append(Due(b"that is all"))
        listener.ended = True
        if how == "fail":
            listener.transport.failure = LookupError("planted")
            return
        listener.rooms.clear()
        if how == "close":
            self._start(listener.client.close("planted"))
        elif how == "dismiss":
            reader.dismiss(Ending(EndingCode.CLOSED, "planted"), "that is all")
        elif how == "drop":
            reader.end(Ending(EndingCode.FAILED, "planted"), deliver=False)
        else:
            listener.transport.break_off(ConnectionResetError("planted"))

    @rule(at=st.integers(0, 3))
    def cancel(self, at: int) -> None:
        if at < len(self.tasks):
            self.tasks[at].cancel()

    @rule(name=names)
    def look_back(self, name: str) -> None:
        said = self.play.said(self._room(name))
        oldest = said.room._log.oldest.seq
        entries = list(entries_since(said.room._log, oldest))
        assert [entry.message for entry in entries] == [text for text, _ in said.messages[oldest:]]

    # What holds.

    @invariant()
    def nobody_hears_what_is_not_its_own_or_not_in_its_place(self) -> None:
        self.play.listen()
        for listener in self.play.listeners:
            if listener.client._reader.dropped:
                listener.whole = False
            listener.policies = {listener.client.when_slow}
            assert not listener.transport.overdone
        assert not self.watch.wrong, self.watch.wrong

    @invariant()
    def what_waits_is_bounded(self) -> None:
        assert IDLE.idle
        assert IDLE.private_size == 0
        for listener in self.play.listeners:
            outbox = listener.client._reader.outbox
            # One message may go over the limit, the words of an end, and what each room that is left at once counts.
            over = 2 * LONGEST_PRIVATE + SPLICE_COST * (2 + MOST_ROOMS)
            assert outbox.private_size <= OUTBOX_LIMIT + over

    @invariant()
    def nothing_fails_but_what_was_planted(self) -> None:
        assert not self.loop.failures
        for task in self.tasks:
            if task.done() and not task.cancelled():
                task.result()
        self.tasks = [task for task in self.tasks if not task.done()]
        for record in self.errors:
            assert record.getMessage().endswith("cannot be written to") or "cannot be encoded" in record.getMessage()
            assert record.exc_info
            assert isinstance(record.exc_info[1], LookupError), record.exc_info[1]

    def teardown(self) -> None:
        try:
            if self.play.listeners:
                self.all_comes_to_rest()
        finally:
            for undo in reversed(self._undo):
                undo()

    def all_comes_to_rest(self) -> None:
        """Once every client takes everything, nothing waits anywhere."""
        for listener in self.play.listeners:
            listener.transport.take()
        self.loop.settle()
        self.nobody_hears_what_is_not_its_own_or_not_in_its_place()
        self.nothing_fails_but_what_was_planted()
        assert not self.tasks
        assert not self.hub._pump.busy
        assert not self.hub._pump._readers
        assert not self.hub._pump.tasks
        for listener in self.play.listeners:
            self._check_at_rest(listener)
        for said in self.play.saids.values():
            fan_out = said.room.fan_out
            assert not fan_out.busy
            assert not left_over(said.room)
            members = [listener.client for listener in self.play.listeners if said in listener.rooms]
            assert said.room.clients == {client for client in members if not client.ending}
            ready = [cursor for rendering in fan_out._renderings.values() for cursor in rendering.ready]
            assert sorted(map(id, ready)) == sorted(map(id, fan_out.members.values()))

    def _check_at_rest(self, listener: Listener) -> None:
        reader, transport = listener.client._reader, listener.transport
        assert reader.outbox.idle
        assert reader.outbox.private_size == reader.leaving == reader.unsettled == 0
        assert reader.lag == Lag(0, 0)
        if listener.whole:
            assert not listener.due
        if reader.ending is None:
            assert reader.direct
        else:
            assert reader.exhausted
            assert transport.gone
            assert transport.reset or (transport.at_end and not listener.cut)


TestRooms = Rooms.TestCase
TestRooms.settings = settings(
    stateful_step_count=50,
    suppress_health_check=list(HealthCheck),
    # To shrink a run of so many steps takes longer than a test may.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
