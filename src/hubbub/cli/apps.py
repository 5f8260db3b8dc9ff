"""What `hubbub serve` can serve: the apps that have a name, and the user's own handlers."""

from __future__ import annotations

import importlib
import inspect
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..apps.chat import chat
from ..apps.echo import echo
from ..apps.relay import relay
from ..framing import ByteLines, Framing, Lines, TextFraming
from .failure import Failure

if TYPE_CHECKING:
    from ..hub.client import Handler


@dataclass(frozen=True)
class App:
    """A handler, and the framings that suit it.

    Attributes:
        handler: the handler.
        framing: its framing where the user chooses none.
        text_only: whether it needs a framing of text.
    """

    handler: Handler[Any]
    framing: Framing[Any] = Lines()  # noqa: RUF009 - a value
    text_only: bool = False


APPS: Final = {
    "chat": App(chat, text_only=True),
    "echo": App(echo, text_only=True),
    "relay": App(relay, framing=ByteLines(keepends=True)),
}

_APP: Final = {"app": None}
_FRAMING: Final = {"framing": None, "app": None}


def load(name: str, framing: Framing[Any] | None) -> tuple[Handler[Any], Framing[Any]]:
    """The handler of an app and its framing.

    Args:
        name: an app, or module:handler.
        framing: the framing that the user chose, if any.

    Raises:
        Failure: there is no such app, or it does not work with that framing.
    """
    app = APPS[name] if name in APPS else App(_import_handler(name))
    if framing is not None and app.text_only and not isinstance(framing, TextFraming):
        raise Failure(f"{name} works with text only; choose --framing lines or crlf-lines, or the app relay", _FRAMING)
    return app.handler, framing or app.framing


def _import_handler(name: str) -> Handler[Any]:
    module_name, colon, attribute = name.partition(":")
    if not (module_name and colon and attribute) or name.startswith("."):
        raise Failure(f"there is no app {name!r}; choose {', '.join(APPS)}, or write module:handler", _APP)
    # As with `python -m`, modules in the working directory can be imported.
    sys.path.insert(0, "")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        message = f"there is no module {error.name!r} here or installed; check the name before the colon"
        raise Failure(message, _APP) from None
    handler = module
    for part in attribute.split("."):
        try:
            handler = getattr(handler, part)
        except AttributeError:
            message = f"module {module_name!r} has no {attribute!r}; check the name after the colon"
            raise Failure(message, _APP) from None
    if not inspect.iscoroutinefunction(handler):
        raise Failure(f"{name} is not a coroutine function; define it with 'async def'", _APP)
    return handler
