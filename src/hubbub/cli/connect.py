"""`hubbub connect`: a client, on a terminal or in a pipe."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import click

from ..values.settings import DEFAULT_PORT, Settings
from .failure import Unreachable, reason_of
from .pipe import pipe
from .values import Endpoint

if TYPE_CHECKING:
    from ..values.address import Address


@click.command()
@click.argument("endpoint", metavar="[[HOST:]PORT]", type=Endpoint(), default=str(DEFAULT_PORT))
def connect(endpoint: Address) -> None:
    """Connect to a server, by default to 127.0.0.1:5000.

    On a terminal, messages are printed above the line you type, and Ctrl-D ends the connection. If standard input or
    output is a pipe or a file, the command sends its input, prints what arrives, and ends when the server closes the
    connection.
    """
    try:
        if os.isatty(0) and os.isatty(1):
            # prompt-toolkit takes longer to import than everything else, and only this needs it.
            from .terminal import talk  # noqa: PLC0415 - see above

            asyncio.run(talk(endpoint))
        else:
            pipe(endpoint, Settings().connect_time)
    except BrokenPipeError:
        # Nobody reads the output any more, so there is nobody to tell.
        sys.exit(1)
    except OSError as error:
        raise Unreachable(f"cannot talk to {endpoint}: {reason_of(error)}") from None
