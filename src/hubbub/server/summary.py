"""What a server is doing at this moment, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .server import Server

SLOWEST: Final = 10
"""How many of the slowest clients are named."""


def describe(server: Server[Any]) -> list[str]:
    """Its figures, its rooms, and the clients that are furthest behind: one line each."""
    statistics = server.statistics()
    endings = ", ".join(f"{code} {count}" for code, count in sorted(statistics.endings.items())) or "none"
    lines = [
        f"clients: {statistics.clients}; rooms: {statistics.rooms}; accepted: {statistics.accepted}; ended: {endings}; "
        f"held to their rate: {statistics.slowed} times; muted: {statistics.muted}; "
        f"messages unheard: {statistics.unheard}, dropped without their end: {statistics.tails}",
    ]
    for room in server.rooms.values():
        retained = room.head.seq - room.oldest.seq
        lines.append(f"room {room}: clients: {len(room)}; messages retained: {retained}; head: {room.head}")
    readers = [client for client in server.clients if client.role.hears]
    lags = sorted(((client.lag, client.name) for client in readers), reverse=True, key=lambda one: one[0].bytes)
    for lag, name in lags[:SLOWEST]:
        lines.append(f"{name} lags by {lag.messages} messages, {lag.bytes} bytes")
    return lines
