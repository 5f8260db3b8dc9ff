"""What the kernel is told about each connection."""

from __future__ import annotations

import socket

import pytest

import hubbub
from hubbub.wire.tcp import set_options

from support.helpers import serving, transport_of

SETTINGS = hubbub.Settings(unsent_limit=12345, keepalive_time=40, keepalive_interval=7, patience=90)

# As tcp(7) has them. A vanished peer ends after patience, or the keepalive's silence where that is longer.
TOLD = {
    "TCP_NODELAY": 1,
    "TCP_NOTSENT_LOWAT": 12345,
    "TCP_KEEPIDLE": 40,
    "TCP_KEEPINTVL": 7,
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 90_000,
}


async def idle(client: hubbub.Client) -> None:
    await client.wait_closed()


def told(connection: socket.socket) -> dict[str, int]:
    known = [name for name in TOLD if hasattr(socket, name)]
    return {name: connection.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in known}


async def test_the_kernel_is_told_the_limits_of_both_ends() -> None:
    expected = {name: value for name, value in TOLD.items() if hasattr(socket, name)}
    async with (
        serving(idle, settings=SETTINGS) as (server, record),
        hubbub.connect(*server.addresses[0], settings=SETTINGS) as connection,
    ):
        (client,) = await record.wait_for_clients(1)
        for transport in (transport_of(client), connection._connected.link.transport):
            end = transport.get_extra_info("socket")
            assert told(end) == expected
            assert end.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_an_option_that_a_system_lacks_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "TCP_NOTSENT_LOWAT", raising=False)
    with socket.socket() as connection:
        set_options(connection, SETTINGS)
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
