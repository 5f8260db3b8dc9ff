"""`hubbub check`: whether a configuration file is good."""

from __future__ import annotations

import click

from ..server.server import Server
from . import config, environment
from .options import Command
from .serve import serve
from .setup import failure_of, make_setup
from .systemd import FIRST_PASSED


@click.command(cls=Command)
@click.argument("file", type=click.Path())
def check(file: str) -> None:
    """Check a configuration file.

    Reads FILE, and all files that it names, as `hubbub serve --config FILE` does, but does not listen.

    The exit status is 0 if everything is good. Otherwise the error says what is wrong and on which line.
    """
    environment.warn()
    # A variable takes precedence over the file, as it does for `serve`.
    with serve.make_context("serve", ["--config", file]) as context, config.placing(context):
        # systemd passes its sockets to the service only.
        setup = make_setup(context.params, passed=[FIRST_PASSED])
        try:
            Server(setup.handler, listeners=setup.listeners, framing=setup.framing, settings=setup.settings)
        except ValueError as error:
            raise failure_of(error) from None
    places = ", ".join(str(listener.endpoint) for listener in setup.listeners)
    click.echo(f"{file} is good: {setup.handler.__name__} on {places}")
