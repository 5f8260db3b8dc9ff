"""The server: what it can be made of, how it starts, and how it tells of itself."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import hubbub
from hubbub.apps.relay import relay

from support.helpers import Peer, Record, dial, serving

SPACES = hubbub.Delimited(b" ")


listening: Any = functools.partial(hubbub.Listener, endpoint=hubbub.Address("127.0.0.1", 0))
"""A listener on a port of its own."""

# What it can be made of.


class Greeter:
    async def greet(self, word: str, client: hubbub.Client) -> None:
        await client.send(word)

    async def __call__(self, client: hubbub.Client) -> None:
        await client.send("hi")


class NotAsync:
    def __call__(self, client: hubbub.Client) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("handler", [functools.partial(Greeter().greet, "hi"), Greeter()], ids=["partial", "object"])
async def test_the_handler_may_be_whatever_can_be_called_as_a_coroutine_function(handler: Any) -> None:
    async with serving(handler) as (server, _), Peer.of(server) as peer:
        assert await peer.line() == b"hi\n"


@pytest.mark.parametrize("handler", [print, NotAsync()])
def test_a_handler_that_is_no_coroutine_function_is_an_error(handler: Any) -> None:
    with pytest.raises(TypeError, match="is not a coroutine function: define it with 'async def'"):
        hubbub.Server(handler)


@pytest.mark.parametrize("listeners", ["tcp://127.0.0.1:5000", [5000]])
def test_what_is_no_list_of_listeners_is_an_error(listeners: Any) -> None:
    with pytest.raises(TypeError, match=r"^the listeners are .*; give a list of hubbub\.Listener$"):
        hubbub.Server(relay, listeners=listeners)


def serve(framing: Any = None, listener: Any = None, **settings: Any) -> hubbub.Server[Any]:
    listeners = None if listener is None else [listening(framing=listener)]
    return hubbub.Server(relay, framing=framing, listeners=listeners, settings=hubbub.Settings(**settings))


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: serve(notice="{missed}\nmissed"), "notice"),
        (lambda: serve(SPACES), "notice"),
        (lambda: serve(hubbub.ByteLines(), SPACES), "notice"),
        (lambda: serve().room("news", settings=hubbub.Settings(notice="{missed}\nmissed")), "notice"),
        (lambda: serve(hubbub.Raw(), when_slow="skip"), "no text of the server's"),
        (lambda: serve(hubbub.Lines(), hubbub.ByteLines()), "carries bytes, and the server's .* does not"),
        (lambda: serve(hubbub.ByteLines(), hubbub.Lines()), "carries text, and the server's .* does not"),
        (lambda: hubbub.Server(relay, port=70000), "the port is 70000; it must be 0 to 65535"),
        (
            lambda: hubbub.Server(relay, "FE80::1"),
            "FE80::1 means nothing without its interface; write it as FE80::1%eth0",
        ),
        (
            lambda: hubbub.Server(relay, listeners=[hubbub.Listener[str](endpoint=3), hubbub.Listener(endpoint=3)]),
            r"a descriptor is named twice: \[3, 3\]",
        ),
    ],
)
def test_what_cannot_be_served_is_refused_before_it_is_needed(make: Callable[[], object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        make()


async def test_a_broadcast_from_another_event_loop_is_an_error_and_stops_nothing() -> None:
    """With a slice of one, a flush takes many turns, of a loop that may have ended by then."""
    async with serving(settings=hubbub.Settings(flush_slice=1)) as (server, record), AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(Peer.of(server)) for _ in range(3)]
        clients = await record.wait_for_clients(3)
        for lost in (server.broadcast("lost"), clients[0].send("lost")):
            with pytest.raises(RuntimeError, match=r"use asyncio\.run_coroutine_threadsafe"):
                await asyncio.to_thread(asyncio.run, lost)
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(asyncio.run_coroutine_threadsafe, server.broadcast("Hey"), loop)
        assert [await peer.line() for peer in peers] == 3 * [b"Hey\n"]


def test_a_notice_that_is_never_sent_need_not_fit_the_framing() -> None:
    serve(SPACES, notice=None)
    serve(hubbub.Raw(), when_slow="skip", notice=None)


def test_a_secret_needs_ends_of_messages(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("word\n")
    listener = listening(authenticate=hubbub.SharedSecret(tmp_path / "secret"))
    with pytest.raises(ValueError, match=r"a secret needs a framing that ends messages, and Raw\(\) does not"):
        hubbub.Server(relay, listeners=[listener], framing=hubbub.Raw())


@dataclass
class Marked(hubbub.TextFraming):
    """A framing that is not hashable."""

    marks: list[str]

    def decoder(self, limit: int) -> hubbub.Decoder[str]:
        raise NotImplementedError

    def encode(self, messages: Any) -> bytes:
        raise NotImplementedError


@pytest.mark.parametrize(
    "make",
    [
        lambda: serve(Marked([])),
        lambda: serve(listener=Marked([])),
        lambda: serve().room("news", framing=Marked([])),
    ],
    ids=["server", "listener", "room"],
)
def test_a_framing_that_is_not_hashable_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(TypeError, match="is not hashable"):
        make()


def test_listeners_cannot_have_more_rooms_than_there_may_be() -> None:
    listeners = [listening(room=name) for name in ("news", "sports")]
    hubbub.Server(relay, listeners=listeners, settings=hubbub.Settings(rooms_limit=3))
    with pytest.raises(hubbub.RoomLimitReached):
        hubbub.Server(relay, listeners=listeners, settings=hubbub.Settings(rooms_limit=2))


@pytest.mark.parametrize("name", ["", "two words", "x" * 65, "caf\xe9", "a/b", "a\n", "a\x00"])
def test_a_name_from_outside_must_be_one_for_a_room(name: str) -> None:
    with pytest.raises(ValueError, match="is not a name for a room; use 1 to 64 of"):
        listening(room=name)


@pytest.mark.parametrize("name", ["a", "A-Z_0.9", "x" * 64, "root", "..."])
def test_names_from_outside(name: str) -> None:
    assert listening(room=name).room == name


# Starting.


async def test_a_server_is_started_only_once_and_not_at_all_once_it_was_closed() -> None:
    async with serving() as (server, _):
        with pytest.raises(RuntimeError, match="make another one"):
            await server.start()
    closed = hubbub.Server(relay, port=0)
    await closed.close()
    for one in (server, closed):
        await one.close()
        with pytest.raises(RuntimeError, match="make another one"):
            await one.start()


async def test_the_port_is_known_once_it_listens_and_another_server_cannot_have_it() -> None:
    server = hubbub.Server(relay, port=0)
    assert not server.addresses
    async with server:
        (address,) = server.addresses
        assert address.host == "127.0.0.1"
        assert address.port > 0
        with pytest.raises(hubbub.ListenError, match=f"cannot listen on {address}: Address already in use"):
            async with hubbub.Server(relay, *address):
                pass


async def test_serve_forever_starts_the_server_and_serves_until_it_is_closed() -> None:
    class Watch(Record):
        up = asyncio.Event()

        def started(self, server: hubbub.Server[Any]) -> None:
            self.up.set()

    watch = Watch()
    server = hubbub.Server(relay, port=0, observer=watch)
    assert server.observer is watch
    serving_task = asyncio.create_task(server.serve_forever())
    await watch.up.wait()
    async with Peer.of(server) as peer:
        await watch.wait_for_clients(1)
        peer.end()
        assert await peer.rest() == b""
        await server.close()
    await serving_task
    # To serve what is closed ends at once.
    await server.serve_forever()


async def test_a_cancelled_serve_forever_closes_the_server() -> None:
    async with serving() as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        task = asyncio.create_task(server.serve_forever())
        await asyncio.sleep(0)
        task.cancel()
        assert await peer.rest() == b"server is closing\n"
        peer.end()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert client.ending == hubbub.Ending(hubbub.EndingCode.SHUTDOWN, "the server closed")


async def assert_nobody_listens(server: hubbub.Server[str]) -> None:
    for index in range(len(server.addresses)):
        with pytest.raises(ConnectionRefusedError):
            await dial(server, at=index)


@pytest.mark.parametrize("turns", range(8))
async def test_a_server_that_is_closed_while_it_starts_does_not_listen_afterwards(turns: int) -> None:
    server = hubbub.Server(relay, port=0)
    task = asyncio.create_task(server.serve_forever())
    for _ in range(turns):
        await asyncio.sleep(0)
    await server.close()
    await task
    await assert_nobody_listens(server)


@pytest.mark.parametrize("turns", [*range(8), None], ids=str)
async def test_a_start_that_is_cancelled_leaves_no_port_open(turns: int | None) -> None:
    """After so many turns of the loop, or when it has just got its port."""
    server = hubbub.Server(relay, port=0)
    starting = asyncio.create_task(server.start())
    # Resolving takes a thread's time, so that no number of turns is sure to get there.
    count = 0
    while count != turns and not (turns is None and server.addresses):
        count += 1
        await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait([starting])
    # It was quicker than that, or has left nothing to connect to.
    if not starting.cancelled():
        await server.close()
    await assert_nobody_listens(server)


# What it tells.


async def test_the_figures_and_the_clients_are_those_of_the_moment() -> None:
    async with serving(settings=hubbub.Settings(probe_time=0)) as (server, record):
        assert server.statistics() == hubbub.Statistics(clients=0, rooms=1, accepted=0, endings={}, slowed=0)
        async with Peer.of(server) as peer, Peer.of(server) as other:
            clients = {client.name: client for client in await record.wait_for_clients(2)}
            assert server.clients == set(clients.values())
            server.room("news")
            peer.end()
            await peer.rest()
            await record.wait_for_endings()
            assert server.clients == {clients[other.name]}
            assert server.statistics() == hubbub.Statistics(
                clients=1, rooms=2, accepted=2, endings={hubbub.EndingCode.LEFT: 1}, slowed=0
            )
            other.reset()
            await record.wait_for_endings(2)
        statistics = server.statistics()
        assert statistics.clients == 0
        assert statistics.endings == {hubbub.EndingCode.LEFT: 1, hubbub.EndingCode.LOST: 1}


async def test_what_was_said_is_counted_from_the_start_on_in_rooms_that_have_gone_too(tmp_path: Path) -> None:
    for start in (0, 3):
        async with serving(store=hubbub.SqliteStore(tmp_path / "feed.db")) as (server, _):
            news = server.room("news")
            # What an earlier server has stored does not count.
            assert (news.head.seq, server.statistics().messages, server.statistics().bytes) == (start, 0, 0)
            await news.broadcast_many(["one", "two"])
            assert (server.statistics().messages, server.statistics().bytes) == (2, 256 + 8)
            news.close()
            await server.room("news").broadcast("three")
            await server.broadcast("four")
            assert server.room("news").head.seq == start + 3
            assert (server.statistics().messages, server.statistics().bytes) == (4, 256 + 8 + 256 + 6 + 256 + 5)


def test_a_reload_says_what_has_changed_and_what_could_not_be_read(tmp_path: Path) -> None:
    async def nobody(client: Any) -> bool:
        raise NotImplementedError

    networks, secret = tmp_path / "networks", tmp_path / "secret"
    networks.write_text("192.0.2.0/24\n")
    secret.write_text("open sesame\n")
    with_secret = listening(authenticate=hubbub.SharedSecret(secret))
    # Some share what is read, and some have nothing to read. What cannot be read comes first.
    listeners = [
        with_secret,
        replace(with_secret, access=hubbub.Access(deny=[f"@{networks}"])),
        listening(authenticate=nobody),
    ]
    server = hubbub.Server(relay, listeners=listeners)
    assert server.reload() == []
    networks.write_text("192.0.2.0/24\n127.0.0.1\n")
    secret.unlink()
    changed, failed = server.reload()
    assert changed == f"the networks of @{networks}: 1 more, 0 fewer"
    assert failed.endswith("; what was read before holds")
    assert str(secret) in failed
