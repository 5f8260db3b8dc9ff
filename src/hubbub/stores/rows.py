"""Chunks as rows of the store, and finding them there.

A row has a run of batches. Those of a room follow each other without a gap, except where messages were not stored. The
bookkeeping of its batches is packed into one blob, and their bytes are another one. No row counts more than `ROW_SIZE`,
unless a single batch does: each of many readers that catch up may hold another one.

A quiet room has a row for each message. So rows are read together, those that start in the same `ROW_SIZE` bytes of
the log. Readers that started at different places soon read the same runs, and can share them.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from contextlib import closing
from struct import Struct
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from ..log.chunk import BATCH_COST, Batch, Chunk, Mark

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator

    from ..log.chunk import Buffer
    from ..log.store import Key

ROW_SIZE: Final = 64 * 1024
"""Counted bytes up to which batches share a row, and up to which rows are read together."""

AHEAD: Final = 512 * 1024
"""Counted bytes that are read at once where nobody else waits. What was not asked for is for the next time."""

NO_LIFE: Final = 2**63 - 1
"""The first `seq` of this process where it has written nothing: more messages than there are."""

_COUNT: Final = Struct("<I")
_BATCH: Final = Struct("<IIdQQQI")
"""How many messages it has, in how many bytes; its time, tick, token and excluded token; the number of its sender."""

INSERT: Final = (
    "INSERT INTO chunks (room, seq, end_seq, offset, end_offset, time, checksum, batches, data) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_FROM: Final = (
    "SELECT seq, end_seq, offset, end_offset, checksum, batches, data FROM chunks "
    "WHERE room = ?1 AND seq >= (SELECT max(seq) FROM chunks WHERE room = ?1 AND seq <= ?2) ORDER BY seq"
)
_BEFORE: Final = (
    "SELECT seq, end_seq, end_offset, time FROM chunks WHERE room = ? AND seq <= ? ORDER BY seq DESC LIMIT 1"
)
_AFTER: Final = "SELECT seq, offset FROM chunks WHERE room = ? AND seq > ? ORDER BY seq LIMIT 1"
_BATCHES: Final = "SELECT offset, batches FROM chunks WHERE room = ? AND seq = ?"


class StoredChunk(Chunk):
    """A chunk that was read.

    Args:
        batches: whole ones.
        data: their bytes.
    """

    __slots__ = ()

    def __init__(self, batches: Iterable[Batch], data: bytes) -> None:
        super().__init__()
        for batch in batches:
            self.begin(batch)
        self.size = len(data)
        self._pieces.append(data)


def rows_of(room: int, chunk: Chunk) -> Iterator[tuple[Any, ...]]:
    """The rows of a chunk, each as `INSERT` takes it."""
    if chunk.end.offset - chunk.start.offset <= ROW_SIZE:
        yield _row(room, chunk.batches, chunk.data)
        return
    batches, wire = chunk.batches, chunk.wire
    whole = memoryview(wire.data)
    first = 0
    while first < len(batches):
        end = batches[first].start.offset + ROW_SIZE
        last = max(first + 1, bisect_right(batches, end, first, key=lambda batch: batch.end.offset))
        yield _row(room, batches[first:last], whole[wire.start(first) : wire.ends[last - 1]])
        first = last


def _row(room: int, batches: list[Batch], data: Buffer) -> tuple[Any, ...]:
    start, end, blob = batches[0].start, batches[-1].end, _pack(batches)
    checksum = crc32(data, crc32(blob))
    return room, start.seq, end.seq, start.offset, end.offset, batches[-1].time, checksum, blob, data


def _pack(batches: list[Batch]) -> bytes:
    senders: dict[str, int] = {}
    records = [
        _BATCH.pack(
            batch.count,
            batch.size,
            batch.time,
            batch.tick,
            batch.token,
            batch.excluded,
            senders.setdefault(batch.sender, len(senders)),
        )
        for batch in batches
    ]
    return b"".join((_COUNT.pack(len(records)), *records, json.dumps(list(senders)).encode()))


def _unpack(blob: bytes, start: Mark, life: int) -> Iterator[Batch]:
    """The batches of a row.

    Args:
        blob: what `_pack` made.
        start: where they start.
        life: the `seq` from which on ticks are of this process; those before mean nothing now.
    """
    names = _COUNT.size + _COUNT.unpack_from(blob)[0] * _BATCH.size
    senders = json.loads(blob[names:])
    seq, offset = start
    for count, size, time, tick, token, excluded, sender in _BATCH.iter_unpack(memoryview(blob)[_COUNT.size : names]):
        yield Batch(Mark(seq, offset), tick if seq >= life else 0, time, senders[sender], token, excluded, count, size)
        seq += count
        offset += BATCH_COST + size


def read_chunks(connection: sqlite3.Connection, room: int, seq: int, life: int, size: int) -> list[StoredChunk]:
    """The chunk that begins with the row which holds the message after the first `seq` of a room, and those behind it.

    Args:
        connection: may read.
        room: its number.
        seq: see above.
        life: see `_unpack`.
        size: counted bytes after which no further chunk begins.

    Raises:
        LookupError: no row holds that message.
        ValueError: it is damaged.
    """
    chunks: list[StoredChunk] = []
    with closing(connection.execute(_FROM, (room, seq))) as rows:
        try:
            for chunk in _joined(rows, seq, life):
                chunks.append(chunk)
                if chunk.end.offset - chunks[0].start.offset >= size:
                    break
        except Exception:
            # What comes later was not asked for.
            if not chunks:
                raise
    if not chunks:
        raise LookupError(f"no row holds the message after the first {seq}")
    return chunks


def row_after(connection: sqlite3.Connection, room: int, seq: int) -> Mark | None:
    """The start of the first row of a room that begins with a later message; None: there is none."""
    row = connection.execute(_AFTER, (room, seq)).fetchone()
    return None if row is None else Mark(*row)


def _joined(rows: Iterable[tuple[Any, ...]], seq: int, life: int) -> Iterator[StoredChunk]:
    """The chunks of rows that follow each other, from the one on that holds the message after the first `seq`."""
    batches: list[Batch] = []
    pieces: list[bytes] = []
    for start, end, offset, end_offset, checksum, blob, data in rows:
        if not start <= seq < end:
            break
        # SQLite would not notice a changed byte among those of messages.
        if crc32(data, crc32(blob)) != checksum:
            raise ValueError(f"the messages from {start} to {end} have another checksum")
        batches += _unpack(blob, Mark(start, offset), life)
        pieces.append(data)
        if end_offset // ROW_SIZE != batches[0].start.offset // ROW_SIZE:
            yield _chunk(batches, pieces)
            batches, pieces = [], []
        seq = end
    if batches:
        yield _chunk(batches, pieces)


def _chunk(batches: list[Batch], pieces: list[bytes]) -> StoredChunk:
    return StoredChunk(batches, pieces[0] if len(pieces) == 1 else b"".join(pieces))


def find_first(
    connection: sqlite3.Connection, room: int, key: Key, least: float, within: tuple[int, int]
) -> Mark | None:
    """The start of the first batch whose `key` is at least `least`, or the end of the row that it follows.

    Args:
        connection: may read.
        room: its number.
        key: see `Key`.
        least: likewise.
        within: the `seq` from which on rows are searched, and before which they begin.

    Returns:
        None: no row there reaches `least`.
    """
    low, high = within
    # What it reads must be of one moment: the writer deletes rows meanwhile.
    connection.execute("BEGIN")
    try:
        found: int | None = None
        while low < high:
            middle = (low + high) // 2
            row = connection.execute(_BEFORE, (room, middle)).fetchone()
            if row is None or row[0] < low:
                low = middle + 1
            elif _reaches(row, key, least):
                found = high = row[0]
            else:
                low = max(row[1], middle + 1)
        if found is None:
            return None
        offset, blob = connection.execute(_BATCHES, (room, found)).fetchone()
    finally:
        connection.execute("COMMIT")
    batches = list(_unpack(blob, Mark(found, offset), NO_LIFE))
    index = bisect_left(batches, least, key=KEYS[key])
    return batches[index].start if index < len(batches) else batches[-1].end


def _reaches(row: tuple[int, int, int, float], key: Key, least: float) -> bool:
    _, end_seq, end_offset, time = row
    if key == "time":
        return time >= least
    return (end_seq if key == "seq" else end_offset) > least


KEYS: Final[dict[Key, Callable[[Batch], float]]] = {
    "seq": lambda batch: batch.start.seq,
    "offset": lambda batch: batch.start.offset,
    "time": lambda batch: batch.time,
}
"""What `Key` means."""


def chunk_of(start: Mark, checksum: int, blob: bytes, data: bytes) -> StoredChunk:
    """The chunk of one row, for somebody who was not there when it was written.

    Raises:
        ValueError: it is damaged.
    """
    if crc32(data, crc32(blob)) != checksum:
        raise ValueError("its checksum is another one")
    return StoredChunk(_unpack(blob, start, NO_LIFE), data)
