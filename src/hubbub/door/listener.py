"""Where a server listens, and what it asks of those who connect there."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - a dataclass is asked for the types of its fields
from typing import TYPE_CHECKING, Any, Final, Generic, Literal

from ..framing import M
from ..hub.hub import ROOT_ROOM, check_room_name
from ..values.address import Address  # noqa: TC001 - likewise
from ..values.role import Role
from . import kinds
from .networks import Access, Networks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..framing import Framing
    from ..wire.tls import Tls

Authenticate = Callable[[Any], Coroutine[Any, Any, bool]]
"""Says whether a connection may come in. It is given the `Arrival`, and may talk with it, within
`Settings.handshake_time`. If the connection ends meanwhile, the `ConnectionClosed` may pass. It must let itself be
cancelled."""

SOCKET_MODE: Final = 0o660
"""The permissions of a Unix socket: its owner and its group may connect (unix(7))."""


@dataclass(frozen=True, kw_only=True)
class Listener(Generic[M]):
    """One place where a server listens.

    Attributes:
        endpoint: a host and a port, the path of a Unix socket, or the descriptor of a socket that listens already. Its
            type decides the kind of listener (see `hubbub.door.kinds`).
        framing: how messages are cut from the stream and put into it; None: as the server's rooms have it. It must be
            for the same type of messages, `str` or `bytes`.
        tls: how it speaks TLS; None: it does not.
        access: which addresses may connect.
        proxies: the networks of proxies, whose connections must begin with a PROXY header that says whose they are. On
            a Unix socket there are none.
        authenticate: is asked whether a connection may come in, before it is a client.
        room: the name of the room that its clients are in; "root" is the server's root room.
        role: what its clients may do: "both", "read" or "write".
        any_protocol: whether clients may begin with an HTTP request or a TLS handshake where messages are text.
            Otherwise they are ended, so that no web page can speak to the server through a browser.
        mode: the permissions of a Unix socket.

    Raises:
        TypeError: no kind of listener has such an endpoint.
        ValueError: the port is out of range, the name of the room is not valid, or there is no such role.
    """

    endpoint: Address | Path | int
    framing: Framing[M] | None = None
    tls: Tls | None = None
    access: Access = field(default_factory=Access)
    proxies: Networks = field(default_factory=Networks)
    authenticate: Authenticate | None = None
    room: str = ROOT_ROOM
    role: Role | Literal["both", "read", "write"] = Role.BOTH
    any_protocol: bool = False
    mode: int = SOCKET_MODE

    def __post_init__(self) -> None:
        kinds.serving(self.endpoint).check(self.endpoint)
        check_room_name(self.room)
        Role.parse(self.role)

    @property
    def guarded(self) -> bool:
        """Whether a client that speaks HTTP or TLS, where messages are text, is ended."""
        # What a client says that only reads is not heard.
        return not self.any_protocol and Role.parse(self.role).speaks

    @property
    def introduces(self) -> bool:
        """Whether a connection has to do anything before it is a client."""
        return self.tls is not None or self.authenticate is not None or bool(self.proxies)

    @property
    def files(self) -> Iterator[Any]:
        """What it has read from files, and can `reload`."""
        for part in (self.tls, self.access.allow, self.access.deny, self.proxies, self.authenticate):
            if hasattr(part, "reload"):
                yield part
