"""Listening: addresses, names, ports, and what goes wrong with them."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

import hubbub
from hubbub.apps.echo import echo

from helpers import serving


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not _has_ipv6(), reason="IPv6 is off on this machine")


async def ask(host: str, port: int) -> bytes:
    """What an echo server there answers."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"?\n")
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


ANSWER = b"We got your message: ?\n"


async def test_an_ipv4_address() -> None:
    async with hubbub.Server(echo, "127.0.0.2", 0) as server:
        ((host, port),) = server.addresses
        assert host == "127.0.0.2"
        assert await ask("127.0.0.2", port) == ANSWER
        with pytest.raises(ConnectionRefusedError):
            await ask("127.0.0.1", port)


@needs_ipv6
async def test_an_ipv6_address() -> None:
    async with hubbub.Server(echo, "::1", 0) as server:
        (address,) = server.addresses
        assert str(address) == f"[::1]:{address.port}"
        assert await ask("::1", address.port) == ANSWER


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


async def test_a_port_in_use_on_one_of_several_addresses_leaves_none_open(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(_: str, port: int) -> list[tuple[int, Any]]:
        return [(socket.AF_INET, (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

    async with serving(echo) as (server, _):
        (address,) = server.addresses
        # No name that is sure to be known has two IPv4 addresses.
        monkeypatch.setattr("hubbub.listen._resolve", resolve)
        with pytest.raises(
            hubbub.ListenError, match=f"cannot listen on twofold:{address.port}: Address already in use"
        ):
            await hubbub.Server(echo, "twofold", address.port).start()
        with socket.create_server(("127.0.0.2", address.port)):
            pass


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64, "a..b"])
async def test_an_unknown_host_is_said_to_be(host: str) -> None:
    with pytest.raises(hubbub.ListenError, match=f"cannot listen on {host}:5000: "):
        await hubbub.Server(echo, host, 5000).start()


async def test_an_address_of_another_machine_is_said_to_be() -> None:
    # From a block for documentation (RFC 5737).
    with pytest.raises(hubbub.ListenError, match=r"cannot listen on 192.0.2.1:0: Cannot assign requested address"):
        await hubbub.Server(echo, "192.0.2.1", 0).start()


async def test_an_address_that_a_name_has_and_the_machine_has_not_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """As `localhost` may be listed with ::1 where IPv6 is off."""

    async def resolve(_: str, port: int) -> list[tuple[int, Any]]:
        return [(socket.AF_INET, (address, port)) for address in ("192.0.2.1", "127.0.0.1", "127.0.0.2")]

    # No name that is sure to be known has such addresses.
    monkeypatch.setattr("hubbub.listen._resolve", resolve)
    async with hubbub.Server(echo, "threefold", 0) as server:
        assert [address.host for address in server.addresses] == ["127.0.0.1", "127.0.0.2"]
        assert len({address.port for address in server.addresses}) == 1
