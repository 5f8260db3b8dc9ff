"""How a command says that it cannot do what it was told."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping


class Failure(click.ClickException):
    """Ends the command with one line on standard error and exit status 2: the user can put the command right.

    The message says what happened, to whom, and what to do.

    Attributes:
        about: the parameters whose values are to blame, the likeliest first, each with the part of it that is meant;
            None is all of it.
    """

    exit_code = 2

    def __init__(self, message: str, about: Mapping[str, str | None] | None = None) -> None:
        super().__init__(message)
        self.about = about or {}

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(f"hubbub: {self.format_message()}", file=file, err=file is None)


class Unreachable(Failure):
    """Ends the command likewise, with exit status 1: the command was right, but the other side does not play along."""

    exit_code = 1


def reason_of(error: OSError) -> str:
    """Why a server cannot be talked to, in words."""
    if isinstance(error, TimeoutError):
        return "the server does not answer"
    # asyncio puts the address into strerror, where it would be said twice.
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
