"""Addresses as sockets have them: their interfaces."""

from __future__ import annotations

import socket

import pytest

from hubbub.wire.addresses import address_of, resolve

LOOPBACK = socket.if_nametoindex("lo")


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (("fe80::1", 5000, 0, LOOPBACK), "[fe80::1%lo]:5000"),
        # An interface that is gone has its number left.
        (("fe80::1", 5000, 0, 999_999), "[fe80::1%999999]:5000"),
        (("::1", 5000, 0, 0), "[::1]:5000"),
        (("127.0.0.1", 5000), "127.0.0.1:5000"),
        ("/run/x.sock", "/run/x.sock"),
    ],
)
def test_an_address_has_the_name_of_its_interface(end: object, text: str) -> None:
    assert str(address_of(end)) == text


async def test_an_address_keeps_its_interface_and_is_there_once() -> None:
    assert await resolve("fe80::1%lo", 5000) == [(socket.AF_INET6, ("fe80::1", 5000, 0, LOOPBACK))]
    assert await resolve("127.0.0.1", 5000) == [(socket.AF_INET, ("127.0.0.1", 5000))]


@pytest.mark.parametrize("host", ["fe80::1%no-such-interface", "a..b"])
async def test_what_has_no_address_is_an_error(host: str) -> None:
    with pytest.raises(socket.gaierror):
        await resolve(host, 5000)
