"""The URL of a hubbub that speaks HTTP, or of a room there, as a program gives it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

from ..values.address import Address

_PORTS: Final = {"http": 80, "https": 443}

_UNWRITTEN: Final = re.compile(r"[\x00-\x20\x7f]")
"""What no URL has. `urlsplit` drops some of it silently."""

_PATH_SAFE: Final = "/%:@!$&'()*+,;=~"
"""What a path may have as it is (RFC 3986, 3.3); a percent sign begins what is escaped already."""

EXAMPLE: Final = "http://127.0.0.1:8080/ais"


@dataclass(frozen=True, slots=True)
class HttpUrl:
    """Where something is that is given out over HTTP.

    Attributes:
        text: the URL, to be shown.
        address: the host and port.
        tls: whether its scheme is https.
        host: the header of requests.
        path: the path, without a slash at its end.
    """

    text: str
    address: Address
    tls: bool
    host: str
    path: str

    @classmethod
    def parse(cls, url: Any, what: str = "a room", example: str = EXAMPLE) -> HttpUrl:
        """The URL that a program gave, for `what` the caller wants, such as the `example`.

        Raises:
            TypeError: it is not a string.
            ValueError: it is not such a URL. Where it may have a secret in it, the message does not show it.
        """
        if not isinstance(url, str):
            raise TypeError(f"the URL is {url!r}; it must be a string, as in {example!r}")
        try:
            parts = urlsplit(url)
        except ValueError:
            # A bracket is missing.
            parts = urlsplit("")
        if "@" in parts.netloc:
            raise ValueError("the URL has a name or a password in it; give a key apart from the URL")
        if _UNWRITTEN.search(url) or parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError(f"{url!r} is not the URL of {what}; write it as in {example}")
        if parts.query or parts.fragment or url.endswith(("?", "#")):
            raise ValueError(f"the URL {url!r} goes on behind its path; leave that out")
        try:
            port = _PORTS[parts.scheme] if parts.port is None else parts.port
            host = parts.hostname if ":" in parts.hostname else parts.hostname.encode("idna").decode()
        except ValueError as error:
            raise ValueError(f"the URL {url!r} has no valid host and port: {error}") from None
        if port == 0:
            raise ValueError(f"the port of the URL {url!r} is 0; it must be 1 to 65535")
        address = Address(host, port)
        header = str(address) if parts.port is not None else str(address).rpartition(":")[0]
        path = quote(parts.path.rstrip("/"), safe=_PATH_SAFE)
        return cls(url.rstrip("/"), address, parts.scheme == "https", header, path)


def room_url(url: Any) -> HttpUrl:
    """The URL of a room.

    Raises:
        TypeError: it is not a string.
        ValueError: it is not the URL of a room; as `HttpUrl.parse` says.
    """
    room = HttpUrl.parse(url)
    if not room.path:
        raise ValueError(f"the URL {url!r} names no room; write it as in {EXAMPLE}")
    return room
