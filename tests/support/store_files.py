"""Files of stores, written as a hubbub writes them, and damaged as disks damage them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias
from zlib import crc32

from hubbub.framing import Framing
from hubbub.log.chunk import Batch, Chunk
from hubbub.stores.schema import PAGE
from hubbub.stores.sqlite import SqliteStore
from hubbub.values.settings import Settings

TIME = 1_700_000_000.25
"""The time of what was said first: 2023-11-14T22:13:20.25Z."""


@dataclass(frozen=True)
class Said:
    """A batch.

    Attributes:
        wire: its bytes.
        count: how many messages they carry.
        time: when it was said, in seconds after `TIME`.
        sender: who has said it.
    """

    wire: bytes
    count: int = 1
    time: float = 0.0
    sender: str = "alice"


Rooms: TypeAlias = Mapping[str, tuple[Framing[Any], Sequence[Said]]]
"""Rooms by their names: their framings, and what is said in them."""


PAGE_PART = PAGE // 4
"""Bytes that only a page has which a row overflows into."""


def long_messages(count: int) -> list[Said]:
    """Messages that each take more than two pages: `0 aaa…`, `1 bbb…` and so on."""
    return [Said(b"%d %s\n" % (number, bytes([97 + number]) * (2 * PAGE + PAGE // 16))) for number in range(count)]


def write_store(path: Path, rooms: Rooms, *, term: str = "a", apart: bool = False) -> Path:
    """Write a store, or add another term to it.

    Args:
        path: of its file.
        rooms: what it has.
        term: a hexadecimal digit, of which the names of the terms are made.
        apart: whether each batch has a row of its own, which is on the disk before the next one.
    """
    asyncio.run(_write(path, rooms, term, apart=apart))
    return path


async def _write(path: Path, rooms: Rooms, term: str, *, apart: bool) -> None:
    store = SqliteStore(path)
    store.start(Settings())
    for name, (framing, said) in rooms.items():
        log = store.open_log(name, framing, Settings())
        log.begin(16 * term, log.head)
        at = log.head
        for each in said:
            chunk = Chunk()
            chunk.begin(Batch(at, 1, TIME + each.time, each.sender, 0, 0))
            chunk.add(each.wire, each.count)
            log.append(chunk)
            at = chunk.end
            if apart:
                await log.wait_committed(at.seq)
        await log.wait_committed(at.seq)
    await store.close()


def change(path: Path, *statements: str) -> None:
    """Change what a store has."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def replace_row(path: Path, seq: int, *, batches: bytes | None = None, data: bytes | None = None) -> None:
    """Change what a row has, with a checksum that fits."""
    with closing(sqlite3.connect(path)) as connection:
        old = connection.execute("SELECT batches, data FROM chunks WHERE seq = ?", (seq,)).fetchone()
        new = (old[0] if batches is None else batches, old[1] if data is None else data)
        connection.execute(
            "UPDATE chunks SET checksum = ?, batches = ?, data = ? WHERE seq = ?",
            (crc32(new[1], crc32(new[0])), *new, seq),
        )
        connection.commit()


def garble_index(path: Path) -> bytes:
    """Fill a page of the index of the chunks with garbage; what the file has then."""
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'chunks_of_room'").fetchone()
    content = bytearray(path.read_bytes())
    content[(page - 1) * PAGE : page * PAGE] = b"\x55" * PAGE
    path.write_bytes(content)
    return bytes(content)


def break_chain(path: Path, data: bytes) -> None:
    """Garble the number of the next page in that page of a row which `data` is in."""
    content = bytearray(path.read_bytes())
    page = content.index(data) // PAGE * PAGE
    content[page : page + 4] = b"\xff" * 4
    path.write_bytes(content)
