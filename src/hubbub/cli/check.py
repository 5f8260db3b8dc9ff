"""`hubbub check`: is a configuration file good?"""

from __future__ import annotations

import click

from ..server import Server
from . import config
from .listeners import FIRST_PASSED
from .serve import serve
from .setup import failure_of, make_setup


@click.command()
@click.argument("file", type=click.Path())
def check(file: str) -> None:
    """Read FILE as `hubbub serve --config FILE` does, with all files that it names, but listen nowhere.

    The exit status is 0 if all is good. Otherwise the error says what is wrong, and where.
    """
    # A variable may say something else than the file, as it may for `serve`.
    with serve.make_context("serve", ["--config", file]) as context, config.placing(context):
        # What systemd passes, it passes to the service only.
        setup = make_setup(context.params, passed=[FIRST_PASSED])
        try:
            Server(setup.handler, listeners=setup.listeners, framing=setup.framing, settings=setup.settings)
        except ValueError as error:
            raise failure_of(error) from None
    places = ", ".join(str(listener.endpoint) for listener in setup.listeners)
    click.echo(f"{file} is good: {setup.handler.__name__} on {places}")
