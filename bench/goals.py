"""What hubbub wants to be, as ratios of figures that were measured in one run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .catalogue import (
    HUBBUB,
    JETSTREAM,
    LIMIT,
    NATS_WEBSOCKET,
    NCHAN,
    NCHAN_SSE,
    NODE_WS,
    POST,
    REDIS_STREAMS,
    SSE,
    STORELESS,
    WEBSOCKET,
    WEBSOCKETS,
)
from .measure import ratio

if TYPE_CHECKING:
    from .report import Report


@dataclass(frozen=True)
class Ratio:
    """hubbub's figure at a point over another figure of the same scenario.

    Attributes:
        scenario: its name.
        point: the label of hubbub's point.
        key: the figure.
        bound: what the ratio is held against.
        at_most: whether the ratio is not to be higher; otherwise not lower.
        peer: whose figure it is divided by.
        over: the point of that figure; the same, if empty.
        own: which hubbub has the first figure.
    """

    scenario: str
    point: str
    key: str
    bound: float
    at_most: bool = False
    peer: str = HUBBUB
    over: str = ""
    own: str = HUBBUB

    def measure(self, report: Report) -> float | None:
        """The ratio, if both figures were measured."""
        own = report.find(self.scenario, self.point, self.own)
        return ratio(own, report.find(self.scenario, self.over or self.point, self.peer), self.key)

    def holds(self, ratio: float) -> bool:
        """Whether the goal is reached."""
        return ratio <= self.bound if self.at_most else ratio >= self.bound

    def __str__(self) -> str:
        against = f"itself, {self.over}" if self.over else self.peer
        return f"{'at most' if self.at_most else 'at least'} {self.bound:g} times {against}"


@dataclass(frozen=True)
class Absolute:
    """A bound on a figure of hubbub's own.

    Attributes:
        own: see `Ratio`.
        at_most: whether the figure is not to be higher; otherwise not lower.
    """

    scenario: str
    point: str
    key: str
    bound: float
    unit: str
    at_most: bool = True
    own: str = HUBBUB

    def measure(self, report: Report) -> float | None:
        """The figure, if it was measured."""
        figure = report.find(self.scenario, self.point, self.own).figure(self.key)
        return figure.median if figure else None

    def holds(self, figure: float) -> bool:
        """Whether the goal is reached."""
        return figure <= self.bound if self.at_most else figure >= self.bound

    def __str__(self) -> str:
        return f"{'at most' if self.at_most else 'at least'} {self.bound:,.0f} {self.unit}"


_FULL_SPEED: Final = {"NATS": 10, "Redis": 8, "Node, net": 50, LIMIT: 0.85}
_SOCKETS: Final = {WEBSOCKETS: 10, NATS_WEBSOCKET: 5, NCHAN: 3, NODE_WS: 5}
_RATE: Final = "deliveries_per_s"

GOALS: Final[tuple[Ratio | Absolute, ...]] = (
    *(
        Ratio("fan-out", point, _RATE, bound, peer=peer)
        for point in ("100 readers", "1,000 readers")
        for peer, bound in _FULL_SPEED.items()
    ),
    Ratio("fan-out", "1 reader", _RATE, 1, peer="NATS"),
    Ratio("fan-out", "10 readers", _RATE, 2.5, peer="NATS"),
    Ratio("latency", "1,000 readers, 100/s", "p50_us", 1.15, at_most=True, peer=LIMIT),
    Ratio("latency", "1,000 readers, 100/s", "p99_us", 1, at_most=True, peer="Redis"),
    Ratio("latency", "10 readers, 5,000/s", "p50_us", 1.2, at_most=True, peer=LIMIT),
    Ratio("store", "100 readers", _RATE, 0.9, peer=STORELESS),
    *(
        Ratio("store", point, _RATE, 1, peer=peer)
        for point in ("1 reader", "100 readers")
        for peer in (JETSTREAM, REDIS_STREAMS)
    ),
    Ratio("store-latency", "100 readers, 1,000/s", "p50_us", 1.1, at_most=True, peer=STORELESS),
    *(
        goal
        for point in ("100 readers", "1,000 readers")
        for goal in (
            Ratio("web", point, "wire_bytes_per_s", 0.6, own=SSE),
            Ratio("web", point, _RATE, 3, peer=NCHAN_SSE, own=SSE),
            Ratio("web", point, _RATE, 0.7, own=WEBSOCKET),
            *(Ratio("web", point, _RATE, bound, peer=peer, own=WEBSOCKET) for peer, bound in _SOCKETS.items()),
        )
    ),
    *(Ratio("web-latency", "1,000 readers, 100/s", "p50_us", 1.2, at_most=True, own=own) for own in (SSE, WEBSOCKET)),
    Absolute("post", "64 connections", "answers_per_s", 10_000, "answers a second", at_most=False, own=POST),
    Ratio("body", "1 reader", _RATE, 0.3, own=POST),
    Ratio("chat", "100 clients", _RATE, 5, peer="asyncio protocols"),
    Ratio("echo", "64 connections", "answers_per_s", 1.3, peer="asyncio streams"),
    Ratio("connect", "64 at a time", "connections_per_s", 0.5, peer="Redis"),
    Absolute("storm", "10,000 at once", "connections", 10_000, "connections that are answered", at_most=False),
    Absolute("idle", "10,000 idle", "bytes_per_connection", 4096, "bytes"),
    *(
        Ratio("idle", "10,000 idle", "bytes_per_connection", 1, at_most=True, peer=peer)
        for peer in ("Node, net", "Redis", "NATS")
    ),
    Ratio("slow", "99 read, 1 do not", "messages_per_s", 0.95, over="99 read"),
    Ratio("slow", "50 read, 50 do not", "messages_per_s", 0.95, over="50 read"),
    Absolute("slow", "99 read, 1 do not", "server_memory", (16 + 64) << 20, "bytes (retention + 64 MiB)"),
    Absolute("slow", "50 read, 50 do not", "server_memory", (16 + 64) << 20, "bytes (retention + 64 MiB)"),
    Ratio("rooms", "10 rooms", "server_us_per_delivery", 3, at_most=True, over="1 room"),
    Ratio("rooms", "1,000 rooms", "server_us_per_delivery", 3, at_most=True, over="1 room"),
)
