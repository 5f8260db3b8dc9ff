"""What an idle connection costs."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.abuse_tools import LIFTED, UNMEASURED, many_descriptors, resident_memory, settle
from support.programs import ServerProgram, hubbub_serve

CONNECTIONS = 10_000

LIMIT = 4 * 1024
"""Bytes of resident memory for a connection."""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="there is no /proc to see a program's memory in")
@pytest.mark.long
def test_an_idle_connection_costs_at_most_4_kib() -> None:
    with (
        many_descriptors(CONNECTIONS + 500),
        hubbub_serve("relay", "--quiet", *LIFTED, env=UNMEASURED) as server,
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
    """The bytes of resident memory once every connection made before is served."""
    settle(server)
    return resident_memory(server.pid)
