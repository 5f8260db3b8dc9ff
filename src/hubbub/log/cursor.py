"""One reader's place in a log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from .chunk import ALL

if TYPE_CHECKING:
    from .chunk import Buffer, Chunk, Mark
    from .log import Log
    from .rendering import Rendering

Owner = TypeVar("Owner")
Reader = TypeVar("Reader", bound="Connected")


class Connected(Protocol):
    """What a cursor needs of its reader.

    Attributes:
        token: the token of its connection.
    """

    token: int


class Lag(NamedTuple):
    """How far a reader is behind: the `messages` and the `bytes` that it was not given yet."""

    messages: int
    bytes: int


class Cursor(Generic[Owner, Reader]):
    """One reader's place in one log. It moves over batches, and stands within one only after it joined there.

    Retention may pass a cursor. Unless it catches up from the older end, it finds out when it is read next: it moves to
    the oldest message, and the reader is told how many it missed. So a reader that takes nothing costs nothing, however
    much it misses.

    Args:
        rendering: how it reads.
        reader: what reads it.
        at: where it starts.
        joined: the tick at which it joined.
        owner: what keeps the log, for the caller's use.

    Attributes:
        at: the next message it will read.
        end: the `seq` before which it will stop, once the reader is leaving.
        ready: whether the next flush may write to its reader.
        index: where it is among the cursors of its reader, for the reader's use.
        catching_up: whether memory has passed it, and it reads the older end of the log.
        chunk: the chunk that it stands in while it is behind, for the owner's use. While it is catching up: the one of
            the older end that it reads, once there is one.
        passed: how many messages that exclude it were dropped since it last read.
        missed: how many messages its reader has missed and was not told of.
    """

    __slots__ = (
        "at",
        "catching_up",
        "chunk",
        "end",
        "index",
        "joined",
        "missed",
        "owner",
        "passed",
        "reader",
        "ready",
        "rendering",
    )

    def __init__(
        self,
        rendering: Rendering[Any],
        reader: Reader,
        *,
        at: Mark,
        joined: int,
        owner: Owner,
    ) -> None:
        self.rendering = rendering
        self.reader = reader
        self.at = at
        self.joined = joined
        self.owner = owner
        self.end: int | None = None
        self.index = 0
        self.catching_up = self.ready = False
        self.chunk: Chunk | None = None
        self.passed = self.missed = 0

    @property
    def log(self) -> Log[Any]:
        """The log it reads."""
        return self.rendering.log

    @property
    def token(self) -> int:
        """The token of its connection; see `Batch.excluded`."""
        return self.reader.token

    @property
    def lag(self) -> Lag:
        head = self.log.head
        return Lag((head.seq if self.end is None else self.end) - self.at.seq, head.offset - self.at.offset)

    @property
    def stop(self) -> int:
        """The `seq` before which its reading stops, as things stand."""
        readable = self.log.readable.seq
        return readable if self.end is None else min(self.end, readable)

    @property
    def waiting(self) -> bool:
        """Whether there is something for it to read now, if only a notice."""
        return self.at.seq < self.stop

    @property
    def replaying(self) -> bool:
        """Whether memory holds what it reads next, and that was said before it joined."""
        return self.at.seq >= self.log.oldest.seq and self.waiting and self.log.batch_at(self.at).tick < self.joined

    @property
    def finished(self) -> bool:
        """Whether it is leaving and has read all that it was to read."""
        return self.end is not None and self.at.seq >= self.end

    @property
    def tick(self) -> int:
        """The tick of what it reads next, or of its joining, if that was later; it must be waiting."""
        if self.catching_up and self.chunk is not None:
            return max(self.joined, self.chunk.batch_at(self.at.seq).tick)
        if self.at.seq < self.log.oldest.seq:
            return self.joined
        return max(self.joined, self.log.batch_at(self.at).tick)

    def read(self, tick: int, size: int = ALL) -> list[Buffer]:
        """The next bytes that were broadcast before `tick`: about `size`, at most a chunk; none when there are none.

        Raises:
            CannotTell: the reader missed messages, and its framing cannot say so.
        """
        if self.catching_up and self.chunk is not None:
            return self._read_older(self.chunk, tick, size)
        if self.at.seq < self.log.oldest.seq:
            self.skip_to(self.log.oldest)
        missed, self.missed = self.missed, 0
        if missed and (notice := self.rendering.notice(missed, self.at.seq)):
            return [notice]
        while self.at.seq < (stop := self.stop):
            before = self.at
            chunk = self.log.chunk_at(before)
            buffers, self.at = chunk.read(self.rendering, before, stop, tick, self.token, size=size)
            if buffers or self.at is before:
                return buffers
        return []

    def pass_over(self, chunk: Chunk) -> None:
        """The log has dropped `chunk` before this cursor has read it all: note which of it was not for the reader."""
        self.passed += chunk.count_excluded(self.token, self.at.seq, self.end or chunk.end.seq)

    def skip_to(self, start: Mark) -> None:
        """Go on at a later place. The reader is told how many messages it missed when it reads on."""
        lost = start.seq if self.end is None else min(self.end, start.seq)
        chunks = self.log.between(self.at.seq, lost)
        excluded = self.passed + sum(chunk.count_excluded(self.token, self.at.seq, lost) for chunk in chunks)
        self.missed += max(0, lost - self.at.seq - excluded)
        self.passed = 0
        self.at = start

    def _read_older(self, chunk: Chunk, tick: int, size: int) -> list[Buffer]:
        """The next bytes of the chunk that it has of the older end."""
        buffers, self.at = chunk.read(self.rendering, self.at, self.stop, tick, self.token, size=size)
        if self.at.seq >= chunk.end.seq:
            self.chunk = None
        return buffers
