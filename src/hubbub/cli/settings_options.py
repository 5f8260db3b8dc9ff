"""The options of `hubbub serve` that are settings: each has its default from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

import click

from ..settings import Settings, WhenSlow
from .options import option
from .values import Optional, Size, format_size

if TYPE_CHECKING:
    from collections.abc import Callable

_DEFAULTS: Final = Settings()

_SIZE: Final = Size()
_SIZE_OR_NONE: Final = Optional(Size(), "none")
_COUNT: Final = click.IntRange(min=1)
_COUNT_OR_NONE: Final = Optional(_COUNT, "none")
_RATE_OR_NONE: Final = Optional(click.FloatRange(min=0, min_open=True), "none")
_SECONDS: Final = click.FloatRange(min=0, min_open=True)
_SECONDS_OR_ZERO: Final = click.FloatRange(min=0)
_SECONDS_OR_NONE: Final = Optional(_SECONDS, "none")
_TEXT_OR_NONE: Final = Optional(click.STRING, "none")

# What is shown for a value that the user should put in.
_METAVARS: Final = {
    _SIZE_OR_NONE: "SIZE|none",
    _COUNT_OR_NONE: "NUMBER|none",
    _RATE_OR_NONE: "NUMBER|none",
    _SECONDS: "SECONDS",
    _SECONDS_OR_ZERO: "SECONDS",
    _SECONDS_OR_NONE: "SECONDS|none",
    _TEXT_OR_NONE: "TEXT|none",
}

# Each with its type, and what the help says of it.
_OPTIONS: Final[dict[str, tuple[Any, str]]] = {
    "pace": (
        _SIZE_OR_NONE,
        "Bytes per second below which senders are never held back for a lagging reader; 0 holds them as long as it "
        "takes, none never.",
    ),
    "when_slow": (click.Choice(get_args(WhenSlow)), "What happens to a reader whose lag exceeds the retention."),
    "patience": (_SECONDS, "How long a reader may take nothing of what waits for it."),
    "retention": (_SIZE, "How much of its log a room keeps, as in 512K or 16M."),
    "notice": (_TEXT_OR_NONE, "The line that tells a skipped reader how much it missed."),
    "clients_limit": (_COUNT_OR_NONE, "Clients at a time."),
    "clients_per_address": (_COUNT_OR_NONE, "Clients at a time from one address."),
    "clients_per_subnet": (_COUNT_OR_NONE, "Clients at a time from one IPv6 /64 or IPv4 /24."),
    "connect_rate": (_RATE_OR_NONE, "Connections per second from one address or IPv6 /64."),
    "connect_burst": (_COUNT, "How many of them may come at once, after a time without any."),
    "message_limit": (_SIZE, "The longest message a client may send."),
    "message_rate": (_RATE_OR_NONE, "Messages per second that are read from a client."),
    "byte_rate": (_SIZE_OR_NONE, "Bytes per second that are read from a client."),
    "message_time": (_SECONDS, "How long one message may take from its first byte to its last."),
    "idle_time": (_SECONDS_OR_NONE, "How long a client may say nothing."),
    "handshake_time": (_SECONDS, "How long PROXY header, TLS handshake and secret may take together."),
    "unauthenticated_limit": (_SIZE, "What is read from a client before it has said the secret."),
    "drain_time": (_SECONDS_OR_ZERO, "How long a closing server delivers what was broadcast before."),
    "spread_time": (_SECONDS_OR_ZERO, "Over how much of that time clients are sent away, one after the other."),
    "farewell": (_TEXT_OR_NONE, "The line that tells clients that the server closes."),
}

SETTINGS: Final = frozenset(_OPTIONS)
"""The settings that are options."""


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command all of them."""
    for name, (kind, text) in reversed(_OPTIONS.items()):
        default = getattr(_DEFAULTS, name)
        shown = "none" if default is None else format_size(default) if kind in (_SIZE, _SIZE_OR_NONE) else True
        long = f"--{name.replace('_', '-')}"
        add = option(long, type=kind, default=default, help=text, show_default=shown, metavar=_METAVARS.get(kind))
        command = add(command)
    return command
