"""Endpoints: an address and a port."""

from __future__ import annotations

from typing import Any, NamedTuple

_V4_MAPPED = "::ffff:"


class Address(NamedTuple):
    """One end of a TCP connection, written as in URLs: `127.0.0.1:5000`, `[::1]:5000` (RFC 3986, 3.2.2).

    That of a Unix socket has its path as host and no port; a relative one begins with "./".
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
