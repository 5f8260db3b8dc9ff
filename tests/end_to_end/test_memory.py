"""What an idle connection costs."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.abuse_tools import KIB, many_descriptors, resident_memory, settle
from support.abuse_web import REQUESTS, WebPeer, web_serve
from support.programs import ServerProgram

LIMITS = {"tcp": (10_000, 4 * KIB), "ws": (3_000, 5 * KIB), "sse": (3_000, 5 * KIB), "raw": (3_000, 5 * KIB)}
"""How many connections of each kind there are, and how many bytes of resident memory each may take."""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="there is no /proc to see a program's memory in")
@pytest.mark.long
@pytest.mark.parametrize("kind", LIMITS)
def test_an_idle_connection_costs_at_most_4_kib_and_one_over_http_5(kind: str) -> None:
    count, limit = LIMITS[kind]
    with (
        many_descriptors(count + 500),
        web_serve("relay", "--quiet") as (server, web),
        ExitStack() as stack,
    ):

        def connect() -> None:
            if kind == "tcp":
                stack.enter_context(socket.create_connection(server.endpoint))
            else:
                assert stack.enter_context(WebPeer(web, REQUESTS[kind])).head

        # What the first connection makes is made once.
        connect()
        before = settled_memory(server)
        for _ in range(count):
            connect()
        each = (settled_memory(server) - before) / count
        assert each <= limit


def settled_memory(server: ServerProgram) -> int:
    """The bytes of resident memory once every connection made before is served."""
    settle(server)
    return resident_memory(server.pid)
