"""Printing the messages of a room that is read over HTTP."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NoReturn

import click

from ..client.objects import Missed
from ..values.text import printable
from . import stdio
from .pipe import write_output

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..client.objects import Item
    from ..client.subscription import Subscription
    from ..values.position import Position
    from .position_file import PositionFile

NOTE_TIME: Final = 0.2
"""Seconds from one note of the position to the next. After `kill -9`, what was printed since then is printed again."""

_ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends the command, once the position is noted."""


async def follow(entries: Subscription, file: PositionFile | None) -> NoReturn:
    """Print the messages of a room. It may be cancelled.

    Args:
        entries: what is read.
        file: where the position is noted behind what was printed, also before a signal ends the program. Where nothing
            was printed yet, it is the place where the stream began. None: nowhere.

    Raises:
        HttpError, ConnectionClosed: the server has ended it.
        BrokenPipeError: nobody reads the output any more.
        Unreachable: the output or the file cannot be written.
    """
    printer = _Printer(file)
    with _held_back(_ENDS if file is not None else ()):
        try:
            async with entries:
                await printer.run(entries)
        finally:
            printer.note()


@contextmanager
def _held_back(numbers: Iterable[signal.Signals]) -> Iterator[None]:
    """Have the first of these signals cancel the task. On leaving, it does what it would have done."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    # nohup(1) has SIGHUP ignored.
    before = {number: was for number in numbers if (was := signal.getsignal(number)) is not signal.SIG_IGN}
    caught: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        caught.append(number)
        task.cancel()

    for number in before:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
        for number in caught[:1]:
            signal.raise_signal(number)


class _Printer:
    """Prints entries, and notes how far it is."""

    def __init__(self, file: PositionFile | None) -> None:
        self._file = file
        self._form = as_text if os.isatty(stdio.STDOUT) else as_bytes
        # Behind what was printed, or where the stream began; None: that is noted, or not known.
        self._place: Position | None = None
        self._begun = False
        self._noted_at = 0.0

    async def run(self, entries: Subscription) -> NoReturn:
        """Print what comes."""
        # A place that was given is the same the next time.
        self._begun = entries.position is not None
        while True:
            receiving = asyncio.create_task(entries.receive_many())
            try:
                if self._file is not None:
                    await self._note_meanwhile(entries, receiving)
                await self._print(await receiving)
            finally:
                receiving.cancel()
                await asyncio.wait([receiving])
                self._begin(entries, receiving)

    def note(self) -> None:
        """Note the position behind what was printed, or where the stream began, if that is not noted yet."""
        if self._file is not None and self._place is not None:
            self._file.write(self._place)
            self._noted_at = self._now()
        self._place = None

    async def _note_meanwhile(self, entries: Subscription, receiving: asyncio.Task[Sequence[Item]]) -> None:
        """Note the position when it is time, while nothing else comes."""
        while True:
            self._begin(entries, receiving)
            pause = self._noted_at + NOTE_TIME - self._now()
            if self._place is not None and pause <= 0:
                self.note()
            if receiving.done() or (self._begun and self._place is None):
                return
            # Nothing tells when the beginning is known, so it is looked for now and then.
            await asyncio.wait([receiving], timeout=pause if pause > 0 else NOTE_TIME)

    def _begin(self, entries: Subscription, receiving: asyncio.Task[Sequence[Item]]) -> None:
        """Have it noted where the stream began, as soon as that is known."""
        # The place of the stream is behind all that was received, and that is not printed yet.
        received = receiving.done() and not receiving.cancelled() and receiving.exception() is None
        if not self._begun and not received and entries.position is not None:
            self._begun, self._place = True, entries.position

    async def _print(self, items: Sequence[Item]) -> None:
        lines: list[bytes] = []
        for item in items:
            if isinstance(item, Missed):
                await write_output(b"".join(lines))
                lines.clear()
                click.echo(f"hubbub: {words_for(item)}", err=True)
            else:
                lines.append(self._form(item.message))
        await write_output(b"".join(lines))
        self._begun, self._place = True, items[-1].position

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def as_text(message: str | bytes) -> bytes:
    """A message for a terminal: without what could act on it."""
    text = message if isinstance(message, str) else message.decode(errors="backslashreplace")
    return f"{printable(text)}\n".encode()


def as_bytes(message: str | bytes) -> bytes:
    """A message for another program."""
    return (message if isinstance(message, bytes) else message.encode(errors="replace")) + b"\n"


def words_for(gap: Missed) -> str:
    """What is said of a gap."""
    if gap.count is None:
        return "messages are missing here, and nobody knows how many"
    return f"messages that are missing here: {gap.count}"
