"""What `hubbub serve` is to run, made of its options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..settings import Settings
from .apps import load
from .failure import Failure
from .listeners import make_listeners, short_form
from .settings_options import SETTINGS
from .values import FRAMINGS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..client import Handler
    from ..framing import Framing
    from ..listener import Listener


@dataclass(frozen=True)
class Setup:
    """All that a server is made of."""

    handler: Handler[Any]
    framing: Framing[Any]
    settings: Settings
    listeners: Sequence[Listener[Any]]


def make_setup(options: Mapping[str, Any], *, passed: Sequence[int] | None = None) -> Setup:
    """The server that the options of `hubbub serve` describe. All files that they name are read.

    Args:
        options: the options, by the names of their parameters.
        passed: see `make_listeners`.

    Raises:
        Failure: they describe none.
    """
    framing = options["framing"]
    handler, chosen = load(options["app"], FRAMINGS[framing] if framing else None)
    urls = options["listen"] or [short_form(options["host"], options["port"], tls=bool(options["tls_cert"]))]
    # A listener has the server's framing but where its own query says otherwise.
    listeners = make_listeners(urls, options, passed=passed)
    chosen_settings: dict[str, Any] = {name: options[name] for name in SETTINGS}
    for name in ("notice", "farewell"):
        # An empty text says nothing, so that nothing is said.
        chosen_settings[name] = chosen_settings[name] or None
    unused = {name: None for name in ("tls_cert", "tls_key", "tls_client_ca") if options[name]}
    if unused and not any(listener.tls for listener in listeners):
        # Everybody would be let in, and in plain text.
        message = "no listener speaks TLS, and --tls-... is for it; give --tls-cert, and write tls:// in --listen"
        raise Failure(message, unused)
    try:
        settings = Settings(**chosen_settings)
    except ValueError as error:
        raise failure_of(error) from None
    _check_farewell(settings.farewell, chosen)
    return Setup(handler, chosen, settings, listeners)


def failure_of(error: ValueError) -> Failure:
    """What a server says of a setting, which begins with its name, or of what does not go together."""
    message = str(error)
    return Failure(message, {message.partition(" ")[0]: None})


def _check_farewell(farewell: str | None, framing: Framing[Any]) -> None:
    # Later, nobody would be there to hear of it.
    if farewell is not None:
        try:
            framing.encode([framing.from_text(farewell)])
        except ValueError as error:
            message = f"farewell is {farewell!r}, and the framing cannot carry it: {error}"
            raise Failure(message, {"farewell": None}) from None
