"""The figures of the server for Prometheus, in its text format, or in OpenMetrics where that is asked for.

First the connections are counted, a slice of them at a time. Then everything else is read at once, and written. Nothing
is kept between two requests: what only grows is counted by the server and its logs.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import Counter
from http import HTTPStatus
from importlib import import_module
from itertools import accumulate
from math import inf
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ...values.ending import EndingCode
from ..page import Page, Shown
from ..requests import Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from prometheus_client import Metric

    from ...hub.session import Session
    from ...hub.statistics import Statistics
    from ...log.store import StoreStatistics
    from ..page import Watched
    from ..requests import Request

ROOMS: Final = 100
"""So many rooms have figures of their own: those that were made first."""

OTHERS: Final = "(others)"
"""Stands for the other rooms. No request can make a room of that name, and one that a program makes is among them."""

SLICE: Final = 500
"""So many connections, and rooms that these read, are looked at before others have their turns."""

LAGS: Final = (0, *(1024 * 4**power for power in range(11)))
"""The bounds by which lags are counted, in bytes: 0, 1 KiB, 4 KiB and so on, up to 1 GiB."""

OPEN_METRICS: Final = "application/openmetrics-text"


class _Metrics(Page):
    paths: tuple[str, ...] = ("/metrics",)

    async def show(self, request: Request, server: Watched) -> Shown:
        try:
            # This takes longer than the loop may be held, the first time.
            await asyncio.to_thread(import_module, "prometheus_client.openmetrics.exposition")
        except ModuleNotFoundError:
            # Not a 404, which would be taken for a wrong path.
            reason = "metrics need the library prometheus-client; install it with: pip install 'hubbub[metrics]'"
            raise Problem(HTTPStatus.NOT_IMPLEMENTED, reason) from None
        crowd = _Crowd()
        await crowd.count(server.readers)
        figures = list(_figures(server, crowd))
        await asyncio.sleep(0)
        return _written(figures, open_metrics=OPEN_METRICS in request.headers.get("accept", ""))


class _Crowd:
    """Who is connected.

    Attributes:
        ways: how many came by each protocol.
        lags: how many readers lag by at most each of LAGS and more than the one before; the last: those beyond.
        lag: how many bytes all readers lag together.
    """

    def __init__(self) -> None:
        self.ways: Counter[str] = Counter()
        self.lags = [0] * (len(LAGS) + 1)
        self.lag = 0

    async def count(self, readers: Collection[Session[Any]]) -> None:
        """Count them as they are now, a slice at a time."""
        left = SLICE
        for reader in list(readers):
            if reader.ending is None:
                self.ways[reader.via] += 1
                if reader.role.hears:
                    # To add it up takes five times as long as all the rest, and most readers are up to date.
                    lag = 0 if reader.direct else reader.lag.bytes
                    self.lag += lag
                    self.lags[bisect_left(LAGS, lag)] += 1
            left -= 1 + len(reader.cursors)
            if left <= 0:
                await asyncio.sleep(0)
                left = SLICE


class _Sample(NamedTuple):
    """A line: what comes behind the name of the figure, and the value."""

    value: float
    labels: Mapping[str, str] = {}
    suffix: str = ""


class _Figure(NamedTuple):
    """What Prometheus calls a family of metrics."""

    kind: str
    name: str
    text: str
    samples: Sequence[_Sample]


def _gauge(name: str, text: str, value: float) -> _Figure:
    return _Figure("gauge", name, text, [_Sample(value)])


def _counter(name: str, text: str, value: float) -> _Figure:
    return _counters(name, text, [_Sample(value)])


def _counters(name: str, text: str, samples: Sequence[_Sample]) -> _Figure:
    return _Figure("counter", name, text, [sample._replace(suffix="_total") for sample in samples])


def _times(name: str, text: str, count: int, seconds: float, quantiles: Mapping[str, float]) -> _Figure:
    some = [_Sample(value, {"quantile": quantile}) for quantile, value in quantiles.items()]
    return _Figure("summary", name, text, [*some, _Sample(count, suffix="_count"), _Sample(seconds, suffix="_sum")])


def _figures(server: Watched, crowd: _Crowd) -> Iterator[_Figure]:
    figures = server.statistics()
    limit = inf if server.clients_limit is None else server.clients_limit
    yield _gauge("ready", "Whether more clients should come, as /readyz says.", server.trouble is None)
    yield _gauge("uptime_seconds", "Seconds since the start.", server.uptime)
    ways = [_Sample(count, {"via": via}) for via, count in sorted(crowd.ways.items())]
    yield _Figure("gauge", "connections", "Connections now, by protocol.", ways)
    yield _gauge("connections_limit", "How many connections there may be.", limit)
    yield _counter("connections_accepted", "Connections, those that were not let in too.", figures.accepted)
    yield from _endings(figures)
    yield _lags(crowd)
    yield from _rooms(server, figures)
    yield _counter("messages", "Messages in all rooms.", figures.messages)
    yield _counter("bytes", "Bytes in all rooms, as logs count them.", figures.bytes)
    text = "Turns of the event loop in which messages were flushed, and what that took."
    yield _times("flush_seconds", text, figures.flushes, figures.flush_time, {})
    yield _counter("slowed", "How often a client was held to its rate.", figures.slowed)
    yield _counter("muted", "Clients that took nothing, and stayed because they speak.", figures.muted)
    yield _counter("unheard", "Private messages to clients that hear none.", figures.unheard)
    yield _counter("tails", "Last messages that had no end, and were dropped.", figures.tails)
    if figures.store is not None:
        yield from _store(figures.store)


def _endings(figures: Statistics) -> Iterator[_Figure]:
    """How connections have ended. Each code is there from the start: a 1 without a 0 before would be no rise."""
    refused = {code: figures.refused.get(code, 0) for code in EndingCode}
    ended = {code: figures.endings.get(code, 0) - count for code, count in refused.items()}
    for name, text, counts in (
        ("connections_ended", "Connections that were let in and have ended, by code.", ended),
        ("connections_refused", "Connections that were not let in, by code.", refused),
    ):
        yield _counters(name, text, [_Sample(count, {"code": code.value}) for code, count in counts.items()])


def _lags(crowd: _Crowd) -> _Figure:
    bounds = [*map(str, LAGS), "+Inf"]
    samples = [
        _Sample(count, {"le": bound}, "_bucket") for bound, count in zip(bounds, accumulate(crowd.lags), strict=True)
    ]
    rest = [_Sample(sum(crowd.lags), suffix="_gcount"), _Sample(crowd.lag, suffix="_gsum")]
    return _Figure("gaugehistogram", "reader_lag_bytes", "How far readers are behind now.", samples + rest)


def _rooms(server: Watched, figures: Statistics) -> Iterator[_Figure]:
    """The rooms: some by name, and the readers of the others.

    The messages of the others are not added up: the sum would fall when a room goes, and a counter must not.
    """
    readers: list[_Sample] = []
    messages: list[_Sample] = []
    sizes: list[_Sample] = []
    stored: list[_Sample] = []
    others = 0
    for name, room in server.rooms.items():
        if len(readers) == ROOMS or name == OTHERS:
            others += len(room)
            continue
        head, label = room.fan_out.log.head, {"room": name}
        readers.append(_Sample(len(room), label))
        messages.append(_Sample(head.seq, label))
        sizes.append(_Sample(head.offset, label))
        if figures.store is not None:
            stored.append(_Sample(figures.store.committed.get(name, 0), label))
    readers.append(_Sample(others, {"room": OTHERS}))
    yield _gauge("rooms", "Rooms now.", figures.rooms)
    yield _Figure("gauge", "room_readers", "Readers of a room now.", readers)
    yield _counters("room_messages", "Messages that a room has had from its beginning on.", messages)
    yield _counters("room_bytes", "The same in bytes, as logs count them.", sizes)
    if figures.store is not None:
        yield _counters("store_room_messages", "How many of them are committed, or were.", stored)


def _store(store: StoreStatistics) -> Iterator[_Figure]:
    yield _gauge("store_out", "Whether the store takes nothing.", store.out)
    yield _gauge("store_pending_bytes", "Bytes that wait for their commit, as logs count them.", store.pending)
    yield _gauge("store_size_bytes", "Bytes on the disk after the last commit.", store.size)
    quantiles = {"0.5": store.commit_p50, "0.99": store.commit_p99}
    text = "Commits, and what they took; the quantiles are of the last 1,000."
    yield _times("store_commit_seconds", text, store.commits, store.commit_time, quantiles)


class _Collected(NamedTuple):
    """What the library takes for a registry."""

    metrics: Sequence[Metric]

    def collect(self) -> Sequence[Metric]:
        return self.metrics


def _written(figures: Sequence[_Figure], *, open_metrics: bool) -> Shown:
    from prometheus_client import Metric, exposition  # noqa: PLC0415 - it is an extra
    from prometheus_client.openmetrics import exposition as openmetrics  # noqa: PLC0415 - it is an extra

    metrics = []
    for kind, name, text, samples in figures:
        metric = Metric(f"hubbub_{name}", text, kind)
        for value, labels, suffix in samples:
            metric.add_sample(metric.name + suffix, dict(labels), value)
        metrics.append(metric)
    # The library's own choice repeats what the header says, and raises where a version in it is none.
    if open_metrics:
        body: bytes = openmetrics.generate_latest(_Collected(metrics))  # type: ignore[no-untyped-call] # it has no types
        return Shown(body, openmetrics.CONTENT_TYPE_LATEST)
    return Shown(exposition.generate_latest(_Collected(metrics)), "text/plain; version=0.0.4; charset=utf-8")


PAGE: Final = _Metrics()
