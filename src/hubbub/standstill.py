"""Who has stood still for how long, seen by looking now and then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

K = TypeVar("K", bound="Hashable")


class Standstill(Generic[K]):
    """Notices what stays the same from look to look, so that nothing has to be noted in between.

    Args:
        time: how long something may stay the same, in seconds.
    """

    def __init__(self, time: float) -> None:
        self.time = time
        self._since: dict[K, tuple[int, float]] = {}

    def look(self, states: Iterable[tuple[K, int]], now: float) -> list[K]:
        """Those whose state has been the same for `time` or longer; who is not among `states` starts anew."""
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
