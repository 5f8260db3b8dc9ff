"""What a place that speaks HTTP asks of requests: by which name they ask for it, and from which pages they come."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from .networks import Networks, parse_address

LOCAL: Final = "localhost"

ANY: Final = "*"
"""As an origin: those of all pages."""


@dataclass(frozen=True, slots=True)
class Http:
    """How a listener speaks HTTP.

    A page of another site can have a browser ask for anything. So its origin must be that of the request, or one of
    `origins`. And a name that its owner points at this machine makes the page its own site (DNS rebinding). So a
    request must ask for an address, `localhost`, the host of the listener, or one of `hosts`.

    Args:
        hosts: names by which the server is known, without a port.
        origins: pages of other sites that may read and publish, as in "https://example.com"; "*" for all.
        rooms: patterns for the names of further rooms, as in "weather-*": `*` stands for any characters, `?` for one,
            and `[ab]` for one of these. Such a room can be read, also if a client has made it. If it does not exist, a
            request makes it, and it goes when its last reader leaves. Without a pattern, requests reach only the rooms
            of listeners and those that the program keeps.
        forwarded: the networks of proxies, whose `X-Forwarded-For` or `Forwarded` (RFC 7239) says whose a request is.
            Then each of their requests counts by itself, for the address of its client, as a connection does.
            `X-Forwarded-Proto` says whether the client asked over TLS.

    Raises:
        TypeError: one of these is a text, and not several, or `forwarded` is not `Networks`.
        ValueError: a host has a port or a scheme, or an origin has no scheme or a path, or a pattern is empty.
    """

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    rooms: tuple[str, ...] = ()
    forwarded: Networks = field(default_factory=Networks)

    def __post_init__(self) -> None:
        for name in ("hosts", "origins", "rooms"):
            if isinstance(value := getattr(self, name), str):
                raise TypeError(f"{name} is {value!r}; write ({value!r},)")
        if not isinstance(self.forwarded, Networks):
            raise TypeError(f"forwarded is {self.forwarded!r}; make it as in hubbub.Networks(['192.0.2.7'])")
        if "" in self.rooms:
            raise ValueError("a pattern for rooms is empty; write it as in weather-*")
        for host in self.hosts:
            if not host or host.lower() != _host_of(host):
                raise ValueError(f"the host is {host!r}; write a name alone, as in boat.example")
        for origin in self.origins:
            url = urlsplit(origin)
            if origin != ANY and not (url.netloc and origin == f"{url.scheme}://{url.netloc}"):
                raise ValueError(f"the origin is {origin!r}; write a scheme and a host, as in https://boat.example")

    @property
    def open(self) -> bool:
        """Whether pages of all sites may read and publish."""
        return ANY in self.origins

    def serves(self, host: str, endpoint: str) -> bool:
        """Whether a request for `host`, as the header has it, is for this server, which listens on `endpoint`."""
        name = _host_of(host)
        known = (LOCAL, endpoint.lower(), *(each.lower() for each in self.hosts))
        return bool(name) and (name in known or parse_address(name) is not None)

    def admits(self, origin: str, own: str) -> bool:
        """Whether a page of `origin` may read and publish; `own` is the origin of the request itself."""
        return origin == own or origin in self.origins or self.open


def is_loopback(name: str) -> bool:
    """Whether a name or an address is this machine's for itself alone."""
    address = parse_address(name)
    return name.lower() == LOCAL or (address is not None and address.is_loopback)


def asks_loopback(host: str) -> bool:
    """The same of what a Host header has."""
    return is_loopback(_host_of(host))


# Many requests for the same one come after each other.
@lru_cache(maxsize=64)
def _host_of(host: str) -> str:
    """The name or the address in a Host header (RFC 9110, 7.2), in lower case; "" if that is none."""
    try:
        url = urlsplit(f"//{host}")
        port, name = url.port, url.hostname or ""
    except ValueError:
        return ""
    plain = f"[{name}]" if ":" in name else name
    # The interface of an address means something to its own machine alone.
    return name if "%" not in host and host.lower() in (plain, f"{plain}:{port}") else ""
