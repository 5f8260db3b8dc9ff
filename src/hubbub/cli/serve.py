"""`hubbub serve`: run a server."""

from __future__ import annotations

import logging
from typing import Any, Final, get_args

import click

from ..door import kinds
from ..hub import policies
from ..server.run import run_server
from ..server.server import Server
from ..values.declaration import Group
from ..values.errors import ListenError, StoreError
from ..values.role import Role
from ..values.settings import DEFAULT_HOST, DEFAULT_PORT, DURABLE, MESSAGES, OUTPUT, STORE
from . import config, environment
from .descriptors import SPARE, allow_descriptors
from .failure import Failure
from .options import TLS, Command, option, settings_options
from .places import ListenUrlType
from .report import LogFormat, reporting
from .setup import Setup, failure_of, make_setup, open_store
from .values import FRAMINGS, NetworkEntry, Replay, Whole, list_framings

logger = logging.getLogger("hubbub")

PLACES: Final = Group("Places")
WHO: Final = Group("Who may connect")

_FILE: Final = click.Path(exists=True, dir_okay=False, readable=True)


@click.command(cls=Command, no_args_is_help=False, epilog=list_framings())
@click.argument("app", default="chat", envvar="HUBBUB_APP")
@option(
    "--config",
    type=click.Path(),
    is_eager=True,
    expose_value=False,
    callback=config.load,
    help="Read these options from a TOML file, whose keys are their names; `hubbub check` checks it.",
)
@option(
    "--host",
    group=PLACES,
    metavar="HOST",
    default=DEFAULT_HOST,
    may_be_empty=True,
    help='Address or name to listen on; "" and "::" are all addresses.',
)
@option(
    "--port",
    group=PLACES,
    default=DEFAULT_PORT,
    type=Whole(0, 65535),
    metavar="PORT",
    help="Port to listen on; 0: the system chooses one.",
)
@option(
    "--listen",
    group=PLACES,
    type=ListenUrlType(),
    multiple=True,
    help="Listen there instead of on --host and --port: "
    f"{kinds.listed([form for kind in kinds.found() for form in kind.forms])}. May be given several times. A query "
    "such as ?role=write&framing=nul sets what is different there. With ?room=NAME, its clients hear only others in "
    "that room.",
)
@option(
    "--framing",
    group=MESSAGES,
    type=click.Choice(list(FRAMINGS)),
    metavar="FRAMING",
    show_default="lines; relay: byte-lines",
    help="How messages are separated in the stream of bytes; see below.",
)
@option(
    "--role",
    group=MESSAGES,
    type=click.Choice([str(role) for role in Role]),
    default=str(Role.BOTH),
    help="What clients may do: speak and hear (both), hear only (read: what they say is discarded), or speak only "
    "(write).",
)
@option(
    "--replay",
    group=MESSAGES,
    type=Replay(),
    metavar="none|all|N|SIZE|TIME",
    default="none",
    help="Earlier messages that a client hears first when it connects: the last N of them, the last bytes (a SIZE), or "
    "those of a TIME.",
)
@option("--tls-cert", group=TLS, type=_FILE, metavar="FILE", help="Use TLS with this certificate (PEM).")
@option(
    "--tls-key",
    group=TLS,
    type=_FILE,
    metavar="FILE",
    show_default="in the same file",
    help="The private key of the certificate.",
)
@option(
    "--tls-client-ca",
    group=TLS,
    type=_FILE,
    metavar="FILE",
    help="Accept only clients with a certificate of these authorities.",
)
@option(
    "--allow",
    group=WHO,
    multiple=True,
    type=NetworkEntry(),
    metavar="NETWORK|@FILE",
    help="Accept clients from these networks only, as in 192.0.2.0/24; @FILE has one on each line.",
)
@option(
    "--deny",
    group=WHO,
    multiple=True,
    type=NetworkEntry(),
    metavar="NETWORK|@FILE",
    help="Accept no clients from these networks.",
)
@option(
    "--proxy-from",
    group=WHO,
    multiple=True,
    type=NetworkEntry(),
    metavar="NETWORK|@FILE",
    help="Trust the PROXY header of proxies in these networks, which says who connected to the proxy.",
)
@option(
    "--forwarded-from",
    group=WHO,
    multiple=True,
    metavar="NETWORK|@FILE",
    help="Trust X-Forwarded-For and Forwarded of HTTP proxies in these networks, which say whose a request is.",
)
@option(
    "--allow-host",
    group=WHO,
    multiple=True,
    metavar="NAME",
    help="Answer HTTP requests for this name too, beside addresses, localhost and the host of --listen: a foreign page "
    "can have a browser ask under a name of its own.",
)
@option(
    "--allow-origin",
    group=WHO,
    multiple=True,
    metavar="ORIGIN",
    help="Let pages of this site read and publish over HTTP, as in https://boat.example; *: those of all sites.",
)
@option(
    "--rooms",
    group=WHO,
    multiple=True,
    metavar="PATTERN",
    help="Let HTTP requests reach rooms with such names too, as in weather-*, and make those that do not exist: beside "
    "the rooms of places and those that the app keeps.",
)
@option(
    "--secret-file",
    group=WHO,
    type=_FILE,
    metavar="FILE",
    help="Accept only clients whose first message is the secret in this file.",
)
@option(
    "--keys",
    group=WHO,
    type=_FILE,
    metavar="FILE",
    help="Accept only clients whose first message is the secret of a key in this file (TOML), and let them do what the "
    "key allows. `hubbub key new` makes keys. Over HTTP, each request has it (Authorization: Bearer).",
)
@option(
    "--any-protocol",
    group=MESSAGES,
    is_flag=True,
    help="Accept clients that begin with an HTTP request or a TLS handshake. Otherwise, where messages are text, the "
    "server disconnects them, so that no web page can speak to it through a browser.",
)
@option(
    "--store",
    group=STORE,
    metavar="PATH",
    help="Keep the messages of all rooms in this file (SQLite), which is made if it is missing. Without it, the server "
    "forgets them at its end.",
)
@settings_options({"when_slow": policies.names(), "durable": DURABLE})
@option("--quiet", group=OUTPUT, is_flag=True, help="Print only the addresses of the server, and no events.")
@option(
    "--log-format",
    group=OUTPUT,
    type=click.Choice(get_args(LogFormat)),
    default="text",
    help="Format of events and of the log; timed: text that begins with the time (UTC).",
)
@option("--verbose", "-v", group=OUTPUT, is_flag=True, help="Log why each connection ends.")
def serve(*, log_format: LogFormat, quiet: bool, verbose: bool, **options: Any) -> None:
    """Run a server until Ctrl-C.

    \b
    APP, or HUBBUB_APP, is one of
      chat            messages go to all others, with the sender's name (default)
      echo            messages are answered
      relay           messages go to all others unchanged: for feeds
      module:handler  your own coroutine function

    What is posted over HTTP goes to the app, if it is chat, relay, or a handler that has a coroutine function `publish`
    beside it.

    A SIZE is a number of bytes, as in 65536, 64K or 16M. A TIME is a number of seconds, or has a unit, as in 30, 0.5s,
    5m, 2h or 1d.

    Each option can also be set by a variable whose name begins with HUBBUB_, as in HUBBUB_WHEN_SLOW, or in a file
    (--config). An option takes precedence over its variable, and a variable over the file.

    On SIGHUP, the server reads certificates, secrets, keys and networks again. On SIGUSR1, it logs the clients and how
    far behind they are.
    """  # noqa: D301 - click looks for that very character
    with config.placing(click.get_current_context()):
        _serve(make_setup(options), log_format=log_format, quiet=quiet, verbose=verbose)


def _serve(setup: Setup, *, log_format: LogFormat, quiet: bool, verbose: bool) -> None:
    limit = setup.settings.clients_limit
    allowed = allow_descriptors(None if limit is None else limit + SPARE)
    try:
        with reporting(log_format, quiet=quiet, verbose=verbose) as reporter:
            if ignored := environment.warning():
                logger.warning("%s", ignored)
            if allowed is not None:
                logger.warning(
                    "only %d files may be open, and clients_limit needs more; "
                    "raise the limit (ulimit -n, LimitNOFILE=)",
                    allowed,
                )
            run_server(
                Server(
                    setup.handler,
                    listeners=setup.listeners,
                    framing=setup.framing,
                    settings=setup.settings,
                    observer=reporter,
                    store=None if setup.store is None else open_store(setup.store),
                    publish=setup.publish,
                )
            )
    except ImportError as error:
        raise Failure(str(error), {"listen": None}) from None
    except ValueError as error:
        # The framing cannot carry the notice, or the framings do not go together.
        raise failure_of(error) from None
    except (ListenError, StoreError) as error:
        raise Failure(str(error)) from None
