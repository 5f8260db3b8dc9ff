"""Standard input and output, whatever they are: a pipe, a file, a terminal, a socket.

They are shared with other programs, which may have made them non-blocking. So nothing is changed about them. On the
event loop each of them is waited for before it is used: a read or a write then never stops the loop.
"""

from __future__ import annotations

import asyncio
import errno
import os
import select
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

STDIN: Final = 0
STDOUT: Final = 1

READ_SIZE: Final = 64 * 1024


async def read(descriptor: int) -> bytes:
    """What a descriptor has; b"" at its end. If it is cancelled, nothing is lost.

    Raises:
        OSError: it cannot be read.
    """
    loop = asyncio.get_running_loop()
    # A file is always ready, and the loop is to turn nevertheless.
    await asyncio.sleep(0)
    while True:
        if not _is_ready(descriptor, select.POLLIN):
            await _until_ready(descriptor, loop.add_reader, loop.remove_reader)
        with suppress(BlockingIOError):
            return os.read(descriptor, READ_SIZE)


async def write(descriptor: int, data: bytes) -> None:
    """Write all of it. If it is cancelled, a part is written.

    Raises:
        OSError: it cannot be written; `BrokenPipeError` if nobody reads it any more.
    """
    loop = asyncio.get_running_loop()
    rest = memoryview(data)
    # A pipe that blocks and is ready takes so much without waiting, and perhaps no more (pipe(7)).
    waits = os.get_blocking(descriptor) and not stat.S_ISREG(os.fstat(descriptor).st_mode)
    size = select.PIPE_BUF if waits else len(rest)
    while rest:
        if not _is_ready(descriptor, select.POLLOUT):
            await _until_ready(descriptor, loop.add_writer, loop.remove_writer)
        with suppress(BlockingIOError):
            rest = rest[os.write(descriptor, rest[:size]) :]


def write_now(descriptor: int, data: bytes) -> None:
    """Write all of it, for programs that have no event loop and may wait.

    Raises:
        OSError: it cannot be written; `BrokenPipeError` if nobody reads it any more.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()


def wait_read(descriptor: int, seconds: float) -> None:
    """Wait for so long, as long as somebody may read what is written.

    Raises:
        BrokenPipeError: nobody does any more.
    """
    poll = select.poll()
    # Errors and the end are always reported.
    poll.register(descriptor, 0)
    if poll.poll(seconds * 1000):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def is_null(descriptor: int) -> bool:
    """Whether a descriptor is /dev/null. Programs without an input get that."""
    status, null = os.fstat(descriptor), Path(os.devnull).stat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == null.st_rdev


def _is_ready(descriptor: int, event: int) -> bool:
    """Whether a descriptor can be used without waiting; files always can, and the loop cannot watch them."""
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(0))


async def _until_ready(
    descriptor: int, watch: Callable[[int, Callable[[], None]], None], unwatch: Callable[[int], bool]
) -> None:
    ready = asyncio.Event()
    watch(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        unwatch(descriptor)
