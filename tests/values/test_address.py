"""Endpoints."""

from __future__ import annotations

import pytest

from hubbub.values.address import Address


@pytest.mark.parametrize(
    ("endpoint", "text"),
    [
        (("127.0.0.1", 5000), "127.0.0.1:5000"),
        (("::1", 5000, 0, 0), "[::1]:5000"),
        (("fe80::1%eth0", 80, 0, 2), "[fe80::1%eth0]:80"),
    ],
)
def test_an_address_is_written_as_in_urls_and_read_back(endpoint: tuple[object, ...], text: str) -> None:
    address = Address.of(endpoint)
    assert str(address) == text
    assert Address.parse(text) == address


@pytest.mark.parametrize(
    ("endpoint", "address", "text"),
    [
        # An IPv4 client of a dual-stack listener is shown as such, and an IPv6 one that only starts alike is not.
        (("::ffff:192.0.2.7", 4711, 0, 0), ("192.0.2.7", 4711), "192.0.2.7:4711"),
        (("::ffff:0:1", 4711, 0, 0), ("::ffff:0:1", 4711), "[::ffff:0:1]:4711"),
        # A Unix socket has a path, which may look like an address, and no port.
        ("/run/x.sock", ("/run/x.sock", 0), "/run/x.sock"),
        ("/run/[::1]:5000", ("/run/[::1]:5000", 0), "/run/[::1]:5000"),
        ("::ffff:192.0.2.7", ("./::ffff:192.0.2.7", 0), "./::ffff:192.0.2.7"),
        ("hub.sock", ("./hub.sock", 0), "./hub.sock"),
        # An abstract one.
        (b"\0hubbub", ("@hubbub", 0), "@hubbub"),
        # A host that only has a slash in it is no path.
        (("a/b", 5000), ("a/b", 5000), "a/b:5000"),
    ],
)
def test_an_address_is_that_of_the_socket(endpoint: object, address: tuple[str, int], text: str) -> None:
    assert Address.of(endpoint) == address
    assert str(Address.of(endpoint)) == text
