"""A room: a named log and the clients that read it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, Generic

from .framing import M
from .log import Log
from .pace import Pace
from .readers import Readers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .client import Client
    from .framing import Framing
    from .log import Entry, Position
    from .settings import Settings

HOLD_TIME: Final = 0.01
"""How long a held sender waits, in seconds, before it looks whether it may go on. It then sends what it may in one go:
many tiny batches would count more in a reader's lag than the same bytes in one."""

APPENDS_LIMIT: Final = 4096
"""Broadcasts before a flush lets the event loop turn, be they ever so short."""


class Room(Generic[M]):
    """A named log and the clients that read it; made by `Server.room`.

    Attributes:
        name: its name on the server.
        settings: its own; the server's, if it was made without.
    """

    def __init__(self, name: str, framing: Framing[M], settings: Settings, on_close: Callable[[Room[M]], None]) -> None:
        self.name = name
        self.settings = settings
        self._framing = framing
        self._on_close = on_close
        self._chunk_size = settings.chunk_size
        self._large = settings.retention // 8
        self._log = Log(framing, settings.retention)
        self.readers = Readers(self, self._log, framing)
        self._turnstile = asyncio.Lock()
        self._pace = Pace(settings.pace or 0, burst=settings.retention // 8)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<Room {self.name!r}: {len(self.readers.members)} clients, head {self.head}>"

    @property
    def clients(self) -> frozenset[Client[M]]:
        """Who is in the room now."""
        return frozenset(self.readers.members)

    @property
    def head(self) -> Position:
        """The position of the next message."""
        return self._log.position(self._log.head)

    @property
    def oldest(self) -> Position:
        """The position of the oldest message that is retained."""
        return self._log.position(self._log.oldest)

    def history(self, since: Position | None = None) -> list[Entry[M]]:
        """The retained messages from the position `since` on; all of them without it.

        Raises:
            PositionLost: the log does not hold that position.
        """
        seq = self._log.oldest.seq if since is None else self._log.locate(since)
        return list(self._log.entries_since(seq))

    async def broadcast(self, message: M, *, exclude: Client[M] | None = None) -> None:
        """Send `message` to every client in the room but `exclude`.

        Returns once the log has taken it, which is before it is delivered. It waits while the room's senders are held
        to its pace for a lagging reader (`Settings.pace`), and for a flush when the log's next chunk is full. If it is
        cancelled while it waits, nothing is sent.

        Raises:
            ValueError: the framing cannot carry the message.
            TypeError: the message is not of the framing's type.
        """
        wire = self._framing.encode((message,))
        if self._must_wait(len(wire)):
            await self._wait_for_turn(len(wire))
        self._append(wire, 1, exclude)

    async def broadcast_many(self, messages: Sequence[M], *, exclude: Client[M] | None = None) -> None:
        """Send `messages` as `broadcast` does, at the price of one.

        They stay together, unless they are too many for a chunk. If it is cancelled, those parts are sent that the log
        has taken.
        """
        wire = self._framing.encode(messages)
        if len(messages) > 1 and (len(wire) > self._chunk_size or not self._framing.self_delimiting):
            half = len(messages) // 2
            await self.broadcast_many(messages[:half], exclude=exclude)
            await self.broadcast_many(messages[half:], exclude=exclude)
            return
        if self._must_wait(len(wire)):
            await self._wait_for_turn(len(wire))
        self._append(wire, len(messages), exclude)

    def close(self) -> None:
        """End the room: its clients leave it, and the server forgets it with its log.

        What was broadcast before still reaches them. A room of the same name made later is another room.

        Raises:
            ValueError: it is the server's root room, which lasts as long as the server.
        """
        self._on_close(self)
        for client in self.clients:
            client.leave(self)

    def _append(self, wire: bytes, count: int, exclude: Client[M] | None) -> None:
        if not wire:
            # No message, or one of no bytes in a framing without delimiters: nothing that a reader could notice.
            return
        readers = self.readers
        if exclude is None:
            self._log.append(wire, count, time=time.time())
        else:
            cursor = readers.members.get(exclude)
            self._log.append(wire, count, time=time.time(), sender=exclude.name, exclude=cursor)
        if readers.holding:
            self._pace.spend(len(wire), asyncio.get_running_loop().time())
        readers.schedule_flush()

    def _must_wait(self, size: int) -> bool:
        if size > self._large:
            # It may take a reader from before half of the retention to behind all of it.
            self.readers.look(size)
        return (
            (self._log.pending_size > 0 and self._is_full(size))
            or self._turnstile.locked()
            or (self.readers.holding and self._is_held())
        )

    def _is_full(self, size: int) -> bool:
        log = self._log
        return 0 < log.pending_size > self._chunk_size - size or log.pending_appends >= APPENDS_LIMIT

    async def _wait_for_turn(self, size: int) -> None:
        async with self._turnstile:
            while True:
                if self._is_full(size):
                    await self.readers.flushed.wait()
                elif self._is_held():
                    await asyncio.sleep(HOLD_TIME)
                    self.readers.look(size)
                else:
                    return

    def _is_held(self) -> bool:
        return self.readers.holding and self._pace.delay(asyncio.get_running_loop().time()) > 0
