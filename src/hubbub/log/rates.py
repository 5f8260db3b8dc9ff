"""How much is said in a room, as its log shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .chunk import first_batch

if TYPE_CHECKING:
    from .chunk import Batch
    from .log import Log

PERIOD: Final = 60.0
"""Seconds over which a rate is taken, or as many as memory has."""

LEAST: Final = 1.0
"""Seconds over which it is taken at least."""


class Rate(NamedTuple):
    """How many messages, and counted bytes, a second."""

    messages: float
    bytes: float


def rate_of(log: Log[Any], now: float) -> Rate:
    """How much was said in the last minute, or since the oldest message that memory holds, if that is newer.

    Args:
        log: the log.
        now: the time, as `Batch.born` has it. So a clock that is set changes no rate.
    """
    chunks = [chunk for chunk in log.chunks if chunk.batches]
    first = first_batch(chunks, _born, now - PERIOD)
    if first is None:
        return Rate(0.0, 0.0)
    # Where the log has had earlier messages that memory has dropped, nobody knows when these came.
    is_cut = first is chunks[0].batches[0] and first.start.seq > 0
    period = max(LEAST, now - first.born) if is_cut else PERIOD
    return Rate((log.head.seq - first.start.seq) / period, (log.head.offset - first.start.offset) / period)


def _born(batch: Batch) -> float:
    return batch.born
