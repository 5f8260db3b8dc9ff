"""A client on a terminal: messages are printed above the line that the user is typing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.patch_stdout import patch_stdout

from ..client.connection import Connection
from ..client.connection import connect as dial
from ..values.errors import ConnectionClosed, FramingError
from ..values.text import printable

if TYPE_CHECKING:
    from ..values.address import Address


async def talk(endpoint: Address) -> None:
    """Send and show messages until the user (Ctrl-D, Ctrl-C) or the server ends the connection.

    Raises:
        OSError: the server cannot be reached.
    """
    async with dial(endpoint.host, endpoint.port) as connection:
        print(f"Connected to {connection}. Ctrl-D ends the connection.")
        with patch_stdout():
            sides = [asyncio.create_task(side(connection)) for side in (_send_what_is_typed, _show_what_arrives)]
            ended, going_on = await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
            for side in going_on:
                side.cancel()
            await asyncio.wait(sides)
            for side in ended:
                side.result()


async def _send_what_is_typed(connection: Connection) -> None:
    session: PromptSession[str] = PromptSession("> ")
    try:
        while True:
            typed = await session.prompt_async()
            # Pasted text may have several lines, and typed bytes that are not UTF-8 arrive as lone surrogates.
            await connection.send_many(typed.encode(errors="surrogateescape").decode(errors="replace").split("\n"))
    except (EOFError, KeyboardInterrupt, ConnectionClosed):
        # The task that shows messages learns of a closed connection too, and tells the user.
        return


async def _show_what_arrives(connection: Connection) -> None:
    try:
        async for line in connection:
            print(printable(line))
        print(f"{connection} closed the connection.")
    except ConnectionClosed as closed:
        print(f"{closed}.")
    except FramingError as error:
        print(f"{connection} sent data that is not a message: {error}.")
