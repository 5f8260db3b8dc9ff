"""What `hubbub serve` prints: each event as a line of text or of JSON."""

from __future__ import annotations

import json
import logging
import os
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

from ..door.acceptor import LOG_INTERVAL
from ..server.observation import Observer
from ..values.ending import EndingCode
from ..values.text import printable
from .systemd import notify
from .writer import LineWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ..hub.client import Client
    from ..hub.hub import Hub
    from ..server.server import Server
    from ..values.address import Address
    from ..values.ending import Ending

LogFormat = Literal["text", "timed", "json"]

LayOut: TypeAlias = "Callable[[str, Mapping[str, object]], str]"
"""Makes the line for an event, of its text and its fields."""

SAID_LIMIT: Final = 1_000
"""Messages shown per second; more are counted. Nobody reads faster, and clients must not wait for it."""

REFUSED_LIMIT: Final = 10
"""Connections that were not let in, shown per second; more are counted."""

CONTINUED: Final = "    "
"""How all lines of a log record but the first begin. What a client has sent may be in the text of an exception, with
line ends in it, and must not pass for a record of its own."""

_STDOUT, _STDERR = 1, 2

_ORDINARY = {EndingCode.LEFT, EndingCode.FINISHED, EndingCode.CLOSED, EndingCode.SHUTDOWN}


@contextmanager
def reporting(log_format: LogFormat, *, quiet: bool, verbose: bool) -> Iterator[QuietReporter]:
    """An observer that prints events on standard output.

    As long as the context is open, everything that is logged goes to standard error.

    Args:
        log_format: what a line looks like.
        quiet: whether only the addresses of the server are printed.
        verbose: whether the end of each client is logged.
    """
    lay_out = _LAY_OUTS[log_format]
    report_dropped = partial(_report_dropped, lay_out)
    logger, own = logging.getLogger(), logging.getLogger("hubbub")
    level = own.level
    with LineWriter(_STDOUT, report_dropped) as out, LineWriter(_STDERR, report_dropped) as err:
        handler = _LogHandler(err, lay_out)
        logger.addHandler(handler)
        own.setLevel(logging.DEBUG if verbose else logging.INFO)
        try:
            if quiet:
                yield QuietReporter(out, lay_out)
            else:
                yield Reporter(out, lay_out, hint=log_format != "json" and os.isatty(_STDOUT))
        finally:
            own.setLevel(level)
            logger.removeHandler(handler)


def _as_text(line: str, fields: Mapping[str, object]) -> str:
    return line


def _as_timed_text(line: str, fields: Mapping[str, object]) -> str:
    return f"{_now()} {line}"


def _as_json(line: str, fields: Mapping[str, object]) -> str:
    return json.dumps({"time": _now(), **fields})


_LAY_OUTS: Final[Mapping[LogFormat, LayOut]] = {"text": _as_text, "timed": _as_timed_text, "json": _as_json}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _report_dropped(lay_out: LayOut, count: int, reason: str) -> str:
    return lay_out(f"{count} lines dropped: {reason}.", {"event": "dropped", "count": count, "reason": reason})


class QuietReporter(Observer[Any]):
    """Prints where the server listens. It does not override `received`, so messages cost it nothing."""

    def __init__(self, out: LineWriter, lay_out: LayOut) -> None:
        self._out = out
        self._lay_out = lay_out

    def started(self, server: Server[Any]) -> None:
        for url, address in zip(server.urls, server.addresses, strict=True):
            self._report(f"Server started at: {url}", event="started", url=url, address=str(address))
        notify("READY=1")

    def closing(self, server: Hub[Any]) -> None:
        notify("STOPPING=1")

    def _report(self, line: str, **fields: object) -> None:
        self._out.write(self._lay_out(line, fields))


class Reporter(QuietReporter):
    """Prints also which clients connect, what they say, and how they end.

    Args:
        out: see `QuietReporter`.
        lay_out: see `QuietReporter`.
        hint: whether a person reads it, who is told what to do next.
    """

    def __init__(self, out: LineWriter, lay_out: LayOut, *, hint: bool) -> None:
        super().__init__(out, lay_out)
        self._hint = hint
        self._said = _Quota(SAID_LIMIT)
        self._refused = _Quota(REFUSED_LIMIT)
        self._overloaded = _Quota(1, LOG_INTERVAL)
        # The others are probes.
        self._noticed: set[Client[Any]] = set()

    def started(self, server: Server[Any]) -> None:
        super().started(server)
        if self._hint:
            self._out.write(self._lay_out(_hint(server), {}))

    def noticed(self, client: Client[Any]) -> None:
        self._noticed.add(client)
        certificate = client.certificate_name
        whose = f" with the certificate of {printable(certificate)}" if certificate else ""
        key = f" with the key {client.key}" if client.key else ""
        fields = {"client": client.name, "address": client.address, "certificate": certificate, "key": client.key}
        self._report(f"{client} connected{whose}{key}.", event="connected", **fields)

    def refused(self, address: Address, ending: Ending) -> None:
        if ending.code is EndingCode.PROBE:
            return
        quota = self._overloaded if ending.code is EndingCode.OVERLOADED else self._refused
        shown = quota.take(1)
        self._report_unshown()
        if shown:
            fields = {"client": str(address), "address": address.host, "code": ending.code, "reason": ending.reason}
            self._report(f"{address} was not let in ({ending}).", event="refused", **fields)

    def received(self, client: Client[Any], messages: Sequence[Any]) -> None:
        shown = self._said.take(len(messages))
        self._report_unshown()
        # Only messages that are looked at are decoded.
        for message in messages[:shown] if shown else ():
            text = message if isinstance(message, str) else message.rstrip(b"\r\n").decode(errors="backslashreplace")
            self._report(f"{client} said: {printable(text)}", event="said", client=client.name, message=text)

    def ended(self, client: Client[Any]) -> None:
        # A client that has ended has an ending.
        ending = cast("Ending", client.ending)
        if client not in self._noticed:
            return
        self._noticed.remove(client)
        self._report_unshown(at_once=True)
        why = "" if ending.code in _ORDINARY else f" ({ending})"
        lag = client.lag
        fields = {
            "client": client.name,
            "address": client.address,
            "key": client.key,
            "duration": round(client.age, 3),
            "messages": client.messages_received,
            "bytes": client.bytes_received,
            "lag_messages": lag.messages,
            "lag_bytes": lag.bytes,
            "code": ending.code,
            "reason": ending.reason,
        }
        self._report(f"{client} disconnected{why}.", event="disconnected", **fields)

    def closing(self, server: Hub[Any]) -> None:
        super().closing(server)
        self._report_unshown(at_once=True)

    def _report_unshown(self, *, at_once: bool = False) -> None:
        refused = "connections that were not let in"
        for quota, what in ((self._said, "messages"), (self._refused, refused), (self._overloaded, refused)):
            if count := quota.take_unshown(at_once=at_once):
                self._report(f"{count} more {what} not shown.", event="not shown", count=count, what=what)


_TRY: Final = {
    "tcp": "telnet {host} {port}",
    "tls": "openssl s_client -quiet -connect {host}:{port}",
    "unix": "nc -U {host}",
}
"""A client for people, by the scheme of a place."""


def _hint(server: Server[Any]) -> str:
    """What a person at the terminal may do next: the first place is for trying."""
    listener = server.listeners[0]
    # A person can neither say what is not text, nor say who a proxy's client is.
    if listener.proxies or not (listener.framing or server.framing).textual:
        return "Ctrl-C stops."
    address = server.addresses[0]
    # A socket that listens at all addresses of this machine has one that nobody can connect to.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104 - see above
    client = _TRY[server.urls[0].partition(":")[0]].format(host=host, port=address.port)
    return f"Ctrl-C stops; try: {client}"


class _Quota:
    """Limits how many events of a kind are shown, and counts the others.

    Args:
        limit: the most that are shown in `time`.
        time: seconds.
    """

    def __init__(self, limit: int, time: float = 1.0) -> None:
        self._limit = limit
        self._time = time
        self._second = 0.0
        self._shown = 0
        self._unshown = 0
        self._unshown_before = 0

    def take(self, count: int) -> int:
        """How many of `count` events are shown."""
        now = time.monotonic()
        if now - self._second >= self._time:
            self._unshown_before += self._unshown
            self._second, self._shown, self._unshown = now, 0, 0
        shown = min(count, self._limit - self._shown)
        self._shown += shown
        self._unshown += count - shown
        return shown

    def take_unshown(self, *, at_once: bool) -> int:
        """How many events were not shown since the last call.

        Args:
            at_once: whether those of the time that has not ended yet count too.
        """
        count, self._unshown_before = self._unshown_before, 0
        if at_once:
            count, self._unshown = count + self._unshown, 0
        return count


class _LogHandler(logging.Handler):
    """Gives log records to a writer."""

    def __init__(self, err: LineWriter, lay_out: LayOut) -> None:
        super().__init__()
        self._err = err
        self._lay_out = lay_out

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        fields = {"event": "log", "level": record.levelname.lower(), "logger": record.name, "message": text}
        line = f"\n{CONTINUED}".join(map(printable, text.split("\n")))
        self._err.write(self._lay_out(line, fields))
