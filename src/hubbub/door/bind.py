"""Listening sockets: for a host and a port, at a path, or passed on by whoever started the program."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..values.address import Address
from ..values.errors import ListenError
from ..wire.tcp import set_options

if TYPE_CHECKING:
    from ..values.settings import Settings
    from .listener import Listener

# A host may have a name for an address that it has not got, such as ::1 where IPv6 is off.
_UNUSABLE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


async def bind(listener: Listener[Any], settings: Settings) -> list[socket.socket]:
    """Sockets that listen where `listener` says.

    Raises:
        ListenError: that is not possible.
    """
    endpoint = listener.endpoint
    if isinstance(endpoint, Path):
        return [_bind_path(endpoint, listener.mode, settings)]
    if isinstance(endpoint, int):
        return [_take_over(endpoint, settings)]
    return await _bind_host(endpoint.host, endpoint.port, settings)


async def _bind_host(host: str, port: int, settings: Settings) -> list[socket.socket]:
    """Sockets that listen on every address of `host`; with port 0 the system chooses one, and all of them get it."""
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
    return _prepare(listening, settings)


def _prepare(listening: socket.socket, settings: Settings) -> socket.socket:
    if listening.family != socket.AF_UNIX:
        set_options(listening, settings)
    listening.setblocking(False)
    return listening


def _bind_path(path: Path, mode: int, settings: Settings) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    try:
        _remove_stale(path)
        # Changed afterwards, the permissions would be too wide for a moment.
        mask = os.umask(0o777 & ~mode)
        try:
            listening.bind(str(path))
        finally:
            os.umask(mask)
        listening.listen(settings.backlog)
    except OSError as error:
        listening.close()
        raise ListenError(str(path), _reason(error)) from error
    return _prepare(listening, settings)


def _remove_stale(path: Path) -> None:
    """Remove the socket of a program that is gone.

    Raises:
        OSError: somebody listens there, or there is a file that is no socket.
    """
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError(errno.EEXIST, "there is a file that is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        # One whose backlog is full answers EAGAIN, and is alive.
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass
        raise OSError(errno.EADDRINUSE, "somebody listens there")


def _take_over(descriptor: int, settings: Settings) -> socket.socket:
    try:
        listening = socket.socket(fileno=descriptor)
    except OSError as error:
        raise ListenError(f"descriptor {descriptor}", _reason(error)) from error
    if listening.type != socket.SOCK_STREAM or not listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        listening.detach()
        raise ListenError(f"descriptor {descriptor}", "it is no stream socket that listens")
    return _prepare(listening, settings)


def _reason(error: OSError) -> str:
    # The socket module puts the address into strerror, where it would be said twice.
    if isinstance(error, socket.gaierror) or error.errno is None:
        return error.strerror or str(error)
    return os.strerror(error.errno)
