"""The real hub, rooms, clients and readers on an event loop that a test turns by hand, and on transports that it feeds.

Nothing here waits for a socket or a clock, so that a test says in which turn of the loop something happens.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from math import inf
from types import SimpleNamespace
from typing import Any, Self, TypeVar, cast

from hubbub.framing import ByteLines, Framing
from hubbub.hub.client import Client
from hubbub.hub.hub import Hub
from hubbub.hub.room import Room
from hubbub.hub.session import Session
from hubbub.hub.statistics import Statistics
from hubbub.log.max_lag import MaxLag
from hubbub.log.store import StoredLog
from hubbub.values.address import Address
from hubbub.values.ending import Ending
from hubbub.values.settings import Settings
from hubbub.wire.link import Link

from support.stored import StoreOf

MOST_TURNS = 100_000
"""After so many turns a loop that is still busy is stuck."""

PIECE = 1 / 16
"""The seconds of a turn, where time is spent."""

T = TypeVar("T")


class SteppedLoop(asyncio.BaseEventLoop):
    """An event loop that does nothing by itself: a test turns it, and moves its clock.

    Entering it makes it the running loop. What a callback raises is raised by the turn.
    """

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self) -> None:
        super().__init__()
        self.set_debug(False)
        self.failures: list[dict[str, Any]] = []
        self._now = 0.0
        # No socket is ever ready.
        self._selector = SimpleNamespace(select=lambda _: [])

    def __enter__(self) -> Self:
        asyncio._set_running_loop(self)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio._set_running_loop(None)

    def __del__(self) -> None:
        """There is nothing to close."""

    def turn(self, times: int = 1) -> None:
        """Do what is due now, but nothing that this makes due."""
        for _ in range(times):
            self._run_once()  # type: ignore[attr-defined] # typeshed does not show it

    def advance(self, seconds: float) -> None:
        """Move the clock."""
        self._now += seconds

    def spend(self, seconds: float) -> None:
        """Turn for a while: in steps of `PIECE`, for a loop that comes late was not run."""
        for _ in range(round(seconds / PIECE)):
            self.advance(PIECE)
            self.turn()

    def settle(self) -> None:
        """Turn until there is nothing to do, and no timer that could change that."""
        for _ in range(MOST_TURNS):
            if not self._ready:
                timers = [timer.when() for timer in self._scheduled if not timer.cancelled()]
                if not timers:
                    return
                self._now = max(self._now, min(timers))
            self.turn()
        raise AssertionError("the loop does not come to rest")

    def start(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine up to where it first waits; the task that does the rest."""
        task = asyncio.Task(coroutine, loop=self)
        self._ready.pop()._run()
        return task

    def do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What a coroutine returns that waits for nothing."""
        task = self.start(coroutine)
        assert task.done(), "it waits"
        return task.result()

    def time(self) -> float:
        return self._now

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if "handle" in context:
            raise context["exception"]
        self.failures.append(context)

    def _process_events(self, _: object) -> None:
        """There are none."""


class FakeTransport(asyncio.Transport):
    """A transport whose peer takes as much as a test lets it.

    The peer has `taken` something, and takes `credit` bytes more; what exceeds them waits here, and the link is paused.
    It may be `at_end` of the stream; after a `reset`, its last message may be cut. `overdone` counts the writes that
    came while the link was to give nothing more; the next write raises the `failure`.
    """

    def __init__(self, loop: SteppedLoop, credit: float = inf) -> None:
        super().__init__()
        self.credit = credit
        self.taken = bytearray()
        self.failure: Exception | None = None
        self.at_end = False
        self.reset = False
        self.overdone = 0
        self.writes = 0
        self._loop = loop
        self._link: asyncio.Protocol
        self._waiting = bytearray()
        self._paused = False
        self._ending = False
        self._closing = False
        self.gone = False

    def connect(self, link: asyncio.Protocol) -> None:
        self._link = link
        link.connection_made(self)

    def take(self, size: float = inf) -> None:
        """Let the peer take so many bytes more."""
        self.credit += size
        self._pass_on()

    def stall(self) -> None:
        """Let the peer take nothing more."""
        self.credit = 0

    def break_off(self, error: Exception | None) -> None:
        """The connection is gone; with an error if it broke."""
        self.reset = True
        self._lose(error)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writelines([data])

    def writelines(self, list_of_data: Any) -> None:
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        self.overdone += self._paused or self._closing or self._ending
        self.writes += 1
        self._waiting += b"".join(list_of_data)
        self._pass_on()
        if self._waiting and not self._paused:
            self._paused = True
            self._link.pause_writing()

    def get_write_buffer_size(self) -> int:
        return len(self._waiting)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high == 0

    def pause_reading(self) -> None:
        """Nothing arrives here."""

    def resume_reading(self) -> None:
        """Likewise."""

    def write_eof(self) -> None:
        self._ending = True
        self._pass_on()

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing = True
        self._pass_on()

    def abort(self) -> None:
        self.reset = True
        self._closing = True
        self._loop.call_soon(self._lose, None)

    def _pass_on(self) -> None:
        if self.gone:
            return
        size = int(min(self.credit, len(self._waiting)))
        self.credit -= size
        self.taken += self._waiting[:size]
        del self._waiting[:size]
        if self._waiting:
            return
        if self._paused:
            self._paused = False
            self._link.resume_writing()
        if self._ending:
            self.at_end = True
        if self._closing:
            self.at_end = True
            self._loop.call_soon(self._lose, None)

    def _lose(self, error: Exception | None) -> None:
        if not self.gone:
            self.gone = self._closing = True
            self._waiting.clear()
            self._link.connection_lost(error)


class Told:
    """The supervisor of all readers: remembers what they told."""

    hears_messages = False

    def __init__(self) -> None:
        self.endings: list[Ending] = []
        self.closings = 0
        self.unheard_count = 0
        self.paused_readers: set[Any] = set()

    def received(self, client: Any, messages: Sequence[Any]) -> None:
        """Nothing arrives here."""

    def slowed(self) -> None:
        """Likewise."""

    def unheard(self, count: int) -> None:
        self.unheard_count += count

    def paused(self, reader: Any) -> None:
        self.paused_readers.add(reader)

    def resumed(self, reader: Any) -> None:
        self.paused_readers.discard(reader)

    def ended(self, reader: Any, ending: Ending) -> None:
        self.endings.append(ending)

    def closed(self, reader: Any) -> None:
        self.closings += 1
        self.paused_readers.discard(reader)


class FakeHub(Hub[Any]):
    """A hub whose clients have no sockets. The notices of its rooms say which room they are about.

    `older` makes the older end of each room's log; None: it has none.
    """

    def __init__(
        self,
        loop: SteppedLoop,
        framing: Framing[Any],
        settings: Settings,
        older: Callable[[], StoredLog] | None = None,
    ) -> None:
        self.made: list[Room[Any]] = []
        self.told = Told()
        self._loop = loop
        self._connected: list[Client[Any]] = []
        super().__init__(framing, settings, (), None if older is None else StoreOf(older, afresh=True))

    @property
    def clients(self) -> frozenset[Client[Any]]:
        return frozenset(client for client in self._connected if client.ending is None)

    @property
    def urls(self) -> tuple[str, ...]:
        return ()

    def statistics(self) -> Statistics:
        return Statistics(clients=len(self.clients), rooms=len(self._rooms), accepted=0, endings={}, slowed=0)

    @property
    def addresses(self) -> tuple[Address, ...]:
        return ()

    async def close(self) -> None:
        for client in self.clients:
            await client.close()

    def connect(
        self, framing: Framing[Any] | None = None, *, credit: float = inf, told: Any = None, max_lag: Any = None
    ) -> tuple[Client[Any], FakeTransport]:
        """A client that is in no room, and its transport."""
        transport = FakeTransport(self._loop, credit)
        nobody = cast("Session[Any]", None)
        link: Link[Any] = Link(nobody, framing or self.framing, self.settings, self._loop)
        transport.connect(link)
        address = Address("peer", len(self._connected) + 1)
        supervisor = told or self.told
        limit = None if max_lag is None else MaxLag(max_lag)
        client = Client(self, self.root, link, address, pump=self._pump, supervisor=supervisor, max_lag=limit)
        link.hand_to(client._reader)
        self._connected.append(client)
        return client, transport

    def joined(self, room: Room[Any] | None = None, **options: Any) -> tuple[Client[Any], FakeTransport]:
        """A client that is in a room, the root room if none is named, and its transport."""
        client, transport = self.connect(**options)
        self._loop.do(client.join(room or self.root))
        return client, transport

    def say(self, *messages: Any, room: Room[Any] | None = None, exclude: Client[Any] | None = None) -> None:
        """Broadcast each of these in a turn of its own."""
        for message in messages:
            self._loop.do((room or self.root).broadcast(message, exclude=exclude))
            self._loop.turn()

    def _make_room(self, name: str, framing: Framing[Any], settings: Settings, *, keep: bool = True) -> Room[Any]:
        notice = settings.notice and f"{settings.notice} in {name}.{len(self.made)}"
        room = super()._make_room(name, framing, replace(settings, notice=notice), keep=keep)
        self.made.append(room)
        return room


def new_loop() -> SteppedLoop:
    """A loop for one test."""
    return SteppedLoop()


def hub_of(loop: SteppedLoop, framing: Framing[Any] | None = None, **options: Any) -> FakeHub:
    """A hub with these settings, whose senders no reader holds back unless they say so."""
    return FakeHub(loop, framing or ByteLines(), Settings(**{"pace": None, **options}))


def left_over(room: Room[Any]) -> list[Any]:
    """What the fan-out of a room keeps that is not ready: nothing, once all of its readers have taken everything."""
    fan_out = room.fan_out
    there = fan_out._stragglers
    return [kept for kept in (there._moving, there._still, there._adrift, fan_out._unsettled) if kept]
