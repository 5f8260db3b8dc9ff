"""Servers of the standard library, each in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseServer
from threading import Event, Thread


@contextmanager
def in_thread(server: BaseServer, closing: Event | None = None) -> Iterator[None]:
    """Have a server serve until the context is left. Then `closing` is set, for those of its threads that wait."""
    with server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            if closing is not None:
                closing.set()
            server.shutdown()
            thread.join()
