"""What the clients of a listener may do: speak, hear, or both."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import hubbub
from hubbub.apps.echo import echo
from hubbub.apps.relay import relay
from hubbub.server import deadlines
from hubbub.values.role import Role

from support.helpers import Peer, Record, at, eventually, idle, serving

KIB = 1024

SETTINGS = hubbub.Settings(message_time=0.05, idle_time=0.05, message_limit=KIB)
"""Times that are over before a message from one to the other has come."""


@asynccontextmanager
async def with_roles(
    *roles: Any, handler: Any = relay, **options: Any
) -> AsyncIterator[tuple[hubbub.Server[Any], Record, Sequence[Peer]]]:
    """A server with a listener for each of these roles, and a peer at each."""
    more = options.pop("listener", {})
    listeners = [hubbub.Listener[Any](endpoint=hubbub.Address("127.0.0.1", 0), role=role, **more) for role in roles]
    async with serving(handler, listeners=listeners, **options) as (server, record), AsyncExitStack() as stack:
        peers = []
        for index in range(len(roles)):
            peers.append(await stack.enter_async_context(Peer.of(at(server, index))))
            await record.wait_for_clients(index + 1)
        yield server, record, peers


async def test_readers_say_nothing_and_writers_hear_nothing() -> None:
    async with with_roles("both", "read", "write") as (server, record, (both, reader, writer)):
        assert [client.role for client in record.clients] == [Role.BOTH, Role.READ, Role.WRITE]
        assert [client in server.root for client in record.clients] == [True, True, False]
        for peer in (reader, writer, both):
            await peer.send(peer.name.encode() + b"\n")
            if peer is not reader:
                await eventually(functools.partial(record.received_from.__contains__, peer.name))
        assert await both.line() == f"{writer.name}\n".encode()
        assert [await reader.line(), await reader.line()] == [f"{one.name}\n".encode() for one in (writer, both)]
        closing = asyncio.create_task(server.close())
        assert [await peer.rest() for peer in (both, reader, writer)] == [b"server is closing\n"] * 3
        for peer in (both, writer):
            peer.end()
        await closing
        assert reader.name not in record.received_from


async def test_a_reader_may_say_what_it_likes_for_as_long_as_it_likes_and_end_its_stream() -> None:
    async with with_roles("read", settings=SETTINGS) as (server, record, (reader,)):
        (client,) = record.clients
        # Far more than a message or an inbox may have.
        await reader.send(b"\xfe" * 512 * KIB)
        reader.end()
        await eventually(lambda: client.bytes_received == 512 * KIB)
        assert client.messages_received == 0
        look = server._sessions._deadlines
        for ran in (1, 2, 3):
            look._end_unfinished(ran)
            look._end_idle(ran)
        await server.broadcast("news")
        assert await reader.line() == b"news\n"
        assert client.ending is None
        reader.reset()
        # A connection whose peer has ended its stream is found to be gone when something is written.
        await server.broadcast("more")
        assert (await record.wait_for_endings())[0].code is hubbub.EndingCode.LEFT


async def test_the_same_client_would_be_ended_if_it_might_speak() -> None:
    for said, codes in ((b"x" * 2 * KIB, {"too-long"}), (b"begun", {"unfinished", "idle"})):
        async with with_roles("both", settings=SETTINGS) as (_, record, (peer,)):
            await peer.send(said)
            assert (await record.wait_for_endings())[0].code in codes


async def test_what_a_reader_says_is_discarded_even_if_its_handler_does_not_listen() -> None:
    async def deaf(client: hubbub.Client) -> None:
        await client.wait_closed()

    async with with_roles("read", handler=deaf, framing=hubbub.Raw()) as (_, record, (reader,)):
        await reader.send(b"x\n" * 256 * KIB)
        await eventually(lambda: record.clients[0].bytes_received == 512 * KIB)


async def test_a_reader_is_refused_what_its_telnet_proposes() -> None:
    async with with_roles("read") as (_, _, (reader,)):
        await reader.send(b"text\xff\xfb\x1f\xff")
        await reader.send(b"\xfd\x03\n")
        assert await reader.exactly(6) == b"\xff\xfe\x1f\xff\xfc\x03"


async def test_a_reader_may_have_to_give_a_secret_and_what_follows_is_discarded(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("open sesame\n")
    secret = hubbub.SharedSecret(tmp_path / "secret")
    listener = hubbub.Listener[Any](endpoint=hubbub.Address("127.0.0.1", 0), role="read", authenticate=secret)
    async with serving(listeners=[listener]) as (server, record), Peer.of(server) as reader:
        await reader.send(b"open sesame\nand a message\nand\n")
        (client,) = await record.wait_for_clients(1)
        await reader.send(b"more\n")
        await eventually(lambda: client.bytes_received == 35)
        await server.broadcast("news")
        assert await reader.line() == b"news\n"
        assert not record.received_from


async def test_what_is_sent_to_a_writer_is_dropped_and_counted() -> None:
    async with with_roles("write", handler=echo) as (server, record, (writer,)):
        await writer.send(b"one\ntwo\n\xff\xfb\x1f")
        await eventually(lambda: server.statistics().unheard == 2)
        (client,) = record.clients
        assert not client.try_send("three")
        assert server.statistics().unheard == 3
        with pytest.raises(ValueError, match=r"cannot join room news: it has the role write$"):
            await client.join("news")
        assert "news" not in server.rooms
        # Nor does it hear more once its transport has been full.
        client._reader.on_resumed()
        assert not client.try_send("four")
        writer.end()
        # Not even a refusal of what its telnet proposes.
        assert await writer.rest() == b""


async def test_a_handler_that_only_sends_to_a_writer_lets_others_run() -> None:
    async def flood(client: hubbub.Client) -> None:
        while not client.role.hears:
            await client.send("")
        await client.wait_closed()

    async with with_roles("write", "read", handler=flood) as (server, _, (_, reader)):
        await server.broadcast("news")
        assert await reader.line() == b"news\n"


def test_a_role_that_does_not_exist_is_an_error() -> None:
    wrong: Any = "reader"
    with pytest.raises(ValueError, match=r"^the role is 'reader'; it must be both, read or write$"):
        hubbub.Listener(endpoint=hubbub.Address("h", 1), role=wrong)


async def test_a_reader_that_half_closes_ends_with_the_server_at_once() -> None:
    async with with_roles("read", handler=idle) as (server, record, (reader,)):
        reader.end()
        await eventually(lambda: record.clients[0]._reader.link.at_end)
        async with asyncio.timeout(0.5):  # Half of the time that a peer which has not ended its stream is given.
            await server.close()


@pytest.mark.parametrize(
    ("role", "tail", "heard"),
    [
        ("write", None, b"W,0001249.5 kg\n"),
        ("both", "drop", b"W,0001249.5 kg\n"),
        ("write", "keep", b"W,0001249.5 kg\nW,00012\n"),
        ("both", None, b"W,0001249.5 kg\nW,00012\n"),
    ],
)
async def test_a_message_that_is_cut_short_is_dropped_and_counted_where_that_is_asked_for(
    role: str, tail: Any, heard: bytes
) -> None:
    async with with_roles(role, "read", listener={"tail": tail}) as (server, record, (scales, reader)):
        await scales.send(b"W,0001249.5 kg\nW,00012")
        scales.end()
        await record.wait_for_endings()
        assert await scales.rest() == b""
        closing = asyncio.create_task(server.close())
        assert await reader.rest() == heard + b"server is closing\n"
        reader.end()
        await closing
        assert server.statistics().tails == heard.count(b"\n") % 2


async def test_a_message_without_its_end_is_counted_though_its_handler_is_later_than_the_end() -> None:
    go = asyncio.Event()

    async def late(client: hubbub.Client) -> None:
        await go.wait()
        assert await client.receive() == "whole"
        with pytest.raises(hubbub.ConnectionClosed):
            await client.receive()

    async with with_roles("both", handler=late, listener={"tail": "drop"}) as (server, record, (peer,)):
        await peer.send(b"whole\npart")
        link = record.clients[0]._reader.link
        peer.end()
        await eventually(lambda: link.at_end)
        peer.reset()
        await server.broadcast("x")
        await record.wait_for_endings()
        await eventually(lambda: link.lost)
        go.set()
        await eventually(lambda: server.statistics().tails == 1)


async def test_readers_that_have_ended_their_stream_and_are_gone_since_are_found_out_some_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "GONE_SLICE", 1)
    path = tmp_path / "hub.sock"
    listener = hubbub.Listener[Any](endpoint=path, role="read")
    async with serving(listeners=[listener]) as (server, record):
        server._sessions._deadlines.stop()
        look = server._sessions._deadlines._end_gone
        writers = [(await asyncio.open_unix_connection(path))[1] for _ in range(2)]
        links = [client._reader.link for client in await record.wait_for_clients(2)]
        for writer in writers:
            writer.write_eof()
        await eventually(lambda: all(link.at_end for link in links))
        look(0)
        look(0)
        assert not any(link.closing for link in links)
        for writer in writers:
            writer.close()
            await writer.wait_closed()
        look(0)
        assert [link.closing for link in links].count(True) == 1
        look(0)
        assert all(link.closing for link in links)
        assert {ending.code for ending in await record.wait_for_endings(2)} == {hubbub.EndingCode.LEFT}
