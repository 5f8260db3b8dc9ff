"""The contract of a kind of listener: what to write to make one, and what all kinds share."""

from __future__ import annotations

import os
import socket
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Protocol
from urllib.parse import quote

from ..values.errors import ListenError
from ..wire.addresses import address_of
from ..wire.tcp import set_options

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

    from ..values.settings import Settings


class Place(Protocol):
    """What a kind needs of a `Listener`."""

    @property
    def endpoint(self) -> Any:
        """Where to listen."""

    @property
    def mode(self) -> int:
        """The permissions of a Unix socket."""


class Kind(ABC):
    """One kind of listener: what its places look like as URLs, and how it binds.

    Attributes:
        forms: how a user writes its URLs, each beginning with its scheme.
        endpoint: the type of the `Listener.endpoint` that it serves.
        tls_schemes: those of its schemes that need TLS.
        keys: the keys of a URL's query that this kind alone has. Each has the error for a URL of another kind.
    """

    forms: ClassVar[tuple[str, ...]]
    endpoint: ClassVar[type]
    tls_schemes: ClassVar[frozenset[str]] = frozenset()
    keys: ClassVar[Mapping[str, str]] = {}

    @property
    def schemes(self) -> list[str]:
        """The schemes of its URLs."""
        return list(dict.fromkeys(form.partition(":")[0] for form in self.forms))

    @abstractmethod
    def parse(self, url: SplitResult, query: Mapping[str, str]) -> dict[str, Any]:
        """The attributes of the `Listener` that a URL describes: "endpoint", and what the keys of this kind set.

        An endpoint of None stands for each socket that systemd passes.

        Raises:
            ValueError: the URL is not valid; the message says how to write it.
        """

    @abstractmethod
    async def bind(self, place: Place, settings: Settings) -> list[socket.socket]:
        """Sockets that listen there and do not block.

        Raises:
            ListenError: that is not possible.
        """

    def check(self, endpoint: Any) -> None:  # noqa: B027 - most kinds have nothing to check
        """Check an endpoint that a program gave.

        Raises:
            TypeError: a part of it is of another type.
            ValueError: nobody can listen there.
        """


def prepare(listening: socket.socket, settings: Settings) -> socket.socket:
    """The same socket, ready for an acceptor."""
    if listening.family in (socket.AF_INET, socket.AF_INET6):
        set_options(listening, settings)
    listening.setblocking(False)
    return listening


def url_of(listening: socket.socket, *, tls: bool, http: bool = False) -> str:
    """Where a socket listens, as a user writes it in `--listen`."""
    address = address_of(listening.getsockname())
    if listening.family == socket.AF_UNIX:
        return f"unix://{quote(address.host)}"
    if http:
        return f"{'https' if tls else 'http'}://{address}"
    return f"{'tls' if tls else 'tcp'}://{address}"


def refused(place: str, error: OSError, advice: Mapping[int | None, str]) -> ListenError:
    """What to raise because the system does not let the server listen.

    Args:
        place: where, in words.
        error: what the system said.
        advice: what to do, by the number of the error.
    """
    number = error.errno
    return ListenError(place, _reason_of(error), *((advice[number],) if number in advice else ()))


def _reason_of(error: OSError) -> str:
    """Why the system refused, in words."""
    # The socket module puts the address into strerror, and the message has it already.
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno)
