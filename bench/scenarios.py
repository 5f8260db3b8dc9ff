"""What is measured: each point is one run of the load against one server."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
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
        text: what the load does, in a sentence or two.
        points: see `Point`.
        columns: the figures; the first is what plots and goals look at.
        without: the servers that cannot take part, although they have the mode.
    """

    name: str
    title: str
    text: str
    points: tuple[Point, ...]
    columns: tuple[Column, ...]
    without: frozenset[str] = frozenset()


# Their clients cannot both publish and hear, or hear themselves.
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


def _latency(readers: int, rate: int, mode: str = "relay") -> Point:
    options: dict[str, float] = {"readers": readers, "rate": rate, "seconds": 5}
    return Point(f"{_readers(readers)}, {rate:,}/s", "broadcast", options, mode)


def _store(readers: int, size: int = 100) -> Point:
    plain = _fan_out(readers, size)
    return Point(plain.label, plain.load, {**plain.options, "seconds": 5}, mode="store")


def _web(plain: Point) -> Point:
    """The same over HTTP."""
    return replace(plain, mode="web")


def _slow(readers: int, stalled: int) -> Point:
    label = f"{readers} read" + (f", {stalled} do not" if stalled else "")
    options = {"readers": readers, "stalled": stalled, "bytes": 1e9, "seconds": 30}
    return Point(label, "broadcast", options, mode="slow")


SCENARIOS: Final = (
    Scenario(
        "fan-out",
        "Fan-out at full speed",
        "One sender sends as fast as its messages reach all readers. A line has 100 bytes, unless the table says"
        " otherwise.",
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
        "The same in TLS 1.3, with AES-256-GCM and a P-256 key. The server encrypts every message for each reader.",
        (*(_tls(readers) for readers in (1, 10, 100, 1_000)), _tls(100, 16 << 10)),
        (_DELIVERIES, Column("server_us_per_delivery", "µs of the server's time for a delivery", lower_is_better=True)),
    ),
    Scenario(
        "latency",
        "Latency of a fan-out",
        "One sender sends lines of 100 bytes at a fixed rate. The latency of a line is the time from when it is due"
        " until the last reader has it.",
        (_latency(10, 5_000), _latency(100, 1_000), _latency(1_000, 100), _latency(10_000, 10)),
        _LATENCY,
    ),
    Scenario(
        "store",
        "Fan-out at full speed, stored on the disk",
        "The same from servers that store every message: hubbub as with `--store` (each commit forced to the disk, at"
        " once but behind the delivery), a JetStream stream in files with a consumer for each reader, and a Redis"
        " stream with an append-only file. These two force their files to the disk every second. With one reader, the"
        " figure is the rate at which one sender is recorded. *No store* is hubbub without one.",
        (_store(1), _store(100), _store(1, 16 << 10)),
        (_DELIVERIES, Column("payload_bytes_per_s", "MB/s of payload to all readers", 1e6)),
    ),
    Scenario(
        "store-latency",
        "Latency of a fan-out, stored on the disk",
        "As in the scenario *latency*, from the same servers that store every message.",
        (_latency(100, 1_000, mode="store"),),
        _LATENCY,
    ),
    Scenario(
        "web",
        "Fan-out at full speed to browsers",
        "The same to readers over HTTP: WebSocket and server-sent events (SSE), beside *hubbub*, which is that of plain"
        " TCP. hubbub's sender is one of plain TCP; the others' speak WebSocket. The load writes its requests by hand."
        " It takes frames and events apart, and compares what they carry.",
        (_web(_fan_out(100)), _web(_fan_out(1_000))),
        (_DELIVERIES, Column("wire_bytes_per_s", "MB/s on the wire", 1e6)),
    ),
    Scenario(
        "web-latency",
        "Latency of a fan-out to browsers",
        "As in the scenario *latency*, from the same servers.",
        (_web(_latency(1_000, 100)),),
        _LATENCY,
    ),
    Scenario(
        "chat",
        "Chat",
        "Every client speaks. It sends its next line of 100 bytes as soon as all others have its last one.",
        tuple(Point(f"{clients} clients", "chat", {"readers": clients}) for clients in (10, 100, 1_000)),
        (_DELIVERIES,),
        _CANNOT_CHAT,
    ),
    Scenario(
        "chat-rate",
        "Chat at a rate",
        "Each of 100 clients sends ten lines of 100 bytes a second. The latency of a line is the time from when it is"
        " due until the last client has it.",
        (Point("100 clients, 10/s each", "chat", {"readers": 100, "rate": 10, "seconds": 5}),),
        _LATENCY,
        _CANNOT_CHAT,
    ),
    Scenario(
        "echo",
        "Echo",
        "Each connection sends a line of 100 bytes, waits for the answer, and sends the next line.",
        tuple(
            Point(f"{clients:,} connection{'s' if clients > 1 else ''}", "echo", {"readers": clients}, mode="echo")
            for clients in (1, 64, 1_000)
        ),
        (Column("answers_per_s", "thousand answers/s", 1e3), *_LATENCY[:2]),
    ),
    Scenario(
        "post",
        "Messages by POST",
        "Each connection posts a message of 100 bytes, waits for the answer, and posts the next one.",
        (Point("64 connections", "post", {"readers": 64}, mode="post"),),
        (Column("answers_per_s", "thousand answers/s", 1e3), *_LATENCY[:2]),
    ),
    Scenario(
        "body",
        "Lines in the body of one POST",
        "One sender posts lines of 100 bytes in a body that hardly ends, as `curl -T` does. A reader of plain TCP has"
        " them. Beside it is a sender of plain TCP.",
        (replace(_fan_out(1), mode="body"),),
        (_DELIVERIES,),
    ),
    Scenario(
        "connect",
        "Connection rate",
        "64 clients at a time connect, send a line, get an answer and close; then each does it again.",
        (Point("64 at a time", "connect", mode="answer"),),
        (Column("connections_per_s", "thousand connections/s", 1e3),),
    ),
    Scenario(
        "storm",
        "10,000 connections at once",
        "10,000 clients connect at once. The figure is the time until the last one has its answer.",
        (Point("10,000 at once", "storm", {"readers": 10_000}, mode="answer"),),
        (Column("seconds", "seconds", lower_is_better=True),),
    ),
    Scenario(
        "idle",
        "Memory of an idle connection",
        "The growth of the server's process when 10,000 clients connect and then stay silent.",
        (Point("10,000 idle", "hold", {"readers": 10_000}, mode="answer"),),
        (Column("bytes_per_connection", "bytes/connection", lower_is_better=True),),
    ),
    Scenario(
        "slow",
        "Slow clients",
        "One sender sends 1 GB in lines of 100 bytes as fast as the readers take it. Some clients never read. They stay"
        " connected throughout (`--when-slow skip`).",
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
        "1,000 readers are spread over the rooms. In each round, every reader gets one line of 1 KiB, so the bytes of a"
        " round are the same for any number of rooms. The next round starts when all readers have this one.",
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
