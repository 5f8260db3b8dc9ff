"""Options of the commands, and those that are made of the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from ..values.declaration import COUNT, RATE, SECONDS, SIZE, TEXT, Group
from ..values.settings import DECLARATIONS, Settings
from ..values.units import format_size, format_time
from . import environment
from .values import NONE, Number, OrNone, Size, Time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..values.declaration import Declaration, Kind

HELP: Final = {"help_option_names": ["-h", "--help"]}
"""How a command's help is asked for, on its own and as a part of another command."""

UNGROUPED: Final = "Options"
"""What stands above the options that belong to no group."""

TERM_WIDTH: Final = 28
"""The widest option that has its text beside it in the help; the text of a wider one begins on the next line."""

TLS: Final = Group("TLS")

SETTINGS: Final = {name: declaration for name, declaration in DECLARATIONS.items() if declaration.option}
"""The settings that are options."""

# How a value of each kind is read, and what stands for it in the help.
_TYPES: Final[Mapping[Kind, tuple[click.ParamType[Any], str]]] = {
    SIZE: (Size(), "SIZE"),
    COUNT: (click.INT, "N"),
    RATE: (Number(), "N"),
    SECONDS: (Time(), "TIME"),
    TEXT: (click.STRING, "TEXT"),
}


class Option(click.Option):
    """An option that can also be set by a variable.

    Attributes:
        group: the group of options that it belongs to; None: those that concern all others.

    Args:
        group: see above.
        may_be_empty: whether a variable that is empty means what an empty option means; if not, it means nothing.
    """

    def __init__(
        self, *arguments: Any, group: Group | None = None, may_be_empty: bool = False, **attributes: Any
    ) -> None:
        super().__init__(*arguments, **attributes)
        self.group = group
        self._may_be_empty = may_be_empty

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        value = environment.read(str(self.envvar))
        return value if value or self._may_be_empty else None


class Command(click.Command):
    """A command whose help lists the options by their groups, in the order in which the groups first occur."""

    def get_help_option_names(self, ctx: click.Context) -> list[str]:
        """The same in each context: a command keeps for good what the first one says."""
        return HELP["help_option_names"]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        grouped = group_options(self, ctx)
        terms = [term for rows in grouped.values() for term, _ in rows if len(term) <= TERM_WIDTH]
        width = max(map(len, terms))
        for title, rows in grouped.items():
            with formatter.section(title):
                # A term of the full width makes the columns of all groups equally wide.
                formatter.write_dl([(term.ljust(width), text) for term, text in rows], col_max=width)


def group_options(command: click.Command, ctx: click.Context) -> dict[str, list[tuple[str, str]]]:
    """What the help says of each option of a command, below the title of its group."""
    grouped: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        if isinstance(parameter, click.Option) and (row := parameter.get_help_record(ctx)):
            group = parameter.group if isinstance(parameter, Option) else None
            grouped.setdefault(group.title if group else UNGROUPED, []).append(row)
    return grouped


def option(name: str, *more: str, prefix: str = "HUBBUB", **attributes: Any) -> Callable[[Any], Any]:
    """An option that can also be set by a variable.

    Args:
        name: the option, as in `--when-slow`.
        more: its other names, and that of its parameter.
        prefix: how the variable begins, as in HUBBUB_WHEN_SLOW.
        attributes: as `click.option` takes them, and what `Option` takes besides.
    """
    variable = f"{prefix}_{name.removeprefix('--').replace('-', '_').upper()}"
    attributes = {"show_default": True, **attributes}
    return click.option(name, *more, cls=Option, envvar=variable, **attributes)


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
    # An empty message would tell nobody anything.
    may_be_empty = declaration.none is not None and declaration.kind is TEXT
    if declaration.none is not None:
        kind = OrNone(kind, NONE, "") if may_be_empty else OrNone(kind, NONE)
        metavar = f"{metavar}|{NONE}"
        help_text = f"{help_text} {NONE}: {declaration.none}."
    return option(
        f"--{name.replace('_', '-')}",
        group=declaration.group,
        type=kind,
        metavar=metavar,
        default=_written(getattr(Settings(), name), declaration.kind),
        help=help_text,
        may_be_empty=may_be_empty,
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
