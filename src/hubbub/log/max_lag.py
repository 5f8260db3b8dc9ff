"""How far a reader may be behind, where its listener says so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from .chunk import BATCH_COST

if TYPE_CHECKING:
    from .chunk import Batch, Mark
    from .log import Log


@dataclass(frozen=True, slots=True)
class MaxLag:
    """A limit on the lag of one reader.

    Args:
        limit: counted bytes, or for how long a message may have waited.

    Raises:
        TypeError: it is neither.
        ValueError: it is not more than 0, or than the 256 bytes that each message counts beside its own.
    """

    limit: int | timedelta

    def __post_init__(self) -> None:
        if isinstance(self.limit, bool) or not isinstance(self.limit, int | timedelta):
            raise TypeError(f"max_lag is {self.limit!r}; it must be a number of bytes or a timedelta")
        if isinstance(self.limit, timedelta):
            if self.limit <= timedelta():
                raise ValueError(f"max_lag is {self.limit}; it must be more than 0")
        elif self.limit <= BATCH_COST:
            raise ValueError(
                f"max_lag is {self.limit}; it must be more than {BATCH_COST} bytes, which each message counts "
                f"beside its own; for seconds, write timedelta(seconds={self.limit})"
            )

    def start(self, log: Log[Any], now: float) -> Mark:
        """The place before which no reader may be: the start of a batch, or the end of what is readable.

        Args:
            log: what it reads.
            now: the time on the clock of `Clock.seconds`.
        """
        if isinstance(self.limit, timedelta):
            return log.first(_born, now - self.limit.total_seconds())
        return log.first(_offset, log.head.offset - self.limit)


def _born(batch: Batch) -> float:
    return batch.born


def _offset(batch: Batch) -> float:
    return batch.start.offset
