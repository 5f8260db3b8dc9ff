"""Running a server as a whole program: the event loop, the signals and the drain."""

from __future__ import annotations

import asyncio
import signal
from importlib import import_module, util
from typing import TYPE_CHECKING, Any, overload

from .server import Server
from .settings import DEFAULT_HOST, DEFAULT_PORT, Settings

if TYPE_CHECKING:
    from .framing import Framing, M
    from .observe import Observer
    from .server import Handler


@overload
def run(
    handler: Handler[str],
    host: str = ...,
    port: int = ...,
    *,
    settings: Settings | None = ...,
    observer: Observer[str] | None = ...,
) -> None: ...


@overload
def run(
    handler: Handler[M],
    host: str = ...,
    port: int = ...,
    *,
    framing: Framing[M],
    settings: Settings | None = ...,
    observer: Observer[M] | None = ...,
) -> None: ...


def run(
    handler: Any,
    host: str = DEFAULT_HOST,
    port: int = DEFAULT_PORT,
    *,
    framing: Any = None,
    settings: Settings | None = None,
    observer: Any = None,
) -> None:
    """Serve until SIGINT (Ctrl-C) or SIGTERM, then drain and return; a second signal ends the program at once.

    It owns the event loop (uvloop where that is installed) and the signals, so it has to be called in the main thread.
    The arguments are those of `Server`.

    Raises:
        ListenError: the server cannot listen there.
        TypeError: the handler is not a coroutine function.
        KeyboardInterrupt: SIGINT came while the server was draining.
    """
    server = Server(handler, host, port, framing=framing, settings=settings, observer=observer)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_serve(server))


async def _serve(server: Server[Any]) -> None:
    loop = asyncio.get_running_loop()
    closing: list[asyncio.Task[None]] = []

    def close() -> None:
        for number in signals:
            # The next one has its usual effect.
            loop.remove_signal_handler(number)
        closing.append(loop.create_task(server.close()))

    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, close)
    await server.serve_forever()


def loop_factory() -> Any:
    """What makes event loops: uvloop where it is installed; None: asyncio itself."""
    return import_module("uvloop").new_event_loop if util.find_spec("uvloop") else None
