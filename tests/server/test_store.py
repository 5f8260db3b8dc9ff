"""A server with a store, over real sockets: what survives, who waits for whom, and what it does without its disk."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import hubbub
from hubbub.apps.chat import chat
from hubbub.apps.relay import relay
from hubbub.server.summary import describe

from support.helpers import Peer, Record, eventually, idle
from support.stores import SqliteBench, storing

KIB = 1024
MIB = 1024 * KIB


@pytest.fixture
def bench(tmp_path: Path) -> SqliteBench:
    return SqliteBench(tmp_path)


def figures(server: hubbub.Server[Any]) -> hubbub.StoreStatistics:
    """The figures of a server's store."""
    store = server.statistics().store
    assert store is not None
    return store


async def said_in(room: hubbub.Room[Any], **of: Any) -> list[bytes]:
    return [entry.message async for entry in room.history(**of)]


# What survives.


async def test_what_was_said_is_there_after_a_restart_and_positions_go_on(bench: SqliteBench) -> None:
    async with storing(bench) as (server, _):
        positions = [await server.broadcast(b"%d" % number, sender="gauge") for number in range(5)]
    async with storing(bench) as (server, record):
        assert await said_in(server.root) == [b"0", b"1", b"2", b"3", b"4"]
        assert await said_in(server.root, since=positions[2]) == [b"3", b"4"]
        assert [entry.sender async for entry in server.root.history(last=1)] == ["gauge"]
        assert server.root.head == positions[-1]
        new = await server.broadcast(b"5")
        assert (new.seq, new.term != positions[-1].term) == (6, True)
        assert await said_in(server.root, since=positions[3]) == [b"4", b"5"]
        room = server.room("news")
        async with Peer.of(server) as peer:
            (client,) = await record.wait_for_clients(1)
            await room.broadcast(b"a")
            await client.join(room, since="all")
            assert await peer.line() == b"a\n"
    async with storing(bench) as (server, _):
        assert await said_in(server.room("news")) == [b"a"]
        assert server.root.holds(positions[0])


async def test_what_a_crash_took_is_recognised_as_lost(bench: SqliteBench) -> None:
    async with storing(bench, durable="ack") as (server, _):
        kept = await server.broadcast(b"kept")
        bench.stall()
        task = asyncio.create_task(server.broadcast(b"lost"))
        await eventually(lambda: server.root.head.seq == 2)
        given_out = server.root.head
        after_crash = bench.crash()
        bench.heal()
        await task
    async with storing(after_crash) as (server, _):
        assert await said_in(server.root) == [b"kept"]
        assert server.root.holds(kept)
        await server.broadcast(b"another")
        with pytest.raises(hubbub.PositionLost) as lost:
            server.root.history(since=given_out)
        assert (lost.value.first, lost.value.missed) == (kept, None)
        assert await said_in(server.root, since=lost.value.first) == [b"another"]


async def test_a_room_that_empties_keeps_its_log_and_its_positions(bench: SqliteBench) -> None:
    async with storing(bench) as (server, record), Peer.of(server) as peer:
        (client,) = await record.wait_for_clients(1)
        room = await client.join("talk")
        first = await room.broadcast(b"a")
        # It is made again before the flush of what it has pending.
        await client.leave(room)
        assert room.closed
        again = await client.join("talk", since=first)
        assert again is not room
        second = await again.broadcast(b"b")
        assert (await peer.line(), await peer.line()) == (b"a\n", b"b\n")
        assert await said_in(again) == [b"a", b"b"]
        assert second.seq == 2
        await client.leave(again)
    async with storing(bench) as (server, _):
        assert await said_in(server.room("talk")) == [b"a", b"b"]


async def test_a_room_in_which_nothing_was_said_leaves_nothing(bench: SqliteBench) -> None:
    async with storing(bench) as (server, record), Peer.of(server):
        (client,) = await record.wait_for_clients(1)
        for number in range(200):
            await client.leave(await client.join(f"room-{number}"))
        await server.broadcast(b"x")
    async with storing(bench) as (server, _):
        assert server._store is not None
        assert set(figures(server).committed) == {"root"}


async def test_the_last_words_of_handlers_are_stored(bench: SqliteBench) -> None:
    async def farewell(client: hubbub.Client[Any]) -> None:
        try:
            async for _ in client:
                pass
        finally:
            await client.server.broadcast(b"gone", exclude=client)

    async with storing(bench, farewell) as (server, record), Peer.of(server):
        await record.wait_for_clients(1)
        await server.close()
    async with storing(bench) as (server, _):
        assert await said_in(server.root) == [b"gone"]


# Acknowledged messages.


async def test_a_broadcast_is_acknowledged_when_it_is_committed_and_not_before(bench: SqliteBench) -> None:
    async with storing(bench, durable="ack") as (server, record), Peer.of(server) as peer:
        await record.wait_for_clients(1)
        await server.broadcast(b"a")
        bench.stall()
        single = asyncio.create_task(server.broadcast(b"b"))
        many = asyncio.create_task(server.broadcast_many([b"c", b"d"]))
        # It is delivered first.
        assert [await peer.line() for _ in range(4)] == [b"a\n", b"b\n", b"c\n", b"d\n"]
        assert not single.done()
        assert not many.done()
        bench.heal()
        assert (await single).seq == 2
        assert (await many).seq == 4


async def test_a_room_may_acknowledge_where_its_server_does_not(bench: SqliteBench) -> None:
    async with storing(bench) as (server, _):
        sure = server.room("sure", settings=hubbub.Settings(durable="ack"))
        await sure.broadcast(b"a")
        bench.stall()
        waiting = asyncio.create_task(sure.broadcast(b"b"))
        await server.broadcast(b"c")
        await eventually(lambda: sure.head.seq == 2)
        assert not waiting.done()
        bench.heal()
        await waiting


def test_acknowledged_messages_need_a_store() -> None:
    with pytest.raises(ValueError, match=r"^durable is 'ack', which needs a store to acknowledge messages$"):
        hubbub.Server(idle, settings=hubbub.Settings(durable="ack"))
    server: hubbub.Server[Any] = hubbub.Server(idle)
    with pytest.raises(ValueError, match=r"^durable is 'ack', which needs a store"):
        server.room("x", settings=hubbub.Settings(durable="ack"))


# A disk that is slow, full or gone.


async def test_senders_wait_for_a_store_that_has_too_much_to_commit(bench: SqliteBench) -> None:
    async with storing(bench, store_pending=64 * KIB, chunk_limit=8 * KIB) as (server, record), Peer.of(server) as peer:
        await record.wait_for_clients(1)
        bench.stall()
        speaking = asyncio.create_task(speak(server, 400))
        # So many turns that a sender who is not held has said it all.
        for _ in range(1000):
            await asyncio.sleep(0)
        heard = [await peer.line() for _ in range(40)]
        assert not speaking.done()
        assert figures(server).pending < 64 * KIB + 2 * 8 * KIB
        bench.heal()
        heard += [await peer.line() for _ in range(360)]
        await speaking
        assert len(heard) == 400


async def speak(server: hubbub.Server[Any], count: int, size: int = 1000) -> None:
    for number in range(count):
        await server.broadcast(b"%0*d" % (size, number))
        # Each is a flush of its own, as from a client that says one after the other.
        await asyncio.sleep(0)


async def test_without_its_store_a_server_goes_on_in_memory_and_stores_again_when_that_is_back(
    bench: SqliteBench, caplog: pytest.LogCaptureFixture
) -> None:
    async with storing(bench, store_patience=0.5) as (server, record), Peer.of(server) as peer:
        await record.wait_for_clients(1)
        sure = server.room("sure", settings=hubbub.Settings(durable="ack"))
        first = await sure.broadcast(b"a")
        before = await server.broadcast(b"1")
        await eventually(lambda: figures(server).committed["root"] == 1)
        bench.fill()
        with pytest.raises(hubbub.NotStored, match="room sure was delivered and not stored: database or disk is full"):
            await sure.broadcast(b"b")
        with pytest.raises(hubbub.NotStored):
            await sure.broadcast(b"c")
        given_out = await server.broadcast(b"2")
        assert [await peer.line(), await peer.line()] == [b"1\n", b"2\n"]
        assert await said_in(server.root, since=before) == [b"2"]
        assert figures(server).out
        bench.heal()
        await eventually(lambda: not figures(server).out)
        assert (await sure.broadcast(b"d")).term != first.term
        await server.broadcast(b"3")
        assert await peer.line() == b"3\n"
        # What memory still has is heard by those who come now.
        assert await said_in(server.root) == [b"1", b"2", b"3"]
    out = [line for line in caplog.messages if "is out: " in line]
    assert len(out) == 1
    assert "the server goes on in memory" in out[0]
    async with storing(bench) as (server, _):
        assert await said_in(server.root) == [b"3"]
        for position, missed in ((before, 1), (given_out, None)):
            with pytest.raises(hubbub.PositionLost) as lost:
                server.root.history(since=position)
            assert (lost.value.first.seq, lost.value.missed) == (2, missed)


async def test_who_begins_with_the_oldest_message_just_as_that_is_deleted_begins_with_the_next(
    bench: SqliteBench,
) -> None:
    async with storing(bench, retention=4 * KIB, store_count=10) as (server, _):
        assert isinstance(server._store, hubbub.SqliteStore)
        writer = server._store._writer
        assert writer is not None
        reports: list[Any] = []
        await speak(server, 80)
        await eventually(lambda: figures(server).pending == 0)
        # The server hears only later what is deleted from now on.
        done, writer.done = writer.done, reports.append
        await speak(server, 80)
        await eventually(lambda: any(report.starts for report in reports))
        oldest = server.root.oldest
        entries = [entry async for entry in server.root.history()]
        assert entries[0].position.seq > oldest.seq + 1
        for report in reports:
            done(report)
        writer.done = done


# Readers that are slow.


async def test_a_slow_reader_catches_up_from_the_store_and_holds_nobody(bench: SqliteBench) -> None:
    # With a pace of 0, senders would wait for a reader that only memory serves.
    async with (
        storing(bench, retention=64 * KIB, pace=0) as (server, record),
        Peer.of(server, receive_buffer=4 * KIB) as slow,
    ):
        (client,) = await record.wait_for_clients(1)
        async with asyncio.timeout(30):
            await speak(server, 8000)
        assert client.lag.bytes > MIB
        assert [int((await slow.line()).strip()) for _ in range(8000)] == list(range(8000))
        assert client.ending is None
        assert figures(server).reads["root"] > 0


async def test_one_that_skips_is_kept_fresh_and_not_served_by_the_store(bench: SqliteBench) -> None:
    settings: dict[str, Any] = {"retention": 64 * KIB, "pace": None, "when_slow": "skip", "notice": "{missed} missed"}
    async with storing(bench, **settings) as (server, record), Peer.of(server, receive_buffer=4 * KIB) as slow:
        await record.wait_for_clients(1)
        await speak(server, 8000)
        heard = [await slow.line()]
        while heard[-1] != b"%0*d\n" % (1000, 7999):
            heard.append(await slow.line())
        assert len(heard) < 7000
        assert any(line.endswith(b" missed\n") for line in heard)
        assert not figures(server).reads


# What goes wrong at once.


async def test_a_server_that_cannot_listen_gives_its_store_back(bench: SqliteBench) -> None:
    async with storing(bench) as (server, _):
        port = server.addresses[0].port
        other = SqliteBench(bench.path.parent / "other")
        other.path.parent.mkdir()
        with pytest.raises(hubbub.ListenError):
            await hubbub.Server(idle, port=port, store=other.store()).start()
        await other.store().close()


async def test_a_room_that_was_stored_in_another_framing_is_refused(bench: SqliteBench) -> None:
    async with storing(bench) as (server, _):
        await server.broadcast(b"a")
    store = bench.store()
    with pytest.raises(hubbub.StoreError, match="room root was stored as ByteLines"):
        hubbub.Server(idle, store=store)
    await store.close()


async def test_a_store_is_for_one_server_and_ends_with_it(bench: SqliteBench) -> None:
    store = bench.store()
    async with hubbub.Server(idle, port=0, store=store):
        with pytest.raises(hubbub.StoreError, match="room root is open already; give each server a store of its own"):
            hubbub.Server(idle, store=store)
    with pytest.raises(hubbub.StoreError, match="it was closed; make another SqliteStore"):
        hubbub.Server(idle, store=store)


async def test_a_server_that_never_started_gives_its_store_back(bench: SqliteBench) -> None:
    await hubbub.Server(idle, store=bench.store()).close()
    await bench.store().close()


def test_a_path_is_no_store() -> None:
    store: Any = "log.db"
    with pytest.raises(TypeError, match=r"the store is 'log.db'; make it as in hubbub.SqliteStore\('log.db'\)"):
        hubbub.Server(idle, store=store)


@pytest.mark.parametrize("app", [chat, relay])
async def test_the_apps_go_on_where_the_store_takes_nothing(app: Any, bench: SqliteBench) -> None:
    record = Record()
    framing: Any = hubbub.Lines() if app is chat else hubbub.ByteLines()
    settings = hubbub.Settings(durable="ack", store_patience=0.5, probe_time=0)
    async with (
        hubbub.Server(app, port=0, framing=framing, settings=settings, observer=record, store=bench.store()) as server,
        Peer.of(server) as speaker,
        Peer.of(server) as listener,
    ):
        clients = await record.wait_for_clients(2)
        bench.fill()
        for number in range(3):
            await speaker.send(b"line %d\n" % number)
            while not (await listener.line()).endswith(b"line %d\n" % number):
                pass
        assert all(client.ending is None for client in clients)
        bench.heal()


async def test_nobody_else_may_read_a_store_that_is_made(bench: SqliteBench) -> None:
    async with storing(bench) as (server, _):
        await server.broadcast(b"secret")
        files = [path for path in bench.path.parent.iterdir() if path.is_file()]
        assert len(files) == 4
        assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


async def test_a_store_that_is_in_use_is_in_use_by_every_name(bench: SqliteBench, tmp_path: Path) -> None:
    async with storing(bench):
        other = tmp_path / "other"
        other.mkdir()
        (other / "link.db").symlink_to(bench.path)
        with pytest.raises(hubbub.StoreError, match="in use by process"):
            hubbub.SqliteStore(other / "link.db")


async def test_what_a_server_is_doing_names_its_store(bench: SqliteBench) -> None:
    async with storing(bench) as (server, _):
        await server.broadcast(b"x")
        await eventually(lambda: figures(server).committed["root"] == 1)
        _, store, room = describe(server)
        assert store.startswith("store: takes all; bytes on disk: ")
        assert room.endswith("; committed: 1; reads: 0")
