"""Every default and every limit, in one validated value.

Sizes are bytes as they go over the wire, times are seconds. A signature takes a `Settings`, never single figures.

Each setting is declared once, with its group, its kind, its bounds and its meaning. From that, `Settings` checks
itself, and the command line makes the options, their help and the keys of its configuration file.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import inf
from typing import TYPE_CHECKING, Final

from .declaration import COUNT, RATE, SECONDS, SIZE, TEXT, Group

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .declaration import Declaration

KIB: Final = 1024
MIB: Final = 1024 * KIB

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 5000

LARGEST_GULP: Final = MIB
"""The most that a steady reader's system was seen to take at once: 864 KB, with a receive buffer of 6 MB."""

SLOW_CLIENTS: Final = Group("Slow clients")
STORE: Final = Group("Store")
BUFFERS: Final = Group("Buffers")
CONNECTIONS: Final = Group("Connections")
MESSAGES: Final = Group("Messages")
EVENT_LOOP: Final = Group("Turns of the event loop")
ENDING: Final = Group("Ending")
OUTPUT: Final = Group("Output")
CONNECT: Final = Group("Connecting")


BEHIND: Final = "behind"
"""A broadcast returns once its message is in the log in memory, and the store commits it behind the readers."""

ACK: Final = "ack"
"""A broadcast returns once its message is committed: it is acknowledged."""

DURABLE: Final = (BEHIND, ACK)
"""What `Settings.durable` may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The defaults and limits of a server, its rooms and its clients.

    Each room may have its own (see `Server.room`). Of those, only `retention`, `pace`, `when_slow`, `notice`,
    `flush_slice`, `durable`, `store_size`, `store_age` and `store_count` count; the rest is the server's.

    Raises:
        TypeError: a value is of another type than its setting; the message names the setting.
        ValueError: a value is out of range; the message names the setting.
    """

    retention: int = SLOW_CLIENTS.setting(
        16 * MIB, SIZE, "Bytes of its log that a room keeps: how far a reader may fall behind.", minimum=4 * KIB
    )
    pace: int | None = SLOW_CLIENTS.setting(
        8 * MIB,
        SIZE,
        "Bytes per second below which senders are never held back for a lagging reader. "
        "0: senders wait for it as long as it takes. With a store, they wait only for readers that skip messages.",
        none="senders never wait",
        minimum=0,
    )
    # A name of `hubbub.hub.policies`, which a room checks.
    when_slow: str = SLOW_CLIENTS.setting(
        "disconnect",
        TEXT,
        "What happens to a reader that falls behind by more than the retention: it is disconnected, or it skips the "
        "messages that it missed.",
    )
    notice: str | None = SLOW_CLIENTS.setting(
        "[{missed} messages missed]",
        TEXT,
        "The message that tells a reader how many messages it skipped.",
        none="the server sends none",
        placeholder="missed",
    )
    patience: float = SLOW_CLIENTS.setting(
        30.0,
        SECONDS,
        "Seconds that a reader may take nothing while data waits for it; then it is disconnected, unless it speaks.",
    )
    mute_limit: int = SLOW_CLIENTS.setting(
        100,
        COUNT,
        "Clients that may stay although they take nothing for the time of patience, because they complete a message "
        "within each such time. They miss what they do not take, and the server tells them so when they take something "
        "again.",
        minimum=0,
    )
    # At a low pace it is `hold_time`.
    stall_time: float = SLOW_CLIENTS.setting(
        0.25, SECONDS, "Seconds after which a reader that takes nothing no longer holds senders back.", option=False
    )
    fetch_time: float = SLOW_CLIENTS.setting(
        10.0, SECONDS, "Seconds that reading a piece of the older end of a log may take.", option=False
    )

    # What the next words mean is the same for every store.
    durable: str = STORE.setting(
        BEHIND,
        TEXT,
        "When a broadcast returns, where there is a store: at once, while its message is committed behind the readers; "
        "or after the commit.",
    )
    store_size: int = STORE.setting(
        1024 * MIB,
        SIZE,
        "Bytes that the store may take on the disk; then the oldest messages are forgotten.",
        minimum=MIB,
    )
    store_age: float | None = STORE.setting(
        None, SECONDS, "Seconds after which a stored message is forgotten.", none="no limit"
    )
    store_count: int | None = STORE.setting(
        None, COUNT, "Messages of a room that are stored; then its oldest ones are forgotten.", none="no limit"
    )
    store_pending: int = STORE.setting(
        64 * MIB, SIZE, "Bytes that may wait for their commit; then senders wait too.", minimum=4 * KIB
    )
    store_patience: float = STORE.setting(
        10.0,
        SECONDS,
        "Seconds that the store may commit nothing while messages wait for it; then the server goes on in memory, "
        "until the store is back.",
    )

    inbox_limit: int = BUFFERS.setting(
        64 * KIB,
        SIZE,
        "Received bytes that may wait for a client's handler; then no more are read from its socket.",
        option=False,
    )
    # A `connect` has it too.
    outbox_limit: int = BUFFERS.setting(
        64 * KIB,
        SIZE,
        "Private bytes that may wait for a client; then `send`, `join` and `leave` wait too. Each send counts 256 "
        "bytes more, and so does each room that the client is leaving.",
        option=False,
    )
    # Besides these bytes, a piece pins at most `outbox_limit`.
    chunk_limit: int = BUFFERS.setting(
        256 * KIB,
        SIZE,
        "Bytes of the largest piece of a log that is written to a transport at once.",
        minimum=4 * KIB,
        option=False,
    )
    unsent_limit: int = BUFFERS.setting(
        128 * KIB,
        SIZE,
        "Bytes that the kernel may hold for a client before it sends them (TCP_NOTSENT_LOWAT, tcp(7)).",
        option=False,
    )

    # Linux takes no more for the next two (MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL).
    keepalive_time: int = CONNECTIONS.setting(
        60,
        COUNT,
        "Seconds of silence before the kernel asks whether a peer is still there (SO_KEEPALIVE, tcp(7)).",
        maximum=32767,
        option=False,
    )
    keepalive_interval: int = CONNECTIONS.setting(
        10,
        COUNT,
        "Seconds between two such questions; the third one without an answer ends the connection.",
        maximum=32767,
        option=False,
    )
    clients_limit: int | None = CONNECTIONS.setting(
        10_000,
        COUNT,
        "Connections at a time, including those that are not authenticated yet.",
        none="no limit",
    )
    clients_per_address: int | None = CONNECTIONS.setting(
        1_000, COUNT, "Connections at a time from one address.", none="no limit"
    )
    clients_per_subnet: int | None = CONNECTIONS.setting(
        2_000, COUNT, "Connections at a time from one subnet: an IPv6 /64 or an IPv4 /24.", none="no limit"
    )
    connect_rate: float | None = CONNECTIONS.setting(
        100.0, RATE, "New connections per second from one address, or from one IPv6 /64.", none="no limit"
    )
    connect_burst: int = CONNECTIONS.setting(
        1_000, COUNT, "New connections from one such address that may come at once after a pause."
    )
    handshake_time: float = CONNECTIONS.setting(
        10.0, SECONDS, "Seconds that a new connection has for the PROXY header, TLS handshake and secret together."
    )
    unauthenticated_limit: int = CONNECTIONS.setting(
        16 * KIB, SIZE, "Bytes that are read from a client before it is authenticated."
    )
    rooms_limit: int = CONNECTIONS.setting(10_000, COUNT, "Rooms of one server.", option=False)

    message_limit: int = MESSAGES.setting(64 * KIB, SIZE, "Bytes of the longest message that a client may send.")
    message_rate: float | None = MESSAGES.setting(
        None,
        RATE,
        "Messages per second that are read from a client; a client that sends faster has to wait.",
        none="no limit",
    )
    byte_rate: int | None = MESSAGES.setting(
        None,
        SIZE,
        "Bytes per second that are read from a client; a client that sends faster has to wait.",
        none="no limit",
    )
    message_time: float = MESSAGES.setting(
        60.0, SECONDS, "Seconds from the first byte of a message to its last, and up to a quarter more."
    )
    idle_time: float | None = MESSAGES.setting(
        None,
        SECONDS,
        "Seconds that a client may be silent while its handler listens, and up to a quarter more.",
        none="no limit",
    )

    flush_slice: int = EVENT_LOOP.setting(
        256, COUNT, "Clients that a flush writes to before the event loop takes its next turn.", option=False
    )
    accept_slice: int = EVENT_LOOP.setting(
        16, COUNT, "Connections that are accepted before the event loop takes its next turn.", option=False
    )
    shed_time: float = EVENT_LOOP.setting(
        0.25, SECONDS, "Seconds in which nothing is accepted after descriptors have run out.", option=False
    )
    backlog: int = EVENT_LOOP.setting(
        4096,
        COUNT,
        "Connections that may wait to be accepted; the kernel caps it at net.core.somaxconn (listen(2)).",
        option=False,
    )

    drain_time: float = ENDING.setting(
        10.0, SECONDS, "Seconds that a closing server may take to deliver what was broadcast before.", minimum=0
    )
    spread_time: float = ENDING.setting(
        0.0,
        SECONDS,
        "Seconds of the drain time over which clients are disconnected one after the other, so that they do not all "
        "come back at once.",
        minimum=0,
    )
    farewell: str | None = ENDING.setting(
        "server is closing",
        TEXT,
        "The message that tells clients that the server is closing.",
        none="the server sends none",
    )
    linger_time: float = ENDING.setting(
        1.0,
        SECONDS,
        "Seconds that a client has to receive the end before its socket is dropped (RFC 1122, 4.2.2.13).",
        minimum=0,
        option=False,
    )
    cancel_time: float = ENDING.setting(
        5.0,
        SECONDS,
        "Seconds that a handler may outlive its client, and that a closing server waits for handlers to finish; then "
        "it cancels them, and waits as long again.",
        option=False,
    )

    probe_time: float = OUTPUT.setting(
        0.5,
        SECONDS,
        "Seconds after which the chat and the log announce a silent client. A client that has left by then was a probe "
        "(`nc -z`, a health check), and is only counted.",
        minimum=0,
    )

    connect_time: float = CONNECT.setting(
        10.0, SECONDS, "Seconds that `connect` may take, the TLS handshake included.", option=False
    )
    # Each pause is twice as long as the one before, and shortened at random by up to a half.
    retry_time: float = CONNECT.setting(
        0.5, SECONDS, "Seconds before `connect(retry=True)` tries again for the first time.", option=False
    )
    retry_limit: float = CONNECT.setting(
        30.0,
        SECONDS,
        "Seconds of the longest pause between two tries. A connection that lasted so long makes the next pause short.",
        option=False,
    )
    silence_time: float = CONNECT.setting(
        45.0,
        SECONDS,
        "Seconds after which `subscribe` takes a connection for dead on which nothing came. A server beats every 15 s.",
        option=False,
    )

    @property
    def chunk_size(self) -> int:
        """`chunk_limit`, or less where the retention is small, so that it consists of several chunks."""
        return min(self.chunk_limit, self.retention // 8)

    @property
    def hold_time(self) -> float:
        """Seconds that a reader that takes nothing may still hold senders back.

        Sockets take data in gulps: a reader at `pace` must not seem to stand still between two of them. With a pace of
        0 a pause may lose nothing, so a reader holds senders back until `patience` ends it.
        """
        if not self.pace:
            return inf
        return max(self.stall_time, max(self.chunk_size, self.unsent_limit, LARGEST_GULP) / self.pace)

    def __post_init__(self) -> None:
        for name, declaration in DECLARATIONS.items():
            declaration.check(name, getattr(self, name))
        if self.spread_time > self.drain_time:
            raise ValueError(f"spread_time is {self.spread_time}; it must be at most {self.drain_time}")
        if self.durable not in DURABLE:
            raise ValueError(f"durable is {self.durable!r}; it must be {' or '.join(map(repr, DURABLE))}")
        if not self.when_slow:
            raise ValueError("when_slow is empty; it must be the name of a policy")


DECLARATIONS: Final[Mapping[str, Declaration]] = {one.name: one.metadata["declaration"] for one in fields(Settings)}
"""The declaration of each setting, by its name."""


def check_settings(settings: object) -> None:
    """Check what a program gave as settings.

    Raises:
        TypeError: they are something else.
    """
    if not isinstance(settings, Settings):
        raise TypeError(f"the settings are {settings!r}; make them as in hubbub.Settings(patience=60)")
