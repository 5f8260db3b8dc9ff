"""Programs that read a room over HTTP: against hubbub, and against plain servers that say what the test says."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import hubbub
from hubbub.wire.link import Link
from hubbub.wire.tls_client import client_context

from support.certificates import make_certificates
from support.coming_back import QUICK, Place, gone, listening
from support.helpers import Peer, called, eventually, history_of
from support.keys import replace_in, secret_of, write_keys
from support.programs import finish
from support.web import LISTENERS, SMALL, listeners, url_of, web_serving

TERM = "0123456789abcdef"
START = hubbub.Position(TERM, 0)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"


def subscribed(place: Place, path: str = "/a/prefix/ais", **options: Any) -> hubbub.Subscription:
    return hubbub.subscribe(f"http://{place.address}{path}", **{"since": START, "settings": QUICK, **options})


async def taken(entries: Any, count: int) -> list[Any]:
    """The next messages, and the gaps as they are."""
    found: list[Any] = []
    async with asyncio.timeout(10):
        async for entry in entries:
            found.append(entry.message if isinstance(entry, hubbub.Entry) else entry)
            if len(found) == count:
                return found
    raise AssertionError


def line(seq: int, message: str) -> bytes:
    fields = {"position": f"{TERM}:{seq}", "time": "2026-11-29T07:12:35.662848Z", "sender": "", "message": message}
    return json.dumps(fields).encode() + b"\n"


def end(code: str, *, retry: bool) -> bytes:
    return json.dumps({"end": code, "reason": "the reason", "retry": retry}).encode() + b"\n"


BEGINNING = b'{"first": "%b:7"}\n' % TERM.encode()


async def request_of(place: Place) -> tuple[Peer, list[str]]:
    """The next peer, and the lines of its request."""
    peer = await place.peer()
    async with asyncio.timeout(10):
        request = await peer.reader.readuntil(b"\r\n\r\n")
    return peer, request.decode().split("\r\n")[:-2]


async def asked_for(place: Place, said: bytes = b"") -> tuple[Peer, str]:
    """The next peer, to which a stream was opened that begins so, and what it asked for behind the room."""
    peer, (first, *_) = await request_of(place)
    await peer.send(HEAD + said)
    return peer, first.split()[1].partition("/json?beat=1&")[2]


@asynccontextmanager
async def reading(place: Place, count: int, **options: Any) -> AsyncIterator[asyncio.Task[list[Any]]]:
    """A task that takes so many entries."""
    async with subscribed(place, **options) as entries:
        task = asyncio.create_task(taken(entries, count))
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])


# Where it begins.


@pytest.mark.parametrize(
    ("since", "expected"), [("all", ["a", "b", "c"]), (1, ["c"]), (2, ["b", "c"]), (99, ["a", "b", "c"]), ("1h", ["a"])]
)
async def test_it_begins_where_it_was_asked_to(since: Any, expected: list[str]) -> None:
    async with web_serving() as (server, _):
        for message in "abc":
            await server.broadcast(message)
        async with hubbub.subscribe(url_of(server), since=since) as entries:
            assert await taken(entries, len(expected)) == expected
            position = entries.position
            assert position is not None
            await server.broadcast("d")
            assert await taken(entries, 1) == (["b"] if since == "1h" else ["d"])


async def test_an_entry_is_that_of_the_history() -> None:
    async with web_serving() as (server, _):
        await server.broadcast("a", sender="alice")
        await server.broadcast("b")
        entries = hubbub.subscribe(url_of(server), since="all")
        found = [await anext(aiter(entries)) for _ in range(2)]
        for entry, kept in zip(found, await history_of(server.root), strict=True):
            assert isinstance(entry, hubbub.Entry)
            assert entry == kept._replace(time=entry.time)
            assert entry.time == pytest.approx(kept.time, abs=1e-5)


def test_its_position_is_known_from_the_start_only_where_it_was_given_one() -> None:
    assert hubbub.subscribe("http://h/ais", since=START).position == START
    assert hubbub.subscribe("http://h/ais").position is None


@pytest.mark.parametrize("before", [0, 2])
async def test_without_a_place_it_begins_with_the_next_message_whatever_is_replayed(before: int) -> None:
    async with web_serving(listeners=listeners(replay="all")) as (server, _):
        for number in range(before):
            await server.broadcast(f"old {number}")
        async with hubbub.subscribe(url_of(server)) as entries:
            task = asyncio.create_task(taken(entries, 1))
            await eventually(lambda: len(server.root) == 1)
            await server.broadcast("new")
            assert await task == ["new"]


@pytest.mark.parametrize(("since", "asked"), [(None, "since=0"), (5, "since=5"), ("10m", "since=600.000000s")])
async def test_nothing_is_missed_though_the_connection_breaks_before_the_first_message(since: Any, asked: str) -> None:
    async with listening() as place, reading(place, 1, since=since) as task:
        peer, target = await asked_for(place)
        assert target == asked
        # It was not told yet where the stream begins.
        peer.reset()
        peer, target = await asked_for(place, BEGINNING)
        assert target == asked
        for _ in range(3):
            await gone(peer)
            peer, target = await asked_for(place, BEGINNING)
            assert target == f"since={TERM}%3A7"
        await peer.send(line(8, "new"))
        assert await task == ["new"]


# How it goes on.


async def test_it_goes_on_behind_what_it_has_yielded(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as place, reading(place, 4) as task:
        peer, target = await asked_for(place, line(1, "a") + line(2, "b") + line(3, "cut")[:-9])
        assert target == f"since={TERM}%3A0"
        await gone(peer)
        peer, target = await asked_for(place, line(3, "c"))
        assert target == f"since={TERM}%3A2"
        peer.reset()
        peer, target = await asked_for(place, end("slow", retry=True))
        assert target == f"since={TERM}%3A3"
        # In chunks, as a proxy may have it, of which the last one is missing.
        peer, (first, *_) = await request_of(place)
        assert f"since={TERM}%3A3 " in first
        said = line(4, "d")
        await peer.send(HEAD.replace(b"Connection: close", b"Transfer-Encoding: chunked"))
        await peer.send(b"%x\r\n%b\r\nff\r\n" % (len(said), said))
        await gone(peer)
        assert await task == ["a", "b", "c", "d"]
    url = f"http://{place.address}/a/prefix/ais"
    reasons = [message.partition("; trying again")[0] for message in caplog.messages if "trying again" in message]
    assert reasons == [
        f"{url}: the stream has ended within a line (left: the server closed the connection)",
        f"{url}: the stream has ended (lost: Connection reset by peer)",
        f"{url}: the stream has ended (slow: the reason)",
    ]
    assert f"{url}: connected again" in caplog.messages


async def test_what_a_server_says_is_logged_without_control_characters(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as place, reading(place, 1) as task:
        await asked_for(place, b'{"end": "slow", "reason": "\\u001b[2J\\nforged", "retry": true}\n')
        await asked_for(place, line(1, "a"))
        assert await task == ["a"]
    assert "(slow: \\x1b[2J\\nforged)" in caplog.text


async def test_an_answer_that_says_where_it_ends_is_asked_for_again() -> None:
    async with listening() as place, reading(place, 2) as task:
        for seq, said in enumerate((line(1, "a"), line(2, "b"))):
            peer, (first, *_) = await request_of(place)
            assert f"since={TERM}%3A{seq} " in first
            await peer.send(HEAD.replace(b"Connection: close", b"Content-Length: %d" % len(said)) + said)
        assert await task == ["a", "b"]


async def test_it_waits_for_a_server_that_is_not_there_yet(caplog: pytest.LogCaptureFixture) -> None:
    place = Place()
    async with reading(place, 1) as task:
        await eventually(lambda: "cannot connect: Connection refused; trying again" in caplog.text)
        await place.open()
        await asked_for(place, line(1, "a"))
        assert await task == ["a"]
    await place.drop_peers()
    await place.close()


@pytest.mark.parametrize(
    "status", [b"408 Late", b"429 Too Many Requests", b"500 Oops", b"502 Bad Gateway", b"503 Full"]
)
async def test_it_comes_back_after_an_answer_that_may_change(status: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as place, reading(place, 1) as task:
        peer, _ = await request_of(place)
        words = b"not now\n"
        await peer.send(b"HTTP/1.1 %b\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\n%b" % (status, words))
        await asked_for(place, line(1, "a"))
        assert await task == ["a"]
    assert f"cannot connect: {status.decode()}: not now; trying again in 0.0 s" in caplog.text


async def test_it_comes_back_when_the_server_says_and_not_before(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as place, reading(place, 1):
        peer, _ = await request_of(place)
        await peer.send(b"HTTP/1.1 503 Full\r\nRetry-After: 1000\r\nContent-Length: 0\r\n\r\n")
        await eventually(lambda: "cannot connect: 503 Full; trying again in 1000.0 s" in caplog.text)


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\n"])
async def test_a_server_that_does_not_answer_is_asked_again(said: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as place, reading(place, 1, settings=replace(QUICK, connect_time=0.1)) as task:
        peer, _ = await request_of(place)
        await peer.send(said)
        peer, _ = await request_of(place)
        await gone(peer)
        await asked_for(place, line(1, "a"))
        assert await task == ["a"]
    assert "cannot connect: the server does not answer; trying again" in caplog.text
    assert "cannot connect: it did not answer (left: the server closed the connection); trying again" in caplog.text


async def test_a_stream_on_which_nothing_comes_for_long_is_asked_for_again(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as place, reading(place, 2, settings=replace(QUICK, silence_time=0.3)) as task:
        peer, _ = await asked_for(place, line(1, "a"))
        # While it beats, it lives.
        start = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - start < 0.6:
            await peer.send(b"{}\n")
            await asyncio.wait([task], timeout=0.05)
        assert place.peers.empty()
        _, target = await asked_for(place, line(2, "b"))
        assert target == f"since={TERM}%3A1"
        assert await task == ["a", "b"]
    assert "nothing has come for 0.3 s; trying again" in caplog.text


async def test_after_a_stream_that_lasted_pauses_are_short_again() -> None:
    settings = replace(QUICK, retry_time=0.01, retry_limit=0.08)
    async with listening() as place, subscribed(place, settings=settings) as entries:
        task = asyncio.create_task(taken(entries, 1))
        peer, _ = await asked_for(place)
        await eventually(lambda: entries._exchange is not None)
        for _ in range(4):
            entries._backoff.pause()
        entries._opened_at -= 1
        await gone(peer)
        await asked_for(place, line(1, "a"))
        assert await task == ["a"]
        assert entries._backoff._next == 2 * settings.retry_time


async def test_streams_that_end_early_have_longer_and_longer_pauses() -> None:
    settings = replace(QUICK, retry_time=0.01, retry_limit=10)
    async with listening() as place, subscribed(place, settings=settings) as entries:
        task = asyncio.create_task(taken(entries, 1))
        for _ in range(3):
            peer, _ = await asked_for(place)
            await gone(peer)
        await asked_for(place, line(1, "a"))
        assert await task == ["a"]
        assert entries._backoff._next == 2**3 * settings.retry_time


async def test_an_iteration_behind_one_that_came_back_asks_at_once(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as place:
        entries = subscribed(place)
        task = asyncio.create_task(taken(entries, 1))
        peer, _ = await asked_for(place)
        await gone(peer)
        await asked_for(place, line(1, "a"))
        assert await task == ["a"]
        caplog.clear()
        task = asyncio.create_task(taken(entries, 1))
        await asked_for(place, line(2, "b"))
        assert await task == ["b"]
        assert not caplog.messages


# Gaps.


async def test_a_gap_is_told_with_its_size() -> None:
    async with web_serving(settings=SMALL) as (server, _):
        first = await server.broadcast("0")
        for number in range(1, 1000):
            await server.broadcast(f"{number} {'.' * 300}")
            await server.root.fan_out.flushed.wait()
        async with hubbub.subscribe(url_of(server), since=first) as entries:
            gap, message = await taken(entries, 2)
            assert isinstance(gap, hubbub.Missed)
            assert gap.count
            assert message.startswith(f"{gap.count + 1} ")
            assert entries.position == gap.position._replace(seq=gap.position.seq + 1)


async def test_a_place_of_another_life_of_the_log_is_told_as_a_gap_of_unknown_size() -> None:
    async with web_serving() as (server, _):
        await server.broadcast("a")
        async with hubbub.subscribe(url_of(server), since=hubbub.Position(TERM, 42)) as entries:
            gap, message = await taken(entries, 2)
            assert gap == hubbub.Missed(server.root.head._replace(seq=0), None)
            assert message == "a"


async def test_a_gap_is_a_place_to_come_back_to() -> None:
    async with listening() as place, reading(place, 2) as task:
        peer, _ = await asked_for(place, b'{"missed": null, "first": "%b:7"}\n' % TERM.encode())
        await gone(peer)
        _, target = await asked_for(place, line(8, "b"))
        assert target == f"since={TERM}%3A7"
        assert await task == [hubbub.Missed(hubbub.Position(TERM, 7), None), "b"]


# How it ends.


@pytest.mark.parametrize(("code", "ending"), [("closed", "closed: the reason"), ("tired", "closed: tired: the reason")])
async def test_a_server_that_says_not_to_come_back_ends_it(code: str, ending: str) -> None:
    async with listening() as place, reading(place, 2) as task:
        await asked_for(place, line(1, "a") + end(code, retry=False))
        with pytest.raises(hubbub.ConnectionClosed) as closed:
            await task
        assert str(closed.value.ending) == ending
        assert place.peers.empty()


async def test_a_room_that_is_closed_ends_it_behind_its_messages() -> None:
    async with web_serving() as (server, _):
        room = server.room("ais")
        await room.broadcast("a")
        async with hubbub.subscribe(url_of(server, "ais"), since="all") as entries:
            assert await taken(entries, 1) == ["a"]
            room.close()
            with pytest.raises(hubbub.ConnectionClosed, match=r"closed: the room was closed"):
                await taken(entries, 1)


async def test_a_key_lets_in_and_its_loss_ends_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_keys(tmp_path / "keys.toml", boat="read: root")
    key = secret_of("boat").decode()
    caplog.set_level(0)
    async with web_serving(listeners=listeners(authenticate=hubbub.Keys(path))) as (server, _):
        await server.broadcast("a")
        async with hubbub.subscribe(url_of(server), since="all", key=key) as entries:
            assert await taken(entries, 1) == ["a"]
            replace_in(path, "boat", "other")
            replace_in(path, "read", "write")
            server.reload()
            with pytest.raises(hubbub.ConnectionClosed, match="unauthenticated: "):
                await taken(entries, 1)
        for wrong, status in ((None, 401), ("wrong", 401), (key, 403)):
            with pytest.raises(hubbub.HttpError) as error:
                await taken(hubbub.subscribe(url_of(server), key=wrong), 1)
            assert error.value.status == status
        assert key not in f"{caplog.text} {entries!r} {vars(error.value)} {error.value}"


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [("nowhere", 404, "404 Not Found: the room 'nowhere' does not exist"), ("a/b", 404, "404 Not Found: ")],
)
async def test_an_answer_that_will_not_change_is_an_error(path: str, status: int, reason: str) -> None:
    async with web_serving() as (server, _):
        with pytest.raises(hubbub.HttpError) as error:
            await taken(hubbub.subscribe(url_of(server, path)), 1)
        assert (error.value.url, error.value.status) == (url_of(server, path), status)
        assert error.value.reason.startswith(reason)


async def test_a_place_for_lines_is_an_error() -> None:
    async with web_serving() as (server, _):
        with pytest.raises(hubbub.HttpError, match="it begins with 'HTTP is not spoken here"):
            await taken(hubbub.subscribe(f"http://{server.addresses[0]}/root"), 1)
    async with listening() as place, reading(place, 1) as task:
        peer, _ = await request_of(place)
        await peer.send(b"denied: you may not connect here\n")
        await gone(peer)
        with pytest.raises(hubbub.HttpError, match="the answer is not HTTP, but denied: you may not connect here"):
            await task


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"Hello, who is there?\r\n", "the answer is not HTTP: it begins with 'Hello"),
        (b"HTTP/1.1 200 OK\r\nno header\r\n\r\n", "the answer is not valid HTTP: "),
        (b"HTTP/1.1 301 Moved\r\nLocation: https://h/ais\r\n\r\n", "301 Moved; it points to https://h/ais"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<html>",
            "the answer is of type text/html, and not the stream of a room (application/x-ndjson)",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\n", "the answer is of no type, and not the stream of a room"),
        (HEAD + b"<html>\n", "a line is not an object of hubbub: '<html>'"),
        (HEAD + b"x" * 7000, "a line has more than 4696 bytes"),
        (
            HEAD.replace(b"Connection: close", b"Transfer-Encoding: chunked") + b"x\r\n",
            "the answer is not valid HTTP: ",
        ),
    ],
)
async def test_an_answer_that_is_not_the_stream_is_an_error_that_says_so(answer: bytes, reason: str) -> None:
    settings = replace(QUICK, message_limit=100)
    async with listening() as place, reading(place, 1, settings=settings) as task:
        peer, _ = await request_of(place)
        await peer.send(answer)
        with pytest.raises(hubbub.HttpError) as error:
            await task
        assert error.value.reason.startswith(reason)
        assert await peer.rest() == b""
        await gone(peer)


@pytest.mark.parametrize("chunked", [False, True])
async def test_what_came_before_the_garbage_counts(chunked: bool) -> None:
    async with listening() as place, subscribed(place) as entries:
        task = asyncio.create_task(taken(entries, 1))
        peer, _ = await request_of(place)
        said = line(1, "a")
        head = HEAD.replace(b"Connection: close", b"Transfer-Encoding: chunked") if chunked else HEAD
        await peer.send(head + (b"%x\r\n%b\r\n" % (len(said), said) if chunked else said))
        assert await task == ["a"]
        await peer.send(b"garbage\r\n" if chunked else b"garbage\n")
        reason = "the answer is not valid HTTP: " if chunked else "a line is not an object of hubbub: 'garbage'"
        with pytest.raises(hubbub.HttpError, match=reason):
            await taken(entries, 1)


@pytest.mark.parametrize("rest", [b" here\n", b"", b"x" * 5000])
async def test_what_an_answer_says_is_wrong_may_come_in_pieces_and_need_not_end(
    rest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = called(monkeypatch, Link, "data_received")
    async with listening() as place, reading(place, 1) as task:
        peer, _ = await request_of(place)
        await peer.send(b"HTTP/1.1 404 Nothing\r\nContent-Type: text/plain\r\n\r\nnothing")
        # They are pieces for the client, too.
        async with asyncio.timeout(10):
            await read.wait()
        await peer.send(rest)
        with pytest.raises(hubbub.HttpError) as error:
            await task
        assert error.value.reason.startswith("404 Nothing: nothing")


# TLS.


async def test_tls(tmp_path: Path) -> None:
    certificates = make_certificates(tmp_path)
    places = (LISTENERS[0], replace(certificates.listener(), http=hubbub.Http()))
    async with web_serving(listeners=places) as (server, _):
        await server.broadcast("a")
        url = url_of(server).replace("http", "https")
        async with hubbub.subscribe(url, since="all", tls=client_context(certificates.ca)) as entries:
            assert await taken(entries, 1) == ["a"]
        with pytest.raises(hubbub.ConnectionClosed, match="bad-tls: the TLS handshake failed: certificate verify"):
            await taken(hubbub.subscribe(url), 1)


# Holding back, and leaving.


async def test_a_program_that_takes_no_entries_holds_the_reading_back() -> None:
    async with listening() as place, subscribed(place) as entries:
        task = asyncio.create_task(taken(entries, 1))
        count = 100_000
        peer, _ = await asked_for(place)
        peer.writer.write(b"".join([line(seq, "x" * 100) for seq in range(1, count + 1)]))
        assert await task == ["x" * 100]
        exchange = entries._exchange
        assert exchange is not None
        link = exchange._side.link
        await eventually(lambda: not link.transport.is_reading())
        waiting = link._inbox_size + sum(len(str(entry)) for entry in entries._ready)
        assert waiting < 2**20
        # The rest is in the sockets, and with the server.
        assert peer.writer.transport.get_write_buffer_size() > 2**20
        assert len(await taken(entries, count - 1)) == count - 1
        assert entries.position == hubbub.Position(TERM, count)


async def test_an_iteration_goes_on_where_the_last_one_stopped_on_the_same_connection() -> None:
    async with web_serving() as (server, _):
        await server.broadcast_many(["a", "b", "c"])
        async with hubbub.subscribe(url_of(server), since="all") as entries:
            found = [await taken(entries, 1) for _ in range(2)]
            exchange = entries._exchange
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await taken(entries, 2)
            await server.broadcast("d")
            assert [*found, await taken(entries, 1)] == [["a"], ["b"], ["d"]]
            assert entries._exchange is exchange
            assert len(server.root) == 1
        await eventually(lambda: len(server.root) == 0)


async def test_several_entries_may_be_taken_at_once() -> None:
    async with web_serving() as (server, _):
        await server.broadcast_many(["a", "b", "c"])
        async with hubbub.subscribe(url_of(server), since="all") as entries:
            assert await taken(entries, 1) == ["a"]
            rest = await entries.receive_many()
            assert [entry.position for entry in rest] == [server.root.head._replace(seq=seq) for seq in (2, 3)]
            assert entries.position == server.root.head
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await entries.receive_many()
            await server.broadcast("d")
            assert await taken(entries, 1) == ["d"]


async def test_without_a_context_a_break_closes_the_connection() -> None:
    async with web_serving() as (server, _):
        await server.broadcast_many(["a", "b"])
        entries = hubbub.subscribe(url_of(server), since="all")
        async with entries:
            pass  # One that was left is none.
        for expected in ("a", "b"):
            assert await taken(entries, 1) == [expected]
            await eventually(lambda: len(server.root) == 0)


@pytest.mark.parametrize("entered", [False, True])
async def test_it_may_be_cancelled_at_any_moment_and_leaves_nothing_open(entered: bool) -> None:
    async with web_serving() as (server, _):
        await server.broadcast("a")

        async def read(entries: Any) -> None:
            if entered:
                async with entries:
                    await taken(entries, 2)
            else:
                await taken(entries, 2)

        def cancel_after(turns: int, task: asyncio.Task[None]) -> None:
            if turns:
                asyncio.get_running_loop().call_soon(cancel_after, turns - 1, task)
            else:
                task.cancel()

        for turns in range(60):
            task = asyncio.create_task(read(hubbub.subscribe(url_of(server), since=1)))
            cancel_after(turns, task)
            with pytest.raises(asyncio.CancelledError):
                await task
        await eventually(lambda: len(server.root) == 0)


async def test_a_pause_that_is_cancelled_goes_on_with_the_next_call() -> None:
    settings = replace(QUICK, retry_time=1, retry_limit=1)
    async with listening() as place, subscribed(place, settings=settings) as entries:

        async def ask_again_and_again() -> Any:
            while True:
                with suppress(TimeoutError):
                    # No call waits for the whole pause.
                    async with asyncio.timeout(0.1 if entries._backoff.pausing else None):
                        return await entries.receive_many()

        task = asyncio.create_task(ask_again_and_again())
        peer, _ = await asked_for(place)
        await gone(peer)
        await eventually(lambda: entries._backoff.pausing)
        task.cancel()
        await asyncio.wait([task])
        task = asyncio.create_task(ask_again_and_again())
        await asked_for(place, line(1, "a"))
        assert len(await task) == 1


async def test_two_tasks_may_not_read_the_same_one() -> None:
    async with web_serving() as (server, _), hubbub.subscribe(url_of(server)) as entries:
        task = asyncio.create_task(taken(entries, 1))
        await eventually(lambda: len(server.root) == 1)
        with pytest.raises(RuntimeError, match="two tasks read the same subscription"):
            await taken(entries, 1)
        await server.broadcast("a")
        assert await task == ["a"]


# What it is asked for.


async def test_a_request_names_its_host_and_has_the_key_in_a_header_alone() -> None:
    async with listening() as place, reading(place, 1, key="sesame é"):
        _, (first, *headers) = await request_of(place)
        assert first == f"GET /a/prefix/ais/json?beat=1&since={TERM}%3A0 HTTP/1.1"
        assert headers == [
            f"Host: {place.address}",
            "Accept: application/x-ndjson",
            "Connection: close",
            "Authorization: Bearer sesame é",
        ]


async def test_a_key_may_have_bytes_that_are_no_text() -> None:
    # So the command line reads them.
    async with listening() as place, reading(place, 1, key="sesame \udcff"):
        peer = await place.peer()
        async with asyncio.timeout(10):
            assert (await peer.reader.readuntil(b"\r\n\r\n")).endswith(b"\r\nAuthorization: Bearer sesame \xff\r\n\r\n")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"url": "tcp://h:1"}, ValueError, "'tcp://h:1' is not the URL of a room"),
        ({"since": "soon"}, ValueError, "'soon' is not a place in a log"),
        ({"since": 1.5}, TypeError, "1.5 is not a place in a log"),
        ({"tls": True}, TypeError, "tls is True; it must be an ssl.SSLContext, or None"),
        (
            {"tls": ssl.create_default_context()},
            ValueError,
            "no TLS with http://h/ais; write https://, or leave out tls",
        ),
        ({"settings": 7}, TypeError, "the settings are 7"),
        ({"key": b"secret"}, TypeError, "the key is of type bytes; it must be a string"),
        ({"key": ""}, ValueError, "the key is empty, or has characters that a header cannot carry"),
        ({"key": "secret\r\nHost: x"}, ValueError, "the key is empty, or has characters that a header cannot carry"),
        ({"key": " secret"}, ValueError, "the key is empty, or has characters that a header cannot carry"),
    ],
)
def test_what_cannot_be_is_told_at_once_and_without_the_key(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as raised:
        hubbub.subscribe(**{"url": "http://h/ais", **options})
    assert str(raised.value).startswith(message)
    assert "secret" not in str(raised.value)


def test_without_the_extra_it_says_how_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "h11.py").write_text("raise ModuleNotFoundError('no module', name='h11')")
    program = "import hubbub; hubbub.subscribe('http://h/ais')"
    finished = finish(sys.executable, "-c", program, env={"PYTHONPATH": str(tmp_path)})
    assert finished.errors.endswith("ImportError: HTTP needs h11; install it with: pip install 'hubbub[web]'\n")
