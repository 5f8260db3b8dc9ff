"""`hubbub check`: whether a configuration file is good."""

from __future__ import annotations

from dataclasses import replace

import click

from ..server.server import Server
from ..stores.reading import check_store
from ..values.errors import StoreError
from ..values.settings import BEHIND
from . import config, environment
from .failure import Failure
from .options import Command
from .serve import serve
from .setup import failure_of, make_setup
from .systemd import FIRST_PASSED


@click.command(cls=Command)
@click.argument("file", type=click.Path())
def check(file: str) -> None:
    """Check a configuration file.

    Reads FILE, and all files that it names, as `hubbub serve --config FILE` does, but does not listen. A server may be
    using the store meanwhile.

    The exit status is 0 if everything is good. Otherwise the error says what is wrong and on which line.
    """
    environment.warn()
    # A variable takes precedence over the file, as it does for `serve`.
    with serve.make_context("serve", ["--config", file]) as context, config.placing(context):
        # systemd passes its sockets to the service only.
        setup = make_setup(context.params, passed=[FIRST_PASSED])
        try:
            # Whether a room fits what is stored of it, only a server can tell that has the store for itself.
            settings = replace(setup.settings, durable=BEHIND)
            Server(setup.handler, listeners=setup.listeners, framing=setup.framing, settings=settings)
            if setup.store is not None:
                check_store(setup.store)
        except ImportError as error:
            raise Failure(str(error), {"listen": None}) from None
        except ValueError as error:
            raise failure_of(error) from None
        except StoreError as error:
            raise Failure(str(error), {"store": None}) from None
    places = ", ".join(str(listener.endpoint) for listener in setup.listeners)
    click.echo(f"{file} is good: {setup.handler.__name__} on {places}")
