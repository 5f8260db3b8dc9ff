"""What a run has measured, in words and as values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .check import Faults
    from .latency import Latencies
    from .plan import Plan

BUSY: Final = 0.9
"""The part of one processor from which on the load is taken for the limit: it runs on no more than one."""

PERCENTILES: Final = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
"""The shares of the messages whose latency is told."""

_FAULTS: Final = {
    "lost": "never came",
    "repeated": "came again",
    "reordered": "came behind later ones",
    "torn": "came torn",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a run has measured.

    Attributes:
        plan: what was asked of the server.
        seconds: from the start until the last line was heard; with a rate, until the next one would be due, if later.
        messages: lines that were said.
        deliveries: lines that were heard, those of all readers together.
        received: bytes that readers have received, with all that a server adds.
        outstanding: lines that are still to be heard, those of all readers together; 0 at the end of a good run.
        unsaid: lines that were due, and that the server did not take in time.
        foreign: lines that were heard and are none of the run.
        faults: what was wrong with the lines of the run.
        cpu_time: the processor time that the load itself has taken, in seconds.
        latencies: from when a line was due until the last reader had it; None without a rate.
    """

    plan: Plan
    seconds: float
    messages: int
    deliveries: int
    received: int
    outstanding: int
    unsaid: int
    foreign: int
    faults: Faults
    cpu_time: float
    latencies: Latencies | None

    @property
    def load_share(self) -> float:
        """How much of one processor the load itself has taken: 1 is all."""
        return self._per_second(self.cpu_time)

    def latency(self) -> dict[str, float]:
        """The latency by its percentile, and the longest, in seconds; empty without a rate."""
        if self.latencies is None:
            return {}
        times = self.latencies.percentiles(list(PERCENTILES.values()))
        return {**dict(zip(PERCENTILES, times, strict=True)), "max": self.latencies.longest}

    def as_json(self) -> dict[str, Any]:
        """The figures as values; times in seconds."""
        return {
            "plan": asdict(self.plan),
            "seconds": self.seconds,
            "messages": self.messages,
            "messages_per_second": self._per_second(self.messages),
            "deliveries": self.deliveries,
            "deliveries_per_second": self._per_second(self.deliveries),
            "bytes": self.received,
            "bytes_per_second": self._per_second(self.received),
            "latency": self.latency() or None,
            "load_share": self.load_share,
            "outstanding": self.outstanding,
            "unsaid": self.unsaid,
            "foreign": self.foreign,
            "faults": asdict(self.faults),
        }

    def __str__(self) -> str:
        lines = [
            f"{self.plan}, {self.seconds:.1f} s",
            f"messages    {self.messages:>15,}  ({self._per_second(self.messages):,.0f}/s)",
            f"deliveries  {self.deliveries:>15,}  ({self._per_second(self.deliveries):,.0f}/s)",
            f"received    {self.received / 1e6:>12,.1f} MB  ({self._per_second(self.received) / 1e6:,.1f} MB/s)",
            f"load itself {self.load_share:>15.0%}  of one processor",
        ]
        if latency := self.latency():
            times = ", ".join(f"{name} {milliseconds(time)}" for name, time in latency.items())
            lines.append(f"latency to the last reader: {times}")
        else:
            lines.append("latency: at full speed it only tells how long the queues are; give a --rate")
        return "\n".join([*lines, *self._remarks(), self._verdict()])

    def _remarks(self) -> list[str]:
        remarks = []
        if self.unsaid:
            remarks.append(f"the server did not keep up: {self.unsaid:,} messages that were due could not be sent")
        if self.load_share > BUSY:
            remarks.append("the load itself was the limit: the server may take more")
        if self.foreign:
            remarks.append(f"{self.foreign:,} other lines were heard, such as notices, and not counted")
        return remarks

    def _verdict(self) -> str:
        counts = asdict(self.faults)
        said = [f"{counts[name]:,} {what}" for name, what in _FAULTS.items() if counts[name]]
        if self.outstanding:
            said.append(f"{self.outstanding:,} had not arrived")
        return f"of the deliveries, {', '.join(said)}" if said else "every line arrived, whole and in order"

    def _per_second(self, amount: float) -> float:
        return amount / self.seconds if self.seconds else 0.0


def milliseconds(seconds: float) -> str:
    """A short time as people read it."""
    return f"{seconds * 1e3:,.3g} ms" if seconds < 1 else f"{seconds:,.2f} s"
