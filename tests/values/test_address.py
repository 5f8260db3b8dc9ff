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


def test_an_ipv4_client_of_a_dual_stack_listener_is_shown_as_such() -> None:
    assert Address.of(("::ffff:192.0.2.7", 4711, 0, 0)) == Address("192.0.2.7", 4711)


def test_an_ipv6_address_that_only_starts_alike_is_left_alone() -> None:
    assert Address.of(("::ffff:0:1", 4711, 0, 0)) == ("::ffff:0:1", 4711)


def test_an_address_is_a_pair() -> None:
    host, port = Address("localhost", 5000)
    assert (host, port) == ("localhost", 5000)


def test_the_address_of_a_unix_socket_is_its_path() -> None:
    address = Address("/run/x.sock", 0)
    assert str(address) == "/run/x.sock"
    # As `getsockname` gives it, which knows no port.
    assert Address.of("/run/x.sock") == address


def test_a_unix_path_may_look_like_an_address() -> None:
    assert str(Address.of("/run/[::1]:5000")) == "/run/[::1]:5000"
    assert Address.of("::ffff:192.0.2.7") == ("::ffff:192.0.2.7", 0)


def test_a_host_that_only_has_a_slash_in_it_is_no_path() -> None:
    assert str(Address("a/b", 5000)) == "a/b:5000"


def test_an_abstract_unix_socket_is_written_with_an_at_sign() -> None:
    assert str(Address.of(b"\0hubbub")) == "@hubbub"
