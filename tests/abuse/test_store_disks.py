"""Abuse 31 and 32: a store on a disk that gets full, or may not take more than a size, while clients talk on."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.abuse_stores import TESTS, StoringServer, own_disk, seen_by, size_on_disk, stored, storing_server
from support.abuse_tools import KIB, MIB, SUPPORT, UNLIMITED, Meanwhile, Watch, mib
from support.figures import note, scaled
from support.programs import Peer, ServerProgram, wait_until

pytestmark = pytest.mark.long

LINE = 1000


class Feed(Meanwhile):
    """One says numbered lines, and another hears them, each before the next piece is said.

    Attributes:
        count: how many lines were said and heard.
        slowest: the longest time until a piece was heard, in seconds.
    """

    def __init__(self, speaker: Peer, listener: Peer, *, piece: int = 20, pause: float = 0.002) -> None:
        super().__init__(pause=pause)
        self.count = 0
        self.slowest = 0.0
        self._speaker = speaker
        self._listener = listener
        self._piece = piece

    def step(self) -> None:
        lines = [b"%0*d\n" % (LINE - 1, number) for number in range(self.count, self.count + self._piece)]
        started = time.monotonic()
        self._speaker.send(b"".join(lines))
        for line in lines:
            heard = self._listener.line()
            assert heard == line, f"heard {heard!r} instead of {line!r}"
        self.slowest = max(self.slowest, time.monotonic() - started)
        self.count += self._piece


class OnOwnDisk(StoringServer):
    """A `StoringServer` on a disk of its own. `filler` takes what is free there."""

    def __init__(self, folder: Path, size: str, **options: object) -> None:
        text = json.dumps({"folder": str(folder), **options})
        program = (sys.executable, str(SUPPORT / "storing_server.py"), text)
        ServerProgram.__init__(self, *own_disk(folder, size, *program), env=TESTS)

    def fill(self, folder: Path) -> None:
        """Let another program take all that is free."""
        with (seen_by(self, folder) / "filler").open("ab", buffering=0) as filler:
            for size in (64 * KIB, 4 * KIB, 1):
                try:
                    while True:
                        filler.write(b"x" * size)
                except OSError:
                    continue


def test_31_a_disk_that_is_full_for_a_while(tmp_path: Path) -> None:
    """Readers notice nothing, it is said once, senders are told what is not stored, and it comes back by itself."""
    disk = tmp_path / "disk"
    disk.mkdir()
    # The filler takes what the store may not grow into any more, and then its free pages are used up.
    with OnOwnDisk(disk, "24m", store_size=16 * MIB, store_patience=1.0, durable="ack") as server:
        server.wait_until_started()
        with Peer(server.desk) as desk, Peer(server.replaying) as listener:
            desk.send(b"before\n")
            assert re.fullmatch(rb"before [0-9a-f]{16}:1\n", desk.line())
            assert listener.line() == b"before\n"
            server.fill(disk)
            # The file has no room for so much. What is small would take the place of what is old.
            for name in (b"full", b"full still"):
                message = name + b" " + b"." * 60_000
                desk.send(message + b"\n")
                assert desk.line().startswith(message + b" not stored: database or disk is full")
                assert listener.line() == message + b"\n"
            (seen_by(server, disk) / "filler").unlink()
            wait_until(lambda: "is back after" in server.errors.unread.decode(), "recovery")
            desk.send(b"after\n")
            assert re.fullmatch(rb"after [0-9a-f]{16}:4\n", desk.line())
        errors = server.errors.unread.decode()
        server.stop()
    note(31, "full disk: lines that say that the store is out", errors.count(" is out: "), 1)
    assert errors.count(" is out: ") == errors.count(" is back after ") == 1
    assert errors.count("cannot be written") == 1
    assert "Traceback" not in errors


def test_31_a_feed_over_a_disk_that_is_full_for_a_while(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    with OnOwnDisk(disk, "24m", store_size=16 * MIB, store_patience=1.0, farewell=None) as server:
        server.wait_until_started()
        with Peer(server.plain) as speaker, Peer(server.replaying) as listener, Feed(speaker, listener) as feed:
            wait_until(lambda: feed.count > 2000, "feed")
            before, feed.slowest = feed.slowest, 0.0
            server.fill(disk)
            said = feed.count

            def errors_of(words: bytes) -> int:
                return server.errors.unread.count(words)

            wait_until(lambda: feed.count > said + scaled(60_000, 6_000), "feed over a full disk")
            during, feed.slowest = feed.slowest, 0.0
            meanwhile = feed.count - said
            (seen_by(server, disk) / "filler").unlink()
            wait_until(lambda: errors_of(b" is back after ") == errors_of(b" is out: "), "return of the store")
            back = feed.count
            wait_until(lambda: feed.count > back + 2000, "feed")
        errors = server.errors.unread.decode()
        with Peer(server.replaying) as late:
            lines: list[int] = []
            while not lines or lines[-1] != feed.count - 1:
                lines.append(int(late.line()))
        server.stop()
    out = errors.count(" is out: ")
    note(31, "slowest piece of a feed: before, and on a full disk", f"{before * 1e3:.0f} ms, {during * 1e3:.0f} ms", "")
    note(
        31,
        f"lines heard meanwhile; times that the store was out ({errors.count(' is back after ')} back)",
        f"{meanwhile}; {out}",
        "",
    )
    assert "Traceback" not in errors, errors
    # Nobody waits for the disk, and no line is said for each failure.
    assert during < max(5 * before, 2)
    assert len(errors.splitlines()) <= 10, errors
    # What memory or the store has is replayed without a gap.
    assert lines == list(range(lines[0], feed.count))


@pytest.mark.parametrize("size", [1, 4])
def test_32_a_flood_keeps_the_file_within_its_size(tmp_path: Path, size: int) -> None:
    """Even while readers begin from the first message again and again, which keeps the WAL from starting again."""
    path = tmp_path / "log.db"
    rounds = scaled(40, 8)
    settings = {"store_size": size * MIB, "retention": MIB, **UNLIMITED}
    with (
        storing_server(tmp_path, **settings) as server,
        Watch(lambda: size_on_disk(path)) as watch,
        Peer(server.plain) as speaker,
        Peer(server.replaying) as listener,
        ThreadPoolExecutor() as threads,
    ):
        stop = threading.Event()
        threads.submit(look_often, watch, path, stop)
        newcomers = [threads.submit(come_and_go, server, stop) for _ in range(3)]
        try:
            with Feed(speaker, listener, piece=100, pause=0) as feed:
                wait_until(lambda: feed.count * LINE > rounds * size * MIB, "flood")
        finally:
            stop.set()
        heard = sum(newcomer.result() for newcomer in newcomers)
        errors = server.errors.unread
    what = f"store_size {size} MiB, {rounds} times as much said while {heard} came and read: largest"
    note(32, what, mib(watch.peak), f"<= {size} MiB")
    assert watch.peak <= size * MIB
    assert b"cannot be read" not in errors
    kept = [int(entry.message) for entry in asyncio.run(stored(path))]
    note(32, "what it keeps then", mib(len(kept) * LINE), "")
    assert kept == list(range(kept[0], feed.count))
    assert len(kept) * LINE > size * MIB / 4


def look_often(watch: Watch, path: Path, stop: threading.Event) -> None:
    while not stop.wait(0.002):
        watch.peak = max(watch.peak, size_on_disk(path))


def come_and_go(server: StoringServer, stop: threading.Event) -> int:
    """Begin to read all that is stored, read a part, and leave, again and again; how often something was heard."""
    heard = 0
    while not stop.is_set():
        with Peer(server.replaying) as peer:
            # One that begins with what is deleted just then may be too slow for it.
            heard += len(peer.exactly(MIB // 2)) > 0
    return heard
