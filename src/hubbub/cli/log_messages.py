"""The messages of a store as `hubbub log` writes them: the bytes of their framing, JSON, or text for a terminal."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

from ..log.as_json import message_lines, rfc3339
from ..stores.reading import Damage
from ..values.errors import FramingError
from ..values.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from ..framing import Framing
    from ..log.chunk import Batch, Chunk
    from ..stores.room_reading import RoomReader

BUFFER: Final = 64 * 1024
"""Bytes of output that are written at once."""

ENDLESS: Final = sys.maxsize
"""More messages than there are."""


class Form(ABC):
    """What the output looks like.

    Args:
        framing: that of the messages; None: it is not known, and batches stay whole.
    """

    def __init__(self, framing: Framing[Any] | None) -> None:
        self._framing = framing

    def pieces(self, chunk: Chunk, start: int, stop: int) -> Iterator[bytes]:
        """The output for the messages of a chunk after the first `start` of the room, up to the first `stop`.

        Raises:
            Damage: there are more or fewer messages in a batch than it says.
        """
        for index, batch in enumerate(chunk.batches):
            first, last = max(0, start - batch.start.seq), min(batch.count, stop - batch.start.seq)
            if first < last:
                yield from self._pieces(batch, chunk.bytes_of(index), first, last)

    @abstractmethod
    def _pieces(self, batch: Batch, wire: bytes, first: int, last: int) -> Iterable[bytes]:
        """The same for a batch and its bytes: for its messages from number `first` on, before `last`."""

    def _split(self, framing: Framing[Any], batch: Batch, wire: bytes) -> Sequence[Any]:
        try:
            messages = framing.split(wire)
        except FramingError as error:
            raise Damage(str(error)) from None
        if len(messages) != batch.count:
            raise Damage(f"a batch has {batch.count} messages, and {len(messages)} are in its bytes")
        return messages


class AsBytes(Form):
    """The bytes as they were framed."""

    def pieces(self, chunk: Chunk, start: int, stop: int) -> Iterator[bytes]:
        if start <= chunk.start.seq and chunk.end.seq <= stop:
            yield chunk.data
        else:
            yield from super().pieces(chunk, start, stop)

    def _pieces(self, batch: Batch, wire: bytes, first: int, last: int) -> Iterable[bytes]:
        if self._framing is None or last - first == batch.count:
            yield wire
        else:
            yield self._framing.encode(self._split(self._framing, batch, wire)[first:last])


class AsText(Form):
    """A line for each message, without what could act on a terminal."""

    def _pieces(self, batch: Batch, wire: bytes, first: int, last: int) -> Iterable[bytes]:
        messages = wire.splitlines() if self._framing is None else self._split(self._framing, batch, wire)[first:last]
        for message in messages:
            text = message if isinstance(message, str) else message.rstrip(b"\r\n").decode(errors="backslashreplace")
            yield f"{printable(text)}\n".encode()


class AsJson(Form):
    """An object on each line.

    Args:
        framing: that of the messages.
        room: has them.
        fields: what each object begins with.
    """

    def __init__(self, framing: Framing[Any], room: RoomReader, fields: Mapping[str, str]) -> None:
        super().__init__(framing)
        self._room = room
        self._fields = fields

    def _pieces(self, batch: Batch, wire: bytes, first: int, last: int) -> Iterable[bytes]:
        assert self._framing is not None
        term = self._room.position(batch.end.seq).term
        messages = self._split(self._framing, batch, wire)
        try:
            yield message_lines(batch, term, batch.start.seq + first + 1, messages[first:last], self._fields)
        except ValueError as error:
            raise Damage(str(error)) from None


def written_time(seconds: float, timespec: str = "microseconds") -> str:
    """A stored time as `rfc3339` writes it.

    Raises:
        Damage: the number is not a time.
    """
    try:
        return rfc3339(seconds, timespec)
    except ValueError as error:
        raise Damage(str(error)) from None


class Copy:
    """Writes messages of a room.

    Args:
        room: the room.
        form: what the output looks like.
        write: writes it.
        at: how many messages come before the first one.

    Attributes:
        at: how many messages come before the next one.
        gone: how many were forgotten before they could be read.
    """

    def __init__(self, room: RoomReader, form: Form, write: Callable[[bytes], None], at: int) -> None:
        self.at = at
        self.gone = 0
        self._room = room
        self._form = form
        self._write = write

    def run(self, stop: int, progress: Callable[[int], object] = lambda size: None) -> None:
        """Write the messages from `at` on, before `stop`, as far as they are stored now.

        Args:
            stop: see above.
            progress: is told of counted bytes that were written.

        Raises:
            Damage, NoSuchRoom, StoreError: they cannot be read.
            OSError: they cannot be written.
        """
        while self.at < stop:
            chunks = self._room.read(self.at)
            if self._room.head.seq < (self.at if stop == ENDLESS else stop):
                raise Damage("the log ends there now; the file was replaced")
            if (missed := min(self._room.start.seq, stop) - self.at) > 0:
                self.gone += missed
                self.at += missed
            if not chunks:
                return
            for chunk in chunks:
                self._write_pieces(self._form.pieces(chunk, self.at, stop))
                self.at = min(chunk.end.seq, stop)
                progress(chunk.end.offset - chunk.start.offset)

    def _write_pieces(self, pieces: Iterator[bytes]) -> None:
        waiting: list[bytes] = []
        size = 0
        for piece in pieces:
            waiting.append(piece)
            size += len(piece)
            if size >= BUFFER:
                self._write(b"".join(waiting))
                waiting, size = [], 0
        if waiting:
            self._write(b"".join(waiting))
