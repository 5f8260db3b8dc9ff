"""Watching a server: what it tells."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Generic, ParamSpec

from ..framing import M

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..hub.client import Client
    from ..values.address import Address
    from ..values.ending import Ending

logger = logging.getLogger("hubbub")

P = ParamSpec("P")


class Observer(Generic[M]):
    """Receives the events of a server. Derive from it, and override the methods of those that you want.

    What is given as `server` is the `Server`. The methods run in the event loop, between everything else: they must be
    quick. What they raise is logged.
    """

    def started(self, server: Any) -> None:
        """The server listens; `server.addresses` says where."""

    def connected(self, client: Client[M]) -> None:
        """A client has connected, and was let in; its handler has not started yet."""

    def noticed(self, client: Client[M]) -> None:
        """A client has said something, or has been there for `Settings.probe_time`, or was ended by the server.

        Log this instead of `connected`, to keep probes out of a log: they leave sooner, and without a word.
        """

    def refused(self, address: Address, ending: Ending) -> None:
        """A connection from `address` was not let in; `ending` says why."""

    def received(self, client: Client[M], messages: Sequence[M]) -> None:
        """These messages of a client were decoded, for its handler; `message_rate` may hold them back."""

    def ended(self, client: Client[M]) -> None:
        """A client has ended; `client.ending` says why."""

    def closing(self, server: Any) -> None:
        """The server accepts nobody any more, and delivers what was broadcast before."""

    def closed(self, server: Any) -> None:
        """The server has closed: no connection is left."""


def overrides(method: Callable[..., None], default: Callable[..., None]) -> bool:
    """Whether a method of an observer is not the `default`, which does nothing."""
    return getattr(method, "__func__", None) is not default


def tell(method: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call a method of an observer, which must not be able to stop a flush or a connection half-way."""
    try:
        method(*args, **kwargs)
    except Exception:
        logger.exception("an observer raised")
