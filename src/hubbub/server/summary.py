"""What a server is doing at this moment, in words."""

from __future__ import annotations

from collections import Counter
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
    if (store := statistics.store) is not None:
        lines.append(
            f"store: {'out' if store.out else 'takes all'}; bytes on disk: {store.size}, waiting: {store.pending}; "
            f"commits: {store.commits}, p50: {store.commit_p50 * 1000:.1f} ms, p99: {store.commit_p99 * 1000:.1f} ms"
        )
    for room in server.rooms.values():
        retained = room.head.seq - room.oldest.seq
        line = f"room {room}: clients: {len(room)}; messages retained: {retained}; head: {room.head}"
        if store is not None and room.name in store.committed:
            line += f"; committed: {store.committed[room.name]}; reads: {store.reads.get(room.name, 0)}"
        lines.append(line)
    keys = Counter(reader.held_key.name for reader in server._sessions.readers if reader.held_key)
    if named := [f"{name} {count}" for name, count in keys.items() if name is not None]:
        lines.append(f"connections with keys: {', '.join(sorted(named))}")
    readers = [reader for reader in server._sessions.readers if reader.ending is None and reader.role.hears]
    lags = sorted(((reader.lag, str(reader)) for reader in readers), reverse=True, key=lambda one: one[0].bytes)
    for lag, who in lags[:SLOWEST]:
        lines.append(f"{who} lags by {lag.messages} messages, {lag.bytes} bytes")
    return lines
