"""The contract of a page: what to write to make one, and what it knows of the server."""

from __future__ import annotations

from abc import ABC, abstractmethod
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from ..hub.room import Room
    from ..hub.session import Session
    from ..hub.statistics import Statistics
    from .requests import Request


class Watched(Protocol):
    """What pages know of the server.

    Attributes:
        uptime: how many seconds ago it started, even if the clock has jumped since.
        urls: where it listens.
        places: the same, each with the name of its room.
        rooms: its rooms, by name.
        readers: everybody who is connected: clients, and readers of streams.
        clients_limit: how many of these there may be; None: any number.
        trouble: why no more clients should be sent to it; None: they should.
    """

    @property
    def uptime(self) -> float:
        """See above."""

    @property
    def urls(self) -> tuple[str, ...]:
        """See above."""

    @property
    def places(self) -> Iterable[tuple[str, str]]:
        """See above."""

    @property
    def rooms(self) -> Mapping[str, Room[Any]]:
        """See above."""

    @property
    def readers(self) -> Collection[Session[Any]]:
        """See above."""

    @property
    def clients_limit(self) -> int | None:
        """See above."""

    @property
    def trouble(self) -> str | None:
        """See above."""

    def statistics(self) -> Statistics:
        """Its figures."""


class Shown(NamedTuple):
    """What a page answers.

    Attributes:
        body: its bytes.
        content_type: their type.
        status: the status of the answer.
        headers: further headers.
    """

    body: bytes
    content_type: str
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = {}


class Page(ABC):
    """What is shown of the server itself, and not of a room. A file of `pages` each, with one by the name of PAGE.

    Attributes:
        paths: where it is, as in "/status".
        guarded: whether only those may see it who may watch; see `check_watcher`.
    """

    paths: tuple[str, ...]
    guarded: ClassVar[bool] = True

    @abstractmethod
    async def show(self, request: Request, server: Watched) -> Shown:
        """The answer to a request.

        Where it has much to say it lets others have their turns: the loop is not held for more than 20 ms at a time.

        Raises:
            Problem: the request is wrong.
        """
