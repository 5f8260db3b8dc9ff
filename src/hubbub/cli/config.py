"""The configuration file: a TOML file whose keys are the names of the options."""

from __future__ import annotations

import tomllib
from contextlib import contextmanager
from difflib import get_close_matches
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from ..settings import Settings
from .failure import Failure
from .settings_options import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_KEYS: Final = {"config", "help"}
"""Options that a file cannot have: it cannot name another one."""

_FILE: Final = f"{__name__}.file"


class _WrongValueError(Exception):
    """What is wrong with a value, and which part of it, if it is one of several."""

    def __init__(self, reason: str, part: str | None = None) -> None:
        super().__init__(reason)
        self.part = part


def load(ctx: click.Context, param: click.Parameter, path: str | None) -> None:
    """The callback of `--config`: take what the file says where neither an option nor a variable says anything.

    Raises:
        Failure: the file cannot be read, or has an unknown key or a wrong value; the message has the line.
    """
    if path is None:
        return
    try:
        text = Path(path).read_text()
        values = tomllib.loads(text)
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        # Also a number of too many digits, and nesting that is too deep.
        raise Failure(f"{path} is no TOML: {error}") from None
    parameters = {_key(parameter): parameter for parameter in ctx.command.params}
    known = {key: parameter for key, parameter in parameters.items() if key not in NO_KEYS}
    ctx.default_map = {}
    ctx.meta[_FILE] = (path, text)
    for key, value in values.items():
        try:
            if key not in known:
                near = get_close_matches(key, known, n=1)
                raise _WrongValueError(f"there is no setting {key!r}{f'; do you mean {near[0]!r}?' if near else ''}")
            _check(ctx, known[key], key, value)
        except _WrongValueError as error:
            raise Failure(f"{path}, line {find_line(text, key, error.part)}: {error}") from None
        # As text, a number is read as an option's is.
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        ctx.default_map[str(known[key].name)] = str(value) if is_number else value


@contextmanager
def placing(ctx: click.Context) -> Iterator[None]:
    """Where a value of the file is to blame for a `Failure`, say on which line it is."""
    try:
        yield
    except Failure as failure:
        for name, part in failure.about.items():
            source = ctx.get_parameter_source(name)
            if source is ParameterSource.DEFAULT_MAP:
                path, text = ctx.meta[_FILE]
                line = find_line(text, name.replace("_", "-"), part)
                raise Failure(f"{path}, line {line}: {failure.message}") from None
            if source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
                # That is to blame, and in no file.
                break
        raise


def find_line(text: str, key: str, part: str | None = None) -> int:
    """The line on which `key` is set: that behind the longest beginning of the file that is good TOML without it.

    Args:
        text: the file.
        key: a key at its top level.
        part: one of the strings of its value, which may be on a later line; None is all of it.
    """
    lines = text.split("\n")
    before, end = 0, len(lines)
    for count in range(1, len(lines)):
        try:
            values = tomllib.loads("\n".join(lines[:count]))
        except tomllib.TOMLDecodeError:
            # In the middle of a value.
            continue
        if key in values:
            end = count
            break
        before = count
    written = (f'"{part}"', f"'{part}'") if part is not None else ()
    for number in range(before, end):
        if any(one in lines[number] for one in written):
            return number + 1
    return before + 1


def _key(parameter: click.Parameter) -> str:
    return max(parameter.opts, key=len).removeprefix("--")


def _check(ctx: click.Context, parameter: click.Parameter, key: str, value: Any) -> None:
    """See that a value is one for `parameter`.

    Raises:
        _WrongValueError: it is not.
    """
    if getattr(parameter, "is_flag", False):
        _expect(key, value, isinstance(value, bool), "true or false")
    elif getattr(parameter, "multiple", False):
        is_list = isinstance(value, list) and all(isinstance(part, str) for part in value)
        _expect(key, value, is_list, "a list of strings")
        for part in value:
            _convert(ctx, parameter, part, part)
    else:
        is_single = isinstance(value, str | int | float) and not isinstance(value, bool)
        _expect(key, value, is_single, "a string or a number")
        _convert(ctx, parameter, str(value))


def _expect(key: str, value: Any, is_right: bool, what: str) -> None:
    if not is_right:
        raise _WrongValueError(f"{key} is {str(value).lower() if isinstance(value, bool) else repr(value)}, not {what}")


def _convert(ctx: click.Context, parameter: click.Parameter, value: Any, part: str | None = None) -> None:
    try:
        converted = parameter.type.convert(value, parameter, ctx)
        if parameter.name in SETTINGS:
            # What it has to go together with may be in the file, too.
            Settings(**{"drain_time": inf, str(parameter.name): converted})
    except click.BadParameter as error:
        raise _WrongValueError(f"{_key(parameter)}: {error.message}", part) from None
    except (ValueError, OverflowError) as error:
        raise _WrongValueError(str(error), part) from None
