"""Publishing over HTTP: what becomes of a body, what is answered, and how long it may take."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import hubbub
from hubbub.apps import chat, relay
from hubbub.apps.echo import echo
from hubbub.framing.telnet import SUBNEGOTIATION_LIMIT, TelnetFilter

from support.helpers import Peer, Record, at, eventually, history_of, transport_of, unread
from support.keys import secret_of, write_keys
from support.web import LAST_CHUNK, LISTENERS, answer, chunk, post, posted, refusal, requesting, said, web_serving

KIB = 1024
BYTES = hubbub.ByteLines(keepends=True)
OCTETS = "Content-Type: application/octet-stream"
HEAD = b"POST /root HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"

Served = tuple[hubbub.Server[Any], Peer]


@asynccontextmanager
async def publishing(
    publish: Any = relay.publish, *, framing: Any = BYTES, listener: Any = None, **options: Any
) -> AsyncIterator[Served]:
    """A server to which a peer is connected that may publish."""
    listeners = (LISTENERS[0], replace(LISTENERS[1], **listener or {}))
    options.setdefault("observer", Record())
    async with (
        web_serving(framing=framing, listeners=listeners, publish=publish, **options) as (server, _),
        Peer.of(at(server, 1)) as peer,
    ):
        yield server, peer


async def history(server: hubbub.Server[Any]) -> list[Any]:
    return [entry.message for entry in await history_of(server.root)]


async def pass_message_time(server: hubbub.Server[Any]) -> None:
    """Let `message_time` pass: another body begins a message, and the server waits that long for its end."""
    async with Peer.of(at(server, 1)) as late:
        await late.send(CHUNKED + chunk(b"late"))
        assert (await posted(late))[0] == 408


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b"hello", [b"hello\n"]),
        (b"one\ntwo\n", [b"one\n", b"two\n"]),
        (b"one\r\ntwo", [b"one\r\n", b"two\n"]),
        (b"a=1&b=2", [b"a=1&b=2\n"]),
        (b"", []),
        (b"\n", [b"\n"]),
    ],
)
async def test_the_lines_of_a_body_are_messages(body: bytes, lines: list[bytes], chunked: bool) -> None:
    async with publishing() as (server, peer):
        await peer.send(post(body) if not chunked else CHUNKED + (chunk(body) if body else b"") + LAST_CHUNK)
        assert await posted(peer) == (200, {"position": str(server.root.head), "messages": len(lines)})
        assert await history(server) == lines


async def test_who_publishes_is_the_sender_by_address_and_port() -> None:
    async with publishing() as (server, peer), Peer.of(server) as reader:
        await eventually(lambda: len(server.root) == 1)
        await peer.send(post(b"hello"))
        assert await reader.line() == b"hello\n"
        (entry,) = await history_of(server.root)
        assert entry.sender == peer.name


async def test_a_publisher_says_who_it_is_and_where_it_publishes() -> None:
    seen: list[hubbub.Publisher[bytes]] = []

    async def publish(publisher: hubbub.Publisher[bytes], messages: Sequence[bytes]) -> hubbub.Position:
        seen.append(publisher)
        return await publisher.room.broadcast_many(messages, sender=publisher)

    async with publishing(publish) as (server, peer):
        server.room("alarms")
        await peer.send(post(b"a") + post(b"b", target="/alarms"))
        await posted(peer)
        assert (await posted(peer))[1]["position"] == str(server.room("alarms").head)
        first, second = seen
        assert [each.room for each in seen] == [server.root, server.room("alarms")]
        assert first.server is server
        assert (first.name, first.address, first.token) == (peer.name, "127.0.0.1", second.token)
        assert str(first) == peer.name
        assert repr(first) == f"<Publisher {peer.name}>"


async def test_chat_tells_who_says_it_and_shows_no_controls() -> None:
    async with publishing(chat.publish, framing=hubbub.Lines()) as (server, peer):
        await peer.send(post("\ufeffhey\n\x1b[2J".encode(), "Content-Type: text/plain; charset=utf-8"))
        assert (await posted(peer))[0] == 200
        assert await history(server) == [f"{peer.name} says: hey", f"{peer.name} says: \\x1b[2J"]


async def test_an_app_that_does_not_publish_allows_no_post() -> None:
    async with publishing(None) as (_, peer):
        await peer.send(post(b"x"))
        head = await answer(peer)
        assert (head.status, head.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_what_publishes_is_checked_as_a_handler_is() -> None:
    def publish(publisher: Any, messages: Any) -> None: ...

    with pytest.raises(TypeError, match=r"the publish <.*> is not a coroutine function: define it with 'async def'"):
        hubbub.Server(echo, publish=publish)  # type: ignore[arg-type] # that is what is tested


@pytest.mark.parametrize(
    ("role", "methods"),
    [
        ("both", "GET, HEAD, OPTIONS, POST, PUT"),
        ("write", "GET, HEAD, OPTIONS, POST, PUT"),
        ("read", "GET, HEAD, OPTIONS"),
    ],
)
async def test_what_may_be_asked_depends_on_the_role_of_the_place(role: str, methods: str) -> None:
    async with publishing(listener={"role": role}) as (_, peer):
        await peer.send(b"OPTIONS /root HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await answer(peer)).headers["Allow"] == methods
        await peer.send(post(b"x"))
        assert (await posted(peer))[0] == (403 if role == "read" else 200)


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        (post(b"x", target="/nowhere"), 404, "the room 'nowhere' does not exist"),
        (post(b"x", target="/"), 404, "the room '' does not exist"),
        (post(b"x", target="/root/"), 404, "there is nothing here; publish in a room, as in POST /root"),
        (post(b"x", target="/root/json"), 405, "publish in a room, as in POST /root; a stream is only read"),
        (post(b"x").replace(b"POST", b"DELETE"), 405, "use one of GET, HEAD, OPTIONS, POST, PUT"),
        (post(b"x").replace(b"POST", b"PUT"), 200, None),
        (HEAD + b"\r\n", 411, "the request has no body; it needs a Content-Length or a Transfer-Encoding"),
        (post(b"x", OCTETS), 415, "messages are text here, not application/octet-stream; send text/plain"),
        (
            post(b"x", "Content-Type: multipart/form-data; boundary=y"),
            415,
            "messages are text here, not multipart/form-data; send text/plain",
        ),
        (post(b"x", "Content-Encoding: gzip"), 415, "send the body without a Content-Encoding"),
        (post(b"x", "Host: evil.example").replace(b"Host: localhost\r\n", b""), 403, None),
        (post(b"x", "Content-Length: 2"), 400, None),
        (post(b"x", "Transfer-Encoding: chunked"), 400, None),
        (post(b"x", "Transfer-Encoding: gzip"), 501, None),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 501, None),
        (HEAD + b"Content-Length: +1\r\n\r\nx", 400, None),
        (HEAD + b"Content-Length: 1\n\r\n\r\nx", 400, None),
        (HEAD + b"X: a\r\n b\r\nContent-Length: 1\r\n\r\nx", 200, None),
    ],
)
async def test_what_may_not_be_published_is_said(request_: bytes, status: int, reason: str | None) -> None:
    async with publishing() as (server, peer):
        await peer.send(request_)
        got = await posted(peer)
        assert got[0] == status
        assert reason in (None, got[1])
        assert len(await history(server)) == (status == 200)


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "Text/CSV; charset=utf-8", "application/json", "application/x-ndjson", "application/ndjson",
     "application/x-www-form-urlencoded"],
)  # fmt: skip
async def test_text_is_taken_by_whatever_name_it_has(kind: str) -> None:
    async with publishing() as (server, peer):
        await peer.send(post(b"a+b%20", f"Content-Type: {kind}"))
        assert (await posted(peer))[0] == 200
        assert await history(server) == [b"a+b%20\n"]


@pytest.mark.parametrize("framing", [hubbub.LengthPrefixed(), hubbub.Raw()])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_binary_body_is_one_message(framing: Any, chunked: bool) -> None:
    async with publishing(framing=framing) as (server, peer):
        await peer.send(post(b"a\nb\0", OCTETS, chunked=chunked))
        assert (await posted(peer))[1]["messages"] == 1
        assert await history(server) == [b"a\nb\0"]


async def test_binary_messages_are_not_taken_as_text_and_not_longer_than_they_may_be() -> None:
    settings = hubbub.Settings(message_limit=10)
    async with publishing(framing=hubbub.LengthPrefixed(), settings=settings) as (server, peer):
        await peer.send(post(b"x"))
        reason = "messages are binary here; send each of them as application/octet-stream"
        assert await posted(peer) == (415, reason)
        for chunked in (False, True):
            async with Peer.of(at(server, 1)) as other:
                await other.send(post(b"x" * 11, OCTETS, chunked=chunked))
                assert await posted(other) == (413, "message longer than 10 bytes")
        async with Peer.of(at(server, 1)) as other:
            await other.send(post(b"x" * 10, OCTETS) + post(b"", OCTETS))
            assert [(await posted(other))[0] for _ in range(2)] == [200, 200]
        assert await history(server) == [b"x" * 10, b""]


async def test_the_framing_of_the_place_says_what_a_message_is_as_it_does_for_clients() -> None:
    nul = hubbub.Delimited(b"\0")
    async with publishing(listener={"framing": nul}) as (server, peer):
        await peer.send(post(b"a\0b"))
        assert (await posted(peer))[1]["messages"] == 2
        # What the place can carry the room cannot.
        await peer.send(post(b"a\nb\0"))
        assert await posted(peer) == (400, "a line cannot contain a line end (LF) but at its end")
    async with publishing() as (server, peer):
        room = server.room("nul", framing=nul)
        await peer.send(post(b"a\nb", target="/nul"))
        assert (await posted(peer))[1]["messages"] == 2
        assert [entry.message for entry in await history_of(room)] == [b"a\n", b"b"]


async def test_many_requests_on_one_connection_are_answered_in_order_also_when_they_come_at_once() -> None:
    async with publishing() as (server, peer):
        for number in range(3):
            await peer.send(post(b"%d" % number))
            assert (await posted(peer))[1]["position"].endswith(f":{number + 1}")
        await peer.send(b"".join(post(b"%d" % number, chunked=number % 2 == 0) for number in range(3, 300)))
        for number in range(3, 300):
            assert (await posted(peer))[1]["position"].endswith(f":{number + 1}")
        await peer.send(post(b"last", "Connection: close"))
        assert (await answer(peer)).headers["Connection"] == "close"
        await peer.rest()
        assert await history(server) == [b"%d\n" % number for number in range(300)] + [b"last\n"]


@pytest.mark.long
async def test_others_have_their_turns_while_requests_come_without_end() -> None:
    async with publishing() as (server, peer), Peer.of(at(server, 1)) as other:
        count = 3_000
        peer.writer.write(post(b"x") * count)
        await eventually(lambda: server.root.head.seq > 0)
        await other.send(post(b"mine"))
        seq = int((await posted(other))[1]["position"].partition(":")[2])
        assert seq < count
        for _ in range(count):
            assert (await posted(peer))[0] == 200


async def test_a_body_that_a_client_asks_for_is_awaited_and_one_that_is_not_wanted_is_refused_at_once() -> None:
    async with publishing() as (server, peer):
        await peer.send(HEAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert (await answer(peer)).status == 100
        await peer.send(b"ab")
        assert (await posted(peer))[0] == 200
        # It did not wait.
        await peer.send(post(b"cd", "Expect: 100-continue"))
        assert (await posted(peer))[0] == 200
        await peer.send(HEAD.replace(b"root", b"nowhere") + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert (await posted(peer))[0] == 404
        assert await peer.rest() == b""
        assert await history(server) == [b"ab\n", b"cd\n"]


async def test_a_large_body_that_is_refused_does_not_cost_its_client_the_answer() -> None:
    async with publishing() as (_, peer):
        peer.writer.write(post(b"x" * 4_000_000, "Content-Type: image/png"))
        assert (await posted(peer))[0] == 415
        assert await peer.rest() == b""


async def test_messages_of_a_streamed_body_are_published_as_they_come() -> None:
    async with publishing() as (server, peer), Peer.of(server) as reader:
        await eventually(lambda: len(server.root) == 1)
        await peer.send(CHUNKED + chunk(b"one\ntw"))
        assert await reader.line() == b"one\n"
        await peer.send(chunk(b"o\n"))
        assert await reader.line() == b"two\n"
        await peer.send(LAST_CHUNK)
        assert (await posted(peer))[1]["messages"] == 2


async def test_small_chunks_without_end_leave_others_their_turns() -> None:
    async with publishing() as (server, peer), Peer.of(at(server, 1)) as other:
        count = 20_000
        peer.writer.write(CHUNKED + chunk(b"\n") * count)
        await eventually(lambda: server.root.head.seq > 0)
        await other.send(post(b"mine"))
        assert int((await posted(other))[1]["position"].partition(":")[2]) < count
        await peer.send(LAST_CHUNK)
        assert (await posted(peer))[1]["messages"] == count


async def test_nothing_more_is_read_while_what_publishes_waits() -> None:
    may_go_on = asyncio.Event()
    taken: list[bytes] = []

    async def publish(publisher: hubbub.Publisher[bytes], messages: Sequence[bytes]) -> hubbub.Position:
        taken.extend(messages)
        await may_go_on.wait()
        return publisher.room.head

    async with publishing(publish) as (server, peer):
        line = b"x" * 999 + b"\n"
        peer.writer.write(HEAD + b"Content-Length: 20000000\r\n\r\n" + line * 20_000)
        (arrival,) = server._sessions.arrivals._tasks
        limit = hubbub.Settings().inbox_limit
        await eventually(lambda: bool(taken) and not transport_of(arrival).is_reading() and unread(arrival) > 0)
        count, kept = len(taken), arrival.link._inbox_size
        assert limit <= kept < limit + 300 * KIB
        # Others are served meanwhile.
        assert (await refusal(server, "PATCH /root"))[0] == 405
        assert (len(taken), arrival.link._inbox_size, transport_of(arrival).is_reading()) == (count, kept, False)
        may_go_on.set()
        assert (await posted(peer))[1]["messages"] == len(taken) == 20_000


async def test_what_is_published_waits_for_the_pace_of_its_room() -> None:
    # What one read of the socket takes is far less than a room retains: else the reader is ended and holds nobody.
    settings = hubbub.Settings(retention=2048 * KIB, pace=100_000, stall_time=60, patience=60, message_time=0.2)
    async with publishing(settings=settings) as (server, peer), Peer.of(server, receive_buffer=4096) as reader:
        await eventually(lambda: len(server.root) == 1)
        reader.stall()
        size = 4_000_000
        peer.writer.write(post((b"x" * 999 + b"\n") * (size // 1000)))
        await eventually(lambda: server.root.fan_out.holding)
        # All of it takes less than that where nothing holds it.
        await pass_message_time(server)
        assert server.root.head.seq < size // 1000
        reader.resume()


async def test_a_message_must_end_in_time_and_silence_between_messages_is_none_of_it() -> None:
    settings = hubbub.Settings(message_time=0.2, handshake_time=0.1)
    async with publishing(settings=settings) as (server, peer):
        await peer.send(CHUNKED + chunk(b"one\n"))
        await eventually(lambda: server.root.head.seq == 1)
        (arrival,) = server._sessions.arrivals._tasks
        await pass_message_time(server)
        await peer.send(chunk(b"two\n"))
        await eventually(lambda: server.root.head.seq == 2)
        # More and more of the message comes, and that does not give it more time.
        answered = asyncio.create_task(posted(peer))
        while not answered.done():
            heard = arrival.link.bytes_received
            await peer.send(chunk(b"x"))
            await eventually(lambda heard=heard: arrival.link.bytes_received > heard or answered.done())  # type: ignore[misc] # mypy wants no default
        status, words = await answered
        reason = f"message not complete within 0.2 s; published before that: 2 messages, up to {server.root.head}"
        assert (status, words) == (408, reason)
        assert await peer.rest() == b""
        assert await history(server) == [b"one\n", b"two\n"]


async def test_messages_that_end_begin_a_time_anew() -> None:
    async with publishing(settings=hubbub.Settings(message_time=0.3)) as (server, peer):
        await peer.send(CHUNKED + chunk(b"x\nx"))
        await eventually(lambda: server.root.head.seq == 1)
        # The second message has begun.
        passing = asyncio.create_task(pass_message_time(server))
        while not passing.done():
            count = server.root.head.seq
            await peer.send(chunk(b"x\nx"))
            await eventually(lambda count=count: server.root.head.seq > count)  # type: ignore[misc] # mypy wants no default
        await passing
        await peer.send(LAST_CHUNK)
        assert (await posted(peer))[1]["messages"] == count + 2


async def test_a_body_may_be_silent_for_the_idle_time_where_there_is_one() -> None:
    async with publishing(settings=hubbub.Settings(idle_time=0.2)) as (_, peer):
        await peer.send(CHUNKED + chunk(b"one\n"))
        status, words = await posted(peer)
        assert (status, words.partition(";")[0]) == (408, "nothing said for 0.2 s")


@pytest.mark.parametrize("rate", [{"message_rate": 20.0}, {"byte_rate": 400}])
async def test_a_body_is_held_to_the_rates_of_clients(rate: Any) -> None:
    async with publishing(settings=hubbub.Settings(**rate)) as (server, peer):
        start = asyncio.get_running_loop().time()
        for _ in range(2):
            await peer.send(post(b"123456789\n" * 5))
            assert (await posted(peer))[1]["messages"] == 5
        assert asyncio.get_running_loop().time() - start > 0.2
        assert server.root.head.seq == 10


async def test_a_message_that_is_too_long_ends_the_request_and_those_before_it_count() -> None:
    async with publishing(settings=hubbub.Settings(message_limit=10)) as (server, peer):
        await peer.send(CHUNKED + chunk(b"one\n") + chunk(b"x" * 11))
        status, words = await posted(peer)
        reason = f"message longer than 10 bytes; published before that: 1 messages, up to {server.root.head}"
        assert (status, words) == (413, reason)
        assert await peer.rest() == b""
        assert await history(server) == [b"one\n"]


@pytest.mark.parametrize(
    "body", [CHUNKED + chunk(b"one\ntw"), HEAD + b"Content-Length: 8\r\n\r\none\ntw", CHUNKED + chunk(b"one\ntw")[:-2]]
)
async def test_a_body_that_was_cut_short_publishes_no_part_of_a_message(body: bytes) -> None:
    async with publishing() as (server, peer):
        await peer.send(body)
        peer.end()
        status, words = await posted(peer)
        assert (status, words.partition(";")[0]) == (400, "the connection ended within the body")
        assert await peer.rest() == b""
        assert await history(server) == [b"one\n"]


async def test_one_that_ends_its_stream_behind_a_whole_request_is_answered() -> None:
    async with publishing() as (_, peer):
        await peer.send(post(b"a") + post(b"b", chunked=True))
        peer.end()
        assert [(await posted(peer))[0] for _ in range(2)] == [200, 200]
        assert await peer.rest() == b""


async def test_a_connection_that_breaks_within_a_body_is_forgotten() -> None:
    async with publishing() as (server, peer):
        await peer.send(CHUNKED + chunk(b"one\ntw"))
        await eventually(lambda: server.root.head.seq == 1)
        peer.reset()
        await eventually(lambda: not server._sessions.arrivals.tasks)
        assert server.statistics().endings == {hubbub.EndingCode.LOST: 1}
        assert await history(server) == [b"one\n"]


async def test_chunks_that_are_wrong_end_the_connection_and_what_came_before_counts() -> None:
    async with publishing() as (server, peer):
        await peer.send(CHUNKED + chunk(b"one\n") + b"xyz\r\n" + post(b"smuggled"))
        assert (await posted(peer))[0] == 400
        assert await peer.rest() == b""
        assert await history(server) == [b"one\n"]


async def raising(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (ValueError("no such mood"), 400, "no such mood"),
        (hubbub.RoomClosed("root"), 404, "room root was closed"),
        (hubbub.NotStored("root", "slow"), 503, "a message of room root was delivered and not stored: slow"),
        (hubbub.NotStored("root", "full", full=True), 507, "a message of room root was delivered and not stored: full"),
        (KeyError("secret"), 500, "publishing has failed"),
        (asyncio.CancelledError(), 500, "publishing has failed"),
        (hubbub.ConnectionClosed("peer", None), 500, "publishing has failed"),
        (TimeoutError(), 500, "publishing has failed"),
    ],
)
async def test_what_publishing_raises_is_answered_and_concerns_its_request_alone(
    error: BaseException, status: int, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def publish(publisher: hubbub.Publisher[bytes], messages: Sequence[bytes]) -> hubbub.Position:
        return await raising(error) if messages[0] == b"bad" else publisher.room.head

    async with publishing(publish) as (server, peer), Peer.of(at(server, 1)) as other:
        await peer.send(post(b"bad") + post(b"good"))
        head = await answer(peer)
        assert head.status == status
        assert (await peer.exactly(int(head.headers["Content-Length"]))).decode() == f"{words}\n"
        assert ("Retry-After" in head.headers) is (status in (503, 507))
        if status < 500:
            assert (await posted(peer))[0] == 200
        else:
            assert head.headers["Connection"] == "close"
            assert await peer.rest() == b""
        assert ("cannot be published" in caplog.text) is (status == 500)
        await other.send(post(b"good"))
        assert (await posted(other))[0] == 200


async def test_a_publish_that_returns_no_position_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    async def publish(publisher: hubbub.Publisher[bytes], messages: Sequence[bytes]) -> Any:
        await publisher.room.broadcast_many(messages)

    async with publishing(publish) as (_, peer):
        await peer.send(post(b"x"))
        assert (await posted(peer))[0] == 500
        assert "publish returned None; return what broadcast_many returns" in caplog.text


@pytest.mark.parametrize("waits", [False, True])
async def test_a_server_that_closes_ends_a_streamed_body_at_once_and_whole_messages_are_delivered(waits: bool) -> None:
    async def publish(publisher: hubbub.Publisher[bytes], messages: Sequence[bytes]) -> hubbub.Position:
        position = await publisher.room.broadcast_many(messages)
        if waits:
            await asyncio.Event().wait()
        return position

    async with publishing(publish) as (server, peer), Peer.of(server) as reader:
        await eventually(lambda: len(server.root) == 1)
        await peer.send(CHUNKED + chunk(b"one\ntw"))
        await eventually(lambda: server.root.head.seq == 1)
        # While it waits, this is not read, and a connection that is closed then is reset.
        peer.writer.write(chunk(b"x" * 60_000))
        async with asyncio.timeout(5):
            await server.close()
        head = await answer(peer)
        assert (head.status, head.headers["Connection"]) == (503, "close")
        assert 5 <= int(head.headers["Retry-After"]) <= 15
        words = await peer.rest()
        assert words.startswith(b"the server is closing")
        assert (b"published before that: 1 messages" in words) is not waits
        assert await reader.line() == b"one\n"
        assert server.statistics().endings[hubbub.EndingCode.SHUTDOWN] == 2


async def test_a_server_that_may_not_drain_waits_for_no_body() -> None:
    async with publishing(settings=hubbub.Settings(drain_time=0)) as (server, peer):
        await peer.send(CHUNKED + chunk(b"one\n"))
        await eventually(lambda: server.root.head.seq == 1)
        peer.stall()
        async with asyncio.timeout(5):
            await server.close()


async def test_what_publishes_for_a_connection_that_is_gone_is_cancelled_in_time() -> None:
    cancelled = asyncio.Event()

    async def publish(publisher: hubbub.Publisher[bytes], messages: Sequence[bytes]) -> hubbub.Position:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return publisher.room.head

    async with publishing(publish, settings=hubbub.Settings(cancel_time=0.5)) as (server, peer):
        await peer.send(post(b"x"))
        await eventually(lambda: bool(server._sessions.arrivals.tasks))
        peer.reset()
        async with asyncio.timeout(10):
            await cancelled.wait()
        await eventually(lambda: not server._sessions.arrivals.tasks)
        assert server.statistics().endings == {hubbub.EndingCode.LOST: 1}


async def test_who_publishes_is_neither_a_client_nor_told_to_observers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="hubbub")
    record = Record()
    async with publishing(observer=record) as (server, peer):
        await peer.send(post(b"a\nb", "Connection: close"))
        await posted(peer)
        await peer.rest()
        assert f"{peer.name} has published in room root: 2 messages" in caplog.text
        assert server.statistics().clients == 0
    assert (record.clients, dict(record.received_from), record.refusals) == ([], {}, [])


FOREIGN = "https://boat.example"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([f"Origin: {FOREIGN}"], 403),
        (["Origin: null"], 403),
        (["Sec-Fetch-Site: cross-site"], 403),
        (["Sec-Fetch-Site: same-site", "Sec-Fetch-Dest: document"], 403),
        (["Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: document"], 403),
        (["Origin: http://localhost:1", "Host: localhost:2"], 403),
        (["Origin: http://localhost"], 200),
        (["Sec-Fetch-Site: same-origin", "Sec-Fetch-Dest: empty"], 200),
        ([], 200),
    ],
)
async def test_no_page_of_another_site_publishes(headers: list[str], status: int) -> None:
    request = post(b"x", "Content-Type: text/plain", *headers)
    if any(header.startswith("Host") for header in headers):
        request = request.replace(b"Host: localhost\r\n", b"", 1)
    async with publishing() as (server, peer):
        await peer.send(request)
        got = await posted(peer)
        assert got[0] == status
        assert "publish" in got[1] or status == 200
        assert len(await history(server)) == (status == 200)


async def test_a_page_of_an_allowed_origin_publishes_and_can_read_the_answer() -> None:
    for origins in (FOREIGN,), ("*",):
        async with publishing(listener={"http": hubbub.Http(origins=origins)}) as (_, peer):
            await peer.send(f"OPTIONS /root HTTP/1.1\r\nHost: localhost\r\nOrigin: {FOREIGN}\r\n\r\n".encode())
            assert "POST" in (await answer(peer)).headers["Access-Control-Allow-Methods"]
            for body, status in (b"x", 200), (b"", 415):
                kind = "text/plain" if status == 200 else "image/png"
                await peer.send(post(body, f"Origin: {FOREIGN}", f"Content-Type: {kind}"))
                head = await answer(peer)
                assert (head.status, head.headers["Access-Control-Allow-Origin"]) == (status, FOREIGN)
                await peer.exactly(int(head.headers["Content-Length"]))


async def test_a_refusal_without_a_body_keeps_the_connection() -> None:
    async with publishing() as (server, peer):
        await peer.send(HEAD + b"\r\n")
        assert (await posted(peer))[0] == 411
        await peer.send(post(b"", target="/nowhere"))
        assert await said(peer) == "the room 'nowhere' does not exist"
        await peer.send(post(b"x"))
        assert (await posted(peer))[0] == 200
        assert (await refusal(server, "PATCH /root"))[0] == 405


# Keys, rooms that go, and proxies.


@pytest.fixture
def keys(tmp_path: Path) -> hubbub.Keys:
    may = {"sensor": "write", "desk": "read write: root", "eyes": "read"}
    return hubbub.Keys(write_keys(tmp_path / "keys.toml", **may))


def with_key(name: str) -> str:
    return f"Authorization: Bearer {secret_of(name).decode()}"


async def test_who_publishes_with_a_key_has_its_name(keys: hubbub.Keys) -> None:
    async with publishing(listener={"authenticate": keys}) as (server, peer):
        await peer.send(post(b"20 C", with_key("sensor")))
        assert (await posted(peer))[0] == 200
        (entry,) = await history_of(server.root)
        assert entry.sender == "sensor"


@pytest.mark.parametrize(
    ("headers", "target", "status"),
    [
        ((), "/root", 401),
        (("Authorization: Bearer x",), "/root", 401),
        ((with_key("eyes"),), "/root", 403),
        ((with_key("desk"),), "/alarms", 403),
        ((with_key("desk"),), "/root", 200),
    ],
)
async def test_a_key_must_allow_it(keys: hubbub.Keys, headers: tuple[str, ...], target: str, status: int) -> None:
    async with publishing(listener={"authenticate": keys}) as (server, peer):
        server.room("alarms")
        await peer.send(post(b"x", *headers, target=target))
        assert (await posted(peer))[0] == status
        assert len(await history(server)) == (status == 200)


@pytest.mark.parametrize("silent", [True, False])
async def test_a_key_that_is_taken_away_ends_the_body(keys: hubbub.Keys, silent: bool) -> None:
    async with publishing(listener={"authenticate": keys}) as (server, peer):
        head = CHUNKED.replace(b"\r\n\r\n", f"\r\n{with_key('sensor')}\r\n\r\n".encode())
        await peer.send(head + chunk(b"one\n"))
        await eventually(lambda: server.root.head.seq == 1)
        write_keys(keys.path, eyes="read")
        assert "connections ended, because their keys do not let them in any more: 1" in server.reload()
        if not silent:
            await peer.send(chunk(b"two\n"))
        status, words = await posted(peer)
        assert (status, words.partition(";")[0]) == (403, "the key sensor is not valid any more")
        assert await peer.rest() == b""
        assert await history(server) == [b"one\n"]


async def test_a_key_that_may_not_write_any_more_publishes_no_more_of_a_body(keys: hubbub.Keys) -> None:
    async with publishing(listener={"authenticate": keys}) as (server, peer):
        head = CHUNKED.replace(b"\r\n\r\n", f"\r\n{with_key('sensor')}\r\n\r\n".encode())
        await peer.send(head + chunk(b"one\n"))
        await eventually(lambda: server.root.head.seq == 1)
        write_keys(keys.path, sensor="read")
        server.reload()
        await peer.send(chunk(b"two\n"))
        status, words = await posted(peer)
        assert (status, words.partition(";")[0]) == (403, "the key sensor may not write")
        assert await history(server) == [b"one\n"]


async def test_a_room_that_a_request_makes_goes_when_it_is_answered() -> None:
    async with publishing(listener={"http": hubbub.Http(rooms=("wx-*",))}) as (server, peer):
        await peer.send(CHUNKED.replace(b"root", b"wx-1") + chunk(b"one\n"))
        await eventually(lambda: "wx-1" in server.rooms and server.rooms["wx-1"].head.seq == 1)
        await peer.send(LAST_CHUNK)
        assert (await posted(peer))[0] == 200
        assert set(server.rooms) == {"root"}
        # One that is refused after its room was found.
        await peer.send(post(b"x", OCTETS, target="/wx-2"))
        assert (await posted(peer))[0] == 415
        assert set(server.rooms) == {"root"}


async def test_each_request_of_a_proxy_is_that_of_its_client() -> None:
    http = hubbub.Http(forwarded=hubbub.Networks(["127.0.0.1"]))
    settings = hubbub.Settings(clients_per_address=1)
    async with (
        publishing(listener={"http": http}, settings=settings) as (server, peer),
        Peer.of(at(server, 1)) as other,
    ):
        for client in ("203.0.113.1", "203.0.113.2", "203.0.113.1"):
            await peer.send(post(b"x", f"X-Forwarded-For: {client}"))
            assert (await posted(peer))[0] == 200
        senders = [entry.sender.rpartition(":")[0] for entry in await history_of(server.root)]
        assert senders == ["203.0.113.1", "203.0.113.2", "203.0.113.1"]
        # While it publishes, it counts.
        await peer.send(CHUNKED.replace(b"Host", b"X-Forwarded-For: 203.0.113.9\r\nHost") + chunk(b"x\n"))
        await eventually(lambda: server.root.head.seq == 4)
        await other.send(post(b"x", "X-Forwarded-For: 203.0.113.9"))
        assert (await posted(other))[0] == 429
        await peer.send(LAST_CHUNK)
        assert (await posted(peer))[0] == 200


async def test_clients_of_one_proxy_are_senders_of_their_own() -> None:
    tokens: list[int] = []

    async def publish(publisher: hubbub.Publisher[bytes], messages: Sequence[bytes]) -> hubbub.Position:
        tokens.append(publisher.token)
        return await publisher.room.broadcast_many(messages, exclude=publisher)

    http = hubbub.Http(forwarded=hubbub.Networks(["127.0.0.1"]))
    async with publishing(publish, listener={"http": http}) as (_, peer):
        for client in ("203.0.113.1", "203.0.113.2"):
            await peer.send(post(b"x", f"X-Forwarded-For: {client}"))
            assert (await posted(peer))[0] == 200
    assert len(set(tokens)) == 2


async def test_what_a_telnet_client_proposes_in_a_body_is_not_kept() -> None:
    async with publishing(framing=hubbub.Lines()) as (server, peer):
        await peer.send(CHUNKED)
        for _ in range(8):
            await peer.send(chunk(b"\xff\xfd\x01" * 5000))
        await peer.send(chunk(b"one\n"))
        await eventually(lambda: server.root.head.seq == 1)
        filters = [each for each in gc.get_objects() if isinstance(each, TelnetFilter)]
        assert sum(len(each.take_replies()) for each in filters) == 0
        await peer.send(LAST_CHUNK)
        assert (await posted(peer))[0] == 200


async def test_what_publishes_may_close_the_server_and_readers_have_all_before() -> None:
    async def publish(publisher: hubbub.Publisher[bytes], messages: Sequence[bytes]) -> hubbub.Position:
        position = await publisher.room.broadcast_many(messages)
        assert isinstance(publisher.server, hubbub.Server)
        await publisher.server.close()
        return position

    async with publishing(publish) as (server, peer), Peer.of(server) as reader:
        await eventually(lambda: len(server.root) == 1)
        body = (b"x" * 999 + b"\n") * 50
        await peer.send(post(body))
        assert await reader.exactly(len(body)) == body
        assert await reader.line() == b"server is closing\n"
        reader.end()
        assert (await posted(peer))[0] == 200
        assert await peer.rest() == b""
        peer.end()
        await eventually(lambda: not server._sessions.arrivals.tasks)


@pytest.mark.parametrize("target", ["/alarms", "/nowhere"])
async def test_a_key_that_does_not_open_a_room_learns_nothing_of_it_not_even_with_an_empty_body(
    keys: hubbub.Keys, target: str
) -> None:
    async with publishing(listener={"authenticate": keys}) as (server, peer):
        server.room("alarms")
        await peer.send(post(b"", with_key("desk"), target=target))
        assert await posted(peer) == (403, f"the key desk does not open the room {target[1:]}")


async def test_what_publishes_for_a_connection_that_is_gone_may_still_end_in_time() -> None:
    asked, may_go_on = asyncio.Event(), asyncio.Event()

    async def publish(publisher: hubbub.Publisher[bytes], messages: Sequence[bytes]) -> hubbub.Position:
        asked.set()
        await may_go_on.wait()
        return await publisher.room.broadcast_many(messages)

    async with publishing(publish, settings=hubbub.Settings(cancel_time=60)) as (server, peer):
        await peer.send(post(b"x"))
        await asked.wait()
        arrivals = server._sessions.arrivals
        (arrival,) = arrivals
        peer.reset()
        await arrival.link.wait_closed()
        for _ in range(2):
            arrivals.look()
        may_go_on.set()
        await eventually(lambda: not arrivals.tasks)
        assert await history(server) == [b"x\n"]


async def test_while_a_body_is_held_to_its_rate_others_have_their_turns() -> None:
    async with (
        publishing(settings=hubbub.Settings(message_rate=20.0)) as (server, peer),
        Peer.of(at(server, 1)) as other,
    ):
        await peer.send(post(b"x\n" * 10))
        await eventually(lambda: server.root.head.seq > 0)
        await other.send(post(b"mine"))
        assert int((await posted(other))[1]["position"].partition(":")[2]) <= 10
        assert (await posted(peer))[1]["messages"] == 10


async def test_a_command_of_telnet_that_does_not_end_is_an_error_of_its_body() -> None:
    async with publishing(framing=hubbub.Lines()) as (server, peer):
        await peer.send(CHUNKED + chunk(b"one\n\xff\xfa"))
        await eventually(lambda: server.root.head.seq == 1)
        await peer.send(chunk(b"x" * (SUBNEGOTIATION_LIMIT + 1)))
        status, words = await posted(peer)
        reason = f"a telnet sub-negotiation of more than {SUBNEGOTIATION_LIMIT} bytes"
        assert (status, words.partition(";")[0]) == (400, reason)


async def test_what_looks_like_a_request_may_be_published() -> None:
    async with publishing() as (server, peer):
        await peer.send(post(b"GET / HTTP/1.1\r\n"))
        assert (await posted(peer))[0] == 200
        assert await history(server) == [b"GET / HTTP/1.1\r\n"]


async def test_what_fails_because_the_server_closes_is_answered_too() -> None:
    asked = asyncio.Event()

    async def publish(publisher: hubbub.Publisher[bytes], messages: Sequence[bytes]) -> hubbub.Position:
        asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise KeyError("mood") from None
        return publisher.room.head

    async with publishing(publish) as (server, peer):
        await peer.send(post(b"x"))
        await asked.wait()
        await server.close()
        assert await posted(peer) == (500, "publishing has failed")


async def test_a_binary_body_that_is_too_long_is_refused_before_it_comes() -> None:
    settings = hubbub.Settings(message_limit=10)
    async with publishing(framing=hubbub.LengthPrefixed(), settings=settings) as (_, peer):
        await peer.send(HEAD + f"{OCTETS}\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n".encode())
        assert await posted(peer) == (413, "message longer than 10 bytes")


async def test_each_of_many_requests_that_come_at_once_has_its_own_turn() -> None:
    turned: list[None] = []
    seen: list[int] = []

    async def publish(publisher: hubbub.Publisher[bytes], messages: Sequence[bytes]) -> hubbub.Position:
        seen.append(len(turned))
        asyncio.get_running_loop().call_soon(turned.append, None)
        return publisher.room.head

    async with publishing(publish) as (_, peer):
        await peer.send(post(b"x") * 20)
        for _ in range(20):
            assert (await posted(peer))[0] == 200
    assert seen == list(range(20))


async def test_a_request_that_fails_lets_go_of_no_room_of_an_earlier_one() -> None:
    async with (
        publishing(listener={"http": hubbub.Http(rooms=("wx-*",))}) as (server, peer),
        requesting(server, "GET /wx-1/raw") as reader,
    ):
        assert (await answer(reader)).status == 200
        for target, status in (("/wx-1", 200), ("/nowhere", 404)):
            await peer.send(post(b"", target=target))
            assert (await posted(peer))[0] == status
        # That of the reader.
        assert server.rooms["wx-1"].users == 1


async def test_one_that_publishes_and_reads_no_answer_is_forgotten() -> None:
    settings = hubbub.Settings(handshake_time=0.3, linger_time=0.2, unsent_limit=16 * KIB)
    async with (
        web_serving(framing=BYTES, publish=relay.publish, settings=settings) as (server, _),
        Peer.of(at(server, 1), receive_buffer=4096) as peer,
    ):
        peer.stall()
        peer.writer.write(post(b"x") * 20_000)
        await eventually(lambda: server.statistics().endings == {hubbub.EndingCode.LATE: 1})
        await eventually(lambda: not server._sessions.arrivals.tasks)
        assert 0 < server.root.head.seq < 20_000


async def test_one_that_does_not_ask_whether_it_may_send_the_body_is_not_told_so() -> None:
    async with publishing() as (server, peer):
        await peer.send(CHUNKED)
        await eventually(lambda: server.root.users == 1)
        await peer.send(chunk(b"x") + LAST_CHUNK)
        assert (await posted(peer))[0] == 200
