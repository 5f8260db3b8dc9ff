"""Options of the commands, and those that are made of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from ..values.declaration import COUNT, RATE, SECONDS, SIZE, TEXT
from ..values.settings import DECLARATIONS, Settings
from .values import NONE, Number, OrNone, Size, Time, format_size, format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..values.declaration import Declaration, Kind

HELP: Final = {"help_option_names": ["-h", "--help"]}
"""How a command's help is asked for, on its own and as a part of another command."""

SETTINGS: Final = {name: declaration for name, declaration in DECLARATIONS.items() if declaration.option}
"""The settings that are options."""

# How a value of each kind is read, and what stands for it in the help.
_TYPES: Final[Mapping[Kind, tuple[click.ParamType[Any], str]]] = {
    SIZE: (Size(), "SIZE"),
    COUNT: (click.INT, "NUMBER"),
    RATE: (Number(), "NUMBER"),
    SECONDS: (Time(), "TIME"),
    TEXT: (click.STRING, "TEXT"),
}


def option(name: str, *more: str, group: str = "HUBBUB", **attributes: Any) -> Callable[[Any], Any]:
    """An option that can also be set by a variable; its help names the variable.

    Args:
        name: the option, as in `--when-slow`.
        more: its other names, and that of its parameter.
        group: how the variable begins, as in HUBBUB_WHEN_SLOW.
        attributes: as `click.option` takes them.
    """
    variable = f"{group}_{name.removeprefix('--').replace('-', '_').upper()}"
    return click.option(name, *more, envvar=variable, show_envvar=True, **{"show_default": True, **attributes})


def settings_options(choices: Mapping[str, Sequence[str]]) -> Callable[[Any], Any]:
    """The options of all settings in `SETTINGS`, in that order.

    Their bounds are not checked here: `Settings` does that.

    Args:
        choices: the values of settings that are the name of something, by setting.
    """

    def add(command: Any) -> Any:
        # Each decorator puts its option before those that are there.
        for name, declaration in reversed(SETTINGS.items()):
            command = _setting_option(name, declaration, choices.get(name))(command)
        return command

    return add


def _setting_option(name: str, declaration: Declaration, choices: Sequence[str] | None) -> Callable[[Any], Any]:
    kind: click.ParamType[Any]
    kind, metavar = _TYPES[declaration.kind]
    help_text = declaration.meaning
    if choices is not None:
        kind, metavar = click.Choice(choices), f"[{'|'.join(choices)}]"
    if declaration.none is not None:
        # An empty message would tell nobody anything.
        kind = OrNone(kind, NONE, "") if declaration.kind is TEXT else OrNone(kind, NONE)
        metavar = f"{metavar}|{NONE}"
        help_text = f"{help_text} {NONE}: {declaration.none}."
    return option(
        f"--{name.replace('_', '-')}",
        type=kind,
        metavar=metavar,
        default=_written(getattr(Settings(), name), declaration.kind),
        help=help_text,
    )


def _written(value: Any, kind: Kind) -> str:
    """A value as a user writes it."""
    if value is None:
        return NONE
    if kind is SIZE:
        return format_size(value)
    if kind is SECONDS:
        return format_time(value)
    return f"{value:g}" if isinstance(value, float) else str(value)
