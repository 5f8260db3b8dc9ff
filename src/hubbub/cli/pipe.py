"""A connection between standard input and output: a well-behaved nc(1)."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from ..values.errors import ConnectionClosed
from . import stdio
from .failure import Unreachable

if TYPE_CHECKING:
    from ..client.connection import Connection

logger = logging.getLogger("hubbub")


async def pipe(connection: Connection[bytes]) -> bool:
    """Send standard input, print what arrives, and return when the server closes the connection.

    The end of the input ends only this direction: what the server still sends is printed. Each direction waits for
    itself alone.

    Returns:
        Whether the whole input was read.

    Raises:
        ConnectionClosed: the connection broke, or was refused.
        BrokenPipeError: nobody reads the output any more.
        Unreachable: the output cannot be written.
    """
    sending = asyncio.create_task(_send_input(connection))
    try:
        async for data in connection:
            await _print(data)
        # Once the server has closed the connection, the rest of the input has nowhere to go.
        return not sending.done() or sending.result()
    finally:
        sending.cancel()
        await asyncio.wait([sending])


async def _send_input(connection: Connection[bytes]) -> bool:
    """Send standard input; whether it could be read to its end."""
    if stdio.is_null(stdio.STDIN):
        # A program without an input gets that. The stream stays open.
        return True
    whole = True
    # What arrives is read until the connection ends, too, and says how it ended.
    with suppress(ConnectionClosed):
        try:
            while data := await stdio.read(stdio.STDIN):
                await connection.send(data)
        except OSError as error:
            logger.error("cannot read standard input: %s", error.strerror)
            whole = False
        connection.send_end()
    return whole


async def _print(data: bytes) -> None:
    try:
        await stdio.write(stdio.STDOUT, data)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unreachable(f"cannot write standard output: {error.strerror}") from None
