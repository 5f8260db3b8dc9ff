"""Where the readers of a room stand that are behind, by chunk: so retention and the hold look at the oldest ones only.

A cursor that is behind is *moving* as long as its reader's socket has taken something a moment ago, and *still*
otherwise. Once retention has passed it, and its policy lets it stay, it is *adrift*: it costs nothing more, once it is
still, until it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from ..log.chunk import Chunk
    from ..log.cursor import Cursor

Seat = TypeVar("Seat", bound="Cursor[Any, Any]")
Key = TypeVar("Key")


class Stragglers(Generic[Seat]):
    """The cursors of one log that are behind."""

    def __init__(self) -> None:
        self._moving: dict[Chunk, dict[Seat, None]] = {}
        self._still: dict[Chunk, dict[Seat, None]] = {}
        # By token, for what a dropped chunk excludes does so by token.
        self._adrift: dict[int, dict[Seat, None]] = {}
        # Those of them that are moving.
        self._drifting: dict[Seat, None] = {}

    def __bool__(self) -> bool:
        return bool(self._moving or self._still or self._adrift)

    def add(self, cursor: Seat, chunk: Chunk, *, holds: bool = True) -> None:
        """A cursor stands in `chunk`, and its reader has just taken something, or may yet.

        Unless it `holds` senders, it counts as still.
        """
        cursor.chunk = chunk
        places = self._moving if holds else self._still
        places.setdefault(chunk, {})[cursor] = None

    def remove(self, cursor: Seat) -> None:
        """A cursor is read, or its reader has gone."""
        if cursor.chunk is not None:
            places = self._moving if cursor in self._moving.get(cursor.chunk, ()) else self._still
            _remove(cursor, places, cursor.chunk)
            cursor.chunk = None
        else:
            _remove(cursor, self._adrift, cursor.token)
            self._drifting.pop(cursor, None)

    def merge(self, chunk: Chunk, later: Chunk) -> None:
        """`chunk` has taken in `later`, and so those who stand there."""
        for places in (self._moving, self._still):
            if moved := places.pop(later, None):
                places.setdefault(chunk, {}).update(moved)
                for cursor in moved:
                    cursor.chunk = chunk

    def set_adrift(self, chunk: Chunk) -> list[Seat]:
        """The log has dropped `chunk`: those who stood there, who are adrift now."""
        moving = self._moving.pop(chunk, {})
        self._drifting.update(moving)
        overrun = [*moving, *self._still.pop(chunk, ())]
        for cursor in overrun:
            cursor.chunk = None
            self._adrift.setdefault(cursor.token, {})[cursor] = None
        if self._adrift:
            for token in chunk.excluded:
                for cursor in self._adrift.get(token, ()):
                    cursor.pass_over(chunk)
        return overrun

    def hold(self, limit: int, since: float) -> bool:
        """Whether a reader before `limit`, in counted bytes, has taken something since the time `since`."""
        _stop(self._drifting, since)
        if self._drifting:
            return True
        return any(self._holds(chunk, since) for chunk in list(self._moving) if chunk.start.offset < limit)

    def _holds(self, chunk: Chunk, since: float) -> bool:
        """Whether a reader in `chunk` has taken something; those before it that have not are still."""
        moving = self._moving[chunk]
        if still := _stop(moving, since):
            self._still.setdefault(chunk, {}).update(still)
        if not moving:
            del self._moving[chunk]
        return bool(moving)


def _stop(moving: dict[Seat, None], since: float) -> dict[Seat, None]:
    """Take out those that have taken nothing since the time `since`, up to the first one that has."""
    still: dict[Seat, None] = {}
    for cursor in moving:
        if cursor.reader.moved_at > since:
            break
        still[cursor] = None
    for cursor in still:
        del moving[cursor]
    return still


def _remove(cursor: Seat, places: dict[Key, dict[Seat, None]], key: Key) -> None:
    """Take a cursor from one of many places; the last takes its place along."""
    del places[key][cursor]
    if not places[key]:
        del places[key]
