"""The readers of one room: the flush, retention, and who holds senders back.

A reader is *ready* while its transport is empty and no private message waits: the flush writes the same bytes to all of
those, without what they are excluded from. Any other is *behind*, and reads on by itself as its transport drains, or at
the end of a flush.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Generic

from .cursor import Cursor
from .framing import M
from .log import Renderer
from .pulse import Pulse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .client import Client
    from .framing import Framing
    from .log import Chunk, Log, Mark, Position
    from .reader import Reader
    from .room import Room


class Readers(Generic[M]):
    """All cursors on one room's log.

    Attributes:
        room: the room.
        members: the clients in the room. One that has left may still have a cursor here, until it has read up to there.
        flushed: fires after each flush.
        holding: whether, at the last look, a reader that makes progress lagged by more than half of the retention.
    """

    def __init__(self, room: Room[M], log: Log[M], framing: Framing[M]) -> None:
        self.room = room
        self.members: dict[Client[M], Cursor[Readers[M]]] = {}
        self.flushed = Pulse()
        self.holding = False
        self._log = log
        self._framing = framing
        self._settings = room.settings
        self._ready: dict[Cursor[Readers[M]], Reader[M]] = {}
        self._behind: dict[Cursor[Readers[M]], Reader[M]] = {}
        self._renderers: dict[Framing[M], Renderer[M]] = {}
        self._scheduled = False
        self._check_notice()

    def enter(self, client: Client[M], framing: Framing[M], since: Position | None) -> tuple[Cursor[Readers[M]], bytes]:
        """Make `client` a member: its cursor, and the bytes that it must be sent before what the cursor reads.

        Args:
            client: who enters.
            framing: how it reads.
            since: where it starts; None: at the head.

        Raises:
            PositionLost: the log does not hold `since`.
        """
        at, before = self._log.mark(), b""
        renderer, notice = None, self._encode_notice
        if framing != self._framing:
            renderer = self._renderer_for(framing)
            notice = partial(self._encode_notice_in, framing)
        if since is not None:
            at, rest = self._log.mark_after(self._log.locate(since))
            before = (renderer or self._framing).encode(rest) if rest else b""
        cursor = Cursor(self._log, at, self, notice, renderer)
        self.members[client] = cursor
        return cursor, before

    def leave(self, client: Client[M]) -> None:
        """End a membership: its cursor reads what the log has now, and no more."""
        cursor = self.members.pop(client)
        cursor.end = self._log.mark().seq

    def place(self, cursor: Cursor[Readers[M]], reader: Reader[M]) -> None:
        """Note where a reader stands now."""
        if cursor.at == self._log.flushed and cursor.end is None and cursor.renderer is None and reader.unhindered:
            self._behind.pop(cursor, None)
            self._ready[cursor] = reader
        else:
            self._ready.pop(cursor, None)
            self._behind[cursor] = reader

    def forget(self, cursor: Cursor[Readers[M]]) -> None:
        """Drop a reader that has gone."""
        self._ready.pop(cursor, None)
        self._behind.pop(cursor, None)

    def schedule_flush(self) -> None:
        """Flush in the loop's next turn, with all that is broadcast until then."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

    def look(self, size: int = 0) -> None:
        """Find out anew whether a reader holds senders back, who want to broadcast `size` bytes."""
        if self._settings.pace is None or not self._behind:
            self.holding = False
            return
        head = self._log.head.offset
        limit = min(head, head + size - self._settings.retention // 2)
        since = asyncio.get_running_loop().time() - self._settings.hold_time
        self.holding = any(
            cursor.at.offset < limit and reader.taken_at() >= since for cursor, reader in self._behind.items()
        )

    def _flush(self) -> None:
        start = self._log.flushed
        chunk = self._log.flush()
        self._flush_slice(start, chunk, iter(list(self._ready.items())))

    def _flush_slice(self, start: Mark, chunk: Chunk, todo: Iterator[tuple[Cursor[Readers[M]], Reader[M]]]) -> None:
        end, ready, wire, excluded = self._log.flushed, self._ready, chunk.wire, chunk.excluded
        left = self._settings.flush_slice
        for cursor, reader in todo:
            # Between two slices a reader may have fallen behind, or read on by itself.
            if cursor in ready and cursor.at == start:
                cursor.at = end
                if cursor not in excluded:
                    reader.write(wire)
                elif len(excluded[cursor]) < len(chunk.batches):
                    reader.write_many(chunk.read(start.seq, end.seq, cursor)[0])
            left -= 1
            if not left:
                asyncio.get_running_loop().call_soon(self._flush_slice, start, chunk, todo)
                return
        self._finish_flush()

    def _finish_flush(self) -> None:
        if self._behind:
            for reader in [reader for reader in self._behind.values() if reader.writable]:
                reader.pump()
        self._retain()
        self.look()
        self._scheduled = False
        self.flushed.fire()
        if self._log.pending_size:
            self.schedule_flush()

    def _retain(self) -> None:
        self._log.compact()
        while (chunk := self._log.overdue()) is not None:
            for cursor, reader in list(self._behind.items()):
                if cursor.at.seq < chunk.end.seq:
                    reader.overrun(cursor, chunk)
            self._log.drop()

    def _renderer_for(self, framing: Framing[M]) -> Renderer[M]:
        renderer = self._renderers.get(framing)
        if renderer is None:
            missed = self._encode_notice_in(framing, 1)
            renderer = self._renderers[framing] = Renderer(self._framing, framing, missed)
        return renderer

    def _check_notice(self) -> None:
        # Later, it would fail in the middle of a flush.
        try:
            # With as many digits as a count may ever have.
            self._encode_notice(10**18)
        except ValueError as error:
            raise ValueError(
                f"notice is {self._settings.notice!r}, and the framing cannot carry it: {error}"
            ) from error

    def _encode_notice(self, missed: int) -> bytes:
        notice = self._settings.notice
        if notice is None:
            return b""
        return self._framing.encode([self._framing.from_text(notice.format(missed=missed))])

    def _encode_notice_in(self, framing: Framing[M], missed: int) -> bytes:
        notice = self._settings.notice
        return framing.encode_text(notice.format(missed=missed)) if notice is not None else b""
