"""Abuse 30: the process of a server with a store is killed, at any moment, again and again."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import hubbub
from hubbub import Address, Position

from support.abuse_stores import StoringServer, entries_of, opened
from support.figures import note, scaled
from support.helpers import WAIT_TIME

pytestmark = pytest.mark.long

ROUNDS = scaled(100, 10)
SENDERS = 8
LONGEST_LIFE = 0.3
"""Seconds that a server lives at most, once it has started."""

Kept = list[tuple[bytes, Position]]
"""Messages of a log, each with its position."""


@dataclass
class Life:
    """What was seen of one life of the server.

    Attributes:
        durable: its setting.
        said: how many messages each sender has said, or begun to say.
        answered: the position that each message was answered with.
        heard: what a reader has heard, whole lines only.
    """

    durable: str
    said: Counter[str] = field(default_factory=Counter)
    answered: dict[bytes, Position] = field(default_factory=dict)
    heard: list[bytes] = field(default_factory=list)

    async def sender(self, name: str, endpoint: Address) -> None:
        """Say messages as fast as they are taken, and note what is answered."""
        reader, writer = await asyncio.open_connection(*endpoint)
        answers = asyncio.create_task(self._answers(reader))
        try:
            while not reader.at_eof():
                for _ in range(20):
                    number = self.said[name]
                    self.said[name] += 1
                    writer.write(b"%s-%d %s\n" % (name.encode(), number, b"." * (number * 37 % 700)))
                await writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            # It was killed. What it had answered is still read.
            pass
        finally:
            await answers
            writer.close()

    async def _answers(self, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):
            while (line := await reader.readline()).endswith(b"\n"):
                message, _, position = line.rstrip().rpartition(b" ")
                self.answered[message] = Position.parse(position.decode())

    async def reader(self, endpoint: Address) -> None:
        """Note what is heard."""
        reader, writer = await asyncio.open_connection(*endpoint, limit=1 << 20)
        try:
            with suppress(ConnectionError):
                while (line := await reader.readline()).endswith(b"\n"):
                    self.heard.append(line[:-1])
        finally:
            writer.close()


async def live_and_die(life: Life, prefix: str, folder: Path, chance: random.Random) -> None:
    """One life of a server, from its start, under load, until it is killed."""
    with StoringServer(folder, durable=life.durable, farewell=None) as server:
        if chance.random() < 0.1:
            # While it starts.
            await asyncio.sleep(chance.random() * 0.5)
            server.signal(signal.SIGKILL)
            return
        await asyncio.to_thread(server.wait_until_started)
        load = [asyncio.create_task(life.reader(server.replaying))]
        load += [asyncio.create_task(life.sender(f"{prefix}-{number}", server.desk)) for number in range(SENDERS)]
        await asyncio.sleep(chance.random() * LONGEST_LIFE)
        if chance.random() < 0.1:
            # While it closes.
            server.signal(signal.SIGTERM)
            await asyncio.sleep(chance.random() * 0.1)
        server.signal(signal.SIGKILL)
        async with asyncio.timeout(WAIT_TIME):
            await asyncio.gather(*load, return_exceptions=True)


def test_30_killed_at_any_moment(tmp_path: Path) -> None:
    """After each life all is there that was acknowledged, in order, once and without a gap; the rest is recognised."""
    chance = random.Random(30)
    lives: list[Life] = []
    kept = lost = 0
    before: Kept = []
    for number in range(ROUNDS):
        life = Life("ack" if number % 2 else "behind")
        lives.append(life)
        asyncio.run(live_and_die(life, f"life{number}", tmp_path, chance))
        before, new, gone = asyncio.run(look(life, tmp_path / "log.db", before))
        kept += new
        lost += gone
    acknowledged = sum(len(life.answered) for life in lives if life.durable == "ack")
    note(30, f"killed {ROUNDS} times: messages kept of all lives", kept, "")
    note(30, "of those acknowledged, missing or double", f"0 of {acknowledged}", 0)
    note(30, "positions handed out by `behind`, and recognised as lost", lost, "")
    assert acknowledged
    assert kept


async def look(life: Life, path: Path, before: Kept) -> tuple[Kept, int, int]:
    """See what is stored after a life. It is returned, with how many messages are new, and how many are lost."""
    async with opened(path) as server:
        found = [(entry.message, entry.position) for entry in await entries_of(server.root)]
        # What earlier lives had kept is still there, and at the same positions.
        assert found[: len(before)] == before
        new = found[len(before) :]
        check_order(life, [message for message, _ in new])
        # A reader that began with all that was stored heard the same: no gap, no repeat, at the seam neither.
        common = min(len(life.heard), len(found))
        assert life.heard[:common] == [message for message, _ in found[:common]]
        return found, len(new), check_positions(life, server.root, dict(new), head=len(found))


def check_order(life: Life, messages: list[bytes]) -> None:
    """Of each sender there is what it said, in its order and from the first message on; of nobody else anything."""
    due = Counter[str]()
    for message in messages:
        sender, _, number = message.split(b" ")[0].decode().rpartition("-")
        assert int(number) == due[sender], f"{sender} said {due[sender]} next, not {message!r}"
        due[sender] += 1
    assert all(count <= life.said[sender] for sender, count in due.items())


def check_positions(life: Life, room: hubbub.Room[bytes], kept: dict[bytes, Position], head: int) -> int:
    """See that each position that was handed out means the same place, or is lost; how many are lost."""
    lost = 0
    for message, position in life.answered.items():
        if message in kept:
            assert kept[message] == position
            assert room.holds(position)
            continue
        assert life.durable == "behind", f"{message!r} was acknowledged at {position}, and is missing"
        lost += 1
        with pytest.raises(hubbub.PositionLost) as found:
            room.history(since=position)
        # Nobody can know how many messages there were.
        assert found.value.missed is None
        assert found.value.first.seq <= head
    return lost
