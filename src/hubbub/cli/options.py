"""Options of the commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable


HELP: Final = {"help_option_names": ["-h", "--help"]}
"""How a command's help is asked for, whether it is a part of another command or read by itself."""


def option(name: str, *more: str, group: str = "HUBBUB", **attributes: Any) -> Callable[[Any], Any]:
    """An option that is also read from a variable, and says so in the help.

    Args:
        name: the option, as in `--when-slow`.
        more: its other names, and that of its parameter.
        group: what the variable begins with, as in HUBBUB_WHEN_SLOW.
        attributes: as `click.option` takes them.
    """
    variable = f"{group}_{name.removeprefix('--').replace('-', '_').upper()}"
    return click.option(name, *more, envvar=variable, show_envvar=True, **{"show_default": True, **attributes})
