"""The options of TCP sockets, which are limits as much as those of this program."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..values.settings import Settings

KEEPALIVE_PROBES: Final = 3
"""How many probes a silent peer may leave unanswered before its connection counts as lost."""

INT_MAX: Final = 2**31 - 1
"""The largest value that a socket option takes."""

RESET: Final = struct.pack("ii", 1, 0)
"""On, and to linger for no second."""


def set_options(connection: socket.socket, settings: Settings) -> None:
    """Set them on a connection, or on a listening socket: what it accepts has them too.

    That costs a connection nothing, where setting them would be six system calls.
    """
    # What is to be written together is, already; uvloop sets this, asyncio not always.
    _set_tcp_option(connection, "TCP_NODELAY", 1)
    # Without this the kernel takes megabytes for a reader that does not read, outside of any limit here.
    _set_tcp_option(connection, "TCP_NOTSENT_LOWAT", settings.unsent_limit)
    # Nothing else tells that a peer has vanished which is never sent anything.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    _set_tcp_option(connection, "TCP_KEEPIDLE", settings.keepalive_time)
    _set_tcp_option(connection, "TCP_KEEPINTVL", settings.keepalive_interval)
    _set_tcp_option(connection, "TCP_KEEPCNT", KEEPALIVE_PROBES)
    set_user_timeout(connection, settings)


def set_user_timeout(connection: socket.socket, settings: Settings | None) -> None:
    """Say how long something may be unacknowledged: as long as a peer may be silent or take nothing; None: no limit.

    Meanwhile the kernel sends no probes, but repeats for a quarter of an hour.
    """
    if connection.family == socket.AF_UNIX:
        return
    milliseconds = 0
    if settings is not None:
        silence = settings.keepalive_time + KEEPALIVE_PROBES * settings.keepalive_interval
        milliseconds = int(min(1000 * max(silence, settings.patience), INT_MAX))
    _set_tcp_option(connection, "TCP_USER_TIMEOUT", milliseconds)


def reset_on_close(connection: socket.socket) -> None:
    """Have the system forget, with the connection, what it holds for the peer (SO_LINGER, socket(7)).

    Otherwise it would offer that to a peer that takes nothing, for as long as TCP_USER_TIMEOUT says.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def _set_tcp_option(connection: socket.socket, name: str, value: int) -> None:
    # tcp(7) has them all; other systems lack some.
    if hasattr(socket, name):
        connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
