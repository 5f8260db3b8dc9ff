"""`hubbub top`: the state of a running server, in a terminal or as text."""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from ..door.secret import SharedSecret
from ..server.run import loop_factory
from ..values.declaration import Group
from ..wire.tls import TlsFileError
from ..wire.tls_client import client_context
from . import environment, stdio
from .failure import Failure, Unreachable
from .options import TLS, Command, option
from .target import DEFAULT_URL, parse_place
from .top_view import View, plain

if TYPE_CHECKING:
    from ..client.http_url import HttpUrl
    from .top_asking import Asker

INTERRUPTED: Final = 130
"""The exit status after Ctrl-C in a pipe, as shells report it."""

KEY: Final = Group("Key")

_option = partial(option, prefix="HUBBUB_TOP")
_FILE = click.Path(dir_okay=False, path_type=Path)


def _read_url(ctx: click.Context, param: click.Parameter, text: str) -> HttpUrl:
    try:
        return parse_place(text)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


@click.command(cls=Command)
@click.argument("target", metavar="[URL]", default=DEFAULT_URL, callback=_read_url)
@_option(
    "--secret-file",
    group=KEY,
    type=_FILE,
    metavar="FILE",
    help="Ask with the secret in this file: that of a key that may watch. The file is read once, at the start.",
)
@_option(
    "--ca",
    group=TLS,
    type=_FILE,
    metavar="FILE",
    show_default="those of the system",
    help="Trust these authorities (PEM) where the URL begins with https://.",
)
def top(*, target: HttpUrl, secret_file: Path | None, ca: Path | None) -> None:
    """Show the state of a running server.

    URL is a place where the server speaks HTTP, by default http://127.0.0.1:8080. The state has all rooms and
    connections, so a server without keys shows it only to programs on its own machine.

    On a terminal, the state is shown until you press q, and is renewed every two seconds, or more rarely where the
    server takes long to answer. Tab changes between connections and rooms. The keys that sort, filter and scroll are
    shown below. If the server does not answer, hubbub goes on trying.

    In a pipe, or on a terminal that can only print lines (TERM=dumb), the state is printed once, as text.

    If `NO_COLOR` is set, there are no colours.

    Each option can also be set by a variable whose name begins with HUBBUB_TOP_, as in HUBBUB_TOP_SECRET_FILE.

    The exit status is 1 if the server cannot be reached, or does not show its state.
    """
    environment.warn()
    asker = _asker(target, secret_file, ca)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(_show(asker))
    except BrokenPipeError:
        # Nobody reads the output any more, so there is nobody to tell.
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _asker(target: HttpUrl, secret_file: Path | None, ca: Path | None) -> Asker:
    """What asks the server.

    Raises:
        Failure: an option is wrong, or something is not installed.
    """
    try:
        from .top_asking import Asker  # noqa: PLC0415 - what it needs is an extra
    except ModuleNotFoundError as error:
        raise Failure(f"`hubbub top` needs {error.name}; install it with: pip install 'hubbub[web]'") from None
    if ca is not None and not target.tls:
        raise Failure("--ca is for TLS; write https:// in the URL")
    try:
        context = client_context(ca) if target.tls else None
        return Asker(target, SharedSecret(secret_file).first if secret_file is not None else None, context)
    except TlsFileError as error:
        raise Failure(f"--ca: {error}") from None
    except OSError as error:
        raise Failure(f"--secret-file: cannot read {secret_file}: {error.strerror}") from None
    except ValueError as error:
        raise Failure(f"--secret-file: {error}") from None


async def _show(asker: Asker) -> None:
    """Show the state once, or until the user ends it.

    Raises:
        Unreachable: there is nothing to show.
        BrokenPipeError: nobody reads the output any more.
    """
    from .top_asking import NoLookError  # noqa: PLC0415 - what it needs is an extra

    try:
        try:
            look, pause = await asker.look()
        except NoLookError as error:
            raise Unreachable(str(error)) from None
        if _is_screen():
            # It takes longer to import than everything else, and only this needs it.
            from .top_screen import watch  # noqa: PLC0415 - prompt-toolkit is slow to import

            await watch(asker, View(asker.target.text, look), pause)
        else:
            text = "".join(f"{line}\n" for line in plain(asker.target.text, look))
            stdio.write_now(stdio.STDOUT, text.encode(errors="backslashreplace"))
    finally:
        await asker.close()


def _is_screen() -> bool:
    """Whether a user sees what is drawn, and can type."""
    return os.isatty(0) and os.isatty(1) and os.environ.get("TERM", "dumb") not in ("", "dumb", "unknown")
