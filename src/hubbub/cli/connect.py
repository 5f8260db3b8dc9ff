"""`hubbub connect`: talk to a server from a terminal or in a pipe."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import click

from ..settings import DEFAULT_PORT, Settings
from .failure import Unreachable, reason_of
from .pipe import pipe
from .values import Endpoint

if TYPE_CHECKING:
    from ..address import Address


@click.command()
@click.argument("endpoint", metavar="[[HOST:]PORT]", type=Endpoint(), default=str(DEFAULT_PORT))
def connect(endpoint: Address) -> None:
    """Connect to a server, by default the one at 127.0.0.1:5000.

    On a terminal, what arrives is printed above the line you type; Ctrl-D ends. With a pipe or a file on either side,
    it sends what it reads and prints what arrives, and ends when the server does.
    """
    try:
        if os.isatty(0) and os.isatty(1):
            # Its library takes longer to import than all the rest, and only this needs it.
            from .terminal import talk  # noqa: PLC0415 - see above

            asyncio.run(talk(endpoint))
        else:
            pipe(endpoint, Settings().connect_time)
    except BrokenPipeError:
        # Nobody reads the output any more, so nothing is to be said.
        sys.exit(1)
    except OSError as error:
        raise Unreachable(f"cannot talk to {endpoint}: {reason_of(error)}") from None
