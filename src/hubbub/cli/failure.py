"""How a command fails: one line on standard error, and an exit status."""

from __future__ import annotations

from contextlib import contextmanager
from difflib import get_close_matches
from typing import IO, TYPE_CHECKING, Any

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Failure(click.ClickException):
    """Ends the command with one line on standard error and exit status 2: the user can correct the command.

    The message says what happened, to whom, and what to do.

    Attributes:
        about: the parameters whose values may be to blame, the likeliest first. Each has the part of its value that is
            meant; None is all of it.
    """

    exit_code = 2

    def __init__(self, message: str, about: Mapping[str, str | None] | None = None) -> None:
        super().__init__(message)
        self.about = about or {}

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"hubbub: {self.format_message()}", file=file, err=file is None)


class Unreachable(Failure):
    """The same with exit status 1: the command was right, but the other side did not do its part."""

    exit_code = 1


class Commands(click.Group):
    """Commands, listed in the order in which they were added. A usage error is one line, as a `Failure` is."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands."""
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read what stands before the name of the command."""
        with _in_one_line(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        with _in_one_line(ctx):
            return super().invoke(ctx)


@contextmanager
def _in_one_line(ctx: click.Context) -> Iterator[None]:
    """Turn usage errors into a `Failure`."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        # It shows the help.
        raise
    except click.UsageError as error:
        if isinstance(error, click.BadParameter) and not isinstance(error, click.MissingParameter):
            raise Failure(f"{_source(error)}{clause_of(error.message)}") from None
        message = clause_of(error.format_message()).replace(". Did you", "; did you")
        command = " ".join(filter(None, (ctx.command_path, ctx.invoked_subcommand)))
        raise Failure(message if message.endswith("?") else f"{message}; see {command} --help") from None


def _source(error: click.BadParameter) -> str:
    """Where the user has set a wrong value, as the beginning of a message: an option or a variable."""
    parameter = error.param
    if not isinstance(parameter, click.Option) or error.ctx is None:
        return ""
    if error.ctx.get_parameter_source(str(parameter.name)) is ParameterSource.ENVIRONMENT:
        return f"{parameter.envvar}: "
    return f"{max(parameter.opts, key=len)}: "


def clause_of(message: str) -> str:
    """A sentence of click as a part of another one."""
    return message[:1].lower() + message[1:].rstrip(".")


def guess(word: str, known: Iterable[str]) -> str:
    """The word that a user may have meant, as the end of a message; nothing if no known word is close."""
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
