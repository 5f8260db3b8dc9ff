"""Finds what has stood still for too long, by looking now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

K = TypeVar("K", bound="Hashable")


class Unchanged(Generic[K]):
    """Compares the states of keys from look to look, so that nothing has to be noted when a state changes.

    Args:
        time: how long a state may stay the same, in seconds.
    """

    def __init__(self, time: float) -> None:
        self.time = time
        self._since: dict[K, tuple[float, float]] = {}

    def look(self, states: Iterable[tuple[K, float]], now: float) -> list[K]:
        """The keys whose state has been the same for `time` or longer. A key absent from `states` is forgotten."""
        before = self._since
        self._since = {}
        still: list[K] = []
        for key, state in states:
            seen, since = before.get(key, (None, now))
            if seen != state:
                since = now
            elif now - since >= self.time:
                still.append(key)
            self._since[key] = (state, since)
        return still
