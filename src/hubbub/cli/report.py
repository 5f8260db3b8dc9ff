"""What `hubbub serve` prints: a line for each event, as text or as JSON."""

from __future__ import annotations

import json
import logging
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from ..endings import EndingCode
from ..observe import Observer
from ..text import printable
from .writer import LineWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..client import Client
    from ..endings import Ending
    from ..server import Server

LogFormat = Literal["text", "json"]

SAID_LIMIT: Final = 1_000
"""Messages shown in a second; more are counted. Nobody reads faster, and the clients must not wait for it."""

_STDOUT, _STDERR = 1, 2

_ORDINARY = {EndingCode.LEFT, EndingCode.FINISHED, EndingCode.CLOSED, EndingCode.SHUTDOWN}


@contextmanager
def reporting(log_format: LogFormat, *, quiet: bool, verbose: bool) -> Iterator[QuietReporter]:
    """An observer that prints events on standard output.

    While it is open, what hubbub and asyncio log goes to standard error.

    Args:
        log_format: how lines look.
        quiet: print only where the server listens.
        verbose: log more.
    """
    lay_out = _as_json if log_format == "json" else _as_text
    logger = logging.getLogger()
    with LineWriter(_STDOUT) as out, LineWriter(_STDERR) as err:
        handler = _LogHandler(err, lay_out)
        logger.addHandler(handler)
        logging.getLogger("hubbub").setLevel(logging.DEBUG if verbose else logging.INFO)
        try:
            yield QuietReporter(out, lay_out) if quiet else Reporter(out, lay_out)
        finally:
            logger.removeHandler(handler)


def _as_text(line: str, fields: dict[str, object]) -> str:
    return line


def _as_json(line: str, fields: dict[str, object]) -> str:
    return json.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), **fields})


class QuietReporter(Observer[Any]):
    """Prints where the server listens."""

    def __init__(self, out: LineWriter, lay_out: Any) -> None:
        self._out = out
        self._lay_out = lay_out

    def started(self, server: Server[Any]) -> None:
        for address in server.addresses:
            self._report(f"Server started at: {address}", event="started", address=str(address))

    def _report(self, line: str, **fields: object) -> None:
        self._out.write(self._lay_out(line, fields))


class Reporter(QuietReporter):
    """Prints also who connected, said what and left."""

    def __init__(self, out: LineWriter, lay_out: Any) -> None:
        super().__init__(out, lay_out)
        self._second = 0.0
        self._shown = 0
        self._unshown = 0

    def connected(self, client: Client[Any]) -> None:
        self._report(f"{client} connected.", event="connected", client=client.name)

    def received(self, client: Client[Any], messages: Sequence[Any]) -> None:
        now = time.monotonic()
        if now - self._second >= 1.0:
            self._report_unshown()
            self._second = now
            self._shown = 0
        shown = messages[: SAID_LIMIT - self._shown]
        self._shown += len(shown)
        self._unshown += len(messages) - len(shown)
        for message in shown:
            text = message if isinstance(message, str) else message.rstrip(b"\r\n").decode(errors="backslashreplace")
            self._report(f"{client} said: {printable(text)}", event="said", client=client.name, message=text)

    def ended(self, client: Client[Any]) -> None:
        # A client that has ended says why.
        ending = cast("Ending", client.ending)
        self._report_unshown()
        why = "" if ending.code in _ORDINARY else f" ({printable(str(ending))})"
        fields = {"client": client.name, "code": ending.code, "reason": ending.reason}
        self._report(f"{client} disconnected{why}.", event="disconnected", **fields)

    def _report_unshown(self) -> None:
        if self._unshown:
            self._report(f"{self._unshown} more messages not shown.", event="not shown", count=self._unshown)
            self._unshown = 0


class _LogHandler(logging.Handler):
    """Hands what is logged to a writer."""

    def __init__(self, err: LineWriter, lay_out: Any) -> None:
        super().__init__()
        self._err = err
        self._lay_out = lay_out

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        fields = {"event": "log", "level": record.levelname.lower(), "logger": record.name, "message": text}
        # A handler's exception may quote what its client said.
        line = "\n".join(map(printable, text.split("\n")))
        self._err.write(self._lay_out(line, fields))
