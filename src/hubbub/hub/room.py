"""A room: a named log and the clients that read it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Generic

from ..framing import M
from ..log.log import Log
from ..log.seeking import seq_of
from ..values.errors import PositionLost, RoomClosed
from ..values.settings import ACK
from ..values.since import Since, SinceLike
from . import policies
from .fan_out import FanOut
from .hold import MESSAGES_LIMIT, Hold

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from ..framing import Framing
    from ..log.history import Entry
    from ..log.store import StoredLog
    from ..values.position import Position
    from ..values.settings import Settings
    from .ports import Sender
    from .pump import Pump


class Room(Generic[M]):
    """A named log and the clients that read it; made by `Server.room`.

    `len(room)` says how many read it, over HTTP too, and `client in room` whether a client does.

    Attributes:
        name: its name on the server.
        framing: how it keeps its messages. Clients whose listener has another framing read them in that one.
        settings: its own; the server's, if it was made without.
        keep: whether it stays when its last client leaves.
        users: how many need it that may not read it: they write, or look for where to begin. It stays for them.
        fan_out: its readers; for hubbub's own use.
    """

    def __init__(
        self,
        name: str,
        framing: Framing[M],
        settings: Settings,
        pump: Pump,
        on_close: Callable[[Room[M]], None],
        *,
        keep: bool = True,
        older: StoredLog | None = None,
    ) -> None:
        # Named here, for a fault would show only when a reader is slow.
        policies.find(settings.when_slow)
        self.name = name
        self.framing = framing
        self.settings = settings
        self.keep = keep
        self.users = 0
        self._closed = False
        self._on_close = on_close
        self._chunk_size = settings.chunk_size
        self._acknowledging = older if settings.durable == ACK else None
        self._log = Log(framing, settings.retention, pump.clock, older)
        self.fan_out = FanOut(self, self._log, pump)
        self._hold = Hold(self._log, self.fan_out, settings)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<Room {self.name!r}: {len(self)} clients, head {self.head}>"

    def __len__(self) -> int:
        return len(self.fan_out.members)

    def __bool__(self) -> bool:
        return True

    def __contains__(self, client: Sender) -> bool:
        return client.token in self.fan_out.members

    @property
    def clients(self) -> frozenset[Any]:
        """The clients that are in the room now: `Client` objects."""
        return frozenset(seat.reader.client for seat in self.fan_out.members.values() if seat.reader.announced)

    @property
    def closed(self) -> bool:
        """Whether it was closed, and takes no more messages."""
        return self._closed

    @property
    def head(self) -> Position:
        """The position after the newest message."""
        return self._log.position(self._log.head.seq)

    @property
    def oldest(self) -> Position:
        """The position before the oldest message that is retained."""
        return self._log.position(self._log.start)

    def holds(self, position: Position) -> bool:
        """Whether everything after `position` is still retained."""
        try:
            seq_of(self._log, position)
        except PositionLost:
            return False
        return True

    def history(self, *, since: SinceLike | None = None, last: int | None = None) -> AsyncIterator[Entry[M]]:
        """The retained messages, from the oldest one on to the head as it is at the call.

        The event loop turns between them, however many there are, and none is lost to retention meanwhile.

        Args:
            since: only those from there on; see `Client.join`.
            last: only the newest ones, so many at most: the same as a number as `since`.

        Raises:
            PositionLost: the log does not hold `since`.
            TypeError: `since` is none of what it may be.
            ValueError: both are given, or one of them is negative, or `since` is a text that does not say a place.

        Reading it raises `PositionLost` if the older end of the log has lost the next message meanwhile, `OSError` if
        the store cannot be read, and `TimeoutError` if a piece of it takes longer than `Settings.fetch_time`.
        """
        if since is not None and last is not None:
            raise ValueError("give since or last, not both")
        start = since if last is None else last
        return self.fan_out.fetches.history(Since.of("all" if start is None else start))

    async def broadcast(
        self, message: M, *, exclude: Sender | None = None, sender: Sender | str | None = None
    ) -> Position:
        """Send `message` to every client in the room but `exclude`; the position after it.

        Returns once the log has taken it, which is before it is delivered; or, where `Settings.durable` is `ack`, once
        the store has committed it. It waits while the room's senders are held to its pace for a lagging reader
        (`Settings.pace`), for a flush when the log's next chunk is full, and while the store has too much to commit
        (`Settings.store_pending`). If it is cancelled while it waits, nothing is sent; while it waits for the commit,
        the message is sent all the same.

        Args:
            message: the message.
            exclude: the client that does not read it.
            sender: the client that sent it, or a name, where code is not a client; see `Entry.sender`. Without it, the
                excluded client is the sender.

        Raises:
            RoomClosed: the room was closed.
            NotStored: the message was delivered, and the store does not take it; only where `durable` is `ack`.
            ValueError: the framing cannot carry the message.
            TypeError: the message is not of the framing's type.
            RuntimeError: another event loop is running than the server's; see `asyncio.run_coroutine_threadsafe`.
        """
        wire = self.framing.encode((message,))
        if self._closed or self._hold.must_wait(len(wire)):
            await self._wait_for_turn(len(wire))
        position = self._append(wire, 1, exclude, sender)
        if self._acknowledging is not None:
            await self._acknowledging.wait_committed(position.seq)
        return position

    async def broadcast_many(
        self, messages: Sequence[M], *, exclude: Sender | None = None, sender: Sender | str | None = None
    ) -> Position:
        """Send `messages` as `broadcast` does, at the price of one; the position after the last.

        Messages that a client's `receive_many` gave are passed on as they came, without being decoded, where the
        framings allow it. They stay together, unless they are too many for a chunk. If it is cancelled, those parts are
        sent that the log has taken.

        It raises what `broadcast` raises.
        """
        wire = self.framing.encode(messages)
        is_large = len(wire) > self._chunk_size or len(messages) > MESSAGES_LIMIT
        if len(messages) > 1 and (is_large or not self.framing.self_delimiting):
            half = len(messages) // 2
            await self.broadcast_many(messages[:half], exclude=exclude, sender=sender)
            return await self.broadcast_many(messages[half:], exclude=exclude, sender=sender)
        if self._closed or self._hold.must_wait(len(wire)):
            await self._wait_for_turn(len(wire))
        position = self._append(wire, len(messages), exclude, sender)
        if self._acknowledging is not None:
            await self._acknowledging.wait_committed(position.seq)
        return position

    def close(self) -> None:
        """End the room: its clients leave it, and the server forgets it with its log in memory.

        What was broadcast before still reaches them. A room of the same name made later is another room. With a store,
        it goes on where the log of this one ended. To close a room twice does nothing.

        Raises:
            ValueError: it is the room of a listener, such as the root room, which lasts as long as the server.
        """
        self._on_close(self)
        self._closed = True
        self.finish()
        self._hold.release()
        for cursor in list(self.fan_out.members.values()):
            cursor.reader.leave(cursor)

    def finish(self) -> None:
        """Store what was broadcast. What is broadcast after this is not stored."""
        self._log.end()

    def close_if_unused(self) -> None:
        """End the room, if nobody is in it and it is not to be kept."""
        if not (self.keep or self.fan_out.members or self.users or self._closed):
            self.close()

    def _append(self, wire: bytes, count: int, exclude: Sender | None, sender: Sender | str | None) -> Position:
        log = self._log
        if not wire:
            # No message, or one of no bytes in a framing without delimiters: nothing that a reader could notice.
            return log.position(log.head.seq)
        name, token = "", 0
        sender = exclude if sender is None else sender
        if isinstance(sender, str):
            name = sender
        elif sender is not None:
            name, token = str(sender), sender.token
        excluded = 0 if exclude is None else exclude.token
        self.fan_out.flush_soon()
        log.clock.seconds = time.monotonic()
        seq = log.append(wire, count, time=time.time(), sender=name, token=token, excluded=excluded)
        self._hold.spend(len(wire))
        return log.position(seq)

    async def _wait_for_turn(self, size: int) -> None:
        if not self._closed:
            await self._hold.wait(size)
        if self._closed:
            raise RoomClosed(self.name)
