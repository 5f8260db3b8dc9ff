"""Where a server listens, and what it asks of those who connect there."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from datetime import timedelta  # noqa: TC003 - a dataclass is asked for the types of its fields
from pathlib import Path  # noqa: TC003 - a dataclass is asked for the types of its fields
from typing import TYPE_CHECKING, Any, Final, Generic, Literal

from ..framing import M, Raw, words_in
from ..hub.hub import ROOT_ROOM, check_room_name
from ..log.max_lag import MaxLag
from ..values.address import Address  # noqa: TC001 - a dataclass is asked for the types of its fields
from ..values.role import Role
from ..values.settings import Settings
from ..values.since import Since, check_replay
from ..wire.tcp import INT_MAX
from ..wire.tls import Tls
from . import answers, kinds
from .credentials import Credentials
from .http import Http
from .networks import Access, Networks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..framing import Framing
    from ..values.ending import Ending

Authenticate = Callable[[Any], Coroutine[Any, Any, bool]]
"""Says whether a connection may come in. It is given the `Arrival`, and may talk with it, within
`Settings.handshake_time`. If the connection ends meanwhile, the `ConnectionClosed` may pass. It must let itself be
cancelled."""

SOCKET_MODE: Final = 0o660
"""The permissions of a Unix socket: its owner and its group may connect (unix(7))."""


_TYPES: Final[tuple[tuple[str, Any, str], ...]] = (
    ("tls", Tls | None, "make it as in hubbub.Tls('cert.pem', 'key.pem')"),
    ("http", Http | None, "make it as in hubbub.Http()"),
    ("access", Access, "make it as in hubbub.Access(allow=['192.0.2.0/24'])"),
    ("proxies", Networks, "make it as in hubbub.Networks(['192.0.2.7'])"),
    ("room", str, "give the name of a room"),
    ("any_protocol", bool, "it must be True or False"),
    ("sndbuf", int | None, "give a whole number of bytes"),
    ("mode", int, "write it with 0o and three digits, as in 0o660"),
)
"""Attributes whose fault would show only later or never, with their type and what to write."""


@dataclass(frozen=True, kw_only=True)
class Listener(Generic[M]):
    """One place where a server listens.

    Attributes:
        endpoint: a host and a port, the path of a Unix socket, or the descriptor of a socket that listens already. Its
            type decides the kind of listener (see `hubbub.door.kinds`).
        framing: how messages are cut from the stream and put into it; None: as the server's rooms have it. It must be
            for the same type of messages, `str` or `bytes`.
        tls: how it speaks TLS; None: it does not.
        http: how it speaks HTTP; None: it does not. Then what connects there are requests, and the rooms are streams.
        access: which addresses may connect.
        proxies: the networks of proxies, whose connections must begin with a PROXY header that says whose they are.
        authenticate: is asked whether a connection may come in, before it is a client. Over HTTP, each request is
            asked for a secret, so there it must be `Keys` or `SharedSecret`.
        room: the name of the room that its clients are in; "root" is the server's root room.
        role: what its clients may do: "both", "read" or "write".
        tail: what becomes of a message that has no end when its client's stream ends: "keep" delivers it, and "drop"
            does not, because it may be only a part. None: "drop" where clients only write.
        any_protocol: whether clients may begin with an HTTP request or a TLS handshake where messages are text.
            Otherwise they are ended, so that no web page can speak to the server through a browser.
        max_lag: how far its clients may lag in a room before `when_slow` says what becomes of them: counted bytes, or
            for how long a message may wait; None: as much as the room retains. The system holds more for each:
            see `sndbuf`.
        replay: the earlier messages that its clients hear first when they connect: so many, those of a `timedelta`, or
            as text all of them ("all") or a size ("64K"); None, "none" or 0: none. Numbers and times may be text too
            ("100", "10m").
        patience: as in the settings; None: the same as there.
        sndbuf: bytes that the system may hold for each client (SO_SNDBUF, socket(7)); None: as many as it likes.
        mode: the permissions of a Unix socket.

    Raises:
        TypeError: no kind of listener has such an endpoint, or an attribute is of another type.
        ValueError: it speaks HTTP, and `authenticate` is something else. Or the port, the room's name, the role, the
            tail, the replay or the mode is not valid, an address of one link lacks its interface, or a limit is not
            more than 0.
    """

    endpoint: Address | Path | int
    framing: Framing[M] | None = None
    tls: Tls | None = None
    http: Http | None = None
    access: Access = field(default_factory=Access)
    proxies: Networks = field(default_factory=Networks)
    authenticate: Authenticate | None = None
    room: str = ROOT_ROOM
    role: Role | Literal["both", "read", "write"] = Role.BOTH
    tail: Literal["keep", "drop"] | None = None
    any_protocol: bool = False
    max_lag: int | timedelta | None = None
    replay: int | timedelta | str | None = None
    patience: float | None = None
    sndbuf: int | None = None
    mode: int = SOCKET_MODE

    def __post_init__(self) -> None:
        kinds.serving(self.endpoint).check(self.endpoint)
        for name, kind, how in _TYPES:
            if not isinstance(value := getattr(self, name), kind):
                raise TypeError(f"{name} is {value!r}; {how}")
        if not 0 <= self.mode <= 0o777:
            raise ValueError(f"mode is {self.mode}; write it with 0o and three digits, as in 0o660")
        check_room_name(self.room)
        Role.parse(self.role)
        if self.tail not in ("keep", "drop", None):
            raise ValueError(f"tail is {self.tail!r}; it must be keep or drop")
        _ = self.lag_limit
        check_replay(self.replay or 0)
        if self.sndbuf is not None and not 1 <= self.sndbuf <= INT_MAX:
            raise ValueError(f"sndbuf is {self.sndbuf}; it must be 1 to {INT_MAX}")
        if self.http is not None and not isinstance(self.authenticate, Credentials | None):
            raise ValueError(
                "over HTTP each request is asked for a secret, and nobody talks with a connection before; "
                "authenticate must be hubbub.Keys or hubbub.SharedSecret there"
            )
        self.settings_in(Settings())

    def spoken(self, framing: Framing[M]) -> Framing[Any]:
        """How what comes in there is cut, where the server has that framing."""
        return Raw() if self.http is not None else self.framing or framing

    def refusal(self, ending: Ending, framing: Framing[Any]) -> bytes:
        """The words for a connection that may not come in, as an answer or in `framing`; none where that has none."""
        return answers.refusal(ending) if self.http is not None else words_in(framing, str(ending))

    @property
    def replayed(self) -> Since | None:
        """Where its clients begin to read; None: with what is said from then on."""
        since = Since.of(self.replay or 0)
        return since if since.amount and Role.parse(self.role).hears else None

    @property
    def lag_limit(self) -> MaxLag | None:
        """How far its clients may lag; None: as much as the room retains."""
        return None if self.max_lag is None else MaxLag(self.max_lag)

    def settings_in(self, settings: Settings) -> Settings:
        """The settings of a server as they are here."""
        if self.patience is not None:
            settings = replace(settings, patience=self.patience)
        if self.sndbuf is not None:
            settings = replace(settings, unsent_limit=min(settings.unsent_limit, self.sndbuf))
        return settings

    @property
    def drops_tail(self) -> bool:
        """Whether a last message without its end is dropped."""
        return self.tail == "drop" if self.tail is not None else not Role.parse(self.role).hears

    @property
    def guarded(self) -> bool:
        """Whether a client that speaks HTTP or TLS, where messages are text, is ended."""
        # What a client says that only reads is not heard.
        return not (self.any_protocol or self.http) and Role.parse(self.role).speaks

    @property
    def introduces(self) -> bool:
        """Whether a connection has to do anything before it is a client."""
        return self.tls is not None or self.asks_first or bool(self.proxies)

    @property
    def asks_first(self) -> bool:
        """Whether a connection must authenticate before all else; over HTTP, its requests do."""
        return self.authenticate is not None and self.http is None

    @property
    def files(self) -> Iterator[Any]:
        """What it has read from files, and can `reload`."""
        forwarded = None if self.http is None else self.http.forwarded
        for part in (self.tls, self.access.allow, self.access.deny, self.proxies, forwarded, self.authenticate):
            if hasattr(part, "reload"):
                yield part
