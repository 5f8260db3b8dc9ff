"""What the tests of the log and its cursors share: a log to speak into, and the plainest record of broadcasts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from hypothesis import strategies as st

from hubbub.framing import ByteLines, BytesFraming, Delimited, Framing
from hubbub.log.chunk import BATCH_COST, Buffer, Chunk, Mark
from hubbub.log.clock import Clock
from hubbub.log.cursor import Cursor
from hubbub.log.log import Log
from hubbub.log.rendering import Rendering
from hubbub.log.seeking import seek
from hubbub.log.store import StoredLog
from hubbub.values.position import Position
from hubbub.values.since import Since

AMPLE = 2**30
"""A retention that no test's log reaches."""

FRAMING = ByteLines()
OTHER_FRAMING = Delimited(b"|")

TOKENS = (1, 2, 3)
"""The tokens of the readers; nothing excludes the last."""


@dataclass(frozen=True)
class Said:
    """One broadcast."""

    messages: list[bytes]
    excluded: int
    placed: bool
    """Whether something private was placed before it."""
    flushed: bool
    """Whether it was flushed before the next one."""


def broadcasts(messages: Iterable[bytes] = (b"", b"a", b"bc", b"def")) -> st.SearchStrategy[Said]:
    """Broadcasts of a few of `messages`."""
    return st.builds(
        Said,
        st.lists(st.sampled_from(list(messages)), min_size=1, max_size=3),
        st.sampled_from((0, *TOKENS[:2])),
        st.booleans(),
        st.booleans(),
    )


Seat: TypeAlias = "Cursor[Source, Connection]"


@dataclass
class Connection:
    """What a cursor needs of its reader."""

    token: int


def rendering_of(source: Framing[Any], framing: Framing[Any], notice: str | None) -> Rendering[Any]:
    """How a log in the framing `source` looks in another one."""
    return Rendering(Log(source, AMPLE, Clock()), framing, notice)


class Source:
    """A log, and what a fan-out does with it for a few cursors. Its messages begin with `name`.

    With a retention of 0, each flush stays a chunk of its own, and `drop` drops the oldest.

    Attributes:
        now: the time at which something is said.
    """

    def __init__(
        self,
        *,
        framing: BytesFraming = FRAMING,
        retention: int = 0,
        clock: Clock | None = None,
        name: bytes = b"",
        older: StoredLog | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.log = Log(framing, retention, self.clock, older)
        self.name = name
        self.now = 0.0
        self.cursors: list[Seat] = []

    def say(self, *messages: bytes, excluded: int = 0, flush: bool = True) -> None:
        """Broadcast `messages` together; with `flush`, they can be read."""
        messages = tuple(self.name + message for message in messages)
        self.log.append(self.log.framing.encode(messages), len(messages), time=self.now, excluded=excluded)
        if flush:
            self.flush()

    def repeat(self, said: Iterable[Said]) -> None:
        """Say all of that."""
        for one in said:
            if one.placed:
                self.clock.place()
            self.say(*one.messages, excluded=one.excluded, flush=one.flushed)

    def flush(self) -> Chunk | None:
        """Make what is pending readable, if anything is; the chunk before it is compacted."""
        if self.log.pending_tick is None:
            return None
        chunk = self.log.flush()
        self.log.compact()
        return chunk

    def drop(self) -> bool:
        """Drop the oldest chunk, if it is not the newest too."""
        chunk = self.log.drop_overdue()
        for cursor in self.cursors:
            if chunk is not None and cursor.at.seq < chunk.end.seq:
                cursor.pass_over(chunk)
        return chunk is not None

    def cursor(
        self,
        token: int = TOKENS[0],
        *,
        framing: BytesFraming | None = None,
        notice: str | None = "{missed} missed",
        since: int | None = None,
    ) -> Seat:
        """A cursor that reads what is said from now on, or from the message `since`."""
        log = self.log
        at = log.mark_of(since) if since is not None else log.mark()
        rendering = Rendering(log, framing or log.framing, notice)
        cursor: Seat = Cursor(rendering, Connection(token), at=at, joined=self.clock.place(), owner=self)
        self.clock.stamped = True
        self.cursors.append(cursor)
        return cursor


def locate(log: Log[bytes], position: Position) -> Mark | None:
    """The mark of a position, if memory holds it."""
    return seek(log, Since.of(position), now=0.0)


def leave(cursor: Seat) -> None:
    """End a membership: the cursor reads what the log has now."""
    cursor.end = cursor.log.mark().seq


def joined(buffers: Sequence[Buffer]) -> bytes:
    return b"".join(buffers)


def messages_in(buffers: Sequence[Buffer], framing: BytesFraming = FRAMING) -> list[bytes]:
    """The messages that `buffers` carry, all of them whole."""
    wire = joined(buffers)
    messages = framing.decoder(AMPLE).feed(wire)
    assert framing.encode(messages) == wire
    return list(messages)


def offset_of(*batches: Sequence[bytes]) -> int:
    """What batches of these messages count."""
    return sum(BATCH_COST + len(FRAMING.encode(batch)) for batch in batches)


class Failing(BytesFraming):
    """Frames as `OTHER_FRAMING` does, but `fails` may raise for a message."""

    def __init__(self, fails: Callable[[bytes], object]) -> None:
        self.fails = fails
        self.encoded: list[list[bytes]] = []

    @property
    def textual(self) -> bool:
        return True

    def decoder(self, limit: int) -> Any:
        return OTHER_FRAMING.decoder(limit)

    def encode(self, messages: Sequence[bytes]) -> bytes:
        self.encoded.append(list(messages))
        for message in messages:
            self.fails(message)
        return OTHER_FRAMING.encode(messages)
