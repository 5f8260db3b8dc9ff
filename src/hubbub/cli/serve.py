"""`hubbub serve`: run a server."""

from __future__ import annotations

import errno
import logging
import socket
from typing import Any, Final, get_args

import click

from ..exceptions import ListenError
from ..run import run
from ..settings import DEFAULT_HOST, DEFAULT_PORT
from . import config
from .descriptors import allow_descriptors
from .failure import Failure
from .listeners import ListenUrlType
from .options import HELP, option
from .report import LogFormat, reporting
from .settings_options import settings_options
from .setup import Setup, failure_of, make_setup
from .values import FRAMINGS, NetworkEntry, list_framings

logger = logging.getLogger("hubbub")

DESCRIPTORS_SPARE: Final = 64
"""Open files beside those of clients."""

_FILE = click.Path(exists=True, dir_okay=False, readable=True)

# What to do about it, by what the system said.
_ADVICE = {
    errno.EADDRINUSE: "stop the program that listens there, or choose another --port",
    errno.EACCES: "ports below 1024 are for privileged programs; choose another --port",
    errno.EADDRNOTAVAIL: "this machine has no such address; choose another --host",
    socket.EAI_NONAME: "no such name or address is known; choose another --host",
}


@click.command(no_args_is_help=False, context_settings=HELP, epilog=list_framings())
@click.argument("app", default="chat", envvar="HUBBUB_APP")
@option(
    "--config",
    type=click.Path(),
    is_eager=True,
    expose_value=False,
    callback=config.load,
    help="A TOML file of these options, by their names; `hubbub check` reads one.",
)
@option("--host", default=DEFAULT_HOST, help='Address or name to listen on; "" and "::" mean all.')
@option("--port", default=DEFAULT_PORT, type=click.IntRange(0, 65535), help="Port to listen on; 0 lets one be chosen.")
@option(
    "--listen",
    type=ListenUrlType(),
    multiple=True,
    help="Where to listen, instead of --host and --port, again and again: tcp://HOST:PORT, tls://HOST:PORT, "
    "unix:///PATH, fd://NUMBER or fd://systemd; behind it, as in ?framing=nul&mode=600, what is different there.",
)
@option(
    "--framing",
    type=click.Choice(list(FRAMINGS)),
    show_default="lines; relay: byte-lines",
    help="How messages are cut from the stream.",
)
@option("--tls-cert", type=_FILE, metavar="FILE", help="Speak TLS, with this certificate (PEM).")
@option("--tls-key", type=_FILE, metavar="FILE", show_default="in the same file", help="Its private key.")
@option("--tls-client-ca", type=_FILE, metavar="FILE", help="Let in only who has a certificate of these authorities.")
@option(
    "--allow",
    multiple=True,
    type=NetworkEntry(),
    metavar="NETWORK|@FILE",
    help="Let in these networks only, as in 192.0.2.0/24.",
)
@option("--deny", multiple=True, type=NetworkEntry(), metavar="NETWORK|@FILE", help="Let in none of these networks.")
@option(
    "--proxy-from",
    multiple=True,
    type=NetworkEntry(),
    metavar="NETWORK|@FILE",
    help="Trust these proxies to say whose connection it is, in a PROXY header.",
)
@option(
    "--secret-file", type=_FILE, metavar="FILE", help="Let in who says the secret in this file as the first message."
)
@settings_options
@option("--quiet", is_flag=True, help="Print only where the server listens.")
@option("--log-format", type=click.Choice(get_args(LogFormat)), default="text", help="How events are printed.")
@click.option("-v", "--verbose", is_flag=True, envvar="HUBBUB_VERBOSE", show_envvar=True, help="Log why clients end.")
def serve(*, log_format: LogFormat, quiet: bool, verbose: bool, **options: Any) -> None:
    """Serve APP until Ctrl-C.

    \b
    APP, or HUBBUB_APP, is one of
      chat            what one says, all others see (the default)
      echo            every message is answered
      relay           every message goes to all others unchanged: for feeds
      module:handler  your own coroutine function

    SIGHUP reads certificates, secrets and networks again; SIGUSR1 logs who is connected and how far behind.
    """  # noqa: D301 - click looks for that very character
    with config.placing(click.get_current_context()):
        _serve(make_setup(options), log_format=log_format, quiet=quiet, verbose=verbose)


def _serve(setup: Setup, *, log_format: LogFormat, quiet: bool, verbose: bool) -> None:
    limit = setup.settings.clients_limit
    allowed = allow_descriptors(None if limit is None else limit + DESCRIPTORS_SPARE)
    try:
        with reporting(log_format, quiet=quiet, verbose=verbose) as reporter:
            if allowed is not None:
                logger.warning(
                    "only %d files may be open, and clients_limit needs more; raise that (ulimit -n, LimitNOFILE=)",
                    allowed,
                )
            run(
                setup.handler,
                listeners=setup.listeners,
                framing=setup.framing,
                settings=setup.settings,
                observer=reporter,
            )
    except ValueError as error:
        # A notice that the framing cannot carry, or framings that do not go together.
        raise failure_of(error) from None
    except ListenError as error:
        raise Failure(f"{error}; {_advise(error)}") from None


def _advise(error: ListenError) -> str:
    cause = error.__cause__
    number = cause.errno if isinstance(cause, OSError) else None
    return _ADVICE.get(number or 0, "choose another place to listen")
