"""A host and a port, with TLS or without, for streams of messages or for HTTP."""

from __future__ import annotations

import errno
import logging
import re
import socket
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ...values.address import Address, check_endpoint
from ...wire.addresses import resolve
from ..http import Http
from ..kind import Kind, prepare, refused
from ..networks import parse_address

if TYPE_CHECKING:
    from collections.abc import Mapping
    from urllib.parse import SplitResult

    from ...values.settings import Settings
    from ..kind import Place

logger = logging.getLogger("hubbub")

ANY_IPV4: Final = "0.0.0.0"  # noqa: S104 - whoever says :: means all addresses

# A name may have an address that this machine does not have, such as ::1 where IPv6 is off.
_UNUSABLE: Final = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}

_ADVICE: Final[Mapping[int | None, str]] = {
    errno.EADDRINUSE: "stop the program that listens there, or choose another port",
    errno.EACCES: "ports below 1024 are for privileged programs; choose another port",
    errno.EADDRNOTAVAIL: "this machine has no such address; choose another host",
    socket.EAI_NONAME: "no such name or address is known; choose another host",
}

_HTTP: Final = ("http", "https")

_NUMBER: Final = re.compile("[0-9]{1,5}")


class _Tcp(Kind):
    forms: ClassVar[tuple[str, ...]] = ("tcp://HOST:PORT", "tls://HOST:PORT", "http://HOST:PORT", "https://HOST:PORT")
    endpoint: ClassVar[type] = Address
    tls_schemes: ClassVar[frozenset[str]] = frozenset({"tls", "https"})

    def parse(self, url: SplitResult, query: Mapping[str, str]) -> dict[str, Any]:
        port = "8080" if url.scheme in _HTTP else "5000"
        how = f"write it as {url.scheme}://127.0.0.1:{port} or {url.scheme}://[::]:{port}"
        host, colon, port = url.netloc.rpartition(":")
        if ":" in host and not host.endswith("]"):
            how = f"as in {url.scheme}://[{host}]:{port}" if parse_address(host) else how
            raise ValueError(f"an IPv6 address must be in brackets, {how}")
        if not (colon and _NUMBER.fullmatch(port)) or url.path:
            raise ValueError(how)
        # The interface of fe80::1%eth0 may be written as RFC 6874 has it, with %25.
        endpoint = Address((url.hostname or "").replace("%25", "%"), int(port))
        self.check(endpoint)
        return {"endpoint": endpoint, **({"http": Http()} if url.scheme in _HTTP else {})}

    def check(self, endpoint: Any) -> None:
        check_endpoint(endpoint)

    async def bind(self, place: Place, settings: Settings) -> list[socket.socket]:
        """Sockets for every address of the host. With port 0 the system chooses one port for all of them.

        "::" is all addresses, through one dual-stack socket; where there is no IPv6, all of IPv4.
        """
        host, port = place.endpoint
        sockets: list[socket.socket] = []
        endpoint = Address(host or "*", port)
        dualstack = host == "::" and socket.has_dualstack_ipv6()
        if host == "::" and not dualstack:
            # An image for containers, or a file for many machines, says ::, and some have no IPv6.
            host = ANY_IPV4
            logger.warning("%s: this machine has no IPv6, so the server listens on %s", endpoint, Address(host, port))
        try:
            unusable: OSError | None = None
            for family, (address, _, *scope) in await resolve(host, port, flags=socket.AI_PASSIVE):
                if port == 0 and sockets:
                    port = sockets[0].getsockname()[1]
                try:
                    sockets.append(_listen(family, (address, port, *scope), settings, dualstack=dualstack))
                except OSError as error:
                    if error.errno not in _UNUSABLE:
                        raise
                    unusable = error
            if unusable is not None and not sockets:
                raise unusable
        except OSError as error:
            for listening in sockets:
                listening.close()
            raise refused(str(endpoint), error, _ADVICE) from error
        return sockets


def _listen(family: int, address: Any, settings: Settings, *, dualstack: bool) -> socket.socket:
    listening = socket.create_server(address, family=family, backlog=settings.backlog, dualstack_ipv6=dualstack)
    return prepare(listening, settings)


KIND: Final = _Tcp()
