"""The configuration file: a TOML file whose keys are the names of the options."""

from __future__ import annotations

import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from ..values.text import plain_utf8
from ..values.toml_lines import find_line
from .failure import Failure, clause_of, guess
from .options import SETTINGS
from .places import ListenUrlType

if TYPE_CHECKING:
    from collections.abc import Iterator

NO_KEYS: Final = {"config", "help"}
"""Options that cannot be keys: a file cannot name another file."""

_FILE: Final = f"{__name__}.file"


class _WrongValueError(Exception):
    """A value is wrong.

    Attributes:
        part: the wrong one of several values; None: all of them.
    """

    def __init__(self, reason: str, part: str | None = None) -> None:
        super().__init__(reason)
        self.part = part


def load(ctx: click.Context, param: click.Parameter, path: str | None) -> None:
    """The callback of `--config`: make the values of the file the defaults of the options.

    Raises:
        Failure: the file cannot be read, or it has an unknown key or a wrong value; the message names the line.
    """
    if path is None:
        return
    try:
        text = plain_utf8(Path(path).read_bytes()).decode().replace("\r\n", "\n")
        values = tomllib.loads(text)
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        # These are raised also for a number of too many digits, and for too deep a nesting.
        raise Failure(f"{path} is not valid TOML: {error}") from None
    parameters = {_key(parameter): parameter for parameter in ctx.command.params}
    known = {key: parameter for key, parameter in parameters.items() if key not in NO_KEYS}
    ctx.default_map = {}
    ctx.meta[_FILE] = (path, text)
    for key, value in values.items():
        try:
            if key not in known:
                raise _WrongValueError(f"there is no setting {key!r}{guess(key, known)}")
            _check(ctx, known[key], key, value)
        except _WrongValueError as error:
            raise Failure(f"{path}, line {find_line(text, key, part=error.part)}: {error}") from None
        # A number is read like that of an option, which is text.
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        ctx.default_map[str(known[key].name)] = str(value) if is_number else value


@contextmanager
def placing(ctx: click.Context) -> Iterator[None]:
    """Add the line to a `Failure` for which a value in the file is to blame."""
    try:
        yield
    except Failure as failure:
        for name, part in failure.about.items():
            source = ctx.get_parameter_source(name)
            if source is ParameterSource.DEFAULT_MAP:
                path, text = ctx.meta[_FILE]
                line = find_line(text, name.replace("_", "-"), part=part)
                raise Failure(f"{path}, line {line}: {failure.message}") from None
            if source in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
                # The option or the variable is to blame, and it is not in the file.
                break
        raise


def _key(parameter: click.Parameter) -> str:
    return max(parameter.opts, key=len).removeprefix("--")


def _check(ctx: click.Context, parameter: click.Parameter, key: str, value: Any) -> None:
    """See that `parameter` may have a value.

    Raises:
        _WrongValueError: it may not.
    """
    if getattr(parameter, "is_flag", False):
        _expect(key, value, isinstance(value, bool), "true or false")
    elif getattr(parameter, "multiple", False):
        kinds = (str, dict) if isinstance(parameter.type, ListenUrlType) else (str,)
        is_list = isinstance(value, list) and all(isinstance(part, kinds) for part in value)
        _expect(key, value, is_list, "a list of tables or strings" if dict in kinds else "a list of strings")
        for part in value:
            _convert(ctx, parameter, part, part if isinstance(part, str) else part.get("url"))
    else:
        is_single = isinstance(value, str | int | float) and not isinstance(value, bool)
        _expect(key, value, is_single, "a string or a number")
        _convert(ctx, parameter, str(value))


def _expect(key: str, value: Any, is_right: bool, what: str) -> None:
    if not is_right:
        written = str(value).lower() if isinstance(value, bool) else repr(value)
        raise _WrongValueError(f"{key} is {written}; it must be {what}")


def _convert(ctx: click.Context, parameter: click.Parameter, value: Any, part: str | None = None) -> None:
    try:
        converted = parameter.type.convert(value, parameter, ctx)
        if parameter.name in SETTINGS:
            # An option or a variable may take precedence, and then nothing else would check this value.
            SETTINGS[parameter.name].check(parameter.name, converted)
    except click.BadParameter as error:
        raise _WrongValueError(f"{_key(parameter)}: {clause_of(error.message)}", part) from None
    except ValueError as error:
        raise _WrongValueError(str(error), part) from None
