"""Where to listen, as users write it: `tls://[::]:5443?framing=lines`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import click

from ..door.listener import SOCKET_MODE, Listener
from ..door.networks import Access, Networks
from ..door.secret import SharedSecret
from ..values.address import Address
from ..wire.tls import Tls, TlsFileError
from .failure import Failure, guess
from .systemd import passed_descriptors
from .values import FRAMINGS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..framing import Framing

KEYS: Final = (
    "framing",
    "tls-cert",
    "tls-key",
    "tls-client-ca",
    "allow",
    "deny",
    "proxy-from",
    "secret-file",
    "mode",
)
"""The keys of a listener's query: options that hold for all other listeners, and the mode of a Unix socket."""

_MODE: Final = re.compile("[0-7]{3}")
_DESCRIPTOR: Final = re.compile("[0-9]{1,6}")


@dataclass(frozen=True)
class ListenUrl:
    """A place to listen, parsed.

    Attributes:
        text: the place as the user wrote it.
        scheme: tcp, tls, unix or fd.
        endpoint: see `Listener`; None: the sockets that systemd passes.
        query: the keys and values after the question mark.
    """

    text: str
    scheme: str
    endpoint: Address | Path | int | None
    query: Mapping[str, str]


class ListenUrlType(click.ParamType[ListenUrl]):
    """A place to listen."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ListenUrl:
        if isinstance(value, ListenUrl):
            return value
        try:
            return parse(str(value))
        except ValueError as error:
            self.fail(f"{value!r}: {error}", param, ctx)


def parse(text: str) -> ListenUrl:
    """Parse a place to listen.

    Raises:
        ValueError: it is not valid; the message says why.
    """
    url = urlsplit(text)
    pairs = parse_qsl(url.query, keep_blank_values=True, strict_parsing=bool(url.query))
    query = dict(pairs)
    if len(query) < len(pairs):
        raise ValueError("a key occurs twice; separate several networks by commas")
    for key, value in query.items():
        if key not in KEYS:
            raise ValueError(f"a listener has no {key!r}{_guess(key, KEYS)}")
        if key == "framing" and value not in FRAMINGS:
            raise ValueError(f"there is no framing {value!r}{_guess(value, FRAMINGS)}")
    if "mode" in query and (url.scheme != "unix" or not _MODE.fullmatch(query["mode"])):
        raise ValueError("mode is three octal digits, and for unix:// only, as in unix:///run/hubbub.sock?mode=660")
    return ListenUrl(text, url.scheme, _endpoint(url), query)


def _endpoint(url: SplitResult) -> Address | Path | int | None:
    match url.scheme:
        case "tcp" | "tls":
            if url.port is None or url.path:
                raise ValueError(f"write it as {url.scheme}://127.0.0.1:5000 or {url.scheme}://[::]:5000")
            return Address(url.hostname or "", url.port)
        case "unix":
            path = unquote(url.netloc + url.path)
            if not path:
                raise ValueError("write it as unix:///run/hubbub.sock")
            return Path(path)
        case "fd" if url.netloc == "systemd":
            return None
        case "fd":
            if not _DESCRIPTOR.fullmatch(url.netloc):
                raise ValueError("write it as fd://3 or fd://systemd")
            return int(url.netloc)
    raise ValueError("it must begin with tcp://, tls://, unix:// or fd://")


def make_listeners(
    urls: Sequence[ListenUrl], options: Mapping[str, Any], *, passed: Sequence[int] | None = None
) -> list[Listener[Any]]:
    """Make the listeners. What a listener's query does not set is as in `options`.

    Args:
        urls: the places.
        options: what holds for all places.
        passed: the descriptors that systemd passes; None: those that it has passed to this process.

    Raises:
        Failure: a file cannot be read, or something is missing.
    """
    # Listeners with the same files share what was read from them.
    made: dict[tuple[Any, ...], Any] = {}

    def share(kind: Any, *arguments: Any, **more: Any) -> Any:
        key = (kind, arguments, tuple(more.items()))
        if key not in made:
            made[key] = kind(*arguments, **more)
        return made[key]

    listeners = []
    for url in urls:

        def chosen(key: str, url: ListenUrl = url) -> Any:
            # An empty value switches the option off for this listener.
            return url.query[key] if key in url.query else options.get(key.replace("-", "_"))

        try:
            endpoints = [url.endpoint] if url.endpoint is not None else passed or passed_descriptors()
            for endpoint in endpoints:
                listener = Listener[Any](
                    endpoint=endpoint,
                    framing=_framing(url),
                    tls=_tls(url, chosen, share),
                    access=share(Access, allow=_split(chosen("allow")), deny=_split(chosen("deny"))),
                    proxies=share(Networks, _split(chosen("proxy-from"))),
                    authenticate=_secret(url, chosen, share),
                    mode=int(url.query["mode"], 8) if "mode" in url.query else SOCKET_MODE,
                )
                listeners.append(listener)
        except ValueError as error:
            raise _failure(url, error) from None
    return listeners


def _failure(url: ListenUrl, error: ValueError, key: str = "") -> Failure:
    """What is wrong with a place. `key` is to blame: the place's own in its query, if it is there, or the option."""
    option = {} if not key or key in url.query else {key.replace("-", "_"): None}
    return Failure(f"{url.text}: {error}", {**option, "listen": url.text})


def short_form(host: str, port: int, *, tls: bool) -> ListenUrl:
    """The place that `--host` and `--port` stand for."""
    endpoint = Address(host, port)
    scheme = "tls" if tls else "tcp"
    return ListenUrl(f"{scheme}://{endpoint}", scheme, endpoint, {})


def _framing(url: ListenUrl) -> Framing[Any] | None:
    return FRAMINGS[url.query["framing"]] if "framing" in url.query else None


def _tls(url: ListenUrl, chosen: Any, share: Any) -> Tls | None:
    if url.scheme != "tls" and not url.query.get("tls-cert"):
        if "tls-key" in url.query or "tls-client-ca" in url.query:
            raise ValueError("tls-key and tls-client-ca need TLS; write tls://, or add tls-cert")
        return None
    if not chosen("tls-cert"):
        raise ValueError("TLS needs a certificate; give it with --tls-cert")
    client_ca = chosen("tls-client-ca") or None
    try:
        tls: Tls = share(Tls, chosen("tls-cert"), chosen("tls-key") or None, client_ca=client_ca)
    except TlsFileError as error:
        to_blame = "tls-client-ca" if client_ca and error.file == Path(client_ca) else "tls-cert"
        raise _failure(url, error, to_blame) from None
    return tls


def _secret(url: ListenUrl, chosen: Any, share: Any) -> SharedSecret | None:
    path = chosen("secret-file")
    if not path:
        return None
    try:
        secret: SharedSecret = share(_read_secret, path)
    except ValueError as error:
        raise _failure(url, error, "secret-file") from None
    return secret


def _read_secret(path: str) -> SharedSecret:
    try:
        return SharedSecret(path)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error


def _split(value: str | Sequence[str] | None) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value or ()
    return tuple(part for part in parts if part)


def _guess(word: str, known: Any) -> str:
    """What the user may have meant, as the end of a message: the closest word, or all."""
    return guess(word, known) or f"; choose one of {', '.join(known)}"
