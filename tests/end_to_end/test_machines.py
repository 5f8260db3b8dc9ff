"""Machines that are not like most: without IPv6, reached by the address of one link, or with Windows."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from support import without_ipv6
from support.hosts import lay_cable, two_hosts
from support.programs import HUBBUB, Program, assert_relays, finish, require_program, serving_program

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


def test_an_address_of_one_link_can_be_listened_on_and_connected_to_with_its_interface() -> None:
    with two_hosts() as (here, there):
        # Not the first interface: what forgets it takes that.
        lay_cable("second", {here: "fe80::1/64", there: "fe80::2/64"})
        place = "tcp://[fe80::1%second]:0"
        with serving_program(*here.command, *HUBBUB, "serve", "relay", "--listen", place) as server:
            assert server.endpoint.host == "fe80::1%second"
            programs = [
                [require_program("nc"), "-N", *map(str, server.endpoint)],
                [require_program("ncat"), *map(str, server.endpoint)],
                [require_program("socat"), "-", f"TCP6:{server.endpoint}"],
                [*HUBBUB, "connect", str(server.endpoint)],
            ]
            with Program(*there.command, *programs[0]) as reader:
                assert server.new_client().startswith("[fe80::2%second]:")
                for command in programs:
                    assert finish(*there.command, *command, input=b"Hey\n").status == 0
                    assert reader.output.line() == b"Hey\n"
            # This one speaks by the event loop of servers.
            bench = ["bench", str(server.endpoint), "--readers", "1", "--senders", "1", "--time", "0.1"]
            finished = finish(*there.command, *HUBBUB, *bench)
            assert (finished.status, finished.errors) == (0, "")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_and_clients_of_windows_may_begin_with_a_byte_order_mark(encoding: str, tmp_path: Path) -> None:
    texts = {
        "secret": "open sesame\n",
        "networks": "127.0.0.1\n",
        "hubbub.toml": "app = 'echo'\nport = 0\nallow = ['@networks']\nsecret-file = 'secret'\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_bytes(text.replace("\n", "\r\n").encode(encoding))
    with serving_program(*HUBBUB, "serve", "--config", "hubbub.toml", cwd=tmp_path) as server:
        nc = [require_program("nc"), "-N", *map(str, server.endpoint)]
        # As .NET's StreamWriter with Encoding.UTF8 sends it, also in PowerShell.
        said = "\ufeffopen sesame\r\nHey\r\n".encode()
        assert finish(*nc, input=said).output == "We got your message: Hey\n"
