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
    from ..address import Address

_STDIN, _STDOUT = 0, 1

READ_SIZE: Final = 64 * 1024


def pipe(endpoint: Address, connect_time: float) -> None:
    """Send standard input, print what arrives, and return when the server ends the connection.

    The end of the input ends only this side's stream: what the server still has to say is printed.

    Args:
        endpoint: the server.
        connect_time: how long connecting may take, in seconds.

    Raises:
        OSError: the server cannot be reached, the connection broke, or nobody reads the output any more.
    """
    # As with nc, Ctrl-C ends it at once. Python's own way would wait for the next data, if it came just before a read.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with socket.create_connection(endpoint, connect_time) as connection:
        connection.settimeout(None)
        # Not waited for: when the server has ended, what is still to come from the input has nowhere to go.
        if not _is_null(_STDIN):
            threading.Thread(target=_send_input, args=(connection,), daemon=True).start()
        while data := connection.recv(READ_SIZE):
            while data:
                data = data[os.write(_STDOUT, data) :]


def _send_input(connection: socket.socket) -> None:
    # If the connection breaks, the other thread hears of it too, and reports it.
    with suppress(OSError):
        while data := os.read(_STDIN, READ_SIZE):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)


def _is_null(descriptor: int) -> bool:
    """Whether it is /dev/null, which is what programs without an input are given: no reason to end the stream."""
    status, null = os.fstat(descriptor), Path(os.devnull).stat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == null.st_rdev
