"""`hubbub serve`: run a server."""

from __future__ import annotations

import errno
import socket
from typing import get_args

import click

from ..exceptions import ListenError
from ..run import run
from ..settings import DEFAULT_HOST, DEFAULT_PORT, Settings, WhenSlow
from .apps import load
from .failure import Failure
from .options import option
from .report import LogFormat, reporting
from .values import FRAMINGS, Optional, Size, format_size

_DEFAULTS = Settings()

# What to do about it, by what the system said.
_ADVICE = {
    errno.EADDRINUSE: "stop the program that listens there, or choose another --port",
    errno.EACCES: "ports below 1024 are for privileged programs; choose another --port",
    errno.EADDRNOTAVAIL: "this machine has no such address; choose another --host",
    socket.EAI_NONAME: "no such name or address is known; choose another --host",
}


@click.command(no_args_is_help=False)
@click.argument("app", default="chat", envvar="HUBBUB_APP")
@option("--host", default=DEFAULT_HOST, help='Address or name to listen on; "" and "::" mean all.')
@option("--port", default=DEFAULT_PORT, type=click.IntRange(0, 65535), help="Port to listen on; 0 lets one be chosen.")
@option(
    "--framing",
    type=click.Choice(list(FRAMINGS)),
    show_default="lines; relay: byte-lines",
    help="How messages are cut from the stream.",
)
@option(
    "--pace",
    type=Optional(Size(), "none"),
    default=_DEFAULTS.pace,
    metavar="SIZE|none",
    show_default=format_size(_DEFAULTS.pace or 0),
    help="Bytes per second below which senders are never held back for a lagging reader; 0 holds them as long as it "
    "takes, none never.",
)
@option(
    "--when-slow",
    type=click.Choice(get_args(WhenSlow)),
    default=_DEFAULTS.when_slow,
    help="What happens to a reader whose lag exceeds the retention.",
)
@option(
    "--patience",
    type=click.FloatRange(min=0, min_open=True),
    default=_DEFAULTS.patience,
    metavar="SECONDS",
    help="How long a reader may take nothing of what waits for it.",
)
@option(
    "--retention",
    type=Size(),
    default=_DEFAULTS.retention,
    show_default=format_size(_DEFAULTS.retention),
    help="How much of its log a room keeps, as in 512K or 16M.",
)
@option(
    "--notice",
    default=_DEFAULTS.notice,
    help="The line that tells a skipped reader how much it missed; none for no line.",
)
@option("--quiet", is_flag=True, help="Print only where the server listens.")
@option("--log-format", type=click.Choice(get_args(LogFormat)), default="text", help="How events are printed.")
@click.option("-v", "--verbose", is_flag=True, envvar="HUBBUB_VERBOSE", show_envvar=True, help="Log why clients end.")
def serve(
    *,
    app: str,
    host: str,
    port: int,
    framing: str | None,
    pace: int | None,
    when_slow: WhenSlow,
    patience: float,
    retention: int,
    notice: str,
    quiet: bool,
    log_format: LogFormat,
    verbose: bool,
) -> None:
    """Serve APP until Ctrl-C.

    \b
    APP, or HUBBUB_APP, is one of
      chat            what one says, all others see (the default)
      echo            every message is answered
      relay           every message goes to all others unchanged: for feeds
      module:handler  your own coroutine function
    """  # noqa: D301 - click looks for that very character
    handler, chosen = load(app, FRAMINGS[framing] if framing else None)
    try:
        settings = Settings(
            retention=retention,
            pace=pace,
            when_slow=when_slow,
            patience=patience,
            notice=None if notice in ("", "none") else notice,
        )
        with reporting(log_format, quiet=quiet, verbose=verbose) as reporter:
            run(handler, host, port, framing=chosen, settings=settings, observer=reporter)
    except ValueError as error:
        # A setting out of range, or a notice that the framing cannot carry.
        raise Failure(str(error)) from None
    except ListenError as error:
        raise Failure(f"{error}; {_advise(error)}") from None


def _advise(error: ListenError) -> str:
    cause = error.__cause__
    number = cause.errno if isinstance(cause, OSError) else None
    return _ADVICE.get(number or 0, "choose another --host or --port")
