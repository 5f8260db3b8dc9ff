"""Finds the client for whom a trusted proxy asks: `X-Forwarded-For`, and `Forwarded` (RFC 7239).

Each proxy on the way adds the address that sent it the request, at the right end of a list. So the list is read from
that end, as long as its addresses are those of trusted proxies. Further left is only what the client wrote itself, and
that is not read.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, NamedTuple

from ..door.networks import parse_address
from ..values.address import Address
from .requests import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..door.networks import Networks
    from .requests import Request

_NAME: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR: Final = re.compile(rf'({_NAME})=(?:({_NAME})|"((?:[^"\\]|\\.)*)")')
_PARTS: Final = re.compile(r'((?:[^,;"]|"(?:[^"\\]|\\.)*")*)([,;]|\Z)')

_NODE: Final = re.compile(r"(?:([0-9.]+)|\[([0-9A-Fa-f:.]+)\])(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]+))?")
_BARE_V6: Final = re.compile(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_UNKNOWN: Final = re.compile(r"unknown(?::\S+)?|_[A-Za-z0-9._-]+(?::\S+)?", re.IGNORECASE)

_SCHEMES: Final = ("http", "https")


class Hop(NamedTuple):
    """What a proxy says about the sender of a request: its address as written, and the scheme that it used, if said."""

    node: str
    scheme: str | None


class Forwarded(NamedTuple):
    """The client that has sent a request.

    Attributes:
        origin: the address of the client, with the port of the proxy's connection, which tells two clients apart.
        scheme: by which the client asked the proxy; None: nobody says.
    """

    origin: Address
    scheme: str | None


def forwarded(request: Request, proxy: Address, trusted: Networks) -> Forwarded:
    """Find the client of a request that came from `proxy`. Without a header, that is the proxy itself.

    Raises:
        Problem: a header is not valid, or two of them contradict each other.
    """
    proto = request.headers.get("x-forwarded-proto", "").rpartition(",")[2].strip()
    scheme = _scheme(proto) if proto else None
    told = [_read(hops, proxy, trusted) for hops in (_x_forwarded(request), _forwarded(request)) if hops]
    if not told:
        return Forwarded(proxy, scheme)
    if len({each.origin for each in told}) > 1:
        # The proxy writes one, and passes the other on as the client wrote it. Nobody knows which.
        raise _problem("X-Forwarded-For and Forwarded name different clients; have the proxy remove one of them")
    return Forwarded(told[0].origin, told[-1].scheme or scheme)


def _read(hops: list[Hop], proxy: Address, trusted: Networks) -> Forwarded:
    origin, scheme = proxy, None
    for node, by in reversed(hops):
        scheme = by
        if _UNKNOWN.fullmatch(node):
            # The proxy does not say: it stands for its client.
            break
        origin = Address(_host(node), proxy.port)
        if origin.host not in trusted:
            break
    return Forwarded(origin, scheme)


def _host(node: str) -> str:
    """The address of a node, with or without a port."""
    found = _NODE.fullmatch(node)
    text = found[1] or found[2] if found else node if _BARE_V6.fullmatch(node) else ""
    if (address := parse_address(text)) is None:
        raise _problem(f"{node!r} is not an address in X-Forwarded-For or Forwarded")
    return str(address)


def _x_forwarded(request: Request) -> list[Hop]:
    """The hops of X-Forwarded-For."""
    nodes = request.headers.get("x-forwarded-for", "").split(",")
    return [Hop(node.strip(), None) for node in nodes if node.strip()]


def _forwarded(request: Request) -> list[Hop]:
    """The hops of Forwarded."""
    hops: list[Hop] = []
    for pairs in _elements(request.headers.get("forwarded", "")):
        scheme = pairs.get("proto")
        hops.append(Hop(pairs.get("for", "unknown"), scheme if scheme is None else _scheme(scheme)))
    return hops


def _elements(text: str) -> Iterable[dict[str, str]]:
    """The elements of the list in a header, each with its parameters."""
    pairs: dict[str, str] = {}
    at = 0
    while True:
        part = _PARTS.match(text, at)
        if part is None:
            raise _problem("Forwarded is not valid: a quotation mark is missing")
        if pair := part[1].strip():
            found = _PAIR.fullmatch(pair)
            name = found[1].lower() if found else ""
            if found is None or name in pairs:
                raise _problem(f"Forwarded is not valid: {pair!r}")
            pairs[name] = found[2] or re.sub(r"\\(.)", r"\1", found[3])
        if part[2] != ";" and pairs:
            yield pairs
            pairs = {}
        if not part[2]:
            return
        at = part.end()


def _scheme(text: str) -> str:
    if text.lower() not in _SCHEMES:
        raise _problem(f"{text!r} is not http or https")
    return text.lower()


def _problem(reason: str) -> Problem:
    return Problem(HTTPStatus.BAD_REQUEST, reason)
