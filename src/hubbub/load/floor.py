"""How far the slowest reader of a sender is."""

from __future__ import annotations


class Floor:
    """How far the slowest of some readers is, kept at little cost: all of them are looked at only when it rises.

    Args:
        readers: how many there are.

    Attributes:
        level: the place that all readers have reached.
        places: the place that each of them has reached.
    """

    __slots__ = ("_at_level", "level", "places")

    def __init__(self, readers: int) -> None:
        self.level = 0
        self.places = [0] * readers
        self._at_level = readers

    def move(self, reader: int, place: int) -> bool:
        """Note that a reader has reached a later place; whether the floor has risen by it."""
        was_at_level = self.places[reader] == self.level
        self.places[reader] = place
        if not was_at_level:
            return False
        self._at_level -= 1
        if self._at_level:
            return False
        self.level = min(self.places)
        self._at_level = self.places.count(self.level)
        return True
