"""All that one client is still to be sent, in order: what its rooms have for it, and its private messages between.

Each private message is a *splice*: it is placed at a tick of the server's clock, behind all that was broadcast before.
The outbox is a queue in the order of ticks, of the cursors that are behind, each by the tick of what it reads next, and
of the splices. Whatever comes first is read first. So the cost of a splice, of a join or of a read does not grow with
the client's rooms.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final

from .clock import NEVER

if TYPE_CHECKING:
    from .chunk import Buffer
    from .cursor import Cursor

SPLICE_COST: Final = 256
"""What a private message, or a room that is being left, counts beside its bytes: about what its bookkeeping takes."""


class Outbox:
    """What one client is still to be sent.

    Attributes:
        private_size: what the private messages that wait count, in bytes.
    """

    __slots__ = ("_behind", "_order", "_splices", "private_size")

    def __init__(self) -> None:
        self.private_size = 0
        self._behind: list[tuple[int, int, Cursor[Any, Any]]] = []
        self._splices: list[tuple[int, bytes]] = []
        self._order = 0

    @property
    def has_private(self) -> bool:
        return bool(self._splices)

    @property
    def idle(self) -> bool:
        """Whether nothing waits."""
        return not self._splices and not self._behind

    @property
    def cursors(self) -> list[Cursor[Any, Any]]:
        """The cursors that are behind."""
        return [cursor for _, _, cursor in self._behind]

    def add(self, cursor: Cursor[Any, Any]) -> None:
        """Read from a cursor that waits, behind those whose next message is as old."""
        self._order += 1
        heappush(self._behind, (cursor.tick, self._order, cursor))

    def send(self, tick: int, wire: bytes) -> None:
        """Place a private message at `tick`, which is no earlier than that of the one before.

        An empty one only keeps what comes later behind what came before.
        """
        self._splices.append((tick, wire))
        self.private_size += len(wire) + SPLICE_COST

    @property
    def tick(self) -> int:
        """The tick of the next private message: what was broadcast before it is to be read first."""
        return self._splices[0][0] if self._splices else NEVER

    def take_cursor(self) -> Cursor[Any, Any] | None:
        """The cursor to read next, up to `tick`; it is to be added again if it waits then. None: there is none."""
        if self._behind and self._behind[0][0] < self.tick:
            return heappop(self._behind)[2]
        return None

    def take_private(self, horizon: int) -> list[Buffer]:
        """The private messages to send next: those before the next cursor and not behind `horizon`, a tick."""
        if self._behind:
            horizon = min(horizon, self._behind[0][0])
        wires: list[Buffer] = []
        for tick, wire in self._splices:
            if tick > horizon:
                break
            wires.append(wire)
            self.private_size -= len(wire) + SPLICE_COST
        del self._splices[: len(wires)]
        return wires


IDLE: Final = Outbox()
"""Shared by all clients for whom nothing waits, which is most of them most of the time; nothing is placed in it."""
