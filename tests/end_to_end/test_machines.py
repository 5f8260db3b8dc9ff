"""Machines that are not like most: without IPv6."""

from __future__ import annotations

import os
import sys

import pytest

from support import without_ipv6
from support.programs import HUBBUB, assert_relays, finish, serving_program

WITHOUT_IPV6 = (sys.executable, without_ipv6.__file__)


@pytest.mark.skipif(os.uname().machine not in without_ipv6.SOCKET_CALL, reason="no filter for this processor")
@pytest.mark.parametrize(
    ("options", "variables"),
    [
        (["--port", "0", "--host", "::"], {}),
        (["--port", "0"], {"HUBBUB_HOST": "::"}),
        (["--listen", "tcp://[::]:0"], {}),
    ],
)
def test_without_ipv6_all_addresses_are_those_of_ipv4(options: list[str], variables: dict[str, str]) -> None:
    with serving_program(*WITHOUT_IPV6, *HUBBUB, "serve", "relay", *options, env=variables) as server:
        assert server.endpoint.host == "0.0.0.0"
        words = b"[::]:0: this machine has no IPv6, so the server listens on 0.0.0.0:0\n"
        assert server.errors.line() == words
        assert_relays(server.endpoint)


def test_without_ipv6_one_address_of_it_is_an_error() -> None:
    finished = finish(*WITHOUT_IPV6, *HUBBUB, "serve", "--host", "::1")
    assert (finished.status, finished.output) == (2, "")
    assert finished.errors.startswith("hubbub: cannot listen on [::1]:5000: Address family not supported by protocol")
