"""How many may connect: in all, from one address, from one subnet, and how often."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv6Address
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

from ..values.ending import Ending, EndingCode

if TYPE_CHECKING:
    from ..values.settings import Settings

V6_SUBNET_MASK: Final = (1 << 128) - (1 << 64)
"""A /64 is what one subscriber is given at least (RFC 6177), so that a single address means little."""


class Source(NamedTuple):
    """Where a connection comes from."""

    address: str
    subnet: str

    @classmethod
    def of(cls, host: str) -> Source | None:
        """The source at an IP address; None for what is none, such as a Unix socket."""
        if ":" in host:
            # Without its scope, which names an interface here (RFC 4007).
            address = IPv6Address(host.partition("%")[0])
            prefix = IPv6Address(int(address) & V6_SUBNET_MASK)
            return cls(str(address), f"{prefix}/64")
        prefix_text, dot, _ = host.rpartition(".")
        return cls(host, f"{prefix_text}.0/24") if dot else None

    @property
    def payer(self) -> str:
        """Whom a connection counts for where the rate is limited: who has a /64 has all its addresses."""
        return self.subnet if ":" in self.address else self.address


class Limits:
    """Counts connections, and says which would be one too many.

    Args:
        settings: the limits.
    """

    def __init__(self, settings: Settings) -> None:
        self.total = 0
        self._settings = settings
        self._addresses: Counter[str] = Counter()
        self._subnets: Counter[str] = Counter()
        # When the burst of each payer will be whole again: a bucket that leaks connections at `connect_rate`.
        self._due: dict[str, float] = {}

    def refusal_to_all(self) -> Ending | None:
        """Why nobody at all may connect; None if somebody may."""
        limit = self._settings.clients_limit
        if limit is not None and self.total >= limit:
            return Ending(EndingCode.FULL, f"server full: limit of {limit} clients reached")
        return None

    def refusal(self, source: Source, now: float) -> Ending | None:
        """Why there may be no connection from there at the time `now`, in seconds; None if there may, and it counts."""
        settings = self._settings
        if _is_over(self._addresses[source.address], settings.clients_per_address):
            return Ending(
                EndingCode.CROWDED, f"{source.address}: limit of {settings.clients_per_address} clients reached"
            )
        if _is_over(self._subnets[source.subnet], settings.clients_per_subnet):
            return Ending(
                EndingCode.CROWDED, f"{source.subnet}: limit of {settings.clients_per_subnet} clients reached"
            )
        if settings.connect_rate is not None:
            due = max(now, self._due.get(source.payer, -inf)) + 1 / settings.connect_rate
            # Half of one more, for sums of fractions are not exact.
            if due > now + (settings.connect_burst + 0.5) / settings.connect_rate:
                return Ending(
                    EndingCode.HASTY, f"{source.payer} connects more than {settings.connect_rate:g} times a second"
                )
            self._due[source.payer] = due
        self._addresses[source.address] += 1
        self._subnets[source.subnet] += 1
        return None

    def release(self, source: Source) -> None:
        """A connection from there has ended."""
        for counter, key in ((self._addresses, source.address), (self._subnets, source.subnet)):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]

    def forget(self, now: float) -> None:
        """Forget those whose burst is whole again: what is kept is bounded by the connections of that time."""
        self._due = {payer: due for payer, due in self._due.items() if due > now}


def _is_over(count: int, limit: int | None) -> bool:
    return limit is not None and count >= limit
