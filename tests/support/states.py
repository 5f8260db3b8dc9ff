"""The state of a server as `GET /status` shows it, made by hand."""

from __future__ import annotations

from typing import Any

from hubbub.cli.top_look import Look, make_look

COUNTS = {"clients": 2, "rooms": 1, "accepted": 3, "muted": 0, "slowed": 0, "unheard": 0, "tails": 0}

STORE = {"pending": 0, "size": 2048, "commit_p50": 0.001, "commit_p99": 0.0025, "out": False}


def room(name: str = "root", **fields: Any) -> dict[str, Any]:
    """A room in which nothing was said, but for what is given."""
    usual = {
        "name": name,
        "readers": 1,
        "position": "5f0c6d0a6b0e8f3d:0",
        "messages": 0,
        "bytes": 0,
        "retained": {"messages": 0, "bytes": 0},
        "rate": {"messages": 0.0, "bytes": 0.0},
    }
    return {**usual, **fields}


def connection(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A connection that has said and heard nothing, but for what is given."""
    usual = {
        "id": f"{number:08x}",
        "name": f"192.0.2.1:{number}",
        "key": None,
        "via": "tcp",
        "role": "both",
        "room": "root",
        "rooms": 1,
        "age": 1.0,
        "lag": {"messages": 0, "bytes": 0},
        "muted": False,
        "heard": 0,
        "said": 0,
    }
    return {**usual, **fields}


def page(*connections: dict[str, Any], uptime: float = 10, started: int = 0, **fields: Any) -> dict[str, Any]:
    """An answer of a server that was started at that second of a minute, and still runs in that minute."""
    figures = {**COUNTS, "endings": {}, "store": None, **fields.pop("figures", {})}
    usual = {
        "time": f"2026-11-29T12:00:{started + uptime:09.6f}Z",
        "uptime": uptime,
        "urls": ["http://127.0.0.1:8080"],
        "trouble": None,
        "figures": figures,
        "rooms": [room()],
        "connections": list(connections),
        "more": False,
    }
    return {**usual, **fields}


def look(*connections: dict[str, Any], before: Look | None = None, **fields: Any) -> Look:
    """A look at such a server."""
    return make_look([page(*connections, **fields)], before)
