"""The URL of a room of a hubbub, as a program gives it."""

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
class RoomUrl:
    """Where a room is.

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
    def parse(cls, url: Any) -> RoomUrl:
        """The URL that a program gave.

        Raises:
            TypeError: it is not a string.
            ValueError: it is not the URL of a room. Where it may have a secret in it, the message does not show it.
        """
        if not isinstance(url, str):
            raise TypeError(f"the URL is {url!r}; it must be a string, as in {EXAMPLE!r}")
        try:
            parts = urlsplit(url)
        except ValueError:
            # A bracket is missing.
            parts = urlsplit("")
        if "@" in parts.netloc:
            raise ValueError("the URL has a name or a password in it; give a key apart from the URL")
        if _UNWRITTEN.search(url) or parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError(f"{url!r} is not the URL of a room; write it as in {EXAMPLE}")
        if parts.query or parts.fragment or url.endswith(("?", "#")):
            raise ValueError(f"the URL {url!r} goes on behind its path; give the place to begin at apart from it")
        path = quote(parts.path.rstrip("/"), safe=_PATH_SAFE)
        if not path:
            raise ValueError(f"the URL {url!r} names no room; write it as in {EXAMPLE}")
        try:
            port = _PORTS[parts.scheme] if parts.port is None else parts.port
            host = parts.hostname if ":" in parts.hostname else parts.hostname.encode("idna").decode()
        except ValueError as error:
            raise ValueError(f"the URL {url!r} has no valid host and port: {error}") from None
        if port == 0:
            raise ValueError(f"the port of the URL {url!r} is 0; it must be 1 to 65535")
        address = Address(host, port)
        header = str(address) if parts.port is not None else str(address).rpartition(":")[0]
        return cls(url.rstrip("/"), address, parts.scheme == "https", header, path)
