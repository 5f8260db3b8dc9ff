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
from ..client.http_url import EXAMPLE, HttpUrl
from ..client.subscription import subscribe
from ..door.secret import SharedSecret
from ..framing import Raw
from ..server.run import loop_factory
from ..values.errors import ConnectionClosed, HttpError
from ..values.settings import CONNECT, OUTPUT, Settings
from ..values.text import printable
from ..values.units import format_time
from ..wire.tls import TlsFileError
from ..wire.tls_client import client_context
from . import environment
from .failure import Failure, Unreachable
from .follow import follow
from .options import TLS, Command, option
from .pipe import pipe
from .position_file import PositionFile
from .target import target_argument
from .values import Place, Time

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Coroutine, Iterator

    from ..client.connection import Connection
    from ..values.since import Since
    from .target import Target

logger = logging.getLogger("hubbub")

_option = partial(option, prefix="HUBBUB_CONNECT")
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(cls=Command)
@target_argument(required=False, rooms=True)
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
    "--since",
    group=CONNECT,
    type=Place(),
    metavar="PLACE",
    help="Over HTTP, begin there: none, all, 100 (messages), 64K (bytes), 10m (a time), a date or a position.",
    show_default="with the next message",
)
@_option(
    "--resume",
    group=CONNECT,
    type=_FILE,
    metavar="FILE",
    help="Over HTTP, note in this file how far messages were printed, and begin there if it exists, not at --since.",
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
def connect(*, target: Target | HttpUrl, verbose: bool, secret_file: Path | None, **options: Any) -> None:
    """Connect to a server, on a terminal or in a pipe.

    Write the server as 5000, localhost:5000, localhost 5000, [::1]:5000, tls://HOST:PORT or unix:///PATH. By default it
    is 127.0.0.1, with the port in HUBBUB_PORT, or 5000.

    On a terminal, messages are printed above the line you type, and Ctrl-D ends the connection. If standard input or
    output is a pipe or a file, the command sends its input, prints what arrives, and ends when the server closes the
    connection.

    To read a room of a hubbub over HTTP, write http://HOST:PORT/ROOM. Its messages are printed, a line each, and
    nothing is sent. The command comes back when the connection ends, and goes on behind what it has printed. If
    messages are missing, standard error says so.

    Each option can also be set by a variable whose name begins with HUBBUB_CONNECT_, as in HUBBUB_CONNECT_RETRY.

    The exit status is 1 if the server cannot be reached, refuses the connection or breaks it, or if some of the input
    cannot be read or sent.
    """
    environment.warn()
    secret = _read_secret(secret_file) if secret_file else None
    run = _follower(target, secret, **options) if isinstance(target, HttpUrl) else _talker(target, secret, **options)
    # Ctrl-C ends the program at once, as with nc. Where a line is being typed, it is a key.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        with _logging(verbose=verbose), asyncio.Runner(loop_factory=loop_factory()) as runner:
            sys.exit(runner.run(run()))
    except BrokenPipeError:
        # Nobody reads the output any more, so there is nobody to tell.
        sys.exit(1)
    except ConnectionClosed as closed:
        reason = closed.ending.reason if closed.ending is not None else "it sends no more"
        raise Unreachable(f"cannot talk to {closed.peer}: {printable(reason)}") from None
    except OSError as error:
        raise Unreachable(f"cannot talk to {target.address}: {reason_of(error)}") from None
    except HttpError as error:
        raise Unreachable(f"cannot read {printable(str(error))}") from None


def _talker(
    target: Target, secret: bytes | None, *, since: Since | None, resume: Path | None, **options: Any
) -> Callable[[], Coroutine[Any, Any, int]]:
    """What talks with a server.

    Raises:
        Failure: an option is wrong.
    """
    for name, value in (("since", since), ("resume", resume)):
        if value is not None:
            raise Failure(f"--{name} needs a room over HTTP, as in {EXAMPLE}: {target.address} tells no positions")
    return partial(_talk, _dialler(target, **options), secret)


def _follower(
    room: HttpUrl,
    secret: bytes | None,
    *,
    since: Since | None,
    resume: Path | None,
    timeout: float,
    tls: bool,
    retry: bool,
    **files: Path | None,
) -> Callable[[], Coroutine[Any, Any, int]]:
    """What reads a room.

    Raises:
        Failure: an option is wrong.
    """
    # It always comes back.
    del retry
    file = None if resume is None else PositionFile(resume)
    place = since if file is None or file.position is None else file.position
    begin = None if place is None else str(place)
    key = None if secret is None else secret.decode(errors="surrogateescape")
    try:
        context = _context(tls or room.tls, **files)
        entries = subscribe(room.text, since=begin, key=key, tls=context, settings=Settings(connect_time=timeout))
    except (ValueError, ImportError) as error:
        raise Failure(str(error).replace("connect_time", "--timeout").replace("the key", "--secret-file")) from None
    return partial(follow, entries, file)


def _context(wanted: bool, **files: Path | None) -> ssl.SSLContext | None:
    """How TLS is spoken, if it is.

    Raises:
        Failure: a file is missing or wrong.
    """
    if files["key"] and not files["cert"]:
        raise Failure("--key is the key of a certificate; give that with --cert")
    try:
        return client_context(files["ca"], files["cert"], files["key"]) if wanted or any(files.values()) else None
    except TlsFileError as error:
        raise Failure(f"--{error.part.replace('certificate', 'cert')}: {error}") from None


def _dialler(
    target: Target, *, tls: bool, retry: bool, timeout: float, **files: Path | None
) -> Callable[..., Connection[Any]]:
    """What makes the connection.

    Raises:
        Failure: an option is wrong.
    """
    context = _context(target.tls or tls, **files)
    try:
        settings = Settings(connect_time=timeout)
        make = partial(dial, *target.address, tls=context or False, retry=retry, settings=settings)
        # It is checked before anything else is done.
        make()
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
        # It has words of the server in it.
        click.echo(f"hubbub: {printable(self.format(record))}", err=True)


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
