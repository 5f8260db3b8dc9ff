"""What an idle connection costs."""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from programs import ServerProgram, hubbub_serve

CONNECTIONS = 10_000

LIMIT = 4 * 1024
"""Bytes of resident memory for a connection."""

LIMITS = ("clients-limit", "clients-per-address", "clients-per-subnet", "connect-rate")

UNMEASURED = {"COVERAGE_PROCESS_CONFIG": "", "COVERAGE_PROCESS_START": ""}
"""Variables by which coverage leaves a program alone: what it notes down costs memory too."""


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """As many open files as the test needs, for this process and those that it starts."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = CONNECTIONS + 500
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"a process may open {hard} files here, and the test needs {needed}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_descriptors")
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="there is no /proc to see a program's memory in")
def test_an_idle_connection_costs_at_most_4_kib() -> None:
    with (
        hubbub_serve("relay", "--quiet", *(f"--{name}=none" for name in LIMITS), env=UNMEASURED) as server,
        ExitStack() as stack,
    ):
        # What the first connection makes is made once.
        stack.enter_context(socket.create_connection(server.endpoint))
        before = settled_memory(server)
        for _ in range(CONNECTIONS):
            stack.enter_context(socket.create_connection(server.endpoint))
        each = (settled_memory(server) - before) / CONNECTIONS
        assert each <= LIMIT


def settled_memory(server: ServerProgram) -> int:
    """The bytes of resident memory (proc_pid_statm(5)) once every connection made before is served."""
    with server.peer() as peer:
        # Connections are accepted in their order, and this message is answered to its sender alone.
        peer.send(b"x" * 70_000)
        assert peer.line() == b"message longer than 65536 bytes\n"
        pages = Path(f"/proc/{server.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()
