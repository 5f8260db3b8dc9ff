"""A connection between standard input and output: a well-behaved nc(1)."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from ..values.errors import ConnectionClosed
from ..wire.countdown import within
from . import stdio
from .failure import Unreachable

if TYPE_CHECKING:
    from ..client.connection import Connection

logger = logging.getLogger("hubbub")

UNSENT_TIME: Final = 0.1
"""How long a connection that has ended waits for input, in seconds: input that is there then was not sent."""


async def pipe(connection: Connection[bytes]) -> bool:
    """Send standard input, print what arrives, and return when the server closes the connection.

    The end of the input ends only this direction: what the server still sends is printed. Each direction waits for
    itself alone.

    Returns:
        Whether the whole input was read and sent, as far as there was any.

    Raises:
        ConnectionClosed: the connection broke, or was refused.
        BrokenPipeError: nobody reads the output any more.
        Unreachable: the output cannot be written.
    """
    source = _Input(connection)
    sending = asyncio.create_task(source.send())
    try:
        async for data in connection:
            await write_output(data)
        # Once the server has closed the connection, what waits of the input has nowhere to go.
        source.closed = True
        with suppress(TimeoutError):
            async with within(UNSENT_TIME):
                await asyncio.wait([sending])
        if source.unsent:
            logger.error("the server closed the connection before all of the input was sent")
            return False
        return not sending.done() or sending.result()
    finally:
        sending.cancel()
        await asyncio.wait([sending])


class _Input:
    """Standard input, on its way to a server.

    Attributes:
        closed: whether the server has closed the connection.
        unsent: whether something was read and not sent.
    """

    def __init__(self, connection: Connection[bytes]) -> None:
        self.closed = False
        self.unsent = False
        self._connection = connection

    async def send(self) -> bool:
        """Send it until its end, or until the server has closed the connection; whether it could be read."""
        if stdio.is_null(stdio.STDIN):
            # A program without an input gets that. The stream stays open.
            return True
        whole = True
        # What arrives is read until the connection ends, too, and says how it ended.
        with suppress(ConnectionClosed):
            try:
                while data := await stdio.read(stdio.STDIN):
                    self.unsent = True
                    if self.closed:
                        return True
                    await self._connection.send(data)
                    self.unsent = False
            except OSError as error:
                logger.error("cannot read standard input: %s", error.strerror)
                whole = False
            self._connection.send_end()
        return whole


async def write_output(data: bytes) -> None:
    """Write to standard output.

    Raises:
        BrokenPipeError: nobody reads it any more.
        Unreachable: it cannot be written.
    """
    try:
        await stdio.write(stdio.STDOUT, data)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unreachable(f"cannot write standard output: {error.strerror}") from None
