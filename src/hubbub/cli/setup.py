"""Everything that `hubbub serve` runs, made of its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..stores.sqlite import SqliteStore
from ..values.errors import StoreError
from ..values.settings import DECLARATIONS, STORE, Settings
from .apps import load
from .failure import Failure
from .listeners import HTTP_OPTIONS, make_listeners
from .options import SETTINGS
from .places import short_form
from .values import FRAMINGS, parse_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from ..door.listener import Listener
    from ..framing import Framing
    from ..hub.client import Handler
    from ..hub.publisher import Publish
    from ..log.store import Store


@dataclass(frozen=True)
class Setup:
    """What a server is made of."""

    handler: Handler[Any]
    publish: Publish[Any] | None
    framing: Framing[Any]
    settings: Settings
    listeners: Sequence[Listener[Any]]
    store: Path | None


def make_setup(options: Mapping[str, Any], *, passed: Sequence[int] | None = None) -> Setup:
    """Make what the options of `hubbub serve` describe, and read all files that they name.

    Args:
        options: the options, by the names of their parameters.
        passed: see `make_listeners`.

    Raises:
        Failure: an option is wrong, or options do not go together.
    """
    urls = options["listen"] or [short_form(options["host"], options["port"], tls=bool(options["tls_cert"]))]
    # A listener has the server's framing unless its own query names another.
    listeners = make_listeners(urls, options, passed=passed)
    framing = FRAMINGS[options["framing"]] if options["framing"] else None
    app = load(options["app"], framing, publishes=any(listener.http for listener in listeners))
    unused = {name: None for name in ("tls_cert", "tls_key", "tls_client_ca") if options[name]}
    if unused and not any(listener.tls for listener in listeners):
        # Everybody would be let in, and in plain text.
        steps = [] if options["tls_cert"] else ["give --tls-cert"]
        if options["listen"]:
            steps.append("write tls:// in --listen")
        raise Failure(
            f"no listener speaks TLS, so {_written(unused)} would have no effect; {' and '.join(steps)}", unused
        )
    unused = {name: None for name in HTTP_OPTIONS if options[name]}
    if unused and not any(listener.http for listener in listeners):
        raise Failure(
            f"no listener speaks HTTP, so {_written(unused)} would have no effect; write http:// in --listen", unused
        )
    try:
        settings = Settings(**{name: options[name] for name in SETTINGS})
    except ValueError as error:
        raise failure_of(error) from None
    _check_farewell(settings.farewell, app.framing)
    return Setup(app.handler, app.publish, app.framing, settings, listeners, _store_path(options["store"], settings))


def open_store(path: Path) -> Store:
    """The store in a file.

    Raises:
        Failure: the file cannot be used.
    """
    try:
        return SqliteStore(path)
    except StoreError as error:
        raise Failure(str(error), {"store": None}) from None


def failure_of(error: ValueError) -> Failure:
    """Why a server cannot be made: a wrong setting, whose name is the first word, or framings that do not fit."""
    message = str(error)
    name = message.partition(" ")[0]
    # A notice is wrong for a framing only because of what else is set.
    others = ("when_slow", "framing") if name == "notice" else ()
    return Failure(message, dict.fromkeys((name, *others)))


def _written(names: Iterable[str]) -> str:
    """Options as a user writes them."""
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def _store_path(text: str | None, settings: Settings) -> Path | None:
    """The file that is meant by a store."""
    if text is None:
        usual = Settings()
        unused = [name for name in SETTINGS if DECLARATIONS[name].group is STORE]
        unused = [name for name in unused if getattr(settings, name) != getattr(usual, name)]
        if unused:
            names = _written(unused)
            raise Failure(f"without a store, {names} would have no effect; give --store", dict.fromkeys(unused))
        return None
    try:
        return parse_store(text)
    except ValueError as error:
        raise Failure(f"--store: {error}", {"store": None}) from None


def _check_farewell(farewell: str | None, framing: Framing[Any]) -> None:
    # The server finds out when it closes, and then nobody is there to correct it.
    if farewell is not None and framing.textual:
        try:
            framing.encode([framing.from_text(farewell)])
        except ValueError as error:
            message = f"farewell is {farewell!r}, and the framing cannot carry it: {error}"
            raise Failure(message, {"farewell": None}) from None
