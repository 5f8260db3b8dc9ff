"""Abuse 20: a network that slices, delays, chokes and resets."""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import dataclass, field

import pytest

from hubbub import Address

from support.abuse_tools import LIFTED, UNMEASURED
from support.fault_proxy import Fault, FaultProxy
from support.figures import note, scaled
from support.programs import hubbub_serve

pytestmark = pytest.mark.long

SENDERS = 3
READERS = 4
SECONDS = scaled(60, 2)
LINE_SIZE = 200

FAULTS = {
    "slicer": Fault(slice_size=50),
    "latency": Fault(slice_size=16384, latency=0.02),
    "bandwidth": Fault(slice_size=4096, bandwidth=200_000),
    "reset": Fault(slice_size=1000, reset_after=100_000),
    "all of them": Fault(slice_size=300, latency=0.002, bandwidth=200_000, reset_after=30_000),
}

NOTICE = re.compile(rb"\[(\d+) messages missed\]")


@dataclass
class Ear:
    """What one connection of a reader has heard, from its first line to its end, and whether it broke."""

    heard: list[bytes | int] = field(default_factory=list)
    """Each line, or the number of those that it was told it missed."""
    broken: bool = False


def line(sender: int, connection: int, number: int) -> bytes:
    return b"%d %d %08d " % (sender, connection, number) + b"x" * (LINE_SIZE - 14 - len(str(connection)))


async def speak(address: Address, sender: int, ended: asyncio.Event) -> None:
    """Say numbered lines, and begin anew on another connection whenever one breaks."""
    for connection in range(10**9):
        if ended.is_set():
            return
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(*address)
            try:
                for number in range(10**9):
                    writer.write(line(sender, connection, number) + b"\n")
                    await writer.drain()
                    await asyncio.sleep(0.002)
                    if ended.is_set():
                        # What was said is on its way, to its end: the rest comes by itself.
                        await asyncio.sleep(10**9)
            finally:
                writer.transport.abort()
        await asyncio.sleep(0.01)


async def listen(address: Address, ears: list[Ear], connected: asyncio.Event | None = None) -> None:
    """Hear lines, and connect anew whenever the connection breaks."""
    while True:
        ear = Ear()
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection(*address)
            if connected is not None:
                connected.set()
            ears.append(ear)
            try:
                # A line that has no end is part of one, and the connection is told to have broken.
                while (text := await reader.readline()).endswith(b"\n"):
                    notice = NOTICE.fullmatch(text[:-1])
                    ear.heard.append(int(notice[1]) if notice else text[:-1])
            finally:
                writer.transport.abort()
        ear.broken = True
        await asyncio.sleep(0.01)


def assert_said_in_order(said: list[bytes]) -> None:
    """See that what each sender said comes in its order, with nothing left out as long as its connection lasts."""
    due: dict[int, tuple[int, int]] = dict.fromkeys(range(SENDERS), (0, 0))
    for text in said:
        sender, connection, number = (int(part) for part in text.split()[:3])
        last_connection, next_number = due[sender]
        assert (connection, number) == (last_connection, next_number) or (connection > last_connection and not number)
        assert text == line(sender, connection, number)
        due[sender] = (connection, number + 1)


def assert_accounted_for(ear: Ear, said: list[bytes], places: dict[bytes, int]) -> None:
    """See that an ear has heard all that was said from its first line on, in its order, but for what it was told of."""
    place: int | None = None
    for one in ear.heard:
        if isinstance(one, int):
            place = None if place is None else place + one
        else:
            assert one in places, one
            assert place in (None, places[one]), f"after {said[place - 1 if place else 0]!r} came {one!r}"
            place = places[one] + 1
    # Whose connection lasts, and who has heard anything at all, has heard the last.
    assert ear.broken or place in (None, len(said))


@pytest.mark.parametrize("name", FAULTS)
def test_20_a_bad_network_delays_and_breaks_and_loses_nothing_untold(name: str) -> None:
    with hubbub_serve("relay", "--quiet", *LIFTED, "--when-slow=skip", env=UNMEASURED) as server:
        said, places, ears, resets = asyncio.run(asyncio.wait_for(run(server.endpoint, FAULTS[name]), SECONDS + 60))
        assert server.errors.unread == b""
    heard = sum(len(ear.heard) for ear in ears)
    assert heard > 100
    assert_said_in_order(said)
    for ear in ears:
        assert_accounted_for(ear, said, places)
    if FAULTS[name].reset_after is None:
        assert not any(ear.broken for ear in ears)
    else:
        assert resets > 0
    note(20, f"{name}: lines heard, in order, with {resets} resets in {SECONDS} s", heard, "none missing untold")


async def run(endpoint: Address, fault: Fault) -> tuple[list[bytes], dict[bytes, int], list[Ear], int]:
    """What was said, in the order of one who listens without a proxy, and what was heard through it."""
    direct: list[Ear] = []
    ears: list[Ear] = []
    async with FaultProxy.to(endpoint, fault) as proxy:
        connected = asyncio.Event()
        tasks = [asyncio.create_task(listen(endpoint, direct, connected))]
        # It is there before any other, so that it hears all.
        await connected.wait()
        tasks += [asyncio.create_task(listen(proxy.address, ears)) for _ in range(READERS)]
        ended = asyncio.Event()
        tasks += [asyncio.create_task(speak(proxy.address, sender, ended)) for sender in range(SENDERS)]
        await asyncio.sleep(SECONDS)
        ended.set()
        # What was said last arrives, at whatever speed.
        settled = -1
        while settled != (settled := sum(len(ear.heard) for ear in (*direct, *ears))):  # noqa: ASYNC110 (no event)
            await asyncio.sleep(1)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    (only,) = direct
    said = [one for one in only.heard if isinstance(one, bytes)]
    assert len(said) == len(only.heard)
    return said, {text: place for place, text in enumerate(said)}, ears, proxy.resets
