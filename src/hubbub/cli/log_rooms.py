"""The rooms of a store, as `hubbub log` lists them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..log.as_json import json_line
from ..stores.reading import NoSuchRoom
from ..stores.room_reading import RoomReader
from ..values.text import printable
from ..values.units import readable
from .log_messages import written_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..stores.reading import StoreReader

_TITLES: Final = ("ROOM", "MESSAGES", "SIZE", "TERMS", "FIRST", "LAST", "FRAMING")
_NUMBERS: Final = frozenset({"MESSAGES", "SIZE", "TERMS"})


@dataclass(frozen=True)
class Overview:
    """What is said of a room."""

    room: RoomReader
    first_time: float | None

    @property
    def size(self) -> int:
        """Counted bytes: those of the messages, and what each batch counts besides."""
        return self.room.head.offset - self.room.start.offset

    def as_json(self) -> dict[str, Any]:
        """It as an object of JSON."""
        room, first, last = self.room, None, None
        if self.first_time is not None:
            first = {"position": str(room.position(room.start.seq + 1)), "time": written_time(self.first_time)}
            last = {"position": str(room.position(room.head.seq)), "time": written_time(room.time)}
        return {
            "room": room.name,
            "framing": room.framing,
            "messages": room.head.seq - room.start.seq,
            "size": self.size,
            "first": first,
            "last": last,
            "terms": [{"term": term.name, "first": term.first, "last": term.last} for term in room.terms],
        }

    def as_row(self) -> Sequence[str]:
        """It as the cells of a table."""
        room, first, last = self.room, "-", "-"
        if self.first_time is not None:
            first = f"{room.start.seq + 1} {written_time(self.first_time, 'seconds')}"
            last = f"{room.head.seq} {written_time(room.time, 'seconds')}"
        count = f"{room.head.seq - room.start.seq:,}"
        return printable(room.name), count, readable(self.size), str(len(room.terms)), first, last, room.framing


def overviews(store: StoreReader) -> Iterator[Overview]:
    """The rooms of a store, in the order of their names.

    Raises:
        Damage, StoreError: they cannot be read.
    """
    for name in store.names():
        # It may have been deleted meanwhile.
        with suppress(NoSuchRoom):
            room = RoomReader(store, name)
            yield Overview(room, room.first_time())


def rooms_as_json(store: StoreReader) -> Iterator[bytes]:
    """An object on each line.

    Raises:
        Damage, StoreError: they cannot be read.
    """
    for overview in overviews(store):
        yield json_line(overview.as_json())


def rooms_as_table(store: StoreReader) -> Iterator[bytes]:
    """A table for people.

    Raises:
        Damage, StoreError: they cannot be read.
    """
    rows = [_TITLES, *(overview.as_row() for overview in overviews(store))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if title in _NUMBERS else cell.ljust(width)
            for title, cell, width in zip(_TITLES, row, widths, strict=True)
        ]
        yield f"{'  '.join(cells).rstrip()}\n".encode()
