"""The state of the server as JSON: its figures, and its rooms and connections, some at a time."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import fields
from functools import partial
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
    from ...hub.statistics import Statistics
    from ...log.store import StoreStatistics
    from ..page import Watched
    from ..requests import Request

T = TypeVar("T")

LIMIT: Final = 100
"""Rooms, and connections, in an answer to a request that does not say how many."""

LARGEST_LIMIT: Final = 1000
"""The most that it may ask for."""

SLICE: Final = 50
"""So many of them, and rooms that these read, are written before others have their turns."""


class _Status(Page):
    paths: tuple[str, ...] = ("/status",)

    async def show(self, request: Request, server: Watched) -> Shown:
        query = request.query({"offset", "limit"})
        first = _number(query, "offset", 0)
        limit = min(_number(query, "limit", LIMIT), LARGEST_LIMIT)
        # Both change while they are written.
        rooms = list(islice(server.rooms.values(), first, first + limit))
        readers = list(islice(server.readers, first, first + limit))
        figures = server.statistics()
        whole = {
            "time": rfc3339(time.time()),
            "uptime": round(server.uptime, 3),
            "urls": server.urls,
            "places": [{"url": url, "room": room} for url, room in server.places],
            "trouble": server.trouble,
            "figures": _figures(figures),
            "more": first + limit < max(len(server.rooms), len(server.readers)),
        }
        lists = {
            "rooms": await _list(rooms, partial(_room, figures.store)),
            "connections": await _list(readers, _connection, lambda reader: len(reader.cursors)),
        }
        behind = "".join(f', "{name}": {text}' for name, text in lists.items())
        return Shown(f"{json.dumps(whole)[:-1]}{behind}}}\n".encode(), "application/json")


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise Problem(HTTPStatus.BAD_REQUEST, f"{name} is {text!r}; it must be a whole number of up to 9 digits")
    return int(text)


def _figures(figures: Statistics) -> dict[str, Any]:
    """Those of the server as a whole: what there is for each room is told with the room."""
    whole = {field.name: getattr(figures, field.name) for field in fields(figures)}
    if (store := figures.store) is not None:
        names = [field.name for field in fields(store) if field.name not in ("committed", "reads")]
        whole["store"] = {name: getattr(store, name) for name in names}
    return whole


async def _list(
    things: list[T], row: Callable[[T], dict[str, Any]], more: Callable[[T], int] = lambda _thing: 0
) -> str:
    """The row of each that has one, as a list of JSON. It is written a slice at a time.

    Args:
        things: what has a row.
        row: makes it.
        more: how much more than one it counts.
    """
    rows: list[str] = []
    left = SLICE
    for thing in things:
        if written := row(thing):
            rows.append(json.dumps(written))
        left -= 1 + more(thing)
        if left <= 0:
            await asyncio.sleep(0)
            left = SLICE
    return f"[{', '.join(rows)}]"


def _room(store: StoreStatistics | None, room: Room[Any]) -> dict[str, Any]:
    log = room.fan_out.log
    rate = rate_of(log, time.monotonic())
    stored = (
        {} if store is None else {"committed": store.committed.get(room.name), "reads": store.reads.get(room.name, 0)}
    )
    return {
        "name": room.name,
        "readers": len(room),
        "position": str(room.head),
        "messages": log.head.seq,
        "bytes": log.head.offset,
        "retained": {"messages": log.head.seq - log.oldest.seq, "bytes": log.head.offset - log.oldest.offset},
        "rate": {"messages": round(rate.messages, 3), "bytes": round(rate.bytes, 1)},
        **stored,
    }


def _connection(reader: Session[Any]) -> dict[str, Any]:
    if reader.ending is not None:
        # It is about to go.
        return {}
    client, lag = reader.client, reader.lag
    return {
        "id": f"{reader.token & 0xFFFF_FFFF_FFFF:012x}",
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
