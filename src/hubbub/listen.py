"""Listening sockets for a host and a port."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import TYPE_CHECKING, Any

from .address import Address
from .exceptions import ListenError
from .tcp import set_options

if TYPE_CHECKING:
    from .settings import Settings

# A host may have a name for an address that it has not got, such as ::1 where IPv6 is off.
_UNUSABLE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


async def bind(host: str, port: int, settings: Settings) -> list[socket.socket]:
    """Sockets that listen on every address of `host`.

    With port 0 the system chooses one, and all of them get it.

    Raises:
        ListenError: the name is not known, or one of its addresses cannot be listened on.
    """
    sockets: list[socket.socket] = []
    endpoint = Address(host or "*", port)
    try:
        unusable: OSError | None = None
        for family, (address, _, *scope) in await _resolve(host, port):
            if port == 0 and sockets:
                port = sockets[0].getsockname()[1]
            try:
                sockets.append(_listen(family, (address, port, *scope), settings, dualstack=host == "::"))
            except OSError as error:
                if error.errno not in _UNUSABLE:
                    raise
                unusable = error
        if unusable is not None and not sockets:
            raise unusable
    except OSError as error:
        for listening in sockets:
            listening.close()
        raise ListenError(str(endpoint), _reason(error)) from error
    return sockets


async def _resolve(host: str, port: int) -> list[tuple[int, Any]]:
    loop = asyncio.get_running_loop()
    try:
        infos = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError as error:
        # An empty label, or one that is too long (RFC 3490): no name can be so.
        raise socket.gaierror(socket.EAI_NONAME, "not a possible name") from error
    # A name may be listed twice in the system's files.
    return list(dict.fromkeys((family, address) for family, _, _, _, address in infos))


def _listen(family: int, address: Any, settings: Settings, *, dualstack: bool) -> socket.socket:
    listening = socket.create_server(address, family=family, backlog=settings.backlog, dualstack_ipv6=dualstack)
    set_options(listening, settings)
    listening.setblocking(False)
    return listening


def _reason(error: OSError) -> str:
    # The socket module puts the address into strerror, where it would be said twice.
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno)
