"""A client's connection in both directions: its reader, and what its link tells."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from ..framing import Discarder, M, words_in
from ..values.ending import Ending, EndingCode
from ..values.errors import PositionLost
from ..wire.link import describe
from .reader import Reader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..framing import Decoder
    from ..log.max_lag import MaxLag
    from ..values.errors import FramingError
    from ..values.key import Key
    from ..values.role import Role
    from ..values.since import Since
    from ..wire.link import Link
    from .ports import Supervisor
    from .pump import Pump
    from .room import Room

logger = logging.getLogger("hubbub")

MOVES_SLICE: Final = 64
"""Joins and leaves in a row before the event loop turns, however quick they are."""


class Session(Reader[M]):
    """The reader of a client, which may also speak, and whose connection may end.

    Attributes:
        role: what the client may do.
        held_key: the key with which it came in; None: it has shown none.
    """

    __slots__ = ("held_key", "role")

    def __init__(
        self,
        client: Any,
        link: Link[M],
        pump: Pump,
        supervisor: Supervisor,
        *,
        role: Role,
        max_lag: MaxLag | None,
        key: Key | None = None,
    ) -> None:
        super().__init__(client, link, pump, supervisor)
        self.role = role
        self.held_key = key
        self.max_lag = max_lag
        self.muted = not role.hears
        if not role.speaks:
            link.discard(self.deaf_decoder())

    def deaf_decoder(self) -> Decoder[M]:
        """Takes what a client says that may not speak."""
        return Discarder(self.link.framing)

    def __str__(self) -> str:
        """Its client, as logs name it."""
        key = self.held_key
        return str(self.client) if key is None or key.name is None else f"{self.client} (key {key.name})"

    @property
    def via(self) -> str:
        """By which protocol it came, as URLs name it."""
        return self.link.scheme

    def dismiss(self, ending: Ending, words: str | None = None) -> None:
        """End the connection, and tell the client why, in `words` or those of the ending."""
        if self.ending is None and (wire := words_in(self.link.framing, words or ending.reason)):
            self._place(wire)
        self.end(ending, deliver=True)

    def end_stalled(self) -> None:
        """End the connection at once: its socket takes nothing."""
        self.end(Ending(EndingCode.STALLED, f"took nothing for {self.link.settings.patience:g} s"), deliver=False)
        self.link.reset()

    @property
    def is_unwanted(self) -> bool:
        """Whether its key does not allow any more what it does."""
        return self._key_refusal is not None

    @property
    def _key_refusal(self) -> str | None:
        if self.held_key is None or self.ending is not None:
            return None
        return self.held_key.refusal(self.client.room.name, self.role)

    def check_key(self) -> bool:
        """End the connection if its key does not allow any more what it does; whether it did."""
        if (reason := self._key_refusal) is None:
            return False
        # What waits for it would be read without the right to.
        self.cut(Ending(EndingCode.UNAUTHENTICATED, reason))
        return True

    def cut(self, ending: Ending) -> None:
        """End the connection at once, and tell the client why. What waits for it is dropped."""
        if wire := words_in(self.link.framing, ending.reason):
            # What the transport has are whole messages.
            self.transport.write(wire)
        self.end(ending, deliver=False)

    def check_lag(self, *, skip: bool = False) -> None:
        """Apply the policy of each room in which it lags by more than its listener allows.

        Args:
            skip: whether it goes on reading there, so that it skips what is too old if the policy lets it stay.
        """
        if self.max_lag is None or self.ending is not None:
            return
        for cursor in self.outbox.cursors:
            start = self.max_lag.start(cursor.log, time.monotonic())
            # One that is catching up, or is replayed what was said before it came, is to read all of that.
            if cursor.at.seq < start.seq and not (cursor.catching_up or cursor.replaying or self.dropped):
                cursor.owner.overrun(cursor)
                if skip:
                    cursor.skip_to(start)

    def beat(self) -> None:
        """Show that the connection lives, where its peer has to see that: not where it is a client's."""

    async def run(self) -> None:
        """Serve the connection, where that is not what a client's handler does."""

    async def replay(self, room: Room[M], since: Since) -> None:
        """Join a room where only the older end of its log knows the place."""
        try:
            at = await room.fan_out.fetches.find(since)
        except (PositionLost, OSError) as error:
            reason = f"what is to be replayed cannot be read: {str(error) or 'it takes too long'}"
            logger.error("%s is ended: %s", self.client, reason)
            self.end(Ending(EndingCode.UNDELIVERABLE, reason), deliver=False)
            return
        if self.ending is None:
            self.join(room.fan_out, at)

    async def wait_to_move(self) -> None:
        """Wait to join or leave a room: while too much waits, and now and then for a turn of the event loop."""
        pump = self.pumped_by
        pump.moves += 1
        if self.full:
            await self.wait_for_space(to_send=False)
        elif pump.moves % MOVES_SLICE == 0:
            await asyncio.sleep(0)

    def drop(self, count: int) -> None:
        """Note that so many private messages are not sent, since the client is muted."""
        self._supervisor.unheard(count)

    def mute(self) -> None:
        """Keep a client that speaks and takes nothing: it misses what it does not take, and nobody waits for it."""
        self.muted = True
        self.link.forgo_progress()
        self._tell_of_space()

    def unmute(self) -> None:
        """The transport of a muted client is empty again: it goes on as before, and is told what it missed."""
        self.muted = not self.role.hears
        self.link.expect_progress()

    # What the link tells.

    def on_paused(self) -> None:
        self.direct = False
        self._supervisor.paused(self)

    def on_resumed(self) -> None:
        if self.muted:
            self.unmute()
        self.check_lag(skip=True)
        self._supervisor.resumed(self)
        self.pumped_by.pump_soon(self)

    def on_received(self, messages: Sequence[M]) -> None:
        if self._supervisor.hears_messages:
            self._supervisor.received(self.client, messages)

    def on_slowed(self) -> None:
        self._supervisor.slowed()

    def on_replies(self, replies: bytes) -> None:
        # A peer that answers nothing it is asked, and asks on, is owed nothing; nor is one that an observer has ended.
        if not (self.full or self.muted) and self.ending is None:
            self.send(replies)

    def on_failed(self, error: FramingError) -> None:
        ending = Ending(error.code, error.reason)
        if error.code is EndingCode.INCOMPLETE:
            self.end(ending, deliver=True)
        else:
            self.dismiss(ending)

    def on_ignored(self) -> None:
        # What the transport has comes before the end of the stream. If the peer does not take that, it cannot see that
        # nobody hears it any more, and what it says would be lost without a word.
        if self.dropped and not self.link.writable:
            self.link.reset()

    def on_closed(self, error: Exception | None) -> None:
        if error is None or self.link.at_end:
            ending = Ending(EndingCode.LEFT, "the client closed the connection")
        else:
            ending = Ending(EndingCode.LOST, describe(error))
        self.end(ending, deliver=False)
        self._supervisor.closed(self)
