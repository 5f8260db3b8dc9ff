"""What was said and heard in a run so far."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .check import Check, Faults
from .figures import Figures
from .floor import Floor
from .latency import Latencies
from .lines import Speech

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .plan import Plan


class Measurement:
    """What was said and heard in a run so far. It has no clock: the time is handed in.

    Args:
        plan: what is asked of the server.
        tag: the run's.

    Attributes:
        plan: what is asked of the server.
        speeches: what each sender says.
        said: how many lines each sender has said.
        floors: how many of each sender's lines all readers have heard.
        unprobed: readers that have not heard a probe of every sender.
        latencies: the time from when a line was due until the last reader had it; None without a rate.
    """

    def __init__(self, plan: Plan, tag: bytes) -> None:
        self.plan = plan
        lines = plan.block_lines
        # One that is being said, one that is being heard, and those between them.
        kept = plan.window // lines + 2
        senders = range(plan.senders)
        self.speeches = [Speech(tag, number, plan.size, block_lines=lines, blocks_kept=kept) for number in senders]
        self.said = [0 for _ in senders]
        self.floors = [Floor(plan.readers) for _ in senders]
        self.unprobed = set(range(plan.readers))
        self.latencies = Latencies(plan.time) if plan.rate else None
        self._checks = [Check(tag, self.speeches) for _ in range(plan.readers)]
        self._received = 0
        self._heard_at = 0.0

    @property
    def deliveries(self) -> int:
        """How many lines were heard, those of all readers together."""
        return sum([check.heard for check in self._checks])

    @property
    def outstanding(self) -> int:
        """How many lines are still to be heard, those of all readers together."""
        return self.plan.readers * sum(self.said) - self.passed

    @property
    def passed(self) -> int:
        """How many lines were heard, or are known not to come in their place, those of all readers together."""
        return sum([sum(check.next) for check in self._checks])

    def hear(self, reader: int, piece: bytes, elapsed: float | None) -> Sequence[int]:
        """Take what a reader has received; the senders whose floor has risen.

        Args:
            reader: its number.
            piece: the bytes.
            elapsed: the time since the start, in seconds; None before.
        """
        check = self._checks[reader]
        advanced = check.feed(piece)
        if elapsed is None:
            if len(check.probed) == self.plan.senders:
                self.unprobed.discard(reader)
            return ()
        self._received += len(piece)
        risen = []
        for sender in advanced:
            floor = self.floors[sender]
            before = floor.level
            if floor.move(reader, check.next[sender]):
                risen.append(sender)
                if self.latencies is not None:
                    self._add_latencies(self.latencies, sender, before, floor.level, elapsed)
        if advanced:
            self._heard_at = elapsed
        return risen

    def _add_latencies(self, latencies: Latencies, sender: int, first: int, past: int, elapsed: float) -> None:
        for seq in range(first, past):
            due = self.plan.due(seq * self.plan.senders + sender)
            latencies.add(due, elapsed - due)

    def unheard(self) -> str:
        """Which reader has not heard the probe of which sender, in words; one of them for all."""
        reader = min(self.unprobed)
        probed = self._checks[reader].probed
        what = "nothing" if not probed else f"nothing of sender {min(set(range(self.plan.senders)) - probed) + 1}"
        return f"reader {reader + 1} of {self.plan.readers} heard {what}"

    def standing(self, reader: int) -> str:
        """What a reader has heard, in words."""
        count, said = sum(self._checks[reader].next), sum(self.said)
        name = f"reader {reader + 1} of {self.plan.readers}"
        return f"{name} has {count:,} of {said:,} messages" if said else name

    def slowest(self) -> int:
        """The reader that has heard the least."""
        return min(range(self.plan.readers), key=lambda reader: sum(self._checks[reader].next))

    def figures(self, cpu_time: float) -> Figures:
        """The figures.

        Args:
            cpu_time: the processor time that this program has taken since the start, in seconds.
        """
        faults = Faults()
        for check in self._checks:
            faults.add(check.faults)
        seconds, unsaid = self._heard_at, 0
        if self.plan.rate:
            unsaid = max(0, self.plan.count_due(seconds) - sum(self.said))
            # The last line, too, has its share of the time, or a slow rate would seem a higher one.
            seconds = max(seconds, sum(self.said) / self.plan.rate)
        return Figures(
            plan=self.plan,
            seconds=seconds,
            messages=sum(self.said),
            deliveries=self.deliveries,
            received=self._received,
            outstanding=self.outstanding,
            unsaid=unsaid,
            foreign=sum([check.foreign for check in self._checks]),
            faults=faults,
            cpu_time=cpu_time,
            latencies=self.latencies,
        )
