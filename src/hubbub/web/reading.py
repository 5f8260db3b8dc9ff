"""The readers of streams over HTTP. Each has a cursor, a lag, a policy and an ending, as those of plain TCP have."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ..framing import words_in
from ..hub.session import Session
from ..log.chunk import CannotTell
from ..values.ending import Ending, EndingCode
from ..values.errors import PositionLost
from ..values.since import Since
from .rooms import let_go

if TYPE_CHECKING:
    from ..framing import Decoder, Framing
    from ..hub.fan_out import FanOut
    from ..hub.ports import Supervisor
    from ..hub.pump import Pump
    from ..hub.room import Room
    from ..log.chunk import Mark
    from ..log.cursor import Cursor
    from ..log.max_lag import MaxLag
    from ..log.rendering import Style
    from ..values.address import Address
    from ..values.errors import FramingError
    from ..values.key import Key
    from ..values.role import Role
    from ..wire.link import Link
    from .stream import Stream

logger = logging.getLogger("hubbub")

TRIES: Final = 3
"""How often a place is looked for that retention passes meanwhile."""

_CAUGHT_UP: Final = Ending(EndingCode.FINISHED, "the stream has caught up")

_CLOSED: Final = Ending(EndingCode.CLOSED, "the room was closed")

_UNTOLD: Final = (EndingCode.LEFT, EndingCode.LOST, EndingCode.STALLED)
"""After one of these endings the peer reads nothing, so it is not told."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A stream that was asked for.

    Attributes:
        kind: the name of its kind, as in "sse".
        stream: the kind.
        room: the room.
        framing: how its readers read, as far as the kind needs one.
        since: where it begins; None: with what is said from now on.
        poll: whether it ends when it has caught up.
        by_client: whether its reader is a client, which has a handler and may speak.
        bare: whether the peer may end its own direction without leaving.
        max_lag: how far it may lag, where its listener has a limit.
    """

    kind: str
    stream: Stream
    room: Room[Any]
    framing: Framing[Any]
    since: Since | None
    poll: bool
    by_client: bool
    bare: bool
    max_lag: MaxLag | None


class Visitor:
    """Who reads over HTTP, as logs name it.

    Attributes:
        room: the room.
        name: its address and port; `str` gives it too.
        address: its IP address.
    """

    __slots__ = ("_at", "address", "name", "room")

    def __init__(self, address: Address, room: Room[Any]) -> None:
        self.room = room
        self.name = str(address)
        self.address = address.host
        self._at = time.monotonic()

    @property
    def age(self) -> float:
        """Seconds since it asked."""
        return time.monotonic() - self._at

    def __str__(self) -> str:
        return self.name


class WebSession(Session[Any]):
    """The reader of a stream. It serves a WebSocket, which is a client; `StreamSession` serves the others.

    Its room stays until it ends.

    Args:
        wanted: the stream.
        client: the handle that the user has.
        link: its connection.
        pump: pumps it.
        supervisor: is told what happens.
        role: what it may do.
    """

    __slots__ = ("_wanted",)

    def __init__(
        self,
        wanted: Wanted,
        client: Any,
        link: Link[Any],
        pump: Pump,
        supervisor: Supervisor,
        *,
        role: Role,
        max_lag: MaxLag | None,
        key: Key | None,
    ) -> None:
        self._wanted = wanted
        super().__init__(client, link, pump, supervisor, role=role, max_lag=max_lag, key=key)

    @property
    def via(self) -> str:
        return self._wanted.kind

    @property
    def style(self) -> Style:
        return self._wanted.stream.style(self._wanted.room, self._wanted.framing)

    def deaf_decoder(self) -> Decoder[Any]:
        # It answers what the stream itself asks, such as whether this end lives.
        return self.link.framing.decoder(self.link.settings.message_limit)

    def join(self, fan_out: FanOut[Any], at: Mark | None = None) -> None:
        room = self._wanted.room
        if room.closed and fan_out is room.fan_out:
            # The app has closed it while its place was looked for.
            self.end(_CLOSED, deliver=True)
            return
        begins = fan_out.log.position((at or fan_out.log.mark()).seq)
        if wire := self._wanted.stream.begins(begins):
            self.send(wire)
        super().join(fan_out, at)

    def beat(self) -> None:
        """Show that the connection lives, if nothing waits for the peer anyway."""
        if self.direct and self.ending is None and (wire := self._wanted.stream.heartbeat):
            self.send(wire)

    def dismiss(self, ending: Ending, words: str | None = None) -> None:
        """End the connection; the stream itself says why. It also has the `words`, where a framing carries them."""
        if self.ending is None and words and (wire := words_in(self.link.framing, words)):
            self._place(wire)
        self.end(ending, deliver=True)

    def cut(self, ending: Ending) -> None:
        # As `dismiss` does.
        self.end(ending, deliver=False)

    def end(self, ending: Ending, *, deliver: bool) -> None:
        is_told = self.ending is None and not self.link.lost and ending.code not in _UNTOLD
        self._end_with(self._wanted.stream.end(ending) if is_told else b"", ending, deliver=deliver)

    async def replay(self, room: Room[Any], since: Since) -> None:
        fan_out = room.fan_out
        try:
            for _ in range(TRIES):
                try:
                    mark = await fan_out.fetches.find(since)
                except PositionLost as error:
                    lost = error
                else:
                    if self.ending is None:
                        self.join(fan_out, mark)
                    return
                wire = self._wanted.stream.lost(lost, self._wanted.framing, room.settings.notice)
                if wire and self.ending is None:
                    self.send(wire)
                since = Since.of(lost.first)
            reason = "retention is faster"
        except (OSError, CannotTell) as error:
            reason = str(error) or "it takes too long"
        logger.error("%s is ended: what it asked for cannot be read: %s", self.client, reason)
        self.end(Ending(EndingCode.UNDELIVERABLE, f"what you asked for cannot be read: {reason}"), deliver=True)

    def on_replies(self, replies: bytes) -> None:
        # Also one that only writes is to see that this end lives; not one that is muted because it takes nothing.
        if not self.full and self.ending is None and not (self.muted and self.role.hears):
            self.send(replies)

    def on_failed(self, error: FramingError) -> None:
        # One that is being ended is still to hear what waits for it.
        if self.ending is None:
            self._end_with(self._wanted.stream.failed(error), Ending(error.code, error.reason), deliver=False)

    def _end_with(self, wire: bytes, ending: Ending, *, deliver: bool) -> None:
        """End the connection with these bytes, behind what is still delivered."""
        is_first = self.ending is None
        if wire and deliver:
            self._place(wire)
        super().end(ending, deliver=deliver)
        if wire and not deliver and not self.link.closing:
            # What the transport has are whole messages.
            self.transport.write(wire)
        if is_first:
            let_go(self._wanted.room)


class StreamSession(WebSession):
    """The reader of a stream that only reads: it has no handler, and nobody is told of it."""

    __slots__ = ()

    announced: ClassVar[bool] = False

    async def run(self) -> None:
        """Read the room from where that was asked for, until the peer leaves or it has all it wants."""
        wanted = self._wanted
        if self.check_key() or self.ending is not None:
            # Its key was taken away, or the connection broke, before this began.
            return
        if wanted.since is None:
            self.join(wanted.room.fan_out)
        else:
            await self.replay(wanted.room, wanted.since)
        if self.ending is not None:
            return
        if wanted.poll:
            self.end(_CAUGHT_UP, deliver=True)
        else:
            await self.link.wait_end(half=not wanted.bare)

    def leave(self, cursor: Cursor[Any, Any]) -> None:
        super().leave(cursor)
        if self.ending is None:
            self.end(_CLOSED, deliver=True)
