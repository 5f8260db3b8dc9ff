"""Clients whose socket takes nothing: they are ended, or muted as long as they speak."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final, Generic

from ..framing import M

if TYPE_CHECKING:
    from ..hub.session import Session

logger = logging.getLogger("hubbub")


@dataclass(slots=True)
class _Look:
    """What was seen of a client: its messages, and when it spoke; when it moved on the clock of the loop, and ours."""

    received: int
    spoke: float
    moved_at: float
    moved: float


LAG_SLICE: Final = 1024
"""About how many clients one look checks for `Listener.max_lag`."""


ENDED_AT_ONCE: Final = 64
"""How many clients are ended in a turn of the loop: each takes a tenth of a millisecond."""


class Stalls(Generic[M]):
    """Those whose transport has not taken all it was given, and what becomes of them.

    A client that takes nothing for `Settings.patience` is ended. But one that completes a message within each such time
    may be a source that never reads: it is muted instead, up to `Settings.mute_limit` of them.

    Args:
        limit: how many may be muted at a time.

    Attributes:
        muted_count: how many clients were muted, each counted once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # How many messages each had completed when it was paused.
        self._paused: dict[Session[M], int] = {}
        self._looks: dict[Session[M], _Look] = {}
        # Those that are muted now, and all that ever were and are still there.
        self._muted: set[Session[M]] = set()
        self._noted: set[Session[M]] = set()
        self.muted_count = 0
        self._part = 0

    def pause(self, reader: Session[M]) -> None:
        """A client's transport has not taken all it was given."""
        self._paused[reader] = reader.link.messages_received

    def resume(self, reader: Session[M]) -> None:
        """A client's transport has taken all it was given."""
        self._paused.pop(reader, None)
        self._muted.discard(reader)

    def forget(self, reader: Session[M]) -> None:
        """A client's connection is gone."""
        self.resume(reader)
        self._noted.discard(reader)

    def look(self, now: float) -> None:
        """End those who have taken nothing for too long and say nothing, and mute those who speak.

        Args:
            now: how long the server has been run. So time in which it was not run does not count.
        """
        before, self._looks = self._looks, {}
        # Of many, each look checks the lag of some.
        parts = 1 + len(self._paused) // LAG_SLICE
        self._part = (self._part + 1) % parts
        stalled: list[Session[M]] = []
        for number, (reader, received) in enumerate(list(self._paused.items())):
            link = reader.link
            patience = link.settings.patience
            if number % parts == self._part:
                reader.check_lag()
            moved_at = link.see_progress()
            look = self._looks[reader] = before.get(reader) or _Look(received, now, moved_at, now)
            if link.messages_received != look.received:
                look.received, look.spoke = link.messages_received, now
            # One that is muted is not expected to move.
            if moved_at > look.moved_at:
                look.moved_at, look.moved = moved_at, now
            if now - look.moved <= patience:
                continue
            if now - look.spoke > patience or not self._may_be_muted(reader):
                stalled.append(reader)
            elif reader not in self._muted or moved_at > -inf:
                self._mute(reader)
        self._end(stalled)

    def _end(self, stalled: list[Session[M]]) -> None:
        """End these clients, some in each turn of the loop, but not those that have taken something meanwhile."""
        for reader in stalled[:ENDED_AT_ONCE]:
            if reader in self._paused:
                reader.end_stalled()
        if later := stalled[ENDED_AT_ONCE:]:
            asyncio.get_running_loop().call_soon(self._end, later)

    def _may_be_muted(self, reader: Session[M]) -> bool:
        return reader.ending is None and (reader in self._muted or len(self._muted) < self._limit)

    def _mute(self, reader: Session[M]) -> None:
        reader.mute()
        self._muted.add(reader)
        if reader not in self._noted:
            self._noted.add(reader)
            self.muted_count += 1
            logger.warning(
                "%s speaks, and has taken nothing for %g s: it stays, but misses messages from now on; "
                "let sources connect where the role is write",
                reader.client,
                reader.link.settings.patience,
            )
