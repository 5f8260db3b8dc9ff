"""The listeners of `hubbub serve`, made of places and options; what they need of files is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..door.http import Http
from ..door.keys import Keys
from ..door.listener import Listener
from ..door.networks import Access, Networks
from ..door.secret import SharedSecret
from ..wire.tls import Tls, TlsFileError
from .failure import Failure
from .systemd import passed_descriptors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..door.credentials import Credentials
    from .places import ListenUrl

_SHARED: Final = ("role", "any_protocol", "replay")
"""The options that are attributes of a listener, and keys of a place, by the same name."""

HTTP_OPTIONS: Final = ("allow_host", "allow_origin", "rooms", "forwarded_from")
"""The options that `Http` is made of, in its order. They say nothing about other places."""

_CREDENTIALS: Final[Mapping[str, Callable[[str], Credentials]]] = {"keys": Keys, "secret-file": SharedSecret}
"""The options that name the file of what lets clients in."""

_TLS_OPTIONS: Final = {"certificate": "tls-cert", "key": "tls-key", "client_ca": "tls-client-ca"}
"""The options of what `Tls` is made of."""


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
            return url.query[key] if key in url.query else options.get(key.replace("-", "_"))

        try:
            attributes = {**{key: options[key] for key in _SHARED if key in options}, **url.attributes}
            endpoint = attributes.pop("endpoint")
            if "http" in attributes:
                *names, proxies = (tuple(options.get(name, ())) for name in HTTP_OPTIONS)
                attributes["http"] = share(Http, *names, share(Networks, proxies))
            for each in [endpoint] if endpoint is not None else passed or passed_descriptors():
                listener = Listener[Any](
                    endpoint=each,
                    **attributes,
                    tls=_tls(url, chosen, share),
                    access=share(Access, allow=_split(chosen("allow")), deny=_split(chosen("deny"))),
                    proxies=share(Networks, _split(chosen("proxy-from"))),
                    authenticate=_credentials(url, chosen, share),
                )
                listeners.append(listener)
        except ValueError as error:
            raise _failure(url, error) from None
    return listeners


def _failure(url: ListenUrl, error: ValueError, key: str = "") -> Failure:
    """What is wrong with a place. `key` is to blame: the place's own in its query, if it is there, or the option."""
    option = {} if not key or key in url.query else {key.replace("-", "_"): None}
    return Failure(f"{url.text}: {error}", {**option, "listen": url.text})


def _tls(url: ListenUrl, chosen: Any, share: Any) -> Tls | None:
    if not url.needs_tls and not url.query.get("tls-cert"):
        if "tls-key" in url.query or "tls-client-ca" in url.query:
            raise ValueError("tls-key and tls-client-ca need TLS; write tls://, or add tls-cert")
        return None
    if not chosen("tls-cert"):
        raise ValueError("TLS needs a certificate; give it with --tls-cert")
    client_ca = chosen("tls-client-ca") or None
    try:
        tls: Tls = share(Tls, chosen("tls-cert"), chosen("tls-key") or None, client_ca=client_ca)
    except TlsFileError as error:
        option = _TLS_OPTIONS[error.part]
        to_blame = option if chosen(option) else "tls-cert"
        raise _failure(url, ValueError(f"--{option}: {error}"), to_blame) from None
    return tls


def _credentials(url: ListenUrl, chosen: Any, share: Any) -> Credentials | None:
    # What a place says itself goes before what holds for all.
    keys = [key for key in _CREDENTIALS if key in url.query] or [key for key in _CREDENTIALS if chosen(key)]
    if not keys:
        return None
    try:
        if len(keys) > 1:
            raise ValueError("a client says one thing first: give either keys or secret-file")
        credentials: Credentials = share(_read_credentials, _CREDENTIALS[keys[0]], chosen(keys[0]))
    except ValueError as error:
        raise _failure(url, error, keys[0]) from None
    return credentials


def _read_credentials(kind: Callable[[str], Credentials], path: str) -> Credentials:
    try:
        return kind(path)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error


def _split(value: str | Sequence[str] | None) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value or ()
    return tuple(part for part in parts if part)
