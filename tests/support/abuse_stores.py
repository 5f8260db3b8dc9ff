"""What the abuse of stores shares: servers that are killed or stalled, disks of their own, and what was kept."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import hubbub
from hubbub import Address

from support.abuse_tools import SUPPORT, UNMEASURED
from support.helpers import eventually, idle
from support.programs import ServerProgram, miss, require_program

FRAMING = hubbub.ByteLines()

TESTS = {**UNMEASURED, "PYTHONPATH": str(SUPPORT.parent)}
"""Variables for a program that uses what tests share."""


class StoringServer(ServerProgram):
    """A `storing_server.py`. Its `endpoint` is the last of its places.

    Attributes:
        plain: where it is a relay.
        replaying: the same, and clients hear first what is stored.
        desk: where each message is answered.
    """

    plain: Address
    replaying: Address
    desk: Address

    def __init__(self, folder: Path, **options: Any) -> None:
        text = json.dumps({"folder": str(folder), **options})
        super().__init__(sys.executable, str(SUPPORT / "storing_server.py"), text, env=TESTS)

    def wait_until_started(self) -> None:
        super().wait_until_started()
        ports = [int(port) for port in re.findall(rb":(\d+)", self.started)]
        self.plain, self.replaying, self.desk = (Address("127.0.0.1", port) for port in ports[-3:])


@contextmanager
def storing_server(folder: Path, **options: Any) -> Iterator[StoringServer]:
    """A `StoringServer`, which must end cleanly."""
    with StoringServer(folder, **options) as server:
        server.wait_until_started()
        yield server
        if server.running:
            server.stop()


@asynccontextmanager
async def opened(path: Path, handler: Any = idle, **settings: Any) -> AsyncIterator[hubbub.Server[bytes]]:
    """A server in the program of the test that has the store."""
    server: hubbub.Server[bytes] = hubbub.Server(
        handler, port=0, framing=FRAMING, settings=hubbub.Settings(**settings), store=hubbub.SqliteStore(path)
    )
    async with server:
        yield server


async def stored(path: Path) -> list[hubbub.Entry[bytes]]:
    """All that a store has kept of its root room, in order and without a gap."""
    async with opened(path) as server:
        return await entries_of(server.root)


async def entries_of(room: hubbub.Room[bytes], **of: Any) -> list[hubbub.Entry[bytes]]:
    """What a room holds. It has no gap."""
    entries = [entry async for entry in room.history(**of)]
    first = entries[0].position.seq if entries else 0
    assert [entry.position.seq for entry in entries] == list(range(first, first + len(entries)))
    return entries


async def all_committed(server: hubbub.Server[Any]) -> None:
    """Wait until all that was said in the root room is committed."""

    def is_so() -> bool:
        store = server.statistics().store
        assert store is not None
        return store.committed.get("root") == server.root.head.seq

    await eventually(is_so)


def own_disk(folder: Path, size: str, *command: str, before: str = "true") -> tuple[str, ...]:
    """A command that runs another one, with a disk of its own of that size at `folder`, and in it.

    `before` is run there first. The test is skipped where that may not be made.
    """
    own = (require_program("unshare"), "--user", "--map-root-user", "--mount")
    if subprocess.run(
        [*own, "mount", "-t", "tmpfs", "tmpfs", str(folder)], check=False, capture_output=True
    ).returncode:
        miss("a namespace with disks of its own")
    script = f'mount -t tmpfs -o size={size} tmpfs "$0" && cd "$0" && {before} && exec "$@"'
    return (*own, "sh", "-c", script, str(folder), *command)


def seen_by(server: ServerProgram, path: Path) -> Path:
    """A path as a server sees it that has disks of its own."""
    return Path(f"/proc/{server.pid}/root{path}")


def size_on_disk(path: Path) -> int:
    """The bytes of a database and its WAL."""
    total = 0
    for name in (path, path.with_name(path.name + "-wal")):
        try:
            total += name.stat().st_size
        except FileNotFoundError:
            continue
    return total
