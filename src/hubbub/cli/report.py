"""What `hubbub serve` prints: a line for each event, as text or as JSON."""

from __future__ import annotations

import json
import logging
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from ..acceptor import LOG_INTERVAL
from ..endings import EndingCode
from ..observe import Observer
from ..text import printable
from .systemd import notify
from .writer import LineWriter

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..address import Address
    from ..client import Client
    from ..endings import Ending
    from ..server import Server

LogFormat = Literal["text", "json"]

SAID_LIMIT: Final = 1_000
"""Messages shown in a second; more are counted. Nobody reads faster, and the clients must not wait for it."""

REFUSED_LIMIT: Final = 10
"""Connections shown in a second that were not let in; more are counted."""

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
    logger, own = logging.getLogger(), logging.getLogger("hubbub")
    level = own.level
    with LineWriter(_STDOUT) as out, LineWriter(_STDERR) as err:
        handler = _LogHandler(err, lay_out)
        logger.addHandler(handler)
        own.setLevel(logging.DEBUG if verbose else logging.INFO)
        try:
            yield QuietReporter(out, lay_out) if quiet else Reporter(out, lay_out)
        finally:
            own.setLevel(level)
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
        notify("READY=1")

    def closing(self, server: Server[Any]) -> None:
        notify("STOPPING=1")

    def _report(self, line: str, **fields: object) -> None:
        self._out.write(self._lay_out(line, fields))


class Reporter(QuietReporter):
    """Prints also who connected, said what and left."""

    def __init__(self, out: LineWriter, lay_out: Any) -> None:
        super().__init__(out, lay_out)
        self._said = _Quota(SAID_LIMIT)
        self._refused = _Quota(REFUSED_LIMIT)
        self._overloaded = _Quota(1, LOG_INTERVAL)

    def connected(self, client: Client[Any]) -> None:
        certificate = client.certificate_name
        whose = f" with the certificate of {printable(certificate)}" if certificate else ""
        fields = {"client": client.name, "address": client.address, "certificate": certificate}
        self._report(f"{client} connected{whose}.", event="connected", **fields)

    def refused(self, address: Address, ending: Ending) -> None:
        quota = self._overloaded if ending.code is EndingCode.OVERLOADED else self._refused
        shown = quota.take(1)
        self._report_unshown()
        if shown:
            fields = {"client": str(address), "address": address.host, "code": ending.code, "reason": ending.reason}
            self._report(f"{address} was not let in ({printable(str(ending))}).", event="refused", **fields)

    def received(self, client: Client[Any], messages: Sequence[Any]) -> None:
        shown = self._said.take(len(messages))
        self._report_unshown()
        for message in messages[:shown]:
            text = message if isinstance(message, str) else message.rstrip(b"\r\n").decode(errors="backslashreplace")
            self._report(f"{client} said: {printable(text)}", event="said", client=client.name, message=text)

    def ended(self, client: Client[Any]) -> None:
        # A client that has ended says why.
        ending = cast("Ending", client.ending)
        self._report_unshown(at_once=True)
        why = "" if ending.code in _ORDINARY else f" ({printable(str(ending))})"
        lag = client.lag
        fields = {
            "client": client.name,
            "address": client.address,
            "duration": round(max(0.0, time.time() - client.connected_at), 3),
            "messages": client.messages_received,
            "bytes": client.bytes_received,
            "lag_messages": lag.messages,
            "lag_bytes": lag.bytes,
            "code": ending.code,
            "reason": ending.reason,
        }
        self._report(f"{client} disconnected{why}.", event="disconnected", **fields)

    def closing(self, server: Server[Any]) -> None:
        super().closing(server)
        self._report_unshown(at_once=True)

    def _report_unshown(self, *, at_once: bool = False) -> None:
        refused = "connections that were not let in"
        for quota, what in ((self._said, "messages"), (self._refused, refused), (self._overloaded, refused)):
            if count := quota.take_unshown(at_once=at_once):
                self._report(f"{count} more {what} not shown.", event="not shown", count=count, what=what)


class _Quota:
    """How many of a kind are shown in a time, and how many were not.

    Args:
        limit: the most that are shown.
        time: in how many seconds.
    """

    def __init__(self, limit: int, time: float = 1.0) -> None:
        self._limit = limit
        self._time = time
        self._second = 0.0
        self._shown = 0
        self._unshown = 0
        self._unshown_before = 0

    def take(self, count: int) -> int:
        """How many of `count` may be shown."""
        now = time.monotonic()
        if now - self._second >= self._time:
            self._unshown_before += self._unshown
            self._second, self._shown, self._unshown = now, 0, 0
        shown = min(count, self._limit - self._shown)
        self._shown += shown
        self._unshown += count - shown
        return shown

    def take_unshown(self, *, at_once: bool) -> int:
        """How many were not shown in the seconds before, or until now, since this was last asked."""
        count, self._unshown_before = self._unshown_before, 0
        if at_once:
            count, self._unshown = count + self._unshown, 0
        return count


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
