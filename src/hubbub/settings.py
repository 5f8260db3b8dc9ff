"""Every default and every limit, in one validated value.

Sizes are bytes as they go over the wire, times are seconds. A signature takes a `Settings`, never single figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Final, Literal, get_args

KIB: Final = 1024
MIB: Final = 1024 * KIB

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 5000

LARGEST_GULP: Final = MIB
"""The most that a steady reader's system was seen to take at once: 864 KB, with a receive buffer of 6 MB."""

READ_SIZE: Final = 64 * KIB
"""The most that is read at once of a TLS connection, of what stands before a client is made, or is refused."""

FIRST_READ_SIZE: Final = KIB
"""The most that is read at once of a connection that has not been let in, or encrypted for it. OpenSSL keeps the room
that it once took, and a thousand such pieces must not take long."""

TLS_PIECE_SIZE: Final = 64 * KIB
"""How much is encrypted before the socket has taken it."""

TLS_HELLO_LIMIT: Final = 16 * KIB
"""The most that the first message of a TLS client may take, in bytes, with the headers of its records. Real ones take
up to 2 KiB."""

TLS_HANDSHAKE_LIMIT: Final = 8 * KIB
"""The most that a TLS client may send behind its first message until the handshake is done, in bytes. It may be asked
for a second first message (RFC 8446, 4.1.2), of which OpenSSL alone would take 128 KiB."""

TLS_CERTIFICATES_LIMIT: Final = 32 * KIB
"""The same where clients are asked for certificates: a chain of three has up to 27 KiB, with the longest post-quantum
signatures (ML-DSA-87). OpenSSL alone would take 100 KiB."""

TLS_BARREN_LIMIT: Final = 32
"""How many TLS records without data, such as key updates, a client may send at once."""

TLS_BARREN_RATE: Final = 1.0
"""How many more of them it may send a second. Clients change keys after millions of records, or now and then. To follow
takes the processor 25 µs for 27 bytes on the wire."""

SHED_SLICE: Final = 64
"""Connections that are turned away at once where descriptors have run out; then come `Settings.shed_time` of rest."""

WhenSlow = Literal["disconnect", "skip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The defaults and limits of a server, its rooms and its clients.

    Each room may have its own (see `Server.room`): of those, the first group counts, and what concerns its flush. The
    rest is the server's.

    Raises:
        ValueError: a value is out of range; the message names it.
    """

    retention: int = 16 * MIB
    """How much of its log a room keeps. What a reader may lag before `when_slow` decides."""
    pace: int | None = 8 * MIB
    """Bytes per second below which senders are never held back for a lagging reader.
    0: hold them to a standstill if need be; None: never hold them back."""
    when_slow: WhenSlow = "disconnect"
    """What happens to a reader that retention has passed: end it, or skip what it missed and tell it."""
    notice: str | None = "[{missed} messages missed]"
    """The message by which a skipped reader is told its loss; None: it is not told."""

    patience: float = 30.0
    """How long a reader's socket may take nothing while data waits, before the reader is ended."""
    stall_time: float = 0.25
    """A reader whose socket has taken nothing for so long holds no sender back; at a low pace, `hold_time`."""
    message_limit: int = 64 * KIB
    """The longest message a client may send."""
    inbox_limit: int = 64 * KIB
    """Received bytes that wait for the handler before the client's socket is read no further."""
    outbox_limit: int = 64 * KIB
    """Private bytes that wait for a client, or in a `connect`, before `send` waits too; each send counts 256 more."""
    chunk_limit: int = 256 * KIB
    """The largest piece of a log that is written to a transport at once; besides, one pins `outbox_limit` at most."""
    unsent_limit: int = 128 * KIB
    """Bytes that the kernel may hold for a client before they are on their way (TCP_NOTSENT_LOWAT, tcp(7))."""
    keepalive_time: int = 60
    """Seconds of silence before a peer is asked whether it is still there (SO_KEEPALIVE, tcp(7))."""
    keepalive_interval: int = 10
    """Seconds between such questions; the third that stays unanswered ends the connection."""
    flush_slice: int = 256
    """Clients written to before a flush lets the event loop turn."""
    rooms_limit: int = 10_000
    """Rooms of one server."""

    clients_limit: int | None = 10_000
    """Connections of one server at a time, those that are still to introduce themselves too; None: no limit."""
    clients_per_address: int | None = 1_000
    """Those of them from one address; None: no limit."""
    clients_per_subnet: int | None = 2_000
    """Those of them from one subnet, which is an IPv6 /64 or an IPv4 /24; None: no limit."""
    connect_rate: float | None = 100.0
    """Connections per second from one address, for IPv6 from one /64; None: no limit."""
    connect_burst: int = 1_000
    """How many of them may come at once, after a time without any."""
    message_rate: float | None = None
    """Messages per second that are read from a client: one that sends more is read no faster; None: no limit."""
    byte_rate: int | None = None
    """Bytes per second that are read from a client, likewise."""
    message_time: float = 60.0
    """How long one message may take from its first byte to its last, and up to a quarter more."""
    idle_time: float | None = None
    """How long a client may say nothing to a handler that listens, and up to a quarter more; None: for ever."""
    handshake_time: float = 10.0
    """How long a new connection may take for all that is asked of it first: PROXY header, TLS handshake, secret."""
    unauthenticated_limit: int = 16 * KIB
    """Bytes that are read from a client before it is authenticated."""
    accept_slice: int = 16
    """Connections that are accepted before the event loop turns."""
    shed_time: float = 0.25
    """How long nothing is accepted after the process has run out of descriptors."""
    backlog: int = 4096
    """Connections that may wait for accept; the kernel caps it at net.core.somaxconn (listen(2))."""
    drain_time: float = 10.0
    """How long a closing server delivers what was broadcast before."""
    spread_time: float = 0.0
    """Over how much of the drain time the ends of its clients are spread, so that not all come back at once."""
    farewell: str | None = "server is closing"
    """The message by which clients are told that the server closes; None: they are not told."""
    linger_time: float = 1.0
    """How long a closed client may take to hear the end before its socket goes (RFC 1122, 4.2.2.13)."""
    cancel_time: float = 5.0
    """How long a handler may outlive its client, and a closing server waits for handlers that it has cancelled."""
    connect_time: float = 10.0
    """How long `connect` may take."""

    @property
    def chunk_size(self) -> int:
        """`chunk_limit`, or less where the retention is small, so that it is made of several chunks."""
        return min(self.chunk_limit, self.retention // 8)

    @property
    def hold_time(self) -> float:
        """How long a reader that takes nothing may still hold senders back.

        Sockets take data in gulps: a reader at `pace` must not seem to stand still between two of them. With a pace of
        0 nothing may be lost to a pause, so a reader holds until `patience` ends it.
        """
        if not self.pace:
            return inf
        return max(self.stall_time, max(self.chunk_size, self.unsent_limit, LARGEST_GULP) / self.pace)

    def __post_init__(self) -> None:
        for name in ("retention", "chunk_limit"):
            _check(name, getattr(self, name), minimum=4 * KIB)
        for name in ("message_limit", "inbox_limit", "outbox_limit", "unsent_limit", "flush_slice"):
            _check(name, getattr(self, name), minimum=1)
        for name in ("rooms_limit", "backlog", "connect_burst", "unauthenticated_limit", "accept_slice"):
            _check(name, getattr(self, name), minimum=1)
        for name in ("clients_limit", "clients_per_address", "clients_per_subnet", "byte_rate"):
            _check_optional(name, getattr(self, name), minimum=1)
        for name in ("connect_rate", "message_rate", "idle_time"):
            _check_optional(name, getattr(self, name), above=0)
        for name in ("keepalive_time", "keepalive_interval"):
            # Linux takes no more (MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL).
            _check(name, getattr(self, name), minimum=1, maximum=32767)
        for name in (
            "patience",
            "stall_time",
            "connect_time",
            "cancel_time",
            "message_time",
            "handshake_time",
            "shed_time",
        ):
            _check(name, getattr(self, name), above=0)
        for name in ("drain_time", "linger_time"):
            _check(name, getattr(self, name), minimum=0)
        _check("spread_time", self.spread_time, minimum=0, maximum=self.drain_time)
        _check_optional("pace", self.pace, minimum=0)
        if self.when_slow not in get_args(WhenSlow):
            raise ValueError(f"when_slow is {self.when_slow!r}; it must be 'disconnect' or 'skip'")
        if self.notice is not None:
            _check_notice(self.notice)


def _check(
    name: str,
    value: float,
    *,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
) -> None:
    # Written so that NaN fails too.
    if minimum is not None and not value >= minimum:
        raise ValueError(f"{name} is {value}; it must be at least {minimum}")
    if above is not None and not value > above:
        raise ValueError(f"{name} is {value}; it must be more than {above}")
    if maximum is not None and not value <= maximum:
        raise ValueError(f"{name} is {value}; it must be at most {maximum}")


def _check_optional(name: str, value: float | None, **bounds: float) -> None:
    if value is not None:
        _check(name, value, **bounds)


def _check_notice(notice: str) -> None:
    try:
        notice.format(missed=1)
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"notice is {notice!r}; {{missed}} is the only field it may have") from error
