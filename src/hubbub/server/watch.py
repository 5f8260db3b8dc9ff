"""A server as its pages see it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from ..hub.hub import Hub
    from ..hub.room import Room
    from ..hub.session import Session
    from ..hub.statistics import Statistics


class Watch:
    """What pages know of a server; see `Watched` of the layer below.

    Args:
        server: the server.
        readers: gives everybody who is connected.
        places: gives the rooms of the places where it listens, in the order of `urls`.
    """

    def __init__(
        self, server: Hub[Any], readers: Callable[[], Collection[Session[Any]]], places: Callable[[], Iterable[str]]
    ) -> None:
        self._server = server
        self._readers = readers
        self._places = places
        self._at = time.monotonic()

    @property
    def uptime(self) -> float:
        """Seconds since the server was made, even if the clock has jumped since."""
        return time.monotonic() - self._at

    @property
    def urls(self) -> tuple[str, ...]:
        """Where it listens."""
        return self._server.urls

    @property
    def places(self) -> Iterable[tuple[str, str]]:
        """The same, each with the name of its room."""
        return zip(self._server.urls, self._places(), strict=True)

    @property
    def rooms(self) -> Mapping[str, Room[Any]]:
        """Its rooms, by name."""
        return self._server._rooms

    @property
    def readers(self) -> Collection[Session[Any]]:
        """Everybody who is connected: clients, and readers of streams."""
        return self._readers()

    @property
    def clients_limit(self) -> int | None:
        """How many may be connected; None: any number."""
        return self._server.settings.clients_limit

    @property
    def trouble(self) -> str | None:
        """Why no more clients should be sent to it; None: they should. While it closes, nobody can ask."""
        store = self._server._store
        return "the store takes nothing: what is said is kept in memory alone" if store and store.out else None

    def statistics(self) -> Statistics:
        """Its figures."""
        return self._server.statistics()
