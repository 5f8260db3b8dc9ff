"""A connection between standard input and output: a well-behaved nc(1)."""

from __future__ import annotations

import os
import signal
import socket
import stat
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..values.address import Address

_STDIN, _STDOUT = 0, 1

READ_SIZE: Final = 64 * 1024


def pipe(endpoint: Address, connect_time: float) -> None:
    """Send standard input, print what arrives, and return when the server closes the connection.

    The end of the input ends only this direction: what the server still sends is printed.

    Args:
        endpoint: the server.
        connect_time: seconds that connecting may take.

    Raises:
        OSError: the server cannot be reached, the connection broke, or nobody reads the output any more
            (`BrokenPipeError`).
    """
    # Ctrl-C ends the program at once, as with nc. Python's own handler runs between two calls, so a Ctrl-C just before
    # a read would wait for the next data.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with socket.create_connection(endpoint, connect_time) as connection:
        connection.settimeout(None)
        # It is not waited for: once the server has closed the connection, the rest of the input has nowhere to go.
        if not _is_null(_STDIN):
            threading.Thread(target=_send_input, args=(connection,), daemon=True).start()
        while data := connection.recv(READ_SIZE):
            while data:
                data = data[os.write(_STDOUT, data) :]


def _send_input(connection: socket.socket) -> None:
    # If the connection breaks, the main thread finds out too, and reports it.
    with suppress(OSError):
        while data := os.read(_STDIN, READ_SIZE):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)


def _is_null(descriptor: int) -> bool:
    """Whether a descriptor is /dev/null. Programs without an input get that, and it is no reason to end the stream."""
    status, null = os.fstat(descriptor), Path(os.devnull).stat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == null.st_rdev
