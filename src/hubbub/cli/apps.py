"""What `hubbub serve` can serve: the apps that have a name, and the user's own handlers."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
import sysconfig
import traceback
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from ..apps import chat as chat_app
from ..apps import relay as relay_app
from ..apps.echo import echo
from ..framing import ByteLines, Framing, Lines, TextFraming
from ..values.text import printable
from .failure import Failure

if TYPE_CHECKING:
    from ..hub.client import Handler
    from ..hub.publisher import Publish


@dataclass(frozen=True)
class App:
    """A handler, and the framings that suit it.

    Attributes:
        handler: the handler.
        publish: what publishes that comes over HTTP; None: nothing may be published there.
        framing: its framing where the user chooses none.
        text_only: whether it needs a framing of text.
    """

    handler: Handler[Any]
    publish: Publish[Any] | None = None
    framing: Framing[Any] = Lines()  # noqa: RUF009 - a value
    text_only: bool = False


APPS: Final = {
    "chat": App(chat_app.chat, chat_app.publish, text_only=True),
    "echo": App(echo, text_only=True),
    "relay": App(relay_app.relay, relay_app.publish, framing=ByteLines(keepends=True)),
}

_PLACE: Final = re.compile(r"(?:(.*):)?(\d{1,5})")
"""A place to listen, which users give in the place of the app."""

_LIBRARIES: Final = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
"""The directories of what is installed."""

_APP: Final = {"app": None}
_FRAMING: Final = {"framing": None, "app": None}


def load(name: str, framing: Framing[Any] | None, *, publishes: bool = False) -> App:
    """An app, with the framing that is to be used.

    Args:
        name: an app, or module:handler.
        framing: the framing that the user chose, if any.
        publishes: whether it is asked what publishes: the `publish` beside a handler, if there is one.

    Raises:
        Failure: there is no such app, or it does not work with that framing.
    """
    app = APPS[name] if name in APPS else _import_app(name, publishes=publishes)
    if framing is not None and app.text_only and not isinstance(framing, TextFraming):
        raise Failure(f"{name} works with text only; choose --framing lines or crlf-lines, or the app relay", _FRAMING)
    return replace(app, framing=framing or app.framing)


def _import_app(name: str, *, publishes: bool) -> App:
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
    owner: Any = module
    handler: Any = module
    for part in attribute.split("."):
        try:
            owner, handler = handler, getattr(handler, part)
        except AttributeError:
            message = f"module {module_name!r} has no {attribute!r}; check the name after the colon"
            raise Failure(message, _APP) from None
    _check(name, handler, "handler", "a client", "client")
    publish = getattr(owner, "publish", None)
    if not publishes or publish in (None, handler):
        return App(handler)
    beside = f"{name.removesuffix(part)}publish"
    _check(beside, publish, "publish", "a publisher and messages", "publisher", "messages")
    return App(handler, publish)


def _check(name: str, function: Any, role: str, given: str, *parameters: str) -> None:
    """See that something is a coroutine function that can be called with what it is to be given.

    Raises:
        Failure: it is not.
    """
    if inspect.isasyncgenfunction(function):
        raise Failure(f"{name} is a generator; a {role} has no 'yield'", _APP)
    if not inspect.iscoroutinefunction(function):
        raise Failure(f"{name} is not a coroutine function; define it with 'async def'", _APP)
    try:
        inspect.signature(function).bind(*parameters)
    except TypeError as error:
        how = f"async def {role}({', '.join(parameters)})"
        raise Failure(f"{name} cannot be called with {given} ({error}); define it as in {how!r}", _APP) from None


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
