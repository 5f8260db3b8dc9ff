"""A client on a terminal: messages are printed above the line that the user is typing."""

from __future__ import annotations

import asyncio
import codecs
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prompt_toolkit import PromptSession
from prompt_toolkit.filters import is_searching
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.patch_stdout import patch_stdout

from ..framing import Decoder, Lines
from ..framing.telnet import TelnetFilter
from ..values.errors import ConnectionClosed
from ..values.text import printable
from .history import open_history

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prompt_toolkit.application import Application
    from prompt_toolkit.key_binding import KeyPressEvent
    from prompt_toolkit.layout.screen import Screen

    from ..client.connection import Connection

PROMPT: Final = "> "

PROMPT_TIME: Final = 0.2
"""After how long a line that has not ended is shown, in seconds: it is likely to be the prompt of the server."""

LINE_LIMIT: Final = 64 * 1024
"""The longest line that is waited for, in characters. What is longer is shown in pieces."""

PROMPT_LIMIT: Final = 200
"""How many characters of a line that has not ended are shown: the last ones."""


@dataclass(frozen=True, slots=True)
class _Typed(Lines):
    """Lines as they are typed, and text as it arrives: a message is what one read of the socket returned."""

    def decoder(self, limit: int) -> Decoder[str]:
        return _PieceDecoder()


class _PieceDecoder(Decoder[str]):
    def __init__(self) -> None:
        self._telnet = TelnetFilter()
        self._text = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, data: bytes) -> Sequence[str]:
        text = self._text.decode(self._telnet.feed(data))
        return [text] if text else []

    def take_replies(self) -> bytes:
        return self._telnet.take_replies()


TYPED: Final = _Typed()


async def talk(connection: Connection[str]) -> None:
    """Send and show messages until the user (Ctrl-D, Ctrl-C) or the server ends the connection.

    Raises:
        ConnectionClosed: the connection broke, or was refused.
    """
    print(f"Connected to {connection}. Ctrl-D ends the connection.")
    screen = _Screen()
    with patch_stdout():
        sides = [
            asyncio.create_task(_show_what_arrives(connection, screen)),
            asyncio.create_task(_send_what_is_typed(connection, screen)),
        ]
        try:
            await asyncio.wait(sides, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for side in sides:
                side.cancel()
            await asyncio.wait(sides)
        for side in sides:
            if not side.cancelled():
                side.result()


async def _send_what_is_typed(connection: Connection[str], screen: _Screen) -> None:
    with suppress(EOFError, KeyboardInterrupt):
        while True:
            typed = await screen.ask()
            # What arrives is read until the connection ends, too, and says how it ended.
            with suppress(ConnectionClosed):
                # Pasted text may have several lines, and typed bytes that are not UTF-8 arrive as lone surrogates.
                await connection.send_many(typed.encode(errors="surrogateescape").decode(errors="replace").split("\n"))


async def _show_what_arrives(connection: Connection[str], screen: _Screen) -> None:
    async for text in connection:
        screen.show(text)
    screen.finish()
    print(f"{connection} closed the connection.")


class _Screen:
    """The line that is being typed, and what is above it."""

    def __init__(self) -> None:
        self._session: PromptSession[str] = PromptSession(
            lambda: self._prompt, history=open_history(), key_bindings=_keys(), enable_suspend=True
        )
        self._prompt = PROMPT
        # What has arrived of a line that has not ended.
        self._begun = ""
        self._timer: asyncio.TimerHandle | None = None
        app = self._session.app
        self._erase = app.renderer.erase
        app.renderer.erase = self._erase_all  # type: ignore[method-assign] # there is no other place to do it
        # Something may be drawn before the signal of another size arrives.
        self._size = app.output.get_size()
        app.before_render += self._see_size

    async def ask(self) -> str:
        """The line that the user types next.

        Raises:
            EOFError: the user ends the connection.
            KeyboardInterrupt: so, too.
        """
        typed = await self._session.prompt_async()
        if self._prompt is not PROMPT:
            # It was asked for by the line that had not ended, which stays before it.
            self._begun = ""
            self._prompt = PROMPT
        return typed

    def show(self, text: str) -> None:
        """Show what has arrived: whole lines at once, the rest after a moment."""
        *lines, self._begun = (self._begun + text).split("\n")
        if len(self._begun) > LINE_LIMIT:
            lines.append(self._begun)
            self._begun = ""
        for line in lines:
            print(printable(line.removesuffix("\r")))
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(PROMPT_TIME, self._show_begun)

    def finish(self) -> None:
        """Nothing more arrives."""
        if self._begun:
            print(printable(self._begun))
            self._begun = ""
        self._prompt = PROMPT

    def _erase_all(self, leave_alternate_screen: bool = True) -> None:
        """Erase the line that is being typed, also where a narrower terminal shows it in more rows than were drawn."""
        app = self._session.app
        drawn = app.renderer.last_rendered_screen
        app.output.cursor_up(self._added_rows(drawn, app.output.get_size().columns) if drawn is not None else 0)
        self._erase(leave_alternate_screen)

    def _see_size(self, app: Application[str]) -> None:
        size = app.output.get_size()
        if size != self._size:
            self._size = size
            app.renderer.erase(leave_alternate_screen=False)

    def _added_rows(self, drawn: Screen, columns: int) -> int:
        """How many rows a terminal of that width adds above the cursor."""
        cursor = drawn.get_cursor_position(self._session.app.layout.current_window)
        rows = [drawn.data_buffer[y].items() for y in range(cursor.y)]
        ends = [max((x for x, cell in row if cell.char != " "), default=0) for row in rows]
        return sum(end // columns for end in [*ends, cursor.x])

    def _show_begun(self) -> None:
        self._prompt = printable(self._begun[-PROMPT_LIMIT:]) or PROMPT
        self._session.app.invalidate()


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("c-c", filter=~is_searching)
    def _(event: KeyPressEvent) -> None:
        """Clear the line that is being typed; end if there is none."""
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt())

    return keys
