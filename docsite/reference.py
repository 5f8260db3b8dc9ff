"""The parts of the reference that are made from the code, so that nothing is written twice.

A page in `docs/reference/` names such a part between two comments; `python -m docsite` writes what belongs there:

    <!-- generated: settings -->
    <!-- end -->
"""

from __future__ import annotations

import re
from functools import partial
from inspect import cleandoc
from math import inf
from typing import TYPE_CHECKING, Final

import click

from hubbub import Settings
from hubbub.cli import main
from hubbub.cli.config import NO_KEYS
from hubbub.cli.options import SETTINGS, Option
from hubbub.values.declaration import SIZE
from hubbub.values.settings import DECLARATIONS
from hubbub.values.units import format_size

from .entries import entry
from .library import ROOT, package, public

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from hubbub.values.declaration import Declaration

REFERENCE: Final = ROOT / "docs" / "reference"

PYTHON_PAGES: Final = [
    REFERENCE / f"python-{topic}.md" for topic in ("server", "clients", "stores", "connect", "framings", "errors")
]
"""The pages of the library, in the order of the navigation."""

_REGION: Final = re.compile(r"(<!-- generated: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
_ENTRY: Final = re.compile(r"^<!-- generated: hubbub\.(\w+) -->$", re.MULTILINE)


class UndocumentedError(Exception):
    """Something public has no text; the message names it."""


def pages() -> list[Path]:
    """The pages of the reference."""
    return sorted(REFERENCE.glob("*.md"))


def rewritten(text: str) -> str:
    """A page with its generated parts as they should be now.

    Raises:
        UndocumentedError: something that belongs there has no text.
    """
    return _REGION.sub(lambda region: f"{region[1]}\n{_PARTS[region[2]]()}\n{region[3]}", text)


def entries(page: Path) -> list[str]:
    """The public names that a page has entries for, in its order."""
    return _ENTRY.findall(page.read_text())


def _names() -> str:
    """All public names, page by page, with the first sentence of each docstring."""
    parts = []
    for page in PYTHON_PAGES:
        title = page.read_text().partition("\n")[0].removeprefix("# ")
        lines = [f"- [`{name}`]({page.name}#{name.lower()}): {_summary(name)}" for name in entries(page)]
        parts.append("\n".join([f"## {title}", "", *lines, ""]))
    return "\n".join(parts)


def _summary(name: str) -> str:
    docstring = public(name).docstring
    if docstring is None:
        raise UndocumentedError(f"hubbub.{name} has no docstring")
    return _sentence(" ".join(docstring.value.partition("\n\n")[0].split()))


def _command(name: str) -> str:
    """How a command is used, its text, and its options. Those of `serve` that are settings have entries elsewhere."""
    command = main.commands[name]
    context = _context(command)
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    if not command.help:
        raise UndocumentedError(f"hubbub {name} has no text")
    lines = [f"```text\n{usage}\n```", "", *_paragraphs(command.help)]
    if command.epilog:
        lines += _paragraphs(command.epilog)
    if _options(command):
        lines += ["| option | what |", "|---|---|"]
    for parameter in _options(command):
        forms = "<br>".join(f"`{form}`" for form in _forms(parameter))
        if name == "serve" and _key(parameter) not in NO_KEYS:
            lines.append(f"| [`{_long(parameter)}`](settings.md#{_key(parameter)}) | {_first(_help(parameter))} |")
        else:
            lines.append(f"| {forms} | {_cell(_help(parameter))}{_cell(_remarks(parameter, context))} |")
    return "\n".join([*lines, ""])


def _context(command: click.Command) -> click.Context:
    """A context like that of a call. A command keeps for good what it takes from its first one."""
    group = click.Context(main, info_name="hubbub", **main.context_settings)
    return click.Context(command, parent=group, info_name=command.name, **command.context_settings)


def _paragraphs(text: str) -> Iterator[str]:
    """A text for click as Markdown: what keeps its lines there is a block here."""
    for paragraph in cleandoc(text).split("\n\n"):
        kept = paragraph.removeprefix("\b\n")
        yield f"```text\n{kept}\n```" if kept != paragraph else paragraph
        yield ""


def _options(command: click.Command) -> list[click.Option]:
    return [parameter for parameter in command.params if isinstance(parameter, click.Option)]


def _long(option: click.Option) -> str:
    return max(option.opts, key=len)


def _key(option: click.Option) -> str:
    return _long(option).removeprefix("--")


def _help(option: click.Option) -> str:
    if not option.help:
        raise UndocumentedError(f"the option {_long(option)} has no text")
    return option.help


def _forms(option: click.Option) -> list[str]:
    """How an option is written, with what stands for its value."""
    if option.is_flag:
        return list(option.opts)
    context = _context(main)
    return [f"{form} {option.make_metavar(context)}" for form in option.opts]


def _remarks(option: click.Option, context: click.Context) -> str:
    """The default of an option and its variable, as sentences that follow its text."""
    remarks = []
    if default := _default(option, context):
        remarks.append(f" Default: {default}.")
    if option.envvar:
        remarks.append(f" Variable: `{option.envvar}`.")
    return "".join(remarks)


def _default(option: click.Option, context: click.Context) -> str:
    if isinstance(option.show_default, str):
        return option.show_default
    default = option.get_help_extra(context).get("default")
    return "" if default is None or option.is_flag else f"`{default}`"


def _first(text: str) -> str:
    """The beginning of a text, for a table."""
    return _cell(_sentence(text))


def _sentence(text: str) -> str:
    """A text up to the end of its first sentence."""
    return re.split(r"(?<=[.:;]) ", text, maxsplit=1)[0].rstrip(":;.") + "."


def _cell(text: str) -> str:
    return _escaped(text).replace("|", "\\|")


def _escaped(text: str) -> str:
    """A text of the command line as Markdown."""
    return text.replace("<", "&lt;").replace("*", "\\*")


def _keys() -> str:
    """An entry for each key of the configuration file, below the title of its group."""
    command = main.commands["serve"]
    context = _context(command)
    groups: dict[str, list[str]] = {}
    for option in _options(command):
        if isinstance(option, Option) and option.group and _key(option) not in NO_KEYS:
            groups.setdefault(option.group.title, []).extend(_key_entry(option, context))
    return "\n".join(line for title, lines in groups.items() for line in [f"## {title}", "", *lines])


def _key_entry(option: Option, context: click.Context) -> list[str]:
    # Below its options, the help has what stands on the page of the commands.
    text = _help(option).replace("see below", "see [the list](command-line.md#serve)")
    default, ways = _default_of(option, context), _ways(option)
    if option.name in SETTINGS:
        default += _bounds(DECLARATIONS[option.name])
        ways.append(f"in Python `Settings.{option.name}`")
    return _entry(_key(option), text, [default, *ways])


def _python_settings() -> str:
    """An entry for each setting that is not an option."""
    lines: list[str] = []
    for name, declaration in DECLARATIONS.items():
        if not declaration.option:
            if not declaration.meaning:
                raise UndocumentedError(f"the setting {name} has no text")
            lines += _entry(
                name, declaration.meaning, [f"Default: `{getattr(Settings(), name)}`{_bounds(declaration)}"]
            )
    return "\n".join(lines)


def _entry(title: str, text: str, facts: list[str]) -> list[str]:
    return [f"### {title}", "", _escaped(text), "", f"{'; '.join(facts)}.", ""]


def _default_of(option: click.Option, context: click.Context) -> str:
    if option.is_flag:
        return "Default: `false`"
    default = _default(option, context)
    return f"Default: {default}" if default else "Not set by default"


def _ways(option: click.Option) -> list[str]:
    forms = ", ".join(f"`{form}`" for form in _forms(option))
    several = " (several times)" if option.multiple else ""
    return [f"option {forms}{several}", f"variable `{option.envvar}`"]


def _bounds(declaration: Declaration) -> str:
    if str in declaration.kind.types:
        return ""
    written = format_size if declaration.kind is SIZE else str
    least = "more than 0" if declaration.minimum is None else f"at least {written(declaration.minimum)}"
    return f", {least}" + (f" and at most {declaration.maximum}" if declaration.maximum != inf else "")


_PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "names": _names,
    "keys": _keys,
    "python-settings": _python_settings,
    **{name: partial(_command, name) for name in main.commands},
    **{f"hubbub.{name}": partial(entry, str(name)) for name in package().exports or ()},
}
