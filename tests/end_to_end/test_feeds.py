"""Feeds of several sources that never read, into one hub, and programs that only listen."""

from __future__ import annotations

import subprocess
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import pytest

from hubbub import Address

from support.figures import scaled
from support.programs import Program, ServerProgram, address_in, hubbub_serve, require_program, wait_until

pytestmark = pytest.mark.real

SECONDS = scaled(600, 8)
RATE = 100
"""Lines a second of each feed: more than a busy harbour's AIS."""

BACKLOG = 100_000
"""Lines that each feed sends at once when it begins: more than the buffers of a connection hold, some 4 MiB."""


def serve(role: str, *options: str) -> tuple[str, ...]:
    """The arguments of a relay with a place for sources, whose role it is, and one for readers."""
    return ("relay", f"--listen=tcp://127.0.0.1:0?role={role}", "--listen=tcp://127.0.0.1:0?role=read", *options)


def places(server: ServerProgram) -> tuple[Address, Address]:
    """Where sources connect, and where readers do."""
    return server.endpoint, address_in(server.output.line())


def line(feed: int, number: int) -> bytes:
    return b"!AIVDM,1,1,,A,%d,%08d,13u?etPv2;0n:dDPwUM1U1Cb069D,0*24\n" % (feed, number)


class Listening:
    """`busybox nc` without anything to say, which ends its stream at once and writes what it hears to a file."""

    def __init__(self, stack: ExitStack, server: ServerProgram, endpoint: Address, path: Path) -> None:
        out = stack.enter_context(path.open("wb"))
        command = require_program("busybox"), "nc", endpoint.host, str(endpoint.port)
        stack.enter_context(Program(*command, stdin=subprocess.DEVNULL, stdout=out.fileno()))
        server.new_client()
        self._path = path

    def assert_heard_all(self, feeds: int, count: int) -> None:
        """See that every line of each feed comes, in its order."""
        size = feeds * count * len(line(0, 0))
        wait_until(lambda: self._path.stat().st_size >= size, f"{size} bytes in {self._path}")
        heard: dict[bytes, list[bytes]] = defaultdict(list)
        for one in self._path.read_bytes().splitlines(keepends=True):
            heard[one.split(b",")[5]].append(one)
        assert heard == {b"%d" % feed: [line(feed, number) for number in range(count)] for feed in range(feeds)}


def test_a_burst_of_two_sources_that_never_read_is_heard_whole(tmp_path: Path) -> None:
    count = 20_000
    with hubbub_serve(*serve("write")) as server, ExitStack() as stack:
        entrance, exit_ = places(server)
        reader = Listening(stack, server, exit_, tmp_path / "heard")
        feeds = []
        for feed in range(2):
            path = tmp_path / f"feed{feed}"
            path.write_bytes(b"".join(line(feed, number) for number in range(count)))
            feeds.append(
                stack.enter_context(Program(require_program("socat"), "-u", f"FILE:{path}", f"TCP:{entrance}"))
            )
        assert [feed.wait() for feed in feeds] == [0, 0]
        reader.assert_heard_all(2, count)


@pytest.mark.long
@pytest.mark.parametrize("role", ["write", "both"])
def test_two_sources_that_never_read_stay_and_lose_nothing(role: str, tmp_path: Path) -> None:
    """Their backlog fills each other's buffers.

    Small buffers would be full sooner, but in a receive buffer whose size a program has set (SO_RCVBUF), Linux 6.18 now
    and then drops a segment, and then each acknowledgement behind it, so that the source cannot go on.
    """
    # Until patience is over, retention may not have passed a source that may also read.
    options = f"--patience={scaled(30, 4)}", "--retention=64M"
    with hubbub_serve(*serve(role, *options)) as server, ExitStack() as stack:
        entrance, exit_ = places(server)
        reader = Listening(stack, server, exit_, tmp_path / "heard")
        socat = [require_program("socat"), "-u", "-", f"TCP:{entrance}"]
        feeds = [stack.enter_context(Program(*socat)) for _ in range(2)]
        for feed, source in enumerate(feeds):
            source.send(b"".join(line(feed, number) for number in range(BACKLOG)))
        start, count = time.monotonic(), BACKLOG + RATE * SECONDS
        for number in range(BACKLOG, count):
            for feed, source in enumerate(feeds):
                source.send(line(feed, number))
            # It waits for no event: this is the rate of the feeds.
            time.sleep(max(0.0, start + (number - BACKLOG) / RATE - time.monotonic()))
        for source in feeds:
            source.end()
            assert source.wait() == 0
        reader.assert_heard_all(2, count)
