"""What `hubbub serve` can serve: the apps that have a name, and the user's own handlers."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import sysconfig
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..apps.chat import chat
from ..apps.echo import echo
from ..apps.relay import relay
from ..framing import ByteLines, Framing, Lines, TextFraming
from ..values.text import printable
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

_PLACE: Final = re.compile(r"(?:(.*):)?(\d{1,5})")
"""A place to listen, which users give in the place of the app."""

_LIBRARIES: Final = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
"""The directories of what is installed."""

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
    if place := _PLACE.fullmatch(name):
        host = f"--host {place[1]} " if place[1] else ""
        raise Failure(f"there is no app {name!r}; did you mean {host}--port {place[2]}?", _APP)
    module_name, colon, attribute = name.partition(":")
    if not (module_name and colon and attribute) or name.startswith("."):
        raise Failure(f"there is no app {name!r}; choose {', '.join(APPS)}, or write module:handler", _APP)
    # As with `python -m`, modules in the working directory can be imported.
    sys.path.insert(0, "")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise _broken(module_name, error) from None
        advice = f"write {name.replace('.py:', ':')}" if ".py:" in name else "check the name before the colon"
        message = f"cannot find the module {error.name!r}; {advice}"
        raise Failure(message, _APP) from None
    except (Exception, SystemExit) as error:
        raise _broken(module_name, error) from None
    handler = module
    for part in attribute.split("."):
        try:
            handler = getattr(handler, part)
        except AttributeError:
            message = f"module {module_name!r} has no {attribute!r}; check the name after the colon"
            raise Failure(message, _APP) from None
    if inspect.isasyncgenfunction(handler):
        raise Failure(f"{name} is a generator; a handler has no 'yield'", _APP)
    if not inspect.iscoroutinefunction(handler):
        raise Failure(f"{name} is not a coroutine function; define it with 'async def'", _APP)
    try:
        inspect.signature(handler).bind(None)
    except TypeError as error:
        raise Failure(
            f"{name} cannot be called with a client ({error}); define it as in 'async def handler(client)'", _APP
        ) from None
    return handler


def _broken(module_name: str, error: BaseException) -> Failure:
    """Why a module cannot be imported: the line that is to blame, and what Python says about it."""
    kind, text = type(error).__name__, str(error)
    where = _line_of(error) or f"module {module_name!r}"
    if isinstance(error, SyntaxError) and error.filename is not None:
        where, text = f"{error.filename}, line {error.lineno}", error.msg
    what = printable(f"{kind}: {text}" if text else kind)
    return Failure(f"{where}: {what}; correct that, or see all of it with: python -c 'import {module_name}'", _APP)


def _line_of(error: BaseException) -> str | None:
    """The line that has raised an error: the user's own one, or that of a library; None if it is Python's import."""
    # The first two are the call of `import_module`.
    frames = [frame for frame in traceback.extract_tb(error.__traceback__)[2:] if not frame.filename.startswith("<")]
    own = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)]
    return f"{(own or frames)[-1].filename}, line {(own or frames)[-1].lineno}" if frames else None
