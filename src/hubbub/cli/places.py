"""Places to listen, as users write them: `tls://[::]:5443?framing=lines`, or a table of the configuration file."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qsl, urlsplit

import click

from ..door import kinds
from ..hub.hub import check_room_name
from ..values.address import Address
from ..values.role import Role
from .failure import Failure, guess
from .values import FRAMINGS, Size, Time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


T = TypeVar("T")


def _framing(name: str) -> Any:
    if name not in FRAMINGS:
        raise ValueError(f"there is no framing {name!r}{guess_one(name, FRAMINGS)}")
    return FRAMINGS[name]


def _room(name: str) -> str:
    check_room_name(name)
    return name


def _max_lag(value: str) -> int | timedelta:
    unit = value[-1:]
    try:
        if unit in ("s", "m", "h", "d"):
            return timedelta(seconds=Time().convert(value, None, None))
        if unit.isalpha():
            return Size().convert(value, None, None)
    except (click.BadParameter, OverflowError):
        pass
    raise ValueError(f"max-lag is {value!r}; write a time or a size with its unit, as in 10s, 5m, 64K or 4096B")


def _converted(key: str, kind: click.ParamType[T]) -> Callable[[str], T]:
    """What reads the value of a key as an option of that type is read."""

    def read(value: str) -> T:
        try:
            return kind.convert(value, None, None)
        except click.BadParameter as error:
            raise ValueError(f"{key}: {error.message}") from None

    return read


def _any_protocol(value: str) -> bool:
    if value not in ("yes", "no"):
        raise ValueError(f"any-protocol is {value!r}; it must be yes or no")
    return value == "yes"


ATTRIBUTES: Final[Mapping[str, Callable[[str], Any]]] = {
    "framing": _framing,
    "room": _room,
    "role": Role.parse,
    "tail": str,
    "max-lag": _max_lag,
    "replay": str,
    "patience": _converted("patience", Time()),
    "sndbuf": _converted("sndbuf", Size()),
    "any-protocol": _any_protocol,
}
"""The keys that set an attribute of `Listener` by their name, each with what reads its value, or raises ValueError."""

COMMON_KEYS: Final = (
    *ATTRIBUTES,
    *("tls-cert", "tls-key", "tls-client-ca", "allow", "deny", "proxy-from", "secret-file", "keys"),
)
"""The keys that all kinds of places have."""


@dataclass(frozen=True)
class ListenUrl:
    """A place to listen, parsed.

    Attributes:
        text: the URL as the user wrote it.
        scheme: how it begins, such as tcp or unix.
        attributes: what is known by now of its `Listener`, as attributes. The endpoint is None for the sockets that
            systemd passes.
        query: the keys and values after the question mark, or in the table.
    """

    text: str
    scheme: str
    attributes: Mapping[str, Any]
    query: Mapping[str, str]

    @property
    def needs_tls(self) -> bool:
        """Whether its scheme stands for TLS."""
        return self.scheme in kinds.with_scheme(self.scheme).tls_schemes


class ListenUrlType(click.ParamType[ListenUrl]):
    """A place to listen."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ListenUrl:
        if isinstance(value, ListenUrl):
            return value
        try:
            return parse_table(value) if isinstance(value, dict) else parse(str(value))
        except ValueError as error:
            written = value.get("url", value) if isinstance(value, dict) else value
            self.fail(f"{written!r}: {error}", param, ctx)


def parse(text: str) -> ListenUrl:
    """Parse a place that is written as a URL.

    Raises:
        ValueError: it is not valid; the message says why.
    """
    if "#" in text:
        raise ValueError("# ends a URL; write %23 for it")
    # In forms + stands for a blank, and here for itself: it is frequent in patterns and in the names of devices.
    query = urlsplit(text).query.replace("+", "%2B")
    if query and (wrong := [part for part in query.split("&") if "=" not in part]):
        raise ValueError(f"{wrong[0]!r} has no value; write it as in role=read")
    pairs = parse_qsl(query, keep_blank_values=True)
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key occurs twice; separate several networks by commas")
    return _make(text, dict(pairs))


def parse_table(table: Mapping[str, Any]) -> ListenUrl:
    """Parse a place that is written as a table, which has its URL without a query as `url`.

    Raises:
        ValueError: it is not valid; the message says why.
    """
    url = table.get("url")
    if not isinstance(url, str):
        raise ValueError('a place needs its url, as in url = "tcp://127.0.0.1:5000"')
    if "?" in url or "#" in url:
        raise ValueError("in a table, what follows the question mark are keys of their own")
    query = {key: _written(key, value) for key, value in table.items() if key != "url"}
    # In TOML, what stands below the head of a table belongs to it.
    return _make(url, query, "; what holds for the whole server stands above the first [[listen]]")


def short_form(host: str, port: int, *, tls: bool) -> ListenUrl:
    """The place that `--host` and `--port` stand for.

    Raises:
        Failure: nobody can listen on such a host.
    """
    # Elsewhere an IPv6 address is in brackets, and here it may be.
    endpoint = Address(host[1:-1] if host.startswith("[") and host.endswith("]") else host, port)
    scheme = "tls" if tls else "tcp"
    try:
        kinds.with_scheme(scheme).check(endpoint)
    except ValueError as error:
        raise Failure(f"--host: {error}", {"host": None}) from None
    return ListenUrl(f"{scheme}://{endpoint}", scheme, {"endpoint": endpoint}, {})


def guess_one(word: str, known: Any) -> str:
    """What the user may have meant, as the end of a message: the closest word, or all."""
    return guess(word, known) or f"; choose one of {', '.join(known)}"


def _make(text: str, query: Mapping[str, str], advice: str = "") -> ListenUrl:
    url = urlsplit(text)
    kind = kinds.with_scheme(url.scheme)
    # The keys of single kinds, with what is wrong where another kind has them.
    special = {key: error for other in kinds.found() for key, error in other.keys.items()}
    known = [*COMMON_KEYS, *special]
    attributes: dict[str, Any] = {}
    for key, value in query.items():
        if key not in known:
            raise ValueError(f"a listener has no {key!r}{guess_one(key, known)}{advice}")
        if not value:
            raise ValueError(f"{key} is empty; give it a value, or leave it out")
        if key in special and key not in kind.keys:
            raise ValueError(special[key])
        if key in ATTRIBUTES:
            attributes[key.replace("-", "_")] = ATTRIBUTES[key](value)
    return ListenUrl(text, url.scheme, {**attributes, **kind.parse(url, query)}, query)


def _written(key: str, value: Any) -> str:
    """A value of a table as it is written in a URL."""
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ",".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    # TOML has numbers, but a mode is none: 0o640 would come as 416.
    if isinstance(value, int | float) and not isinstance(value, bool) and key in ATTRIBUTES:
        return str(value)
    if not isinstance(value, str):
        raise ValueError(f"{key} is {value!r}; it must be a string in quotes, or a list of strings")
    return value
