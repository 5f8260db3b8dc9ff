"""`python -m man`: write the manual pages into `man/man1`, one for `hubbub` and one for each of its commands."""

from __future__ import annotations

import re
import textwrap
from importlib.metadata import version
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from hubbub.cli import main
from hubbub.cli.options import UNGROUPED, group_options

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = Path(__file__).parent / "man1"

_TERM: Final = re.compile(r"((?:-\w, )?--[\w-]+)(?: (.+))?")
"""An option as the help has it: its names, and what stands for its value."""


def make_pages() -> dict[str, str]:
    """The text of each page, by the name of its file."""
    program = click.Context(main, info_name="hubbub", **main.context_settings)
    pages = {"hubbub.1": _page(main, program)}
    for name, command in main.commands.items():
        pages[f"hubbub-{name}.1"] = _page(command, click.Context(command, info_name=name, parent=program))
    return pages


def _page(command: click.Command, ctx: click.Context) -> str:
    name = ctx.command_path.replace(" ", "-")
    summary = command.get_short_help_str(limit=200).rstrip(".")
    lines = [
        '.\\" Written by `make man`, from the text of `hubbub --help`.',
        f'.TH {name.upper()} 1 "" "hubbub {version("hubbub")}" "User Commands"',
        # Lines are not stretched, so that two blanks mean something.
        ".ad l",
        ".SH NAME",
        f"{_escape(name)} \\- {_escape(summary[:1].lower() + summary[1:])}",
        ".SH SYNOPSIS",
        f".B {_escape(ctx.command_path)}",
        _escape(" ".join(command.collect_usage_pieces(ctx))),
        ".SH DESCRIPTION",
        *_paragraphs(command.help or ""),
    ]
    if isinstance(command, click.Group):
        lines.append(".SH COMMANDS")
        for each, other in command.commands.items():
            lines += [
                ".TP",
                f"\\fB{_escape(f'{name}-{each}')}\\fR(1)",
                *_sentences(other.get_short_help_str(limit=200)),
            ]
    grouped = group_options(command, ctx)
    lines += [".SH OPTIONS", *_options(grouped.pop(UNGROUPED))]
    for title, rows in grouped.items():
        lines += [f".SS {title}", *_options(rows)]
    if command.epilog:
        lines += [".SH NOTES", *_paragraphs(command.epilog)]
    lines += [".SH SEE ALSO", *_see_also(name)]
    return "\n".join(lines) + "\n"


def _options(rows: list[tuple[str, str]]) -> Iterator[str]:
    """Options and their texts."""
    for term, text in rows:
        yield ".TP"
        yield _term(term)
        yield from _sentences(text)


def _see_also(name: str) -> Iterator[str]:
    """References to all pages but this one."""
    others = [each for each in ("hubbub", *(f"hubbub-{command}" for command in main.commands)) if each != name]
    for each in others:
        yield f".BR \\%{_escape(each)} (1){'' if each == others[-1] else ','}"


def _paragraphs(text: str) -> Iterator[str]:
    """The text of a command; click keeps the lines of a paragraph that begins with a backspace."""
    for number, paragraph in enumerate(cleandoc(text).split("\n\n")):
        if number:
            yield ".PP"
        if paragraph.startswith("\b"):
            yield ".EX"
            yield from map(_escape, paragraph.split("\n")[1:])
            yield ".EE"
        else:
            yield from _sentences(paragraph)


def _sentences(text: str) -> Iterator[str]:
    """A paragraph, with each sentence on lines of its own, as the format wants it."""
    for sentence in re.split(r"(?<=[.?!]) +(?=[A-Z\d\[])", " ".join(text.split())):
        # What a user may copy, such as a URL or a variable, is not hyphenated.
        whole = re.sub(r"(?<!\S)(?=\S*[_=/|])", r"\\%", _escape(sentence))
        yield from textwrap.wrap(whole, 79, break_long_words=False, break_on_hyphens=False)


def _term(term: str) -> str:
    """An option with its names in bold, and what stands for its value in italics."""
    match = _TERM.fullmatch(term)
    assert match is not None, term
    names = ", ".join(f"\\fB{_escape(name)}\\fR" for name in match[1].split(", "))
    return f"{names} \\fI{_escape(match[2])}\\fR" if match[2] else names


def _escape(text: str) -> str:
    """Text whose characters stand for themselves."""
    for character, name in {"\\": "\\e", "-": "\\-", '"': "\\(dq", "'": "\\(aq", "`": "\\(ga"}.items():
        text = text.replace(character, name)
    # A dot at the beginning of a line would make it a request.
    return re.sub(r"(^|\s)\.", r"\1\\&.", text)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, text in make_pages().items():
        (FOLDER / file).write_text(text)
