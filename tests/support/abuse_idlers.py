"""Clients that never read, beside a crowd that does: how fast the crowd hears, and what that takes of memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

from support.abuse_tools import MIB, Crowd, StreamSender, Watch, compare, kernel_memory, mib, resident_memory
from support.figures import FULL, note, scaled
from support.programs import ServerProgram

RETENTION = 16 * MIB
SIZE = scaled(24, 8) * MIB
ROUNDS = scaled(5, 2)

WARM_UP = RETENTION + 4 * MIB
"""After so much, an idler has held senders for as long as it may, and is out of what is retained."""

PACE = scaled(256, 1024) * 1024
"""Senders that are held back are far slower than readers are, even if a thousand share a busy machine."""

OPTIONS = ("--quiet", f"--retention={RETENTION}", f"--pace={PACE}", "--patience=3600")

MEMORY_LIMIT = RETENTION + 64 * MIB
"""Bytes of the server's, with those of the kernel for its idlers."""

IDLER_LIMIT = 256 * 1024
"""Bytes of the kernel's for a client that reads nothing: twice what it may hold that is not on its way."""

SHARE = 0.95 if FULL else 0.25
"""Of their speed, what readers keep. A short run takes a tenth of a second, in which a shared machine does anything."""


class Run(NamedTuple):
    """What was seen while a stream was broadcast."""

    speed: float
    """Bytes per second, for each reader."""
    resident: float
    """The most memory of the server."""
    idle: float
    """The most memory of the kernel for the idlers."""


def run(server: ServerProgram, crowd: Crowd, idlers: set[int], *, port: int, size: int = SIZE) -> Run:
    """Broadcast so many bytes, of which every reader of the crowd must hear every one.

    Args:
        server: has the readers and the idlers.
        crowd: the readers.
        idlers: the ports from which those are connected that never read.
        port: the one to which they are connected.
        size: how many bytes are measured, after the warm-up.
    """
    with (
        # Who connects after them speaks after they are in.
        StreamSender(server.endpoint) as sender,
        Watch(lambda: resident_memory(server.pid)) as resident,
        Watch(lambda: kernel_memory(port, idlers)) as kernel,
    ):
        for part in (WARM_UP, size):
            crowd.send(b"%d\n" % part)
            start = time.monotonic()
            sender.say(part)
            heard = crowd.told()
            assert heard["positions"] == [sender.position]
            assert not heard["wrong"]
            assert not heard["ended"]
    return Run(size / (heard["at"] - start), resident.peak, kernel.peak)


def compare_speed(number: int, what: str, alone: Callable[[], float], beside: Callable[[], float]) -> None:
    """See in test `number` that readers keep their speed beside idlers: run by run, or at best if runs are short."""
    before, after = compare(ROUNDS, alone, beside)
    # The best of short runs had the machine for itself.
    share = median(one / other for one, other in zip(after, before, strict=True)) if FULL else max(after) / max(before)
    note(number, what, f"{share:.1%} of {mib(median(before))}/s", ">= 95 %")
    assert share >= SHARE
