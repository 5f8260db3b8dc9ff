"""The state of the server as JSON: its figures, and its rooms and connections, some at a time."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ...log.as_json import rfc3339
from ...log.rates import rate_of
from ..page import Page, Shown
from ..requests import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...hub.room import Room
    from ...hub.session import Session
    from ..page import Watched
    from ..requests import Request

T = TypeVar("T")

LIMIT: Final = 100
"""Rooms, and connections, in an answer to a request that does not say how many."""

LARGEST_LIMIT: Final = 1000
"""The most that it may ask for."""

SLICE: Final = 50
"""So many of them are written before others have their turns."""


class _Status(Page):
    paths: tuple[str, ...] = ("/status",)

    async def show(self, request: Request, server: Watched) -> Shown:
        query = request.query({"offset", "limit"})
        first = _number(query, "offset", 0)
        limit = min(_number(query, "limit", LIMIT), LARGEST_LIMIT)
        # Both change while they are written.
        rooms = list(islice(server.rooms.values(), first, first + limit))
        readers = list(islice(server.readers, first, first + limit))
        fields = {
            "time": rfc3339(time.time()),
            "uptime": round(server.uptime, 3),
            "urls": server.urls,
            "places": [{"url": url, "room": room} for url, room in server.places],
            "trouble": server.trouble,
            "figures": asdict(server.statistics()),
            "more": first + limit < max(len(server.rooms), len(server.readers)),
        }
        lists = {"rooms": await _list(rooms, _room), "connections": await _list(readers, _connection)}
        behind = "".join(f', "{name}": {text}' for name, text in lists.items())
        return Shown(f"{json.dumps(fields)[:-1]}{behind}}}\n".encode(), "application/json")


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise Problem(HTTPStatus.BAD_REQUEST, f"{name} is {text!r}; it must be a whole number of up to 9 digits")
    return int(text)


async def _list(things: list[T], row: Callable[[T], dict[str, Any]]) -> str:
    """The row of each that has one, as a list of JSON. It is written a slice at a time."""
    rows: list[str] = []
    for first in range(0, len(things), SLICE):
        rows += [json.dumps(fields) for thing in things[first : first + SLICE] if (fields := row(thing))]
        await asyncio.sleep(0)
    return f"[{', '.join(rows)}]"


def _room(room: Room[Any]) -> dict[str, Any]:
    log = room.fan_out.log
    rate = rate_of(log, time.time())
    return {
        "name": room.name,
        "readers": len(room),
        "position": str(room.head),
        "messages": log.head.seq,
        "bytes": log.head.offset,
        "retained": {"messages": log.head.seq - log.oldest.seq, "bytes": log.head.offset - log.oldest.offset},
        "rate": {"messages": round(rate.messages, 3), "bytes": round(rate.bytes, 1)},
    }


def _connection(reader: Session[Any]) -> dict[str, Any]:
    if reader.ending is not None:
        # It is about to go.
        return {}
    client, lag = reader.client, reader.lag
    return {
        "id": f"{reader.token & 0xFFFF_FFFF:08x}",
        "name": str(client),
        "key": None if reader.held_key is None else reader.held_key.name,
        "via": reader.via,
        "role": reader.role,
        "room": client.room.name,
        "rooms": len(reader.cursors),
        "age": round(client.age, 3),
        "lag": {"messages": lag.messages, "bytes": lag.bytes},
        "muted": reader.muted and reader.role.hears,
        "heard": sum(cursor.at.seq for cursor in reader.cursors),
        "said": reader.link.bytes_received,
    }


PAGE: Final = _Status()
