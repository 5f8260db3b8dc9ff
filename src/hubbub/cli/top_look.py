"""What a server says of itself in `GET /status`, as rows to show, and what has happened between two such looks.

It does no I/O. All text is made safe to show here, once, since names come from the network.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from math import fsum
from typing import TYPE_CHECKING, Any, Final

from ..log.rates import Rate
from ..values.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TEXT_LIMIT: Final = 200
"""How many characters of a text are taken. Those of hubbub's own are shorter."""

NUMBER_LIMIT: Final = 1 << 63
"""All numbers are smaller. What is not can only come from something else than hubbub."""

CLOCK_SLACK: Final = 1.0
"""By how many seconds the start of a server may seem to move while it is the same one: its clock may be set."""


class NotAStateError(ValueError):
    """What was answered is not the state of a hubbub."""


@dataclass(frozen=True, slots=True)
class RoomRow:
    """A room.

    Attributes:
        seen: when it was seen, as seconds since the start of the server.
        position: the place after its newest message.
        bytes: counted bytes that it has had.
        retained: how many of them are in memory.
        rate: what comes in a second, since the look before; in the first look, what the server says of the last minute.
    """

    seen: float
    name: str
    readers: int
    position: str
    messages: int
    bytes: int
    retained: int
    rate: Rate


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """A connection.

    Attributes:
        seen: when it was seen, as seconds since the start of the server.
        key: the name of its key; "-" without one.
        lag: how far it is behind, in messages.
        lag_bytes: the same in bytes.
        heard: its place in its rooms.
        said: how many bytes it has sent.
        heard_rate: messages that it hears per second; None where two looks cannot be compared.
        said_rate: bytes that it sends per second; None where two looks cannot be compared.
    """

    seen: float
    id: str
    name: str
    key: str
    via: str
    role: str
    room: str
    rooms: int
    age: float
    lag: int
    lag_bytes: int
    heard: int
    said: int
    heard_rate: float | None
    said_rate: float | None


@dataclass(frozen=True, slots=True)
class StoreFigures:
    """What is shown of a store: sizes in bytes, times in seconds."""

    pending: int
    size: int
    commit_p50: float
    commit_p99: float
    out: bool


@dataclass(frozen=True, slots=True)
class Look:
    """The state of a server.

    Attributes:
        uptime: seconds since its start.
        started: when that was, by its own clock, in seconds since 1970.
        trouble: why it is not ready for more clients; None: it is.
        figures: its counts, by their names.
        endings: how many connections ended, by code.
        store: its figures; None if the server has no store.
        rooms: by their names.
        connections: by their ids.
        more: whether there are more rooms or connections than these.
        said: what comes into all rooms in a second: messages, and counted bytes.
        heard: how many messages all connections hear in a second; None: there was no look before.
    """

    uptime: float
    started: float
    trouble: str | None
    figures: Mapping[str, int]
    endings: Mapping[str, int]
    store: StoreFigures | None
    rooms: Mapping[str, RoomRow]
    connections: Mapping[str, ConnectionRow]
    more: bool
    said: Rate
    heard: float | None


COUNTS: Final = ("clients", "rooms", "accepted", "muted", "slowed", "unheard", "tails")
"""The figures that are counts."""


def parse_page(data: bytes) -> Mapping[str, Any]:
    """An answer to `GET /status`.

    Raises:
        NotAStateError: it is not one.
    """
    try:
        page = json.loads(data)
    except (ValueError, RecursionError):
        raise NotAStateError from None
    if not isinstance(page, dict):
        raise NotAStateError
    return page


def make_look(pages: Sequence[Mapping[str, Any]], before: Look | None) -> Look:
    """What several answers say together, and how it differs from an earlier look.

    Rooms and connections that moved between two answers are in both, or in none until the next look.

    Raises:
        NotAStateError: one of them is not the state of a hubbub.
    """
    try:
        return _make_look(pages, before)
    except (LookupError, TypeError, ValueError, AttributeError):
        # What is missing, or is something else, does not matter: a hubbub has it.
        raise NotAStateError from None


def _make_look(pages: Sequence[Mapping[str, Any]], before: Look | None) -> Look:
    last = pages[-1]
    uptime = _number(last["uptime"])
    started = datetime.fromisoformat(last["time"]).timestamp() - uptime
    # Another server, or the same one after a restart, counts from zero.
    if before is not None and abs(started - before.started) > CLOCK_SLACK:
        before = None
    figures = last["figures"]
    rooms: dict[str, RoomRow] = {}
    connections: dict[str, ConnectionRow] = {}
    for page in pages:
        seen = _number(page["uptime"])
        for fields in page["rooms"]:
            room = _room(fields, seen, before)
            rooms[room.name] = room
        for fields in page["connections"]:
            connection = _connection(fields, seen, before)
            connections[connection.id] = connection
    rates = [room.rate for room in rooms.values()]
    heard = [row.heard_rate for row in connections.values() if row.heard_rate is not None]
    return Look(
        uptime=uptime,
        started=started,
        trouble=None if last["trouble"] is None else _text(last["trouble"]),
        figures={name: _count(figures[name]) for name in COUNTS},
        endings={_text(code): _count(number) for code, number in figures["endings"].items()},
        store=None if figures["store"] is None else _store(figures["store"]),
        rooms=rooms,
        connections=connections,
        more=bool(last["more"]),
        said=Rate(fsum(rate.messages for rate in rates), fsum(rate.bytes for rate in rates)),
        heard=fsum(heard) if before is not None else None,
    )


def _room(fields: Mapping[str, Any], seen: float, before: Look | None) -> RoomRow:
    name, position = _text(fields["name"]), _text(fields["position"])
    messages, size = _count(fields["messages"]), _count(fields["bytes"])
    rate = Rate(_number(fields["rate"]["messages"]), _number(fields["rate"]["bytes"]))
    earlier = before.rooms.get(name) if before is not None else None
    # A room that went and came again has another term.
    if earlier is not None and _term(earlier.position) == _term(position):
        said = _rate(messages - earlier.messages, seen - earlier.seen)
        counted = _rate(size - earlier.bytes, seen - earlier.seen)
        rate = Rate(said, counted) if said is not None and counted is not None else rate
    retained = _count(fields["retained"]["bytes"])
    return RoomRow(seen, name, _count(fields["readers"]), position, messages, size, retained, rate)


def _connection(fields: Mapping[str, Any], seen: float, before: Look | None) -> ConnectionRow:
    name = _text(fields["id"])
    rooms, heard, said = _count(fields["rooms"]), _count(fields["heard"]), _count(fields["said"])
    earlier = before.connections.get(name) if before is not None else None
    heard_rate = said_rate = None
    if earlier is not None:
        said_rate = _rate(said - earlier.said, seen - earlier.seen)
        # Whoever joins a room does not hear all that was said there before.
        if earlier.rooms == rooms:
            heard_rate = _rate(heard - earlier.heard, seen - earlier.seen)
    return ConnectionRow(
        seen=seen,
        id=name,
        name=_text(fields["name"]),
        key="-" if fields["key"] is None else _text(fields["key"]),
        via=_text(fields["via"]),
        # What it takes now matters more than what it may do.
        role="muted" if fields["muted"] else _text(fields["role"]),
        room=_text(fields["room"]),
        rooms=rooms,
        age=_number(fields["age"]),
        lag=_count(fields["lag"]["messages"]),
        lag_bytes=_count(fields["lag"]["bytes"]),
        heard=heard,
        said=said,
        heard_rate=heard_rate,
        said_rate=said_rate,
    )


def _store(fields: Mapping[str, Any]) -> StoreFigures:
    return StoreFigures(
        _count(fields["pending"]),
        _count(fields["size"]),
        _number(fields["commit_p50"]),
        _number(fields["commit_p99"]),
        bool(fields["out"]),
    )


def _rate(count: int, seconds: float) -> float | None:
    """So many in so long, as a rate; None where something began again meanwhile."""
    return count / seconds if count >= 0 and seconds > 0 else None


def _term(position: str) -> str:
    return position.partition(":")[0]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    # A tab is harmless, but not within a column.
    return printable(value[:TEXT_LIMIT]).replace("\t", r"\t")


def _number(value: object) -> float:
    # NaN is in no range.
    if not isinstance(value, (int, float)) or not 0 <= value < NUMBER_LIMIT:
        raise ValueError
    return value


def _count(value: object) -> int:
    return int(_number(value))
