"""`hubbub top` on a terminal: the view is drawn whenever it changes, and keys change it.

prompt-toolkit compares what is to be shown with what is there, and writes only the difference.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final

from prompt_toolkit.application import Application, get_app
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import FormattedTextControl, Layout, Window
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.styles import Style

from .top_asking import PAUSE, NoLookError

if TYPE_CHECKING:
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.key_binding import KeyPressEvent

    from .top_asking import Asker
    from .top_view import View

_STYLE: Final = Style.from_dict(
    {
        "name": "bold",
        "label": "ansicyan",
        "problem": "bold reverse ansired",
        "list": "bold reverse",
        "filter": "bold",
        "titles": "bold underline",
        "key": "bold ansicyan",
        "chosen": "underline",
    }
)

_NAMES: Final = {"c-i": "tab", "c-m": "enter", "c-h": "backspace"}
"""What a view calls keys that prompt-toolkit knows as characters with Ctrl."""


async def watch(asker: Asker, view: View, pause: float) -> None:
    """Show a server until the user ends it. The terminal is then as it was before.

    Args:
        asker: asks the server.
        view: has its first look.
        pause: how long to wait until the next one, in seconds.
    """
    app = _make_app(view)
    looking = asyncio.create_task(_look_again(asker, view, app, pause))
    showing = asyncio.create_task(_run(app))
    try:
        await asyncio.wait((looking, showing), return_when=asyncio.FIRST_COMPLETED)
    finally:
        _end(app)
        await showing
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def _run(app: Application[None]) -> None:
    def catch_signal() -> None:
        # It would leave the terminal as it is now.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _end, app)

    # The terminal may go away.
    with suppress(EOFError):
        await app.run_async(pre_run=catch_signal)


def _end(app: Application[None]) -> None:
    if app.is_running and not app.is_done:
        app.exit()


async def _look_again(asker: Asker, view: View, app: Application[None], pause: float) -> None:
    since = ""
    while True:
        await asyncio.sleep(pause)
        try:
            look, pause = await asker.look(view.look)
        except NoLookError as error:
            since = since or datetime.now().astimezone().strftime("%H:%M:%S")
            pause = PAUSE
            view.problem = f"nothing new since {since}: {error.reason}"
        else:
            since = ""
            view.show(look, pause if pause > PAUSE else None)
        app.invalidate()


def _make_app(view: View) -> Application[None]:
    def draw() -> StyleAndTextTuples:
        size = get_app().output.get_size()
        drawn: StyleAndTextTuples = []
        for line in view.draw(size.columns, size.rows):
            drawn += [*line, ("", "\n")]
        return drawn[:-1]

    return Application(
        layout=Layout(Window(FormattedTextControl(draw, show_cursor=False), always_hide_cursor=True)),
        key_bindings=_keys(view),
        style=_STYLE,
        color_depth=ColorDepth.DEPTH_1_BIT if os.environ.get("NO_COLOR") else None,
        full_screen=True,
    )


def _keys(view: View) -> KeyBindings:
    keys = KeyBindings()

    @keys.add(Keys.Any)
    def _(event: KeyPressEvent) -> None:
        key = event.key_sequence[0].key
        name = _NAMES.get(key.value, key.value) if isinstance(key, Keys) else key
        if name == "q" and not view.typing:
            _end(event.app)
        else:
            view.press(name)

    @keys.add(Keys.BracketedPaste)
    def _(event: KeyPressEvent) -> None:
        view.paste(event.data)

    @keys.add("c-c")
    @keys.add("<sigint>")
    def _(event: KeyPressEvent) -> None:
        _end(event.app)

    @keys.add("c-z")
    def _(event: KeyPressEvent) -> None:
        event.app.suspend_to_background()

    @keys.add("c-l")
    def _(event: KeyPressEvent) -> None:
        """Draw everything again, where something else has written on the terminal."""
        event.app.renderer.clear()

    return keys
