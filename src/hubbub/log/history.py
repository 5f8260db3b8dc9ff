"""What a log holds, message by message: decoding finds the single messages in its bytes."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Generic, NamedTuple

from ..framing import M

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..values.position import Position
    from .chunk import Batch, Chunk
    from .log import Log


class Entry(NamedTuple, Generic[M]):
    """One message of a log.

    Attributes:
        position: the place after it: history goes on there.
        time: when it was broadcast, in seconds since 1970.
        sender: the name of its sender; "" where the broadcast named none.
        message: the message.
    """

    position: Position
    time: float
    sender: str
    message: M


def entries_since(log: Log[M], seq: int) -> Iterator[Entry[M]]:
    """The messages that memory holds from `seq` up to the head, with what is known of each.

    They are those of the moment of the call, however much later they are read.
    """
    return _entries_of(log, batches_since(log, seq), seq, log.mark().seq)


def entries_in(log: Log[M], chunk: Chunk, seq: int, stop: int) -> Iterator[Entry[M]]:
    """The messages of a chunk of the older end from `seq` on, before `stop`."""
    entries = _entries_of(log, _batches_in([chunk], seq), seq, stop)
    return takewhile(lambda entry: entry.position.seq <= stop, entries)


def batches_since(log: Log[M], seq: int) -> Iterator[tuple[Batch, bytes]]:
    """The batches from the one that holds message `seq` on, the pending ones too, each with its bytes.

    Retention takes none of them away after the call.
    """
    return _batches_in(log.chunks, seq)


def _entries_of(log: Log[M], batches: Iterator[tuple[Batch, bytes]], seq: int, stop: int) -> Iterator[Entry[M]]:
    for batch, wire in batches:
        if batch.start.seq >= stop:
            return
        messages = log.framing.decoder(len(wire)).feed(wire)
        for at, message in enumerate(messages, start=batch.start.seq + 1):
            if at > seq:
                yield Entry(log.position(at), batch.time, batch.sender, message)


def _batches_in(chunks: list[Chunk], seq: int) -> Iterator[tuple[Batch, bytes]]:
    for chunk in chunks:
        if chunk.batches and seq < chunk.end.seq:
            # Meanwhile the chunk may take in the next one, which is among `chunks` too.
            for index, batch in enumerate(chunk.batches):
                if seq < batch.end.seq:
                    yield batch, chunk.bytes_of(index)
                    seq = batch.end.seq
