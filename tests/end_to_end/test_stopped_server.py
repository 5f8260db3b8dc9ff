"""A server that is stopped for a while (SIGSTOP, `docker pause`, a laptop's lid): that time counts for no deadline."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.programs import Peer, ServerProgram, hubbub_serve

KIB = 1024
MIB = 1024 * KIB

DEADLINE = 2.0
"""Seconds of each deadline here. The server is stopped for longer, and a busy machine does the rest well within it."""

A_WHILE = DEADLINE / 8
"""Seconds that count for a deadline, because the server runs meanwhile."""


@contextmanager
def stopped(server: ServerProgram) -> Iterator[None]:
    """Until the context is left, and for longer than any deadline, the server is not run."""
    server.signal(signal.SIGSTOP)
    os.waitpid(server.pid, os.WUNTRACED)
    until = time.monotonic() + 1.2 * DEADLINE
    try:
        yield
        time.sleep(max(0.0, until - time.monotonic()))
    finally:
        server.signal(signal.SIGCONT)


@pytest.mark.long
def test_what_was_said_to_a_stopped_server_is_in_time_and_deadlines_go_on_when_it_runs() -> None:
    with (
        hubbub_serve("relay", f"--message-time={DEADLINE}", f"--idle-time={DEADLINE}") as server,
        server.new_peer() as speaker,
        server.new_peer() as other,
    ):
        for peer in (speaker, other):
            peer.send(b"begun, ")
        # Some of their time has passed.
        time.sleep(A_WHILE)
        with stopped(server):
            for peer in (speaker, other):
                peer.send(b"ended\n")
        going_on = time.monotonic()
        assert (speaker.line(), other.line()) == (b"begun, ended\n", b"begun, ended\n")
        assert b"nothing said for" in speaker.rest()
        assert time.monotonic() - going_on >= DEADLINE / 2


def fall_behind(server: ServerProgram, reader: Peer) -> int:
    """Broadcast more than the reader's kernel takes; how much."""
    with server.new_peer() as sender, server.new_peer() as other:
        sender.send((b"x" * 1023 + b"\n") * 4 * KIB)
        other.exactly(4 * MIB)
    return 4 * MIB


@pytest.mark.long
def test_a_reader_that_takes_little_while_the_server_is_stopped_is_not_stalled() -> None:
    with (
        hubbub_serve("relay", f"--patience={DEADLINE}") as server,
        server.new_peer(receive_buffer=4 * KIB) as reader,
    ):
        size = fall_behind(server, reader)
        with stopped(server):
            # Its kernel has room again, but too little to tell the server so.
            reader.exactly(KIB)
        # For a moment it takes nothing, and has all of its time for that.
        time.sleep(A_WHILE)
        assert len(reader.exactly(size - KIB)) == size - KIB


@pytest.mark.long
def test_a_server_that_is_stopped_while_it_closes_still_has_its_drain_time() -> None:
    with hubbub_serve("relay", f"--drain-time={DEADLINE}") as server:
        with server.new_peer(receive_buffer=4 * KIB) as reader:
            size = fall_behind(server, reader)
            server.signal(signal.SIGTERM)
            server.output.expect(rb"%s disconnected" % re.escape(reader.name.encode()))
            with stopped(server):
                pass
            assert reader.rest() == (b"x" * 1023 + b"\n") * (size // KIB) + b"server is closing\n"
        assert server.wait() == 0
