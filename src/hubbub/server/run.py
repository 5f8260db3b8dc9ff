"""Running a server as a whole program: the event loop, the signals and the drain."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from importlib import import_module, util
from typing import TYPE_CHECKING, Any, Final, overload

from ..values.errors import ListenError
from ..values.settings import DEFAULT_HOST, DEFAULT_PORT, Settings
from .server import Server
from .summary import describe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from ..door.listener import Listener
    from ..framing import Framing, M
    from ..hub.client import Handler
    from ..hub.publisher import Publish
    from ..log.store import Store
    from .observation import Observer

logger = logging.getLogger("hubbub")


@overload
def run(
    handler: Handler[str],
    host: str = ...,
    port: int = ...,
    *,
    listeners: Sequence[Listener[str]] | None = ...,
    settings: Settings | None = ...,
    observer: Observer[str] | None = ...,
    store: Store | None = ...,
    publish: Publish[str] | None = ...,
) -> None: ...


@overload
def run(
    handler: Handler[M],
    host: str = ...,
    port: int = ...,
    *,
    listeners: Sequence[Listener[M]] | None = ...,
    framing: Framing[M],
    settings: Settings | None = ...,
    observer: Observer[M] | None = ...,
    store: Store | None = ...,
    publish: Publish[M] | None = ...,
) -> None: ...


def run(
    handler: Handler[M],
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    *,
    listeners: Sequence[Listener[M]] | None = None,
    framing: Framing[M] | None = None,
    settings: Settings | None = None,
    observer: Observer[M] | None = None,
    store: Store | None = None,
    publish: Publish[M] | None = None,
) -> None:
    """Serve until SIGINT (Ctrl-C) or SIGTERM, then drain and return; a second signal ends the program at once.

    SIGHUP reads certificates, secrets, keys and networks again (`Server.reload`) and logs what has changed; where it
    means that the program's terminal is gone, it ends the program like SIGTERM. SIGUSR1 logs who is connected and who
    lags. What it logs goes to the logger `hubbub`, with level INFO, which Python's `logging` does not show by itself.

    It owns the event loop (uvloop where that is installed) and the signals, so it has to be called in the main thread.
    Standard streams that are closed are opened to /dev/null. The arguments are those of `Server`.

    Raises:
        SystemExit: the server cannot listen there. Where nobody catches it, Python prints the reason in a line, and
            ends the program with status 1.
        TypeError, ValueError: as `Server` does.
        KeyboardInterrupt: SIGINT came while the server was draining.
    """
    open_missing_streams()
    given: Any = framing  # None only where M is str, which the overloads say
    server = Server(
        handler,
        host,
        port,
        listeners=listeners,
        framing=given,
        settings=settings,
        observer=observer,
        store=store,
        publish=publish,
    )
    try:
        run_server(server)
    except ListenError as error:
        # Python prints that line, without a traceback.
        raise SystemExit(str(error)) from error


_UNCHANGED: Final = "no certificate, secret, key or network has changed; other settings need a restart"


def run_server(server: Server[Any]) -> None:
    """As `run`, with a server that was not started.

    Raises:
        ListenError: the server cannot listen there.
        KeyboardInterrupt: SIGINT came while the server was draining.
    """
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        for task in runner.run(_serve(server)):
            # It swallows its cancellation, as was logged, and the runner would wait for it for ever. (The name has an
            # underscore, and a place in asyncio's documentation: "Extending".)
            asyncio._unregister_task(task)


def open_missing_streams() -> None:
    """Open the standard streams that are closed (`<&-`) to /dev/null.

    A socket would take the number of such a stream. Then output would go to a client, or libuv would abort.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The file gets the lowest free number, which is this one.
            os.open(os.devnull, os.O_RDWR)


async def _serve(server: Server[Any]) -> AbstractSet[asyncio.Task[Any]]:
    """Serve to the end; the handlers that do not end."""
    loop = asyncio.get_running_loop()
    closing: list[asyncio.Task[None]] = []

    def close() -> None:
        # The next one ends the program at once. Python's own handler of SIGINT would raise wherever the program is just
        # then, and be ignored in a callback of the garbage collection.
        loop.remove_signal_handler(signal.SIGTERM)
        loop.add_signal_handler(signal.SIGINT, interrupt)
        closing.append(loop.create_task(server.close()))

    def interrupt() -> None:
        raise KeyboardInterrupt

    def hang_up() -> None:
        if on_terminal and not os.isatty(0):
            close()
        else:
            changes, failures = server._reload()
            _log(changes or ([] if failures else [_UNCHANGED]))
            for failure in failures:
                logger.warning("%s", failure)

    on_terminal = os.isatty(0)
    endings = (signal.SIGINT, signal.SIGTERM)
    for number in endings:
        loop.add_signal_handler(number, close)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    loop.add_signal_handler(signal.SIGUSR1, lambda: _log(describe(server)))
    await server.serve_forever()
    return server._sessions.left_over


def _log(lines: Sequence[str]) -> None:
    for line in lines:
        logger.info("%s", line)


def loop_factory() -> Any:
    """What makes event loops: uvloop where it is installed; None: asyncio itself."""
    return import_module("uvloop").new_event_loop if util.find_spec("uvloop") else None
