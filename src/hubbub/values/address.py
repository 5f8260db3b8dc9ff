"""Endpoints: an address and a port."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

_V4_MAPPED: Final = "::ffff:"
_WITH_PORT: Final = re.compile(r"(?:([^:\[\]]*)|\[([^\]]*)\]):(\d{1,5})")


class Address(NamedTuple):
    """One end of a TCP connection, written as in URLs: `127.0.0.1:5000`, `[::1]:5000` (RFC 3986, 3.2.2).

    Attributes:
        host: the host; the path, if it is a Unix socket. A relative path begins with "./".
        port: the port; a Unix socket has none.
    """

    host: str
    port: int

    def __str__(self) -> str:
        if self.path is not None:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def path(self) -> str | None:
        """The path of a Unix socket, as a socket takes it; None for a host and port."""
        if self.host.startswith("@"):
            return "\0" + self.host[1:]
        return self.host if self.host.startswith(("/", "./")) else None

    @classmethod
    def parse(cls, text: str) -> Address:
        """The address that `str` wrote as `text`."""
        host, _, port = text.rpartition(":")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    @classmethod
    def of(cls, endpoint: Any) -> Address:
        """The address of a socket's end, as `getsockname` and `getpeername` give it.

        An IPv4 client of a dual-stack listener is shown with its IPv4 address (RFC 4291, 2.5.5.2).
        """
        if isinstance(endpoint, bytes):
            # An abstract one begins with a zero byte, and is written with @ (unix(7)).
            endpoint = "@" + endpoint[1:].decode(errors="backslashreplace")
        if isinstance(endpoint, str):
            return cls(endpoint if endpoint.startswith(("/", "@")) else f"./{endpoint}", 0)
        host: str = endpoint[0]
        if host.startswith(_V4_MAPPED) and "." in host:
            host = host.removeprefix(_V4_MAPPED)
        return cls(host, endpoint[1])


def check_endpoint(endpoint: Address) -> None:
    """Check a host and a port that a program gave.

    Raises:
        TypeError: one of them is of another type.
        ValueError: the port is out of range, or the host is none.
    """
    host, port = endpoint
    if not isinstance(host, str):
        raise TypeError(f"the host is {host!r}; it must be a string, as in '127.0.0.1'")
    if not isinstance(port, int):
        raise TypeError(f"the port is {port!r}; it must be a whole number, as in 5000")
    if both := _WITH_PORT.fullmatch(host):
        raise ValueError(f"the host is {host!r}; give host {both[1] or both[2] or ''!r} and port {both[3]} separately")
    if host.startswith("["):
        raise ValueError(f"the host is {host!r}; write it without brackets")
    if "/" in host:
        raise ValueError(f"the host is {host!r}; write a name or an address, or a Unix socket as pathlib.Path")
    if not 0 <= port <= 65535:
        raise ValueError(f"the port is {port}; it must be 0 to 65535")
    if host.lower().startswith("fe80:") and "%" not in host:
        raise ValueError(f"{host} means nothing without its interface; write it as {host}%eth0")
