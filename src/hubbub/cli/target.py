"""Where to connect, as users write it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import unquote

import click

from ..client.http_url import HttpUrl, room_url
from ..values.address import Address
from ..values.settings import DEFAULT_HOST, DEFAULT_PORT
from . import environment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STATUS: Final = "/status"

DEFAULT_URL: Final = "http://127.0.0.1:8080"
"""The place of `hubbub top`, if a user names none."""

METAVAR: Final = "[HOST:]PORT|URL"

_ENDPOINT: Final = re.compile(r"(?:(?:\[(?P<v6>[^\]]+)\]|(?P<host>[^:\[\]/]*)):)?(?P<port>\d{1,5})")
_FORMS: Final = "write it as 5000, localhost:5000, localhost 5000, [::1]:5000, tls://HOST:PORT or unix:///PATH"


class Target(NamedTuple):
    """A server to connect to.

    Attributes:
        address: its host and port, or the path of its Unix socket.
        tls: whether it is to be spoken to with TLS.
    """

    address: Address
    tls: bool


def parse(words: Sequence[str]) -> Target:
    """The server that a user means.

    Raises:
        ValueError: it cannot be understood; the message says what to write.
    """
    scheme, _, rest = _join(words).rpartition("://")
    if scheme == "unix" and rest.startswith(("/", "./")):
        return Target(Address(unquote(rest), 0), tls=False)
    match = _ENDPOINT.fullmatch(rest)
    if scheme not in ("", "tcp", "tls") or match is None or not 0 < int(match["port"]) < 65536:
        raise ValueError(f"{' '.join(words)!r} is not an endpoint; {_FORMS}")
    host = match["v6"] or match["host"] or DEFAULT_HOST
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValueError(f"{host!r} is not a valid host name; check it") from None
    return Target(Address(host, int(match["port"])), tls=scheme == "tls")


def parse_place(text: str) -> HttpUrl:
    """The place that speaks HTTP which a user means. The path of its state may be there, as in what is given to curl.

    Raises:
        ValueError: it is not the URL of one; the message says what to write.
    """
    url = HttpUrl.parse(text, "a place that speaks HTTP", DEFAULT_URL)
    return replace(url, text=url.text.removesuffix(STATUS), path=url.path.removesuffix(STATUS))


def target_argument(*, required: bool, rooms: bool = False) -> Callable[[Any], Any]:
    """The argument of a command that connects; without it, if it may be missing, the port is HUBBUB_PORT or 5000.

    Args:
        required: whether it may not be missing.
        rooms: whether it may be the URL of a room over HTTP, too.
    """

    def convert(ctx: click.Context, param: click.Parameter, words: tuple[str, ...]) -> Target | HttpUrl:
        try:
            if rooms and len(words) == 1 and words[0].lower().startswith(("http://", "https://")):
                return room_url(words[0])
            if words or required:
                return parse(words)
            return parse([environment.read("HUBBUB_PORT") or str(DEFAULT_PORT)])
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from None

    metavar = METAVAR if required else f"[{METAVAR}]"
    return click.argument("target", metavar=metavar, nargs=-1, required=required, callback=convert)


def _join(words: Sequence[str]) -> str:
    """Two words, a host and a port, as one."""
    if len(words) != 2:
        return " ".join(words)
    host, port = words
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
