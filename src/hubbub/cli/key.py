"""`hubbub key`: make a key, with which a client is let in."""

from __future__ import annotations

import fcntl
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ..door.key_file import check_key_name, check_room_pattern, parse_keys, write_key
from ..values.key import READ, RIGHTS
from . import environment, stdio
from .failure import Failure, Unreachable, guess
from .options import Command, option

if TYPE_CHECKING:
    from collections.abc import Sequence

SECRET_SIZE: Final = 32
"""Random bytes of a secret. From 16 on nobody can guess one, however fast its hash is."""

MODE: Final = 0o600
"""Permissions of a new file."""


@click.command(cls=Command)
@click.argument("action", type=click.Choice(["new"]))
@click.argument("name")
@option(
    "--keys",
    "path",
    prefix="HUBBUB_KEY",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The file of `hubbub serve --keys`, which is made if it is missing. What it has stays as it is.",
)
@option(
    "--may",
    prefix="HUBBUB_KEY",
    multiple=True,
    default=(READ,),
    metavar="RIGHT",
    help=f"What the key allows: {', '.join(RIGHTS)}. May be given several times, or with commas between several.",
)
@option(
    "--room",
    "rooms",
    prefix="HUBBUB_KEY",
    multiple=True,
    show_default="all",
    metavar="PATTERN",
    help="A room that the key opens, or a pattern as in the shell (weather-*). May be given several times.",
)
def key(*, action: str, name: str, path: Path, may: Sequence[str], rooms: Sequence[str]) -> None:
    """Make a key for a client.

    `hubbub key new NAME` makes a key with that name, and prints its secret, which no file has: give it to the client.
    The file gets its hash, and what it allows. A server that runs reads the file on SIGHUP.

    To take a key away, remove its table from the file, and send the server SIGHUP. It then ends the connections that
    came in with that key.

    Each option can also be set by a variable whose name begins with HUBBUB_KEY_, as in HUBBUB_KEY_KEYS.

    The exit status is 1 if the secret cannot be printed.
    """
    environment.warn()
    rights = list(dict.fromkeys(right for text in may for right in text.split(",")))
    try:
        check_key_name(name)
        for pattern in rooms:
            check_room_pattern(pattern)
    except ValueError as error:
        raise Failure(str(error)) from None
    if unknown := [right for right in rights if right not in RIGHTS]:
        raise Failure(f"--may: {unknown[0]!r} is not one of {', '.join(RIGHTS)}{guess(unknown[0], RIGHTS)}")
    secret = secrets.token_urlsafe(SECRET_SIZE)
    _add(path, name, write_key(name, secret.encode(), rights, rooms).encode())
    _print(f"{secret}\n".encode(), name, path)
    where = f"the rooms {', '.join(rooms)}" if rooms else "all rooms"
    words = f"the key {name} may {', '.join(rights)} in {where}; its secret is not shown again"
    click.echo(f"hubbub: {words}", err=True)


def _add(path: Path, name: str, table: bytes) -> None:
    """Add the table of a key to a file. It stays one file, with its owner, its permissions and its links.

    Raises:
        Failure: it has such a key, or is not valid, or cannot be written. Then it is as it was.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, MODE)
        with os.fdopen(descriptor, "rb") as file:
            # Several of these commands write one after the other.
            fcntl.flock(file, fcntl.LOCK_EX)
            before = file.read()
            if name in [each.name for each in parse_keys(before, path).values()]:
                raise Failure(f"{path} has a key {name} already; choose another name, or remove that one first")
            gap = b"" if not before else b"\n" if before.endswith(b"\n") else b"\n\n"
            # A file in UTF-16 takes no bytes of UTF-8.
            parse_keys(before + gap + table, path)
            try:
                # A server that reads the file meanwhile does not see a part of it, and would not take it.
                stdio.write_now(descriptor, gap + table)
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, len(before))
                raise
    except OSError as error:
        raise Failure(f"--keys: cannot write {path}: {error.strerror}") from None
    except ValueError as error:
        raise Failure(f"--keys: {error}") from None


def _print(secret: bytes, name: str, path: Path) -> None:
    try:
        stdio.write_now(stdio.STDOUT, secret)
    except BrokenPipeError:
        # Nobody reads it any more, so there is nobody to tell.
        sys.exit(1)
    except OSError as error:
        advice = f"remove the key {name} from {path}, and make another one"
        raise Unreachable(f"cannot write standard output: {error.strerror}; {advice}") from None
