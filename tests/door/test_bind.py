"""Listening: addresses, names, ports, paths, descriptors, and what goes wrong with them."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import stat
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import hubbub
from hubbub.apps.echo import echo

from support.helpers import serving


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="IPv6 is off on this machine")


async def ask(host: str | Path, port: int = 0) -> bytes:
    """What an echo server there answers."""
    if isinstance(host, Path):
        reader, writer = await asyncio.open_unix_connection(host)
    else:
        reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"?\n")
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


ANSWER = b"We got your message: ?\n"


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What all names stand for: no name that is sure to be known has two addresses."""
    addresses = ["127.0.0.1"]

    async def resolve(_: str, port: int, **flags: int) -> list[tuple[int, Any]]:
        return [(socket.AF_INET, (address, port)) for address in addresses]

    monkeypatch.setattr("hubbub.door.kinds.tcp.resolve", resolve)
    return addresses


@pytest.mark.parametrize("host", ["127.0.0.2", pytest.param("::1", marks=needs_ipv6)])
async def test_an_address(host: str) -> None:
    async with hubbub.Server(echo, host, 0) as server:
        (address,) = server.addresses
        assert address.host == host
        assert await ask(*address) == ANSWER
        with pytest.raises(ConnectionRefusedError):
            await ask("127.0.0.1", address.port)


@needs_ipv6
async def test_all_of_this_machine_through_one_dual_stack_socket() -> None:
    names: list[str] = []

    async def name(client: hubbub.Client) -> None:
        names.append(client.address)

    async with hubbub.Server(name, "::", 0) as server:
        ((host, port),) = server.addresses
        assert host == "::"
        assert await ask("::1", port) == b""
        assert await ask("127.0.0.1", port) == b""
        # An IPv4 client has its IPv4 name.
        assert names == ["::1", "127.0.0.1"]


async def test_no_host_means_all_of_this_machine_with_one_port() -> None:
    async with hubbub.Server(echo, "", 0) as server:
        ports = {address.port for address in server.addresses}
        (port,) = ports
        hosts = [address.host for address in server.addresses]
        assert sorted(hosts) == (["0.0.0.0", "::"] if _has_ipv6() else ["0.0.0.0"])
        assert await ask("127.0.0.1", port) == ANSWER
        if "::" in hosts:
            assert await ask("::1", port) == ANSWER


async def test_a_name_stands_for_all_its_addresses_with_one_port() -> None:
    async with hubbub.Server(echo, "localhost", 0) as server:
        (port,) = {address.port for address in server.addresses}
        assert len(server.addresses) == len(set(server.addresses))
        for address in server.addresses:
            assert await ask(address.host, port) == ANSWER


async def test_a_port_in_use_is_said_to_be() -> None:
    async with serving(echo) as (server, _):
        (address,) = server.addresses
        with pytest.raises(hubbub.ListenError) as failed:
            await hubbub.Server(echo, *address).start()
        assert (failed.value.endpoint, failed.value.reason) == (str(address), "Address already in use")
        assert isinstance(failed.value.__cause__, OSError)


async def test_a_port_in_use_on_one_of_several_addresses_leaves_none_open(resolved: list[str]) -> None:
    async with serving(echo) as (server, _):
        (address,) = server.addresses
        resolved[:] = ["127.0.0.2", "127.0.0.1"]
        with pytest.raises(hubbub.ListenError, match=f"listen on twofold:{address.port}: Address already in use"):
            await hubbub.Server(echo, "twofold", address.port).start()
        with socket.create_server(("127.0.0.2", address.port)):
            pass


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("127.0.0.1", "5000", "the port is '5000'; it must be a whole number, as in 5000"),
        (5000, 5000, "the host is 5000; it must be a string, as in '127.0.0.1'"),
        ("127.0.0.1:5010", 5000, "the host is '127.0.0.1:5010'; give host '127.0.0.1' and port 5010 separately"),
        ("[::1]:5010", 5000, "the host is '[::1]:5010'; give host '::1' and port 5010 separately"),
        (":5010", 5000, "the host is ':5010'; give host '' and port 5010 separately"),
        ("[::1]", 5000, "the host is '[::1]'; write it without brackets"),
        ("unix:///x", 5000, "the host is 'unix:///x'; write a name or an address, or a Unix socket as pathlib.Path"),
        ("fe80::1", 5000, "fe80::1 means nothing without its interface; write it as fe80::1%eth0"),
        *(("127.0.0.1", port, f"the port is {port}; it must be 0 to 65535") for port in (-1, 65536)),
    ],
)
@pytest.mark.parametrize("use", [partial(hubbub.Server, echo), hubbub.connect], ids=["server", "connect"])
def test_a_host_and_a_port_that_cannot_be_are_said_to_be(use: Any, host: Any, port: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=f"^{re.escape(message)}$"):
        use(host, port)


@pytest.mark.parametrize(
    ("host", "why"),
    [
        *((host, "") for host in ("no-such-host.invalid", "a" * 64, "a..b")),
        # From a block for documentation (RFC 5737).
        ("192.0.2.1", "Cannot assign requested address"),
    ],
)
async def test_an_unknown_host_and_an_address_of_another_machine_are_said_to_be(host: str, why: str) -> None:
    with pytest.raises(hubbub.ListenError, match=f"cannot listen on {host}:0: {why}"):
        await hubbub.Server(echo, host, 0).start()


async def test_an_address_that_a_name_has_and_the_machine_has_not_is_left_out(resolved: list[str]) -> None:
    """As `localhost` may be listed with ::1 where IPv6 is off."""
    resolved[:] = ["192.0.2.1", "127.0.0.1", "127.0.0.2"]
    async with hubbub.Server(echo, "threefold", 0) as server:
        assert [address.host for address in server.addresses] == ["127.0.0.1", "127.0.0.2"]
        assert len({address.port for address in server.addresses}) == 1


# Unix sockets.


def at(endpoint: hubbub.Address | Path | int, **options: Any) -> list[hubbub.Listener[str]]:
    return [hubbub.Listener(endpoint=endpoint, **options)]


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "hub 1.sock"
    async with serving(echo, listeners=at(path)) as (server, record):
        assert [str(address) for address in server.addresses] == [str(path)]
        assert server.urls == (f"unix://{tmp_path}/hub%201.sock",)
        # It is for its owner and its group.
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        for _ in range(2):
            assert await ask(path) == ANSWER
        # Its clients have no address, but a name each.
        one, two = record.clients
        assert (one.address, two.address) == ("unix", "unix")
        assert one.name != two.name
        assert f"unix:{one.port}" == one.name
    assert not path.exists()


@pytest.mark.parametrize("mode", [0o600, 0o666, 0o777])
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
async def test_a_unix_socket_has_the_permissions_it_is_given_whatever_the_umask_is(
    tmp_path: Path, mode: int, mask: int
) -> None:
    path = tmp_path / "hub.sock"
    before = os.umask(mask)
    try:
        async with hubbub.Server(echo, listeners=at(path, mode=mode)):
            assert stat.S_IMODE(path.stat().st_mode) == mode
            assert os.umask(mask) == mask
    finally:
        os.umask(before)


async def test_the_socket_of_a_program_that_is_gone_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "hub.sock"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
        gone.listen()
    assert path.is_socket()
    async with hubbub.Server(echo, listeners=at(path)):
        assert await ask(path) == ANSWER


@pytest.mark.parametrize("busy", [False, True])
async def test_a_path_at_which_somebody_listens_is_left_alone(tmp_path: Path, busy: bool) -> None:
    path = tmp_path / "hub.sock"
    with socket.socket(socket.AF_UNIX) as alive, socket.socket(socket.AF_UNIX) as waiting:
        alive.bind(str(path))
        alive.listen(0)
        if busy:
            # Its backlog is full.
            waiting.connect(str(path))
        with pytest.raises(hubbub.ListenError) as failed:
            await hubbub.Server(echo, listeners=at(path)).start()
        advice = "stop the program that listens there, or choose another path"
        assert str(failed.value) == f"cannot listen on {path}: Address already in use; {advice}"
        assert path.is_socket()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("notes.txt", "File exists; it is not a socket; remove it, or choose another path"),
        ("missing/hub.sock", "No such file or directory; make the directory .*/missing, or choose another path"),
        ("x" * 200, "AF_UNIX path too long; choose a shorter path"),
    ],
)
async def test_a_path_at_which_no_socket_can_be_is_said_to_be_and_left_alone(
    tmp_path: Path, name: str, why: str
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("not to be lost")
    path = tmp_path / name
    with pytest.raises(hubbub.ListenError, match=f"cannot listen on {path}: {why}$"):
        await hubbub.Server(echo, listeners=at(path)).start()
    assert notes.read_text() == "not to be lost"


# Descriptors.


async def test_a_descriptor_that_listens_is_taken_over() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        descriptor = os.dup(listening.fileno())
    async with hubbub.Server(echo, listeners=at(descriptor)) as server:
        assert server.addresses == (hubbub.Address("127.0.0.1", port),)
        assert await ask("127.0.0.1", port) == ANSWER
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


async def test_a_descriptor_of_a_unix_socket_is_taken_over_and_its_file_is_left_alone(tmp_path: Path) -> None:
    """It is whose who has made it."""
    path = tmp_path / "hub.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        descriptor = os.dup(listening.fileno())
    async with hubbub.Server(echo, listeners=at(descriptor)) as server:
        assert server.addresses == (hubbub.Address(str(path), 0),)
        assert await ask(path) == ANSWER
    assert path.is_socket()


async def test_a_descriptor_that_is_no_listening_socket_is_refused_and_left_open(tmp_path: Path) -> None:
    with (
        socket.socket() as idle,
        socket.socket(type=socket.SOCK_DGRAM) as datagrams,
        (tmp_path / "file").open("wb") as file,
    ):
        for descriptor, why in (
            (idle.fileno(), "it is not a stream socket that listens"),
            (datagrams.fileno(), "it is not a stream socket that listens"),
            (file.fileno(), "Socket operation on non-socket"),
        ):
            with pytest.raises(hubbub.ListenError) as failed:
                await hubbub.Server(echo, listeners=at(descriptor)).start()
            assert (
                str(failed.value) == f"cannot listen on descriptor {descriptor}: {why}; choose another place to listen"
            )
            os.fstat(descriptor)


async def test_a_descriptor_that_is_not_open_is_refused() -> None:
    with closing(socket.socket()) as plain:
        descriptor = plain.fileno()
    with pytest.raises(hubbub.ListenError, match=f"cannot listen on descriptor {descriptor}: Bad file descriptor"):
        await hubbub.Server(echo, listeners=at(descriptor)).start()


# Several listeners.


async def test_one_server_listens_in_several_places(tmp_path: Path) -> None:
    path = tmp_path / "hub.sock"
    listeners = [*at(hubbub.Address("127.0.0.1", 0)), *at(path), *at(hubbub.Address("127.0.0.2", 0))]
    async with hubbub.Server(echo, listeners=listeners) as server:
        one, two, three = server.addresses
        assert await ask(*one) == await ask(path) == await ask(*three) == ANSWER
        assert (one.host, two.host, three.host) == ("127.0.0.1", str(path), "127.0.0.2")


async def test_if_one_of_several_cannot_listen_none_does(tmp_path: Path) -> None:
    path = tmp_path / "hub.sock"
    with socket.create_server(("127.0.0.2", 0)) as taken, socket.create_server(("127.0.0.3", 0)) as passed:
        port = taken.getsockname()[1]
        listeners = [
            *at(hubbub.Address("127.0.0.1", port)),
            *at(path),
            *at(os.dup(passed.fileno())),
            *at(hubbub.Address("127.0.0.2", port)),
        ]
        with pytest.raises(hubbub.ListenError, match=f"cannot listen on 127.0.0.2:{port}: Address already in use"):
            await hubbub.Server(echo, listeners=listeners).start()
        assert not path.exists()
        with pytest.raises(ConnectionRefusedError):
            await ask("127.0.0.1", port)


def test_a_server_without_a_place_to_listen_at_may_be() -> None:
    assert hubbub.Server(echo, listeners=[]).listeners == ()
