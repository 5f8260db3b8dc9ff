"""Two machines and a cable between them: network namespaces (ip-netns(8)), which only root can make."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from support.programs import require_program


@dataclass(frozen=True)
class Host:
    """One of the machines: the name of its namespace, and the address of its end of the cable."""

    name: str
    address: str

    @property
    def command(self) -> tuple[str, ...]:
        """What starts a program there, in front of the program."""
        return ("ip", "netns", "exec", self.name)

    def swallow(self, address: str) -> None:
        """Let nothing get to an address any more, and tell nobody: as if the cable were cut in one direction."""
        _ip("-n", self.name, "route", "add", "blackhole", f"{address}/32")


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Both machines; without the rights to make them, the test is skipped."""
    require_program("ip")
    names = [f"hubbub-{os.getpid()}-{side}" for side in "ab"]
    hosts = [Host(name, f"10.77.0.{number}") for number, name in enumerate(names, start=1)]
    made = []
    try:
        for host in hosts:
            _ip("netns", "add", host.name)
            made.append(host)
            _ip("-n", host.name, "link", "set", "lo", "up")
        lay_cable("cable", {host: f"{host.address}/24" for host in hosts})
    except subprocess.CalledProcessError as error:
        _remove(made)
        pytest.skip(f"no network namespace can be made: {error.stderr.strip()}")
    try:
        yield hosts[0], hosts[1]
    finally:
        _remove(made)


def lay_cable(name: str, ends: Mapping[Host, str]) -> None:
    """Lay a cable between two machines, whose ends have these addresses."""
    one, other = (host.name for host in ends)
    _ip("link", "add", name, "netns", one, "type", "veth", "peer", "name", name, "netns", other)
    for host, address in ends.items():
        # The system would add an address of this link, from which programs might speak.
        _ip("-n", host.name, "link", "set", name, "addrgenmode", "none")
        # An address of IPv6 could not be used before it is known to be the only one.
        _ip("-n", host.name, "addr", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
        _ip("-n", host.name, "link", "set", name, "up")


def _remove(hosts: list[Host]) -> None:
    for host in hosts:
        _ip("netns", "del", host.name)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
