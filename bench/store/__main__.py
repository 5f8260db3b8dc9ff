"""`python -m bench.store`: what a store does by itself, as a table; a figure is the median of some runs."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import click

import hubbub
from hubbub.apps.relay import relay

from ..catalogue import HUBBUB
from ..measure import Processors
from ..peer import SCRATCH, Peer

FOLDER: Final = Path(__file__).parent
LINES: Final = 10_000
BLOCK: Final = b"".join(b"%08d %s\n" % (number, b"x" * 90) for number in range(LINES))
"""What is sent and read again and again: a megabyte in lines of 100 bytes."""

RECORDED: Final = 1000
"""Blocks that are recorded, and replayed."""

STORED: Final = 10_000
"""Blocks in the store that is opened."""

ROW: Final = 600
"""Lines in each of its rows, which are so as large as a store makes them."""

TRANSACTION: Final = 4 << 20
"""Bytes of a transaction of plain inserts, as large as the store's."""

PATIENCE: Final = 60.0
"""How long nothing may arrive, in seconds."""


@dataclass(frozen=True)
class Figure:
    """A row of the table.

    Attributes:
        what: is measured.
        unit: of the figure.
        bound: what it is held against; None: nothing.
        at_most: whether it is not to be higher; otherwise not lower.
    """

    what: str
    unit: str
    bound: float | None = None
    at_most: bool = False

    def row(self, seen: list[float]) -> str:
        """The row with the figures of all runs."""
        middle = median(seen)
        goal = reached = ""
        if self.bound is not None:
            goal = f"{'at most' if self.at_most else 'at least'} {self.bound:g}"
            held = middle <= self.bound if self.at_most else middle >= self.bound
            reached = "yes" if held else "**no**"
        shown = f"{middle:,.3g} ({min(seen):,.3g}-{max(seen):,.3g})"
        if middle >= 1000:
            shown = f"{middle:,.0f} ({min(seen):,.0f}-{max(seen):,.0f})"
        return f"| {self.what} | {self.unit} | {shown} | {goal} | {reached} |"


ACKNOWLEDGED: Final = Figure("64 tasks that each wait until their message is committed", "messages/s", 20_000)
FSYNCS: Final = Figure("meanwhile", "fsyncs/s")
RECORDING: Final = Figure("recording one sender at full speed, no readers", "MB/s")
PLAIN: Final = Figure("plain `sqlite3` inserts of rows of the same sizes", "MB/s")
SHARE: Final = Figure("recording, as a share of plain inserts", "", 0.8)
REPLAY: Final = Figure("replay of 1 GB to one late reader", "MB/s", 500)
OPENING: Final = Figure("opening a store of 10 GB", "s", 0.2, at_most=True)
Measured = Iterator[tuple[Figure, float]]


def acknowledge(folder: Path, scale: float) -> Measured:
    """Acknowledged messages, and the fsyncs that they took."""
    library = SCRATCH / "fsyncs.so"
    subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, FOLDER / "fsyncs.c"], check=True)
    words = [sys.executable, "-m", "bench.store.acknowledged", str(folder / "acknowledged.db"), str(3 * scale)]
    environment = {**os.environ, "LD_PRELOAD": str(library)}
    said = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    yield from zip((ACKNOWLEDGED, FSYNCS), map(float, said.split()), strict=True)


def record_and_replay(folder: Path, scale: float) -> Measured:
    """The rates of recording, of plain inserts, and of replay."""
    blocks = max(1, int(RECORDED * scale))
    size = blocks * len(BLOCK)
    processors = Processors.split()
    path = folder / "recorded.db"
    serve = (sys.executable, "-m", "hubbub", "serve", "relay", "--quiet", "--port", "{port}")
    store = ("--store", str(path), "--store-size", "4G", "--replay", "all")
    peer = Peer(HUBBUB, "lines", {"replay": (*serve, *store)})
    with peer.running("replay", processors.server) as (_, port, _), running_on(processors.load):
        start = time.perf_counter()
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as sender:
            for _ in range(blocks):
                sender.sendall(BLOCK)
        wait_committed(path, blocks * LINES)
        recorded = size / (time.perf_counter() - start) / 1e6
        start = time.perf_counter()
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as reader:
            for _ in range(blocks):
                check_block(reader)
        yield REPLAY, size / (time.perf_counter() - start) / 1e6
    with closing(sqlite3.connect(path)) as connection:
        sizes = [length for (length,) in connection.execute("SELECT length(data) FROM chunks ORDER BY id")]
    with running_on(processors.server):
        plain = insert_plainly(folder / "plain.db", sizes)
    yield from ((RECORDING, recorded), (PLAIN, plain), (SHARE, recorded / plain))


def wait_committed(path: Path, messages: int) -> None:
    """Wait until the store has so many messages: a server has taken more than it has committed."""
    deadline = time.monotonic() + PATIENCE
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        while time.monotonic() < deadline:
            if connection.execute("SELECT end_seq FROM chunks ORDER BY id DESC LIMIT 1").fetchall() == [(messages,)]:
                return
            time.sleep(0.01)
    raise click.ClickException(f"not all messages are committed after {PATIENCE:g} s")


@contextmanager
def running_on(processors: set[int]) -> Iterator[None]:
    """Run on these processors."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def check_block(reader: socket.socket) -> None:
    """Read a block, and compare it."""
    block = bytearray(len(BLOCK))
    view, place = memoryview(block), 0
    while place < len(BLOCK):
        count = reader.recv_into(view[place:])
        if not count:
            raise click.ClickException("the server ended the replay too early")
        place += count
    if block != BLOCK:
        raise click.ClickException("the replay is not what was recorded")


def insert_plainly(path: Path, sizes: list[int]) -> float:
    """MB/s of rows of such sizes into a table, each transaction forced to the disk."""
    data = os.urandom(max(sizes))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("CREATE TABLE chunks (id INTEGER PRIMARY KEY, data BLOB NOT NULL)")
        start, open_size = time.perf_counter(), 0
        connection.execute("BEGIN")
        for size in sizes:
            connection.execute("INSERT INTO chunks (data) VALUES (?)", (data[:size],))
            open_size += size
            if open_size >= TRANSACTION:
                connection.execute("COMMIT")
                connection.execute("BEGIN")
                open_size = 0
        connection.execute("COMMIT")
        return sum(sizes) / (time.perf_counter() - start) / 1e6


def make_large(path: Path, scale: float) -> None:
    """A store of that size: a hubbub stores a row, and SQLite copies it."""
    asyncio.run(open_store(path, list(BLOCK[:-1].split(b"\n")[:ROW])))
    copies = int(STORED * scale * len(BLOCK) / ROW / 100)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # It is made again if it is lost.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(
            "WITH RECURSIVE copies (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < ?) "
            "INSERT INTO chunks (room, seq, end_seq, offset, end_offset, time, checksum, batches, data) "
            "SELECT room, seq + n * (end_seq - seq), end_seq + n * (end_seq - seq), offset + n * (end_offset - offset),"
            " end_offset + n * (end_offset - offset), time, checksum, batches, data FROM copies, chunks WHERE id = 1",
            (copies,),
        )


async def open_store(path: Path, messages: list[bytes]) -> float:
    """The seconds until a server with that store serves; then it says these messages, and is closed."""
    start = time.perf_counter()
    store = hubbub.SqliteStore(path)
    settings = hubbub.Settings(store_size=64 << 30)
    server: hubbub.Server[Any] = hubbub.Server(
        relay, port=0, framing=hubbub.ByteLines(), settings=settings, store=store
    )
    async with server:
        passed = time.perf_counter() - start
        if messages:
            await server.broadcast_many(messages)
    return passed


def open_cold(path: Path) -> Measured:
    """The time to open it while the system has nothing of it in memory."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    yield OPENING, asyncio.run(open_store(path, []))


@click.command()
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True, help="Runs of which the median counts.")
@click.option("--scale", type=click.FloatRange(0, 1, min_open=True), default=1.0, help="A share, for a quick look.")
def main(*, runs: int, scale: float) -> None:
    """Measure what a store does by itself, and print a table. It takes 12 GB of disk for some minutes."""
    SCRATCH.mkdir(exist_ok=True)
    seen: dict[Figure, list[float]] = {}

    def note(measured: Measured) -> None:
        for figure, value in measured:
            seen.setdefault(figure, []).append(value)
            click.echo(f"{figure.what}: {value:,.4g} {figure.unit}", err=True)

    with tempfile.TemporaryDirectory(dir=SCRATCH) as large:
        path = Path(large, "large.db")
        make_large(path, scale)
        steps: tuple[Callable[[Path], Measured], ...] = (
            lambda folder: acknowledge(folder, scale),
            lambda folder: record_and_replay(folder, scale),
            lambda _: open_cold(path),
        )
        for _ in range(runs):
            for step in steps:
                with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
                    note(step(Path(folder)))
    click.echo("| what | unit | measured | goal | reached |\n|---|---|---:|---|---|")
    for figure in (ACKNOWLEDGED, FSYNCS, RECORDING, PLAIN, SHARE, REPLAY, OPENING):
        click.echo(figure.row(seen[figure]))


if __name__ == "__main__":
    main()
