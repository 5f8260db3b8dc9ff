"""Addresses as sockets have them, with the interface of one that means something on one link only (RFC 4007)."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from ..values.address import Address


def address_of(end: Any) -> Address:
    """The address of a socket's end, as `Address.of` gives it, with its interface where it has one: fe80::1%eth0."""
    address = Address.of(end)
    interface = end[3] if isinstance(end, tuple) and len(end) == 4 else 0
    if not interface:
        return address
    try:
        name = socket.if_indextoname(interface)
    except OSError:
        # The interface is gone. Its number will do.
        name = str(interface)
    return Address(f"{address.host}%{name}", address.port)


async def resolve(host: str, port: int, *, flags: int = 0) -> list[tuple[int, Any]]:
    """The addresses of a host, each with its family, as sockets take them. It may be cancelled.

    Args:
        host: an address or a name; "" is what getaddrinfo(3) takes no name for.
        port: the port.
        flags: those of getaddrinfo(3).

    Raises:
        OSError: there are none.
    """
    loop = asyncio.get_running_loop()
    try:
        # For all types of sockets: asked for one type, uvloop forgets the interface.
        infos = await loop.getaddrinfo(host or None, port, flags=flags)
    except UnicodeError as error:
        # A label of the name is empty or too long (RFC 3490).
        raise socket.gaierror(socket.EAI_NONAME, "not a possible name") from error
    # Each address is there for each type, and may be listed twice in the system's files.
    return list(dict.fromkeys((family, address) for family, _, _, _, address in infos))
