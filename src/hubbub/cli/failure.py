"""How a command fails: one line on standard error, and an exit status."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


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


def reason_of(error: OSError) -> str:
    """Why the connection to a server failed, in words."""
    if isinstance(error, TimeoutError):
        return "the server does not answer"
    # asyncio puts the address into strerror, and the message has it already.
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)


def guess(word: str, known: Iterable[str]) -> str:
    """The word that a user may have meant, as the end of a message; nothing if no known word is close."""
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
