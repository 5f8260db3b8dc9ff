"""Watching a server: what it tells, and the figures it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic

from .framing import M

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .client import Client
    from .endings import EndingCode
    from .server import Server


class Observer(Generic[M]):
    """Is told what happens in a server; derive from it and override what you want to know.

    Its methods run in the event loop, between everything else: they must be quick, and must not raise.
    """

    def started(self, server: Server[M]) -> None:
        """The server listens; `server.addresses` says where."""

    def connected(self, client: Client[M]) -> None:
        """A client has connected; its handler has not started yet."""

    def received(self, client: Client[M], messages: Sequence[M]) -> None:
        """These messages of a client are about to be given to its handler."""

    def ended(self, client: Client[M]) -> None:
        """A client has ended; `client.ending` says why."""

    def closed(self, server: Server[M]) -> None:
        """The server has closed: no connection is left."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """A server's figures at one moment.

    Attributes:
        clients: how many are connected.
        rooms: how many rooms there are.
        accepted: connections since the start.
        endings: how many of them ended, by code.
    """

    clients: int
    rooms: int
    accepted: int
    endings: Mapping[EndingCode, int]
