"""Finding a place in a log: a position, so many messages or bytes before the head, or a time."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ..values.errors import PositionLost
from .chunk import Mark, first_batch

if TYPE_CHECKING:
    from ..values.position import Position
    from ..values.since import Since
    from .chunk import Batch, Chunk
    from .log import Log


def seek(log: Log[Any], since: Since, now: float) -> Mark | None:
    """The mark of a place, if memory tells it; None: only the older end does.

    Where the log no longer holds so much, that is its oldest message. Bytes and times mean whole batches: bytes begin
    with the batch that has the first of them.

    Args:
        log: the log.
        since: the place.
        now: the time, in seconds since 1970.

    Raises:
        PositionLost: it is a position that the log does not hold.
    """
    oldest = log.oldest
    if (seq := _seq_of(log, since)) is not None:
        return log.mark_of(seq) if seq >= oldest.seq else None
    chunks = [chunk for chunk in log.chunks if chunk.batches]
    if since.kind == "bytes":
        least = _offset_of(log, since)
        is_in_memory, first = least >= oldest.offset, first_batch(chunks, _end_offset, least + 1)
    else:
        least = _time_of(since, now)
        # Others of the same time may have been dropped.
        is_in_memory, first = bool(chunks) and least > chunks[0].batches[0].time, first_batch(chunks, _time, least)
    if is_in_memory or log.start == oldest.seq:
        return log.mark() if first is None else first.start
    return None


async def find(log: Log[Any], since: Since, now: float) -> Mark:
    """The same, also where only the older end tells it. It may be cancelled.

    Raises:
        PositionLost: it is a position that the log does not hold.
    """
    while (mark := seek(log, since, now)) is None:
        start = log.start
        try:
            return await _find_older(log, since, now)
        except PositionLost:
            # Retention may just have passed what was the oldest message.
            if since.position is not None or log.start == start:
                raise
    return mark


def seq_of(log: Log[Any], position: Position) -> int:
    """How many messages come before a position that the log holds, its head included.

    Raises:
        PositionLost: the log does not hold it.
    """
    seq, start = position.seq, log.start
    reach = log.terms.reach(position, log.head.seq)
    if reach is None:
        raise _lost(log, position, start)
    if seq > reach:
        raise _lost(log, position, max(start, reach))
    if seq < start:
        raise _lost(log, position, start, missed=start - seq)
    return seq


async def older_chunk(log: Log[Any], seq: int) -> Chunk:
    """The chunk of the older end that holds the message after the first `seq`. It may be cancelled.

    Raises:
        PositionLost: the older end does not hold it.
    """
    with suppress(LookupError):
        if log.older is not None:
            chunk = await log.older.chunk_at(seq)
            if _has(chunk, seq):
                return chunk
    start = log.start
    raise _lost(log, log.position(seq), start, missed=max(0, start - seq))


def cached_chunk(log: Log[Any], seq: int) -> Chunk | None:
    """The same, if it is in memory; None: it must be read, or is not held."""
    chunk = None if log.older is None else log.older.cached(seq)
    return chunk if chunk is not None and _has(chunk, seq) else None


def _has(chunk: Chunk, seq: int) -> bool:
    return bool(chunk.batches) and chunk.start.seq <= seq < chunk.end.seq


async def _find_older(log: Log[Any], since: Since, now: float) -> Mark:
    if (seq := _seq_of(log, since)) is not None:
        return Mark(seq, (await older_chunk(log, seq)).batch_at(seq).start.offset)
    assert log.older is not None, "memory tells every place of a log that has no older end"
    if since.kind != "bytes":
        return await log.older.first("time", _time_of(since, now))
    least = _offset_of(log, since)
    mark = await log.older.first("offset", least)
    if mark.offset > least and mark.seq > log.start:
        # The batch before has the first of these bytes.
        mark = (await older_chunk(log, mark.seq - 1)).batch_at(mark.seq - 1).start
    return mark


def _seq_of(log: Log[Any], since: Since) -> int | None:
    """The `seq` of a place, where the log itself tells it."""
    if since.position is not None:
        return seq_of(log, since.position)
    if since.kind == "messages":
        return max(int(max(log.head.seq - since.amount, 0)), log.start)
    return None


def _lost(log: Log[Any], position: Position, first: int, *, missed: int | None = None) -> PositionLost:
    """What is said of a position that is lost, where the messages behind `first` are held."""
    return PositionLost(position, log.position(first), log.position(log.head.seq), missed)


def _offset_of(log: Log[Any], since: Since) -> float:
    return log.head.offset - since.amount


def _time_of(since: Since, now: float) -> float:
    return since.amount if since.kind == "date" else now - since.amount


def _end_offset(batch: Batch) -> float:
    return batch.end.offset


def _time(batch: Batch) -> float:
    return batch.time
