"""What is measured: each point is one run of the load against one server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True)
class Point:
    """One run of the load.

    Attributes:
        label: its column in the table.
        load: the load's scenario.
        options: the load's options, by name.
        mode: how the server is started; see `Peer.commands`.
    """

    label: str
    load: str
    options: dict[str, float] = field(default_factory=dict)
    mode: str = "relay"


@dataclass(frozen=True)
class Column:
    """A figure of the load's, as the table shows it.

    Attributes:
        key: its name in the load's result.
        unit: what it is divided by, in words.
        divisor: what it is divided by.
        lower_is_better: which way to look.
    """

    key: str
    unit: str
    divisor: float = 1.0
    lower_is_better: bool = False


@dataclass(frozen=True)
class Scenario:
    """Points that belong in one table.

    Attributes:
        name: for the command line and the file of results.
        title: the table's heading.
        text: what is done, in a sentence or two.
        points: see `Point`.
        columns: the figures; the first is what plots and goals look at.
        without: who cannot take part, though it has the mode.
    """

    name: str
    title: str
    text: str
    points: tuple[Point, ...]
    columns: tuple[Column, ...]
    without: frozenset[str] = frozenset()


# Their clients cannot publish and hear, or hear themselves.
_CANNOT_CHAT: Final = frozenset({"Redis", "Mosquitto"})
_DELIVERIES: Final = Column("deliveries_per_s", "million deliveries/s", 1e6)
_LATENCY: Final = (
    Column("p50_us", "p50, µs", lower_is_better=True),
    Column("p99_us", "p99, µs", lower_is_better=True),
    Column("p999_us", "p99.9, µs", lower_is_better=True),
)


def _readers(count: int) -> str:
    return f"{count:,} reader{'s' if count > 1 else ''}"


def _fan_out(readers: int, size: int = 100) -> Point:
    label = _readers(readers) + (f", {size >> 10} KiB" if size >= 1024 else "")
    return Point(label, "broadcast", {"readers": readers, "size": size})


def _tls(readers: int, size: int = 100) -> Point:
    plain = _fan_out(readers, size)
    return Point(plain.label, plain.load, {**plain.options, "tls": 1}, mode="tls")


def _latency(readers: int, rate: int) -> Point:
    return Point(f"{_readers(readers)}, {rate:,}/s", "broadcast", {"readers": readers, "rate": rate, "seconds": 5})


def _slow(readers: int, stalled: int) -> Point:
    label = f"{readers} read" + (f", {stalled} do not" if stalled else "")
    options = {"readers": readers, "stalled": stalled, "bytes": 1e9, "seconds": 30}
    return Point(label, "broadcast", options, mode="slow")


SCENARIOS: Final = (
    Scenario(
        "fan-out",
        "Fan-out at full speed",
        "One sender sends as fast as its messages reach all readers. Lines have 100 bytes, or what the column says.",
        (
            *(_fan_out(readers) for readers in (1, 10, 100, 1_000, 10_000)),
            _fan_out(100, 1 << 10),
            _fan_out(100, 16 << 10),
        ),
        (_DELIVERIES,),
    ),
    Scenario(
        "tls",
        "Fan-out at full speed in TLS",
        "The same in TLS 1.3 with AES-256-GCM and a key on the curve P-256. Each reader has its own encryption.",
        (*(_tls(readers) for readers in (1, 10, 100, 1_000)), _tls(100, 16 << 10)),
        (_DELIVERIES, Column("server_us_per_delivery", "µs of the server's time for a delivery", lower_is_better=True)),
    ),
    Scenario(
        "latency",
        "Latency of a fan-out",
        "One sender sends messages of 100 bytes at a fixed rate. The time counts from when a message is due until the"
        " last reader has it.",
        (_latency(10, 5_000), _latency(100, 1_000), _latency(1_000, 100), _latency(10_000, 10)),
        _LATENCY,
    ),
    Scenario(
        "chat",
        "Chat",
        "Every client sends lines of 100 bytes: the next one as soon as all others have received the last one.",
        tuple(Point(f"{clients} clients", "chat", {"readers": clients}) for clients in (10, 100, 1_000)),
        (_DELIVERIES,),
        _CANNOT_CHAT,
    ),
    Scenario(
        "chat-rate",
        "Chat at a rate",
        "100 clients send ten lines of 100 bytes a second each. The time counts until the last client has a line.",
        (Point("100 clients, 10/s each", "chat", {"readers": 100, "rate": 10, "seconds": 5}),),
        _LATENCY,
        _CANNOT_CHAT,
    ),
    Scenario(
        "echo",
        "Echo",
        "Each connection sends a line of 100 bytes, and sends the next one when it has the answer.",
        tuple(
            Point(f"{clients:,} connection{'s' if clients > 1 else ''}", "echo", {"readers": clients}, mode="echo")
            for clients in (1, 64, 1_000)
        ),
        (Column("answers_per_s", "thousand answers/s", 1e3), *_LATENCY[:2]),
    ),
    Scenario(
        "connect",
        "Connection rate",
        "64 clients at a time connect, wait for an answer and close.",
        (Point("64 at a time", "connect", mode="answer"),),
        (Column("connections_per_s", "thousand connections/s", 1e3),),
    ),
    Scenario(
        "storm",
        "10,000 connections at once",
        "All clients connect at once. The time counts until the last one has an answer.",
        (Point("10,000 at once", "storm", {"readers": 10_000}, mode="answer"),),
        (Column("seconds", "seconds", lower_is_better=True),),
    ),
    Scenario(
        "idle",
        "Memory of an idle connection",
        "How much the server's process grows when 10,000 clients connect and then send nothing more.",
        (Point("10,000 idle", "hold", {"readers": 10_000}, mode="answer"),),
        (Column("bytes_per_connection", "bytes/connection", lower_is_better=True),),
    ),
    Scenario(
        "slow",
        "Slow clients",
        "1 GB of 100-byte lines passes as fast as the other clients take it, while some clients never read. Those stay"
        " connected all the time (`--when-slow skip`).",
        (_slow(99, 0), _slow(99, 1), _slow(50, 0), _slow(50, 50)),
        (
            Column("messages_per_s", "million messages/s for each reader", 1e6),
            Column("server_memory", "MiB in the server", 1 << 20, lower_is_better=True),
            Column("kernel_memory", "MiB in the kernel", 1 << 20, lower_is_better=True),
        ),
    ),
    Scenario(
        "rooms",
        "Many rooms",
        "1,000 readers are spread over the rooms. Each round gives every reader one line of 1 KiB, so the same number"
        " of bytes is written at once for any number of rooms. The next round starts when all readers have the line.",
        tuple(
            Point(
                f"{rooms:,} room{'s' if rooms > 1 else ''}",
                "rooms",
                {"readers": 1000, "rooms": rooms, "size": 1024},
                mode="rooms",
            )
            for rooms in (1, 10, 1_000)
        ),
        (Column("server_us_per_delivery", "µs of the server's time for a delivery", lower_is_better=True),),
    ),
)
