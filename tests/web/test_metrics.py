"""The page for Prometheus: each figure says what has really happened."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

import hubbub
from hubbub.values.role import Role
from hubbub.web.pages import metrics as metrics_module
from hubbub.web.pages.metrics import LAGS, OPEN_METRICS, OTHERS, ROOMS

from support.helpers import Peer, at, eventually, fall_behind
from support.keys import secret_of, write_keys
from support.programs import Finished, finish, require_program, wait_until
from support.programs import Peer as PlainPeer
from support.prometheus import Query, prometheus
from support.stores import SqliteBench, storing
from support.web import (
    LISTENERS,
    SMALL,
    answer,
    listeners,
    overwhelmed,
    posted,
    refusal,
    requesting,
    socket_of,
    web_serving,
)
from support.web_programs import web_program

HOST = "Host: localhost"
KIB = 1024


class Metrics:
    """What a page says."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self.families = {family.name: family for family in families}
        self._values = {
            (sample.name.removeprefix("hubbub_"), *sorted(sample.labels.items())): sample.value
            for family in self.families.values()
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float | None:
        """The value of a sample; None where there is none."""
        return self._values.get((name, *sorted(labels.items())))

    def by(self, name: str, label: str) -> dict[str, float]:
        """The values of all samples of a name, without those that are 0, by their only label."""
        keys = [key for key in self._values if key[0] == name and len(key) == 2 and key[1][0] == label]
        return {key[1][1]: self._values[key] for key in keys if self._values[key]}


async def text_of(server: hubbub.Server[Any], *headers: str) -> tuple[str, str]:
    """The type of the page, and the page."""
    async with requesting(server, "GET /metrics HTTP/1.1", HOST, *headers) as peer:
        head = await answer(peer)
        body = (await peer.exactly(int(head.headers["Content-Length"]))).decode()
        assert head.status == HTTPStatus.OK, body
        return head.headers["Content-Type"], body


def figures_of(server: hubbub.Server[Any]) -> hubbub.StoreStatistics:
    """The figures of the store."""
    figures = server.statistics().store
    assert figures is not None
    return figures


async def scrape(server: hubbub.Server[Any]) -> Metrics:
    _, text = await text_of(server)
    return Metrics(parse_text(text))


# What connects, and what ends.


async def test_connections_are_counted_by_the_way_they_came() -> None:
    async with (
        web_serving() as (server, record),
        Peer.of(server),
        Peer.of(server),
        socket_of(server),
        requesting(server, "GET /root/sse") as reader,
    ):
        await answer(reader)
        await record.wait_for_clients(3)
        metrics = await scrape(server)
        assert metrics.by("connections", "via") == {"tcp": 2, "ws": 1, "sse": 1}
        assert metrics("connections_limit") == 10_000
        # The one that asks is none of them.
        assert metrics("connections_accepted_total") == 5
        assert metrics("reader_lag_bytes_gcount") == 4


async def test_without_a_limit_there_may_be_any_number_of_connections() -> None:
    async with web_serving(settings=hubbub.Settings(clients_limit=None)) as (server, _):
        assert (await scrape(server))("connections_limit") == float("inf")


async def test_endings_and_refusals_are_apart() -> None:
    access = hubbub.Access(deny=["127.0.0.0/8"])
    places = (LISTENERS[0], LISTENERS[1], replace(LISTENERS[0], access=access))
    async with web_serving(settings=hubbub.Settings(probe_time=0), listeners=places) as (server, record):
        async with Peer.of(server) as one, Peer.of(server) as other:
            await record.wait_for_clients(2)
            for peer in one, other:
                peer.reset()
            await record.wait_for_endings(2)
        async with Peer.of(at(server, 2)) as third:
            assert (await third.rest()).startswith(b"denied: ")
        metrics = await scrape(server)
        assert metrics.by("connections_ended_total", "code") == {"lost": 2}
        assert metrics.by("connections_refused_total", "code") == {"denied": 1}


async def test_a_connection_whose_requests_were_answered_was_not_refused() -> None:
    async with web_serving() as (server, _):
        await scrape(server)
        await eventually(lambda: bool(server.statistics().endings))
        metrics = await scrape(server)
        assert metrics.by("connections_ended_total", "code") == {"finished": 1}
        assert metrics.by("connections_refused_total", "code") == {}


async def test_each_code_is_there_before_it_happens() -> None:
    async with web_serving() as (server, _):
        metrics = await scrape(server)
        for code in hubbub.EndingCode:
            for name in ("connections_ended_total", "connections_refused_total"):
                assert metrics(name, code=code) == 0


async def test_a_reader_that_is_too_slow_has_ended_as_slow() -> None:
    async with overwhelmed(SMALL) as (server, _, _peer, count):
        metrics = await scrape(server)
        assert metrics.by("connections_ended_total", "code") == {"slow": 1}
        assert metrics("room_messages_total", room="root") == metrics("messages_total") == count
        assert metrics.by("room_readers", "room") == {}
        flushes, seconds = metrics("flush_seconds_count"), metrics("flush_seconds_sum")
        assert flushes == count
        assert seconds is not None
        assert 0 < seconds < 60


async def test_a_reader_that_is_behind_lags_and_one_that_is_not_does_not() -> None:
    settings = hubbub.Settings(retention=1024 * KIB, unsent_limit=4 * KIB, pace=None, probe_time=0)
    places = (LISTENERS[0], LISTENERS[1], replace(LISTENERS[0], role="write"))
    async with (
        web_serving(settings=settings, listeners=places) as (server, record),
        Peer.of(server, receive_buffer=4 * KIB) as slow,
        Peer.of(at(server, 2)),
    ):
        (client, _) = await record.wait_for_clients(2)
        slow.stall()
        # The one that only writes is no reader.
        assert (await scrape(server))("reader_lag_bytes_bucket", le="0") == 1
        await fall_behind(client, server.root, "x" * 32 * KIB)
        async with Peer.of(server):
            await record.wait_for_clients(3)
            metrics = await scrape(server)
            lag = client.lag.bytes
            assert metrics("reader_lag_bytes_gsum") == lag
            assert metrics("reader_lag_bytes_gcount") == metrics("reader_lag_bytes_bucket", le="+Inf") == 2
            for bound in LAGS:
                assert metrics("reader_lag_bytes_bucket", le=str(bound)) == 1 + (lag <= bound)


async def test_connections_are_counted_in_slices_and_one_that_ends_meanwhile_is_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics_module, "SLICE", 1)
    async with web_serving() as (server, record), AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(Peer.of(server)) for _ in range(5)]
        clients = await record.wait_for_clients(5)
        crowd = metrics_module._Crowd()

        def end_two() -> None:
            counted.append(crowd.ways["tcp"])
            for client in clients[3:]:
                client._reader.end(hubbub.Ending(hubbub.EndingCode.CLOSED, "it is enough"), deliver=False)

        counted: list[int] = []
        # In the next turn of the loop.
        asyncio.get_running_loop().call_soon(end_two)
        await crowd.count(server._sessions.readers.keys())
        assert counted == [1]
        assert crowd.ways == {"tcp": 3}
        assert len(peers) == 5


def test_those_who_read_many_rooms_count_more_and_whoever_comes_and_goes_meanwhile_stops_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics_module, "SLICE", 4)

    def reader_of(rooms: int) -> Any:
        return SimpleNamespace(ending=None, via="tcp", role=Role.BOTH, direct=True, cursors=[None] * rooms)

    readers = dict(enumerate(map(reader_of, (1, 1, 1, 1, 5, 1))))
    crowd = metrics_module._Crowd()
    counting, counted = crowd.count(readers.values()), list[int]()
    with suppress(StopIteration):
        while True:
            # A turn of the loop.
            counting.send(None)
            counted.append(crowd.ways["tcp"])
            readers[len(readers)] = reader_of(1)
    assert (counted, crowd.ways["tcp"]) == ([2, 4, 5], 6)


# Rooms.


async def test_rooms_have_their_own_figures_and_one_that_has_gone_still_counts_for_all() -> None:
    async with web_serving() as (server, _), requesting(server, "GET /root/raw") as reader:
        await answer(reader)
        await eventually(lambda: len(server.root) == 1)
        news = server.room("news")
        await server.broadcast_many(["one", "two"])
        await news.broadcast("three")
        metrics = await scrape(server)
        assert metrics("rooms") == 2
        assert metrics.by("room_readers", "room") == {"root": 1}
        assert metrics.by("room_messages_total", "room") == {"root": 2, "news": 1}
        assert metrics.by("room_bytes_total", "room") == {"root": 256 + 8, "news": 256 + 6}
        news.close()
        server.room("gone").close()
        await server.room("news").broadcast("four")
        metrics = await scrape(server)
        assert metrics.by("room_messages_total", "room") == {"root": 2, "news": 1}
        assert metrics("messages_total") == 4
        assert metrics("bytes_total") == 256 + 8 + 256 + 6 + 256 + 5


async def test_the_readers_of_rooms_beyond_the_limit_are_together() -> None:
    async with web_serving() as (server, record), Peer.of(server), Peer.of(server):
        clients = await record.wait_for_clients(2)
        # A program may call a room so.
        rooms = [server.room(OTHERS), *(server.room(f"room-{number}") for number in range(ROOMS + 5))]
        for room in rooms:
            for client in clients:
                await client.join(room)
            await room.broadcast("Hey")
        metrics = await scrape(server)
        readers = metrics.by("room_readers", "room")
        named = {"root", *(f"room-{number}" for number in range(ROOMS - 1))}
        assert readers == {**dict.fromkeys(named, 2.0), OTHERS: 2.0 * (1 + 6)}
        assert metrics.by("room_messages_total", "room").keys() == named - {"root"}
        assert metrics("messages_total") == ROOMS + 6
        assert metrics("rooms") == ROOMS + 7


async def test_a_room_of_any_name_is_written_so_that_it_can_be_read() -> None:
    name = 'a "quoted" \\ name\nwith ü, and {braces}'
    async with web_serving() as (server, _):
        await server.room(name).broadcast("Hey")
        for parse, accept in ((parse_text, "*/*"), (parse_open_metrics, OPEN_METRICS)):
            _, text = await text_of(server, f"Accept: {accept}")
            assert Metrics(parse(text))("room_messages_total", room=name) == 1


# What else is counted.


async def test_clients_that_are_held_unheard_or_cut_short_are_counted() -> None:
    async def echo(client: hubbub.Client[str]) -> None:
        async for message in client:
            await client.send(message)

    settings = hubbub.Settings(message_rate=10)
    places = (replace(LISTENERS[0], role="write"), LISTENERS[1])
    async with web_serving(echo, settings=settings, listeners=places) as (server, record):
        before = await scrape(server)
        async with Peer.of(server) as writer:
            await writer.send(b"one\ntwo\nthree\nand a part")
            writer.end()
            await record.wait_for_endings()
            await writer.rest()
        after = await scrape(server)
        for name, count in {"unheard_total": 3, "tails_total": 1}.items():
            assert (before(name), after(name)) == (0, count)
        assert before("slowed_total") == 0
        assert after("slowed_total") == server.statistics().slowed > 0


async def test_a_client_that_is_muted_is_counted() -> None:
    settings = hubbub.Settings(unsent_limit=4 * KIB, retention=1024 * KIB, pace=None)
    async with (
        web_serving(settings=settings) as (server, record),
        Peer.of(server, receive_buffer=4 * KIB) as source,
    ):
        server._sessions._deadlines.stop()
        (client,) = await record.wait_for_clients(1)
        source.stall()
        await fall_behind(client, server.root, "x" * 128 * KIB)
        server._sessions.stalls.look(0)
        await source.send(b"I am here\n")
        await eventually(lambda: client.messages_received == 1)
        server._sessions.stalls.look(29)
        server._sessions.stalls.look(31)
        assert (await scrape(server))("muted_total") == 1
        async with requesting(server, "GET /status") as peer:
            _, fields = await posted(peer)
        assert [one["muted"] for one in fields["connections"]] == [True]


async def test_a_server_without_a_store_has_no_figures_of_one() -> None:
    async with web_serving() as (server, _):
        metrics = await scrape(server)
        assert metrics("ready") == 1
        uptime = metrics("uptime_seconds")
        assert uptime is not None
        assert 0 < uptime < 60
        assert not [name for name in metrics.families if "store" in name]


async def test_a_store_has_what_is_committed_and_is_out_when_its_disk_is_full(tmp_path: Path) -> None:
    bench = SqliteBench(tmp_path)
    async with storing(bench, listeners=LISTENERS, store_patience=0.2) as (server, _):
        await server.broadcast(b"one")
        await eventually(lambda: figures_of(server).committed.get("root") == 1)
        server.room("silent")
        metrics, figures = await scrape(server), figures_of(server)
        assert metrics("store_room_messages_total", room="root") == 1
        assert metrics("store_room_messages_total", room="silent") == 0
        assert metrics("store_size_bytes") == figures.size > 0
        assert metrics("store_pending_bytes") == 0
        assert metrics("store_commit_seconds_count") == figures.commits >= 1
        total, median = metrics("store_commit_seconds_sum"), metrics("store_commit_seconds", quantile="0.5")
        assert total == figures.commit_time > 0
        assert median == figures.commit_p50
        assert metrics("store_commit_seconds", quantile="0.99") == figures.commit_p99
        assert (metrics("store_out"), metrics("ready")) == (0, 1)
        bench.fill()
        await server.broadcast(b"two")
        await eventually(lambda: figures_of(server).out)
        metrics = await scrape(server)
        assert (metrics("store_out"), metrics("ready")) == (1, 0)
        assert metrics("store_room_messages_total", room="root") == 1
        bench.heal()


async def test_what_waits_for_its_commit_is_pending(tmp_path: Path) -> None:
    bench = SqliteBench(tmp_path)
    async with storing(bench, listeners=LISTENERS) as (server, _):
        bench.fill()
        await server.broadcast(b"one")
        await server.root.fan_out.flushed.wait()
        assert (await scrape(server))("store_pending_bytes") == 256 + 4
        bench.heal()


# The format.


@pytest.mark.parametrize(
    ("accept", "kind", "parse"),
    [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", parse_text),
        ("text/plain;version=none", "text/plain; version=0.0.4; charset=utf-8", parse_text),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            parse_open_metrics,
        ),
    ],
)
async def test_the_format_is_the_one_that_is_asked_for(accept: str, kind: str, parse: Any) -> None:
    async with web_serving() as (server, _):
        content_type, text = await text_of(server, f"Accept: {accept}")
        assert content_type == kind
        assert Metrics(parse(text))("ready") == 1


@pytest.mark.real
async def test_promtool_finds_nothing_wrong(tmp_path: Path) -> None:
    promtool = require_program("promtool")
    async with storing(SqliteBench(tmp_path), listeners=LISTENERS) as (server, _), Peer.of(server):
        await server.broadcast(b"Hey")
        await eventually(lambda: figures_of(server).commits > 0)
        _, text = await text_of(server)
        checked = await asyncio.to_thread(finish, promtool, "check", "metrics", input=text.encode())
        assert checked == Finished(0, "", "")


async def test_without_the_library_the_answer_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client.openmetrics.exposition", None)
    async with web_serving() as (server, _):
        reason = "metrics need the library prometheus-client; install it with: pip install 'hubbub[metrics]'"
        assert await refusal(server, "GET /metrics") == (501, reason)


async def test_the_library_is_imported_in_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []
    monkeypatch.setattr(metrics_module, "import_module", lambda _: threads.append(threading.current_thread()))
    async with web_serving() as (server, _):
        await scrape(server)
    assert threads
    assert threading.current_thread() not in threads


def test_the_library_is_imported_only_when_the_page_is_asked_for() -> None:
    code = "import sys, hubbub.web.pages as pages; pages.found(); sys.exit('prometheus_client' in sys.modules)"
    assert finish(sys.executable, "-c", code).status == 0


async def test_only_those_who_may_watch_see_it(tmp_path: Path) -> None:
    keys = hubbub.Keys(write_keys(tmp_path / "keys.toml", prometheus="watch", boat="read write"))
    async with web_serving(listeners=listeners(authenticate=keys)) as (server, _):
        for name, code in (("prometheus", 200), ("boat", 403)):
            bearer = f"Authorization: Bearer {secret_of(name).decode()}"
            async with requesting(server, "GET /metrics HTTP/1.1", HOST, bearer) as peer:
                assert (await answer(peer)).status == code
        assert (await refusal(server, "GET /metrics"))[0] == 401


# Prometheus itself.


@pytest.mark.long
@pytest.mark.real
def test_prometheus_scrapes_a_server_with_a_key(tmp_path: Path) -> None:
    keys = write_keys(tmp_path / "keys.toml", prometheus="watch", boat="read write")
    (tmp_path / "secret").write_bytes(secret_of("prometheus"))
    with web_program(f"--keys={keys}") as server, PlainPeer(server.program.endpoint) as boat:
        boat.send(secret_of("boat") + b"\nHey\n")
        with prometheus(tmp_path, server.web, tmp_path / "secret") as query:
            # As OpenMetrics, which it asks for, they keep their kinds.
            for text, result in {
                "up": ({}, 1.0),
                "hubbub_room_messages_total": ({"room": "root"}, 1.0),
                "hubbub_connections": ({"via": "tcp"}, 1.0),
                "histogram_quantile(0.5, hubbub_reader_lag_bytes_bucket)": ({}, 0.0),
            }.items():
                wait_until(partial(_says, query, text, result), f"{text} {result}")


def _says(query: Query, text: str, result: tuple[dict[str, str], float]) -> bool:
    return query(text) == [result]
