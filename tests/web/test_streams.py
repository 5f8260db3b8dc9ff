"""Rooms as streams over HTTP: what each kind shows, where it begins, and how it ends."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

import hubbub
from hubbub.apps.relay import relay
from hubbub.hub.fan_out import FanOut
from hubbub.server import deadlines
from hubbub.web.conversation import Conversation
from hubbub.web.reading import StreamSession
from hubbub.wire.state import State

from support.helpers import Peer, at, eventually, history_of
from support.web import (
    LISTENERS,
    SMALL,
    answer,
    event,
    json_line,
    listeners,
    overwhelmed,
    refusal,
    requesting,
    web_serving,
)

KIB = 1024


async def joined(server: hubbub.Server[Any], count: int = 1) -> None:
    """Wait until so many read the root room."""
    await eventually(lambda: len(server.root) == count)


@pytest.mark.parametrize(
    ("kind", "content_type"),
    [("raw", "text/plain; charset=utf-8"), ("json", "application/x-ndjson"), ("sse", "text/event-stream")],
)
async def test_a_stream_ends_with_its_connection_and_is_no_page(kind: str, content_type: str) -> None:
    async with web_serving() as (server, _), requesting(server, f"GET /root/{kind}") as peer:
        head = await answer(peer)
        assert head.status == 200
        assert head.headers["Content-Type"] == content_type
        assert head.headers["Connection"] == "close"
        assert head.headers["X-Content-Type-Options"] == "nosniff"
        assert head.headers["Cache-Control"] == "no-store"
        assert head.headers["X-Accel-Buffering"] == "no"
        assert not head.headers.keys() & {"Content-Length", "Transfer-Encoding"}


async def test_raw_is_what_clients_read() -> None:
    async with web_serving() as (server, _), requesting(server, "GET /root/raw") as peer, Peer.of(server) as plain:
        await answer(peer)
        await joined(server, 2)
        await server.broadcast_many(["one", "two"])
        assert await peer.exactly(8) == await plain.exactly(8) == b"one\ntwo\n"


async def test_json_has_what_is_known_of_each_message() -> None:
    async with web_serving() as (server, _), requesting(server, "GET /root/json") as peer:
        await answer(peer)
        await joined(server)
        before = server.root.head
        last = await server.broadcast_many(['a "quote"', "\x7f"], sender="alice")
        first, second = await json_line(peer), await json_line(peer)
        time = first.pop("time")
        assert first == {"position": f"{last.term}:{before.seq + 1}", "sender": "alice", "message": 'a "quote"'}
        assert second == {"position": str(last), "time": time, "sender": "alice", "message": "\x7f"}
        (entry, _) = await history_of(server.root)
        assert time.endswith("Z")
        assert entry.time - 1e-5 <= datetime.fromisoformat(time).timestamp() <= entry.time


async def test_json_has_bytes_that_are_no_text_in_base64_and_lines_without_their_ends() -> None:
    framing = hubbub.ByteLines(keepends=True)
    async with web_serving(relay, framing=framing) as (server, _), requesting(server, "GET /root/json") as peer:
        await answer(peer)
        await joined(server)
        await server.broadcast_many([b"one\r\n", b"two\n", b"\xff\n"])
        assert [(await json_line(peer))["message"] for _ in range(2)] == ["one", "two"]
        third = await json_line(peer)
        assert (third["message"], third["base64"]) == ("/w==", True)


async def test_json_has_what_looks_like_the_end_of_a_line_where_messages_are_not_lines() -> None:
    async with (
        web_serving(framing=hubbub.Delimited(b"\0")) as (server, _),
        requesting(server, "GET /root/json") as peer,
    ):
        await answer(peer)
        await joined(server)
        await server.broadcast(b"one\r\ntwo\n")
        assert (await json_line(peer))["message"] == "one\r\ntwo\n"


async def test_an_event_has_the_position_as_its_id() -> None:
    async with web_serving() as (server, _), requesting(server, "GET /root/sse") as peer:
        await answer(peer)
        retry = await event(peer)
        assert 1000 <= int(retry["retry"]) <= 5000
        await joined(server)
        position = await server.broadcast("hello")
        assert await event(peer) == {"id": str(position), "data": "hello"}


@pytest.mark.parametrize("text", ["a\rb", "data: x", "a\r\rid: 7", "", "\ufeffx", ": no comment"])
async def test_no_message_passes_for_another_event(text: str) -> None:
    async with web_serving() as (server, _), requesting(server, "GET /root/sse") as peer:
        await answer(peer)
        await event(peer)
        await joined(server)
        position = await server.broadcast(text)
        assert await event(peer) == {"id": str(position), "data": text.replace("\r", "\n")}


async def test_an_event_of_bytes_that_are_no_text_is_in_base64() -> None:
    async with (
        web_serving(relay, framing=hubbub.ByteLines()) as (server, _),
        requesting(server, "GET /root/sse") as peer,
    ):
        await answer(peer)
        await event(peer)
        await joined(server)
        position = await server.broadcast(b"\xff")
        assert await event(peer) == {"event": "base64", "id": str(position), "data": "/w=="}


# Where they begin.


@pytest.mark.parametrize(
    ("since", "expected"), [("all", "abc"), ("1", "c"), ("0", ""), ("none", ""), ("1h", "abc"), ("{first}", "bc")]
)
async def test_a_stream_begins_where_it_was_asked_for_and_a_poll_ends_when_there_is_no_more(
    since: str, expected: str
) -> None:
    async with web_serving() as (server, _):
        first = await server.broadcast("a")
        # A batch of its own: what is replayed begins with one.
        await server.broadcast("b", sender="bob")
        await server.broadcast("c")
        target = f"/root/raw?poll=1&since={since.format(first=first)}"
        async with requesting(server, f"GET {target}") as peer:
            await answer(peer)
            assert await peer.rest() == "".join(f"{each}\n" for each in expected).encode()


@pytest.mark.parametrize("kind", ["json", "sse"])
async def test_who_begins_in_the_middle_of_a_batch_has_the_positions_of_its_messages(kind: str) -> None:
    async with web_serving() as (server, _):
        last = await server.broadcast_many(["a", "b", "c"])
        async with requesting(server, f"GET /root/{kind}?poll=1&since=2") as peer:
            await answer(peer)
            body = (await peer.rest()).decode()
        assert re.findall(r"[0-9a-f]{16}:[0-9]+", body) == [f"{last.term}:{last.seq - 1}", str(last)]


async def test_a_browser_that_comes_back_goes_on_behind_its_last_event() -> None:
    async with web_serving() as (server, _):
        first = await server.broadcast("a")
        await server.broadcast("b")
        lines = "GET /root/sse?since=all HTTP/1.1", "Host: localhost", f"Last-Event-ID: {first}"
        async with requesting(server, *lines) as peer:
            await answer(peer)
            await event(peer)
            assert (await event(peer))["data"] == "b"
            await server.broadcast("c")
            assert (await event(peer))["data"] == "c"


async def test_a_place_that_replays_does_so_where_the_request_says_nothing() -> None:
    async with web_serving(listeners=listeners(replay=1)) as (server, _):
        await server.broadcast("a")
        await server.broadcast("b")
        for target, expected in (("/root/raw?poll=1", b"b\n"), ("/root/raw?poll=1&since=none", b"")):
            async with requesting(server, f"GET {target}") as peer:
                await answer(peer)
                assert await peer.rest() == expected


async def test_a_line_typed_into_nc_gets_the_bare_stream_and_may_end_its_own_direction() -> None:
    async with web_serving() as (server, _), Peer.of(at(server, 1)) as peer:
        await server.broadcast("a")
        await peer.send(b"GET /root/raw?since=1\n")
        peer.end()
        assert await peer.line() == b"a\n"
        await server.broadcast("b")
        assert await peer.line() == b"b\n"


# Positions that are lost, and gaps.


@pytest.mark.parametrize("known", [True, False])
async def test_a_position_that_is_lost_is_told_in_the_stream(known: bool) -> None:
    settings = hubbub.Settings(retention=8 * KIB, chunk_limit=4 * KIB)
    async with web_serving(settings=settings) as (server, _):
        lost = await server.broadcast("x")
        for number in range(100):
            await server.broadcast(f"{number} {'.' * 300}")
        await eventually(lambda: not server.root.holds(lost))
        position = lost if known else hubbub.Position("0" * 16, 5)
        async with requesting(server, f"GET /root/json?poll=1&since={position}") as peer:
            await answer(peer)
            gap, entry = await json_line(peer), await json_line(peer)
        oldest = server.root.oldest
        assert gap == {"missed": oldest.seq - lost.seq if known else None, "first": str(oldest)}
        assert entry["position"] == f"{oldest.term}:{oldest.seq + 1}"
        async with requesting(server, f"GET /root/sse?poll=1&since={position}") as peer:
            await answer(peer)
            await event(peer)
            missed = await event(peer)
            assert (missed["event"], missed["id"]) == ("missed", str(oldest))
        async with requesting(server, f"GET /root/raw?poll=1&since={position}") as peer:
            await answer(peer)
            count = oldest.seq - lost.seq if known else "some"
            assert await peer.line() == f"[{count} messages missed]\n".encode()


async def test_a_binary_stream_ends_where_it_cannot_tell_what_is_missing(caplog: pytest.LogCaptureFixture) -> None:
    async with web_serving(relay, framing=hubbub.Raw()) as (server, _):
        await server.broadcast(b"a")
        async with requesting(server, f"GET /root/raw?since={'0' * 16}:5") as peer:
            assert (await answer(peer)).headers["Content-Type"] == "application/octet-stream"
            assert await peer.rest() == b""
        assert server.statistics().endings == {hubbub.EndingCode.UNDELIVERABLE: 1}
        assert "messages are missing, and the framing" in caplog.text
        async with requesting(server, f"GET /root/json?poll=1&since={'0' * 16}:5") as peer:
            await answer(peer)
            assert (await json_line(peer))["missed"] is None
            assert (await json_line(peer))["message"] == "a"


@pytest.mark.parametrize("reason", ["no such luck", ""])
async def test_a_place_that_cannot_be_found_is_told_and_the_log_says_why(
    reason: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def find(*_: object) -> None:
        raise TimeoutError(reason)

    monkeypatch.setattr("hubbub.hub.fetches.find", find)
    async with web_serving() as (server, _), requesting(server, "GET /root/json?since=all") as peer:
        await answer(peer)
        end = await json_line(peer)
        assert end["end"] == "undeliverable"
        assert end["reason"] == "the log of the server says why"
        assert f"what it asked for cannot be read: {reason or 'it takes too long'}" in caplog.text
        assert await peer.rest() == b""


async def test_where_no_notice_is_wanted_raw_tells_of_nothing() -> None:
    async with web_serving(settings=hubbub.Settings(notice=None)) as (server, _):
        await server.broadcast("a")
        async with requesting(server, f"GET /root/raw?poll=1&since={'0' * 16}:5") as peer:
            await answer(peer)
            assert await peer.rest() == b"a\n"


async def test_one_that_is_lost_before_its_stream_begins_joins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    hold, joined = Conversation.hold, Mock(wraps=FanOut.join)

    async def lose(conversation: Conversation, arrival: hubbub.Arrival[Any]) -> None:
        await hold(conversation, arrival)
        arrival.link.abort()
        await arrival.link.wait_closed()

    monkeypatch.setattr(Conversation, "hold", lose)
    monkeypatch.setattr(FanOut, "join", joined)
    async with web_serving() as (server, _), requesting(server, "GET /root/json") as peer:
        await peer.rest()
        await eventually(lambda: sum(server.statistics().endings.values()) == 1)
        await eventually(lambda: not server._sessions.readers)
    assert not joined.called


async def test_one_that_leaves_while_its_place_is_looked_for_joins_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def find(*_: object) -> object:
        await eventually(lambda: bool(server.statistics().endings))
        return server.root.fan_out.log.mark()

    joined = Mock(wraps=FanOut.join)
    monkeypatch.setattr("hubbub.hub.fetches.find", find)
    monkeypatch.setattr(FanOut, "join", joined)
    async with web_serving() as (server, _):
        async with requesting(server, "GET /root/json?since=all") as peer:
            await answer(peer)
            peer.reset()
        await eventually(lambda: not server._sessions.readers)
    assert not joined.called


async def test_one_that_is_ended_while_its_place_is_looked_for_is_told_of_no_gap(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def find(*_: object) -> object:
        (reader,) = server._sessions.readers
        if reader.ending is not None:
            looked_again.set()
            return server.root.fan_out.log.mark()
        reader.end(hubbub.Ending(hubbub.EndingCode.CLOSED, "enough"), deliver=True)
        await eventually(lambda: reader.link.state is State.FINISHING)
        raise hubbub.PositionLost(position, position, position, 3)

    looked_again, position = asyncio.Event(), hubbub.Position("0" * 16, 5)
    monkeypatch.setattr("hubbub.hub.fetches.find", find)
    async with web_serving() as (server, _), requesting(server, "GET /root/json?since=all") as peer:
        await answer(peer)
        assert await json_line(peer) == {"end": "closed", "reason": "enough", "retry": False}
        assert await peer.rest() == b""
        await looked_again.wait()
    assert not caplog.records


async def test_a_room_that_is_closed_while_a_place_in_it_is_looked_for_ends_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def find(*_: object) -> object:
        room.close()
        return room.fan_out.log.mark()

    monkeypatch.setattr("hubbub.hub.fetches.find", find)
    async with web_serving() as (server, _):
        room = server.room("alarms")
        async with requesting(server, "GET /alarms/json?since=all") as peer:
            await answer(peer)
            assert await json_line(peer) == {"end": "closed", "reason": "the room was closed", "retry": False}
            assert await peer.rest() == b""


async def test_a_place_that_retention_passes_again_and_again_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def find(*_: object) -> None:
        raise hubbub.PositionLost(position, position, position, 3)

    position = hubbub.Position("0" * 16, 5)
    monkeypatch.setattr("hubbub.hub.fetches.find", find)
    async with web_serving() as (server, _), requesting(server, "GET /root/json?since=all") as peer:
        await answer(peer)
        assert [await json_line(peer) for _ in range(3)] == 3 * [{"missed": 3, "first": str(position)}]
        assert (await json_line(peer))["end"] == "undeliverable"
        assert "what it asked for cannot be read: retention is faster" in caplog.text


async def test_the_end_of_its_room_is_the_end_of_a_stream() -> None:
    async with web_serving() as (server, _):
        room = server.room("alarms")
        async with requesting(server, "GET /alarms/json") as peer:
            await answer(peer)
            await eventually(lambda: len(room) == 1)
            await room.broadcast("last")
            room.close()
            assert (await json_line(peer))["message"] == "last"
            assert await json_line(peer) == {"end": "closed", "reason": "the room was closed", "retry": False}
            assert await peer.rest() == b""


async def test_places_of_different_framings_share_what_does_not_depend_on_them() -> None:
    one, other = (replace(LISTENERS[1], framing=framing) for framing in (hubbub.Lines(), hubbub.Lines(crlf=True)))
    async with (
        web_serving(listeners=(one, other)) as (server, _),
        requesting(server, "GET /root/json", place=0) as first,
        requesting(server, "GET /root/json", place=1) as second,
        requesting(server, "GET /root/raw", place=1) as third,
    ):
        for peer in (first, second, third):
            await answer(peer)
        await joined(server, 3)
        await server.broadcast("a")
        assert await json_line(first) == await json_line(second)
        assert await third.line() == b"a\r\n"
        assert len({cursor.rendering for cursor in server.root.fan_out.members.values()}) == 2


async def test_a_reader_that_skips_is_told_how_many_it_missed_and_where_it_goes_on() -> None:
    async with overwhelmed(replace(SMALL, when_slow="skip")) as (_, _, peer, count):
        peer.resume()
        seqs: list[int] = []
        missed = 0
        while not seqs or seqs[-1] < count:
            fields = await json_line(peer)
            if "missed" in fields:
                missed += fields["missed"]
                assert hubbub.Position.parse(fields["first"]).seq == seqs[-1] + fields["missed"]
            else:
                seqs.append(hubbub.Position.parse(fields["position"]).seq)
        assert missed
        assert len(seqs) + missed == count


async def test_a_reader_that_is_too_slow_is_told_so_behind_what_it_was_given() -> None:
    async with overwhelmed(SMALL) as (server, record, peer, _):
        assert server.statistics().endings == {hubbub.EndingCode.SLOW: 1}
        peer.resume()
        *messages, end = (await peer.rest()).splitlines()
        assert all(b'"message"' in line for line in messages)
        assert b'"end": "slow"' in end
        assert b'"retry": true' in end
        assert not record.clients


async def test_the_end_of_the_server_is_told_behind_everything_else() -> None:
    async with web_serving() as (server, _), requesting(server, "GET /root/sse") as peer:
        await answer(peer)
        await event(peer)
        await joined(server)
        await server.broadcast("last words")
        await server.close()
        assert (await event(peer))["data"] == "last words"
        end = await event(peer)
        assert end["event"] == "end"
        assert end["data"] == '{"end": "shutdown", "reason": "the server closed", "retry": true}'
        assert await peer.rest() == b""


# Who reads.


async def test_a_stream_is_no_client_and_nobody_is_told_of_it() -> None:
    async with web_serving() as (server, record), requesting(server, "GET /root/json") as peer:
        await answer(peer)
        await joined(server)
        assert server.clients == server.root.clients == frozenset()
        assert server.statistics().clients == 0
        await peer.send(b"what it says is read and discarded" * 1000)
        peer.end()
        # Nor is it told that it leaves.
        assert await peer.rest() == b""
        assert not len(server.root)
        assert server.statistics().endings == {hubbub.EndingCode.LEFT: 1}
        assert [*record.clients, *record.refusals, *record.ended_clients] == []


async def test_one_that_takes_nothing_is_ended_as_stalled() -> None:
    async with overwhelmed(replace(SMALL, patience=0.4, when_slow="skip")) as (server, _, _, _):
        await eventually(lambda: hubbub.EndingCode.STALLED in server.statistics().endings)


async def test_a_browser_hears_a_heartbeat_and_other_streams_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "HEARTBEAT_TIME", 0.5)
    async with (
        web_serving() as (server, _),
        requesting(server, "GET /root/sse") as peer,
        requesting(server, "GET /root/json") as other,
    ):
        for each in (peer, other):
            await answer(each)
        await event(peer)
        for _ in range(3):
            assert await peer.line() == b":\n"
            assert await peer.line() == b"\n"
        await server.broadcast("a")
        assert (await json_line(other))["message"] == "a"


async def test_json_with_beats_begins_with_its_place_and_then_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadlines, "HEARTBEAT_TIME", 0.5)
    async with web_serving() as (server, _):
        await server.broadcast("a")
        second = await server.broadcast("b")
        for since, first, messages in (("", 2, []), ("&since=1", 1, ["b"]), (f"&since={second}", 2, [])):
            async with requesting(server, f"GET /root/json?beat=1{since}") as peer:
                await answer(peer)
                assert await json_line(peer) == {"first": str(second._replace(seq=first))}
                assert [(await json_line(peer))["message"] for _ in messages] == messages
                assert [await json_line(peer) for _ in range(2)] == [{}, {}]
        async with requesting(server, f"GET /root/json?beat=1&poll=1&since={'0' * 16}:5") as peer:
            await answer(peer)
            missed, begins, *_ = [json.loads(line) for line in (await peer.rest()).splitlines()]
            assert begins == {"first": missed["first"]}


async def test_the_first_message_of_json_with_beats_is_the_one_after_its_beginning() -> None:
    async with web_serving() as (server, _):
        over = asyncio.Event()

        async def speak() -> None:
            while not over.is_set():
                await server.broadcast_many(["x"] * 3)
                await server.root.fan_out.flushed.wait()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(speak())
            for since in ("", "&since=10", "&since=all") * 3:
                async with requesting(server, f"GET /root/json?beat=1{since}") as peer:
                    await answer(peer)
                    first = hubbub.Position.parse((await json_line(peer))["first"])
                    assert (await json_line(peer))["position"] == str(first._replace(seq=first.seq + 1))
            over.set()


@pytest.mark.parametrize("kind", ["raw", "sse", "ws"])
async def test_other_streams_have_no_beats_to_ask_for(kind: str) -> None:
    async with web_serving() as (server, _):
        words = f"{kind} has no parameter beat; json has it"
        assert await refusal(server, f"GET /root/{kind}?beat=1") == (400, words)
        assert await refusal(server, "GET /root/json?beat=2") == (400, "beat must be 0 or 1")


async def test_one_that_lags_or_has_ended_hears_no_heartbeat(caplog: pytest.LogCaptureFixture) -> None:
    async with overwhelmed(replace(SMALL, when_slow="skip"), "GET /root/sse") as (server, _, peer, _):
        (reader,) = server._sessions.readers
        assert isinstance(reader, StreamSession)
        reader.beat()
        assert reader.outbox.private_size == 0
        reader.end(hubbub.Ending(hubbub.EndingCode.CLOSED, "enough"), deliver=True)
        peer.resume()
        assert (await peer.rest()).endswith(b"}\n\n")
        # Its connection lingers.
        assert reader.direct
        reader.beat()
    assert not caplog.records


async def test_a_reader_that_leaves_while_it_waits_for_the_store_is_forgotten(tmp_path: Path) -> None:
    store = hubbub.SqliteStore(tmp_path / "log.db")
    settings = hubbub.Settings(retention=8 * KIB, chunk_limit=4 * KIB)
    async with web_serving(settings=settings, store=store) as (server, _):
        for number in range(100):
            await server.broadcast(f"{number} {'.' * 300}")
        async with requesting(server, "GET /root/raw?since=all&poll=1") as peer:
            await answer(peer)
            assert (await peer.rest()).count(b"\n") == 100
        async with requesting(server, "GET /root/raw?since=all") as peer:
            peer.reset()
        await eventually(lambda: server.statistics().endings.get(hubbub.EndingCode.LOST, 0) == 1)
        assert not len(server.root)


async def test_idle_streams_and_clients_share_a_room_in_order() -> None:
    async with (
        web_serving(relay) as (server, _),
        requesting(server, "GET /root/json") as reader,
        Peer.of(server) as speaker,
    ):
        await answer(reader)
        await joined(server, 2)
        await speaker.send(b"".join(b"%d\n" % number for number in range(1000)))
        assert [(await json_line(reader))["message"] for _ in range(1000)] == [str(number) for number in range(1000)]


async def test_empty_lines_for_readers_that_lag_take_no_more_than_the_room_retains() -> None:
    retention, count, run = 4096 * KIB, 160_000, 8_000
    settings = hubbub.Settings(retention=retention, unsent_limit=16 * KIB, pace=None, patience=60)
    async with (
        web_serving(settings=settings) as (server, _),
        requesting(server, "GET /root/json", receive_buffer=16 * KIB) as objects,
        requesting(server, "GET /root/sse", receive_buffer=16 * KIB) as events,
    ):
        for peer in (objects, events):
            await answer(peer)
            peer.stall()
        await joined(server, 2)
        log = server.root.fan_out.log

        def kept() -> int:
            return sum(len(wire.data) for chunk in log.chunks for wire in chunk.renderings.values())

        async def seqs_of(peer: Peer, pattern: re.Pattern[bytes]) -> list[int]:
            """The positions of all messages, however long that takes the reader."""
            found: list[int] = []
            rest = b""
            while len(found) < count:
                rest += await peer.reader.read(1024 * KIB)
                lines, end, rest = rest.rpartition(b"\n")
                found += [int(seq) for seq in pattern.findall(lines + end)]
                most.append(kept())
            return found

        most: list[int] = []
        for _ in range(0, count, run):
            await server.broadcast_many([""] * run)
            await server.root.fan_out.flushed.wait()
            most.append(kept())
        # They lag by nearly all of it, and it is all there.
        assert log.oldest.seq == 0
        for peer in (objects, events):
            peer.resume()
        assert await seqs_of(objects, re.compile(rb'{"position": "\w+:(\d+)"')) == list(range(1, count + 1))
        assert await seqs_of(events, re.compile(rb"id: \w+:(\d+)\n")) == list(range(1, count + 1))
        # As objects and events, all of them would be five times that.
        assert retention // 2 < max(most) <= retention
