"""`hubbub connect`: a client, on a terminal or in a pipe."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..client.connection import connect as dial
from ..client.dial import reason_of
from ..door.secret import SharedSecret
from ..framing import Raw
from ..server.run import loop_factory
from ..values.errors import ConnectionClosed
from ..values.settings import CONNECT, OUTPUT, Settings
from ..values.text import printable
from ..values.units import format_time
from ..wire.tls import TlsFileError
from ..wire.tls_client import client_context
from . import environment
from .failure import Failure, Unreachable
from .options import TLS, Command, option
from .pipe import pipe
from .target import target_argument
from .values import Time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..client.connection import Connection
    from .target import Target

logger = logging.getLogger("hubbub")

_option = partial(option, prefix="HUBBUB_CONNECT")
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(cls=Command)
@target_argument(required=False)
@_option("--tls", group=TLS, is_flag=True, help="Use TLS, as tls://HOST:PORT does.")
@_option(
    "--ca",
    group=TLS,
    type=_FILE,
    metavar="FILE",
    help="Use TLS, and trust these authorities (PEM) instead of the system's.",
)
@_option("--cert", group=TLS, type=_FILE, metavar="FILE", help="Use TLS, and show this certificate (PEM).")
@_option(
    "--key", group=TLS, type=_FILE, metavar="FILE", show_default="in the same file", help="The private key of --cert."
)
@_option(
    "--secret-file",
    group=CONNECT,
    type=_FILE,
    metavar="FILE",
    help="Say the secret in this file first, on each connection. The file is read once, at the start.",
)
@_option(
    "--retry",
    group=CONNECT,
    is_flag=True,
    help="Connect again after a pause, whenever the server cannot be reached or the connection has ended.",
)
@_option(
    "--timeout",
    group=CONNECT,
    type=Time(),
    metavar="TIME",
    default=format_time(Settings().connect_time),
    help="How long connecting may take.",
)
@_option(
    "--verbose", "-v", group=OUTPUT, is_flag=True, help="Say with whom it is connected, and how the connection ended."
)
def connect(*, target: Target, verbose: bool, secret_file: Path | None, **options: Any) -> None:
    """Connect to a server, on a terminal or in a pipe.

    Write the server as 5000, localhost:5000, localhost 5000, [::1]:5000, tls://HOST:PORT or unix:///PATH. By default it
    is 127.0.0.1, with the port in HUBBUB_PORT, or 5000.

    On a terminal, messages are printed above the line you type, and Ctrl-D ends the connection. If standard input or
    output is a pipe or a file, the command sends its input, prints what arrives, and ends when the server closes the
    connection.

    Each option can also be set by a variable whose name begins with HUBBUB_CONNECT_, as in HUBBUB_CONNECT_RETRY.

    The exit status is 1 if the server cannot be reached, refuses the connection or breaks it, or if some of the input
    cannot be read or sent.
    """
    environment.warn()
    make = _dialler(target, **options)
    secret = _read_secret(secret_file) if secret_file else None
    # Ctrl-C ends the program at once, as with nc. Where a line is being typed, it is a key.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        with _logging(verbose=verbose), asyncio.Runner(loop_factory=loop_factory()) as runner:
            sys.exit(runner.run(_talk(make, secret)))
    except BrokenPipeError:
        # Nobody reads the output any more, so there is nobody to tell.
        sys.exit(1)
    except ConnectionClosed as closed:
        reason = closed.ending.reason if closed.ending is not None else "it sends no more"
        raise Unreachable(f"cannot talk to {closed.peer}: {printable(reason)}") from None
    except OSError as error:
        raise Unreachable(f"cannot talk to {target.address}: {reason_of(error)}") from None


def _dialler(
    target: Target, *, tls: bool, retry: bool, timeout: float, **files: Path | None
) -> Callable[..., Connection[Any]]:
    """What makes the connection.

    Raises:
        Failure: an option is wrong.
    """
    if files["key"] and not files["cert"]:
        raise Failure("--key is the key of a certificate; give that with --cert")
    try:
        context = None
        if target.tls or tls or files["ca"] or files["cert"]:
            context = client_context(files["ca"], files["cert"], files["key"])
        settings = Settings(connect_time=timeout)
        make = partial(dial, *target.address, tls=context or False, retry=retry, settings=settings)
        # It is checked before anything else is done.
        make()
    except TlsFileError as error:
        raise Failure(f"--{error.part.replace('certificate', 'cert')}: {error}") from None
    except ValueError as error:
        raise Failure(str(error).replace("connect_time", "--timeout")) from None
    return make


async def _talk(make: Callable[..., Connection[Any]], secret: bytes | None) -> int:
    """Connect and talk; the exit status."""
    if os.isatty(0) and os.isatty(1):
        # prompt-toolkit takes longer to import than everything else, and only this needs it.
        from .terminal import TYPED, talk  # noqa: PLC0415 - see above

        async with make(framing=TYPED, say=secret and secret.decode(errors="replace")) as connection:
            await talk(connection)
        return 0
    async with make(framing=Raw(), say=secret and secret + b"\n") as connection:
        return 0 if await pipe(connection) else 1


def _read_secret(path: Path) -> bytes:
    """The first secret in a file.

    Raises:
        Failure: there is none.
    """
    try:
        return SharedSecret(path).first
    except OSError as error:
        raise Failure(f"--secret-file: cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise Failure(f"--secret-file: {error}") from None


class _Stderr(logging.Handler):
    """Writes what the library logs as lines on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"hubbub: {self.format(record)}", err=True)


@contextmanager
def _logging(*, verbose: bool) -> Iterator[None]:
    handler = _Stderr()
    logger.setLevel(logging.DEBUG if verbose else logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
