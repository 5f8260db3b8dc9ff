"""A reader over HTTP: it has a cursor, a lag, a policy and an ending, but no handler, and nobody is told of it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ..door import answers
from ..hub.session import Session
from ..log.chunk import CannotTell
from ..values.ending import Ending, EndingCode
from ..values.errors import PositionLost
from ..values.role import Role
from ..values.since import Since

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..framing import Framing
    from ..hub.ports import Supervisor
    from ..hub.pump import Pump
    from ..hub.room import Room
    from ..log.cursor import Cursor
    from ..log.max_lag import MaxLag
    from ..log.rendering import Style
    from ..values.address import Address
    from ..wire.link import Link
    from .stream import Stream

logger = logging.getLogger("hubbub")

TRIES: Final = 3
"""How often a place is looked for that retention passes meanwhile."""

_CAUGHT_UP: Final = Ending(EndingCode.FINISHED, "the stream has caught up")

_CLOSED: Final = Ending(EndingCode.CLOSED, "the room was closed")

_UNTOLD: Final = (EndingCode.LEFT, EndingCode.LOST, EndingCode.STALLED)
"""A peer of which that is the end reads nothing any more."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A stream that was asked for.

    Attributes:
        stream: its kind.
        room: the room.
        framing: how its readers read, as far as the kind needs one.
        since: where it begins; None: with what is said from now on.
        poll: whether it ends when it has caught up.
        bare: whether it has no head, and the peer may end its own direction without leaving.
        headers: further headers of the answer.
        max_lag: how far it may lag, where its listener has a limit.
    """

    stream: Stream
    room: Room[Any]
    framing: Framing[Any]
    since: Since | None
    poll: bool
    bare: bool
    headers: Mapping[str, str]
    max_lag: MaxLag | None

    @property
    def head(self) -> bytes:
        """The head of the answer."""
        about = {"Content-Type": self.stream.content_type(self.framing), "Connection": "close"}
        return answers.head(HTTPStatus.OK, {**about, **self.stream.headers, **self.headers})


class Visitor:
    """Who reads over HTTP, as logs name it.

    Attributes:
        name: its address and port; `str` gives it too.
        address: its IP address.
    """

    __slots__ = ("address", "name")

    def __init__(self, address: Address) -> None:
        self.name = str(address)
        self.address = address.host

    def __str__(self) -> str:
        return self.name


class StreamSession(Session[Any]):
    """The reader of a stream.

    Args:
        wanted: the stream.
        link: its connection.
        address: that of its peer.
        pump: pumps it.
        supervisor: is told what happens.
    """

    __slots__ = ("_wanted",)

    announced: ClassVar[bool] = False

    def __init__(self, wanted: Wanted, link: Link[Any], address: Address, pump: Pump, supervisor: Supervisor) -> None:
        super().__init__(Visitor(address), link, pump, supervisor, role=Role.READ, max_lag=wanted.max_lag)
        self._wanted = wanted

    @property
    def style(self) -> Style:
        return self._wanted.stream.style(self._wanted.room, self._wanted.framing)

    async def run(self) -> None:
        """Read the room from where that was asked for, until the peer leaves or it has all it wants."""
        if self.ending is not None:
            # The connection broke before this began.
            return
        wanted = self._wanted
        self.send((b"" if wanted.bare else wanted.head) + wanted.stream.opening())
        if wanted.since is None:
            self.join(wanted.room.fan_out)
        else:
            await self._join_from(wanted.since)
        if self.ending is not None:
            return
        if wanted.poll:
            self.end(_CAUGHT_UP, deliver=True)
        else:
            await self.link.wait_end(half=not wanted.bare)

    def beat(self) -> None:
        """Show that the connection lives, if nothing waits for the peer anyway."""
        if self.direct and self.ending is None and (wire := self._wanted.stream.heartbeat):
            self.send(wire)

    def leave(self, cursor: Cursor[Any, Any]) -> None:
        super().leave(cursor)
        if self.ending is None:
            self.end(_CLOSED, deliver=True)

    def dismiss(self, ending: Ending, words: str | None = None) -> None:
        """End the connection; the stream itself says why."""
        self.end(ending, deliver=True)

    def end(self, ending: Ending, *, deliver: bool) -> None:
        wire = b""
        if self.ending is None and not self.link.lost and ending.code not in _UNTOLD:
            wire = self._wanted.stream.end(ending)
        if wire and deliver:
            self._place(wire)
        # What else waits is dropped, and the head may be among it.
        is_told = bool(wire) and not (deliver or self.outbox.has_private)
        super().end(ending, deliver=deliver)
        if is_told:
            # What the transport has are whole messages.
            self.transport.write(wire)

    async def _join_from(self, since: Since) -> None:
        wanted = self._wanted
        fan_out = wanted.room.fan_out
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
                wire = wanted.stream.lost(lost, wanted.framing, wanted.room.settings.notice)
                if wire and self.ending is None:
                    self.send(wire)
                since = Since.of(lost.first)
            reason = "retention is faster"
        except (OSError, CannotTell) as error:
            reason = str(error) or "it takes too long"
        logger.error("%s is ended: what it asked for cannot be read: %s", self.client, reason)
        self.end(Ending(EndingCode.UNDELIVERABLE, f"what you asked for cannot be read: {reason}"), deliver=True)
