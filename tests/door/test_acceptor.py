"""Accepting: who is refused and told so, a storm, and the time when descriptors have run out."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

import hubbub
from hubbub.door.acceptor import Reserve
from hubbub.values.fixed_limits import SHED_SLICE

from support.certificates import Certificates
from support.helpers import Peer, eventually, serving

ANYWHERE = hubbub.Address("127.0.0.1", 0)


def denying(**options: Any) -> hubbub.Listener[str]:
    """A listener that admits nobody."""
    return hubbub.Listener(endpoint=ANYWHERE, access=hubbub.Access(deny=["127.0.0.0/8"]), **options)


async def answer(server: hubbub.Server[Any]) -> bytes:
    """What a new connection is told until its end."""
    async with Peer.of(server) as peer:
        return await peer.rest()


# Refused.


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        (hubbub.Settings(clients_limit=2), hubbub.EndingCode.FULL, "server full: limit of 2 clients reached"),
        (hubbub.Settings(clients_per_address=2), hubbub.EndingCode.CROWDED, "127.0.0.1: limit of 2 clients reached"),
        (hubbub.Settings(clients_per_subnet=2), hubbub.EndingCode.CROWDED, "127.0.0.0/24: limit of 2 clients reached"),
        (
            hubbub.Settings(connect_rate=0.01, connect_burst=2),
            hubbub.EndingCode.HASTY,
            "127.0.0.1 connects more than 0.01 times a second",
        ),
    ],
)
async def test_one_too_many_is_refused_and_told_why(
    settings: hubbub.Settings, code: hubbub.EndingCode, words: str
) -> None:
    async with (
        serving(settings=settings) as (server, record),
        Peer.of(server) as one,
        Peer.of(server) as two,
    ):
        await record.wait_for_clients(2)
        async with Peer.of(server) as third:
            assert await third.rest() == f"{code}: {words}\n".encode()
        assert record.refusals == [(hubbub.Address.parse(third.name), hubbub.Ending(code, words))]
        assert server.statistics() == hubbub.Statistics(
            clients=2, rooms=1, accepted=3, endings={code: 1}, refused={code: 1}, slowed=0
        )
        # Those who are in do not notice.
        await one.send(b"Hey\n")
        assert await two.line() == b"Hey\n"
        assert len(record.clients) == 2


async def test_who_has_left_makes_room_for_another() -> None:
    async with serving(settings=hubbub.Settings(clients_limit=1)) as (server, record):
        for count in range(1, 4):
            async with Peer.of(server):
                await record.wait_for_clients(count)
                assert await answer(server) == b"full: server full: limit of 1 clients reached\n"
            await eventually(lambda: not server._sessions.readers)


async def test_an_address_whose_burst_is_whole_again_is_forgotten() -> None:
    async with serving(settings=hubbub.Settings(connect_rate=100.0)) as (server, record), Peer.of(server):
        await record.wait_for_clients(1)
        await eventually(lambda: not server._sessions.arrivals._limits._due)


async def test_an_address_that_is_not_admitted_is_told_so_in_the_framing_of_its_listener() -> None:
    async with serving(listeners=[denying(framing=hubbub.Lines(crlf=True))]) as (server, record):
        assert await answer(server) == b"denied: 127.0.0.1 may not connect here\r\n"
        assert server.statistics().endings == {hubbub.EndingCode.DENIED: 1}
        assert not record.clients


async def test_who_speaks_tls_is_refused_without_words(certificates: Certificates) -> None:
    """They would be garbage to it."""
    async with serving(listeners=[denying(tls=certificates.tls())]) as (server, _):
        assert await answer(server) == b""


async def test_what_a_refused_client_has_said_does_not_cost_it_the_words() -> None:
    """Closing a socket with unread data resets the connection, and what was said last is lost (RFC 1122, 4.2.2.13)."""
    async with serving(listeners=[denying()]) as (server, _):
        with socket.create_connection(server.addresses[0]) as plain:
            plain.sendall(b"x" * 10_000)
            await eventually(lambda: server.statistics().endings == {hubbub.EndingCode.DENIED: 1})
            assert plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
            plain.settimeout(5)
            assert plain.recv(100) == b"denied: 127.0.0.1 may not connect here\n"
            assert plain.recv(100) == b""


async def test_a_refused_client_that_has_gone_is_no_failure() -> None:
    async with serving(listeners=[denying()]) as (server, record):
        with socket.create_connection(server.addresses[0]) as plain:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        (refusal,) = await record.wait_for_refusals()
        assert refusal.code is hubbub.EndingCode.DENIED


# A storm.


async def test_in_a_storm_only_so_many_are_accepted_in_one_turn_of_the_loop() -> None:
    count, limit = 40, 3
    async with serving(settings=hubbub.Settings(accept_slice=limit)) as (server, record):
        with ExitStack() as stack:
            # The kernel makes the connections.
            for _ in range(count):
                stack.enter_context(socket.create_connection(server.addresses[0]))
            steps = []
            while server.statistics().accepted < count:
                before = server.statistics().accepted
                await asyncio.sleep(0)
                steps.append(server.statistics().accepted - before)
            assert max(steps) == limit
            assert len(await record.wait_for_clients(count)) == count


class Aborting(socket.socket):
    """A listening socket some of whose connections are gone before they are accepted, which Linux does not tell."""

    gone = 2

    def accept(self) -> tuple[socket.socket, Any]:
        if self.gone:
            self.gone -= 1
            raise ConnectionAbortedError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED))
        return super().accept()


async def test_connections_that_are_gone_before_they_are_accepted_do_not_hold_up_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving() as (server, record):
        (acceptor,) = server._acceptors
        acceptor.listening = Aborting(fileno=acceptor.listening.detach())
        async with Peer.of(server):
            await record.wait_for_clients(1)
    assert not warnings_in(caplog)


async def test_whatever_keeps_connections_from_being_accepted_is_logged_once_and_costs_no_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listener: hubbub.Listener[str] = hubbub.Listener(endpoint=os.dup(listening.fileno()))
        async with serving(listeners=[listener], settings=hubbub.Settings(shed_time=0.05)) as (server, _):
            # As another process can do that has the same socket.
            listening.shutdown(socket.SHUT_RDWR)
            (acceptor,) = server._acceptors
            for _ in range(3):
                await eventually(lambda: acceptor._pause is not None)
                await eventually(lambda: acceptor._pause is None)
    (error,) = warnings_in(caplog)
    assert error.getMessage() == "no connection can be accepted: Invalid argument"


# No descriptor left.


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [entry for entry in caplog.records if entry.name == "hubbub" and entry.levelno >= logging.WARNING]


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Let this process have none but those it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


OVERLOADED = b"overloaded: the server has no descriptor left for a connection\n"


async def test_without_a_descriptor_who_comes_is_told_so_and_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    async with (
        serving(settings=hubbub.Settings(shed_time=0.05)) as (server, record),
        Peer.of(server) as one,
        Peer.of(server) as two,
    ):
        await record.wait_for_clients(2)
        with ExitStack() as stack:
            late = [stack.enter_context(socket.create_connection(server.addresses[0])) for _ in range(SHED_SLICE + 5)]
            more = [socket.socket() for _ in range(3)]
            for plain in (*late, *more):
                stack.enter_context(plain)
                plain.setblocking(False)
            with no_descriptor_left():
                for plain in late:
                    assert await loop.sock_recv(plain, 100) == OVERLOADED
                    assert await loop.sock_recv(plain, 100) == b""
                await one.send(b"Hey\n")
                assert await two.line() == b"Hey\n"
                # Again and again.
                for plain in more:
                    await loop.sock_connect(plain, tuple(server.addresses[0]))
                    assert await loop.sock_recv(plain, 100) == OVERLOADED
        assert [ending.code for _, ending in record.refusals] == [hubbub.EndingCode.OVERLOADED] * (SHED_SLICE + 8)
        assert server.statistics().endings == {hubbub.EndingCode.OVERLOADED: SHED_SLICE + 8}
        # And when there are descriptors again, it accepts.
        async with Peer.of(server):
            await record.wait_for_clients(3)
    (error,) = warnings_in(caplog)
    assert error.getMessage().startswith(
        "no connection can be accepted: Too many open files; raise the limit (ulimit -n"
    )


async def test_a_server_closes_while_it_accepts_nothing() -> None:
    async with serving(settings=hubbub.Settings(shed_time=60)) as (server, _):
        with socket.create_connection(server.addresses[0]) as plain:
            plain.setblocking(False)
            with no_descriptor_left():
                assert await asyncio.get_running_loop().sock_recv(plain, 100) == OVERLOADED
        (acceptor,) = server._acceptors
        assert acceptor._pause is not None
        await server.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(server.addresses[0])


async def test_a_reserve_that_cannot_be_had_is_done_without() -> None:
    reserve = Reserve()
    with no_descriptor_left():
        reserve.keep()
    assert reserve._descriptor is None
    reserve.give_up()
    reserve.keep()
    kept = reserve._descriptor
    assert kept is not None
    reserve.keep()
    assert reserve._descriptor == kept
    reserve.give_up()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(kept)


# The file of a Unix socket.


@pytest.mark.parametrize("meanwhile", ["nothing", "gone", "replaced"])
async def test_a_unix_socket_takes_its_own_file_with_it_and_no_other(tmp_path: Path, meanwhile: str) -> None:
    path = tmp_path / "hub.sock"
    async with serving(listeners=[hubbub.Listener(endpoint=path)]):
        if meanwhile == "gone":
            path.unlink()
        elif meanwhile == "replaced":
            (tmp_path / "new").write_text("somebody else's")
            (tmp_path / "new").replace(path)
    assert path.exists() == (meanwhile == "replaced")
