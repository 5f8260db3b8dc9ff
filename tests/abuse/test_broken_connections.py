"""Abuse 6, 16 and 18: resets in mid-broadcast, an end in mid-broadcast, and clients that come and go for long."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import statistics
import time
from collections.abc import Callable, Iterator

import pytest

import hubbub
from hubbub.apps.relay import relay

from support.abuse_tools import (
    LIFTED,
    MIB,
    UNLIMITED,
    UNMEASURED,
    Crowd,
    StreamSender,
    descriptors,
    many_descriptors,
    mib,
    resident_memory,
    serving_with,
    settle,
)
from support.crowd import LINE_SIZE
from support.figures import note, scaled
from support.helpers import dial, eventually, serving
from support.programs import ServerProgram, hubbub_serve, wait_until

pytestmark = pytest.mark.quiet


@contextlib.contextmanager
def staying(server: ServerProgram, count: int) -> Iterator[Callable[[], bool]]:
    """Whether the server has the descriptors that it had before, and those of so many clients that stay."""
    sockets = descriptors(server.pid, "socket:")
    # What the first client makes the server open, it opens once.
    settle(server)
    wait_until(lambda: descriptors(server.pid, "socket:") == sockets, "end of the first client")
    before = descriptors(server.pid)
    yield lambda: descriptors(server.pid) == before + count


def test_6_resets_in_mid_broadcast_leave_nothing_behind() -> None:
    rounds, count = scaled(100, 6), scaled(1000, 100)
    with (
        many_descriptors(count + 500),
        hubbub_serve("relay", "--quiet", *LIFTED, "--retention=4M", "--when-slow=skip", env=UNMEASURED) as server,
        # Two stay: a reader and the sender.
        staying(server, 2) as left,
        Crowd("read", server.endpoint, readers=1) as reader,
        Crowd("resets", server.endpoint, count=count) as crowd,
    ):
        with StreamSender(server.endpoint) as sender:
            memory = []
            for _ in range(rounds):
                assert crowd.ask()["connected"] == count
                settle(server)
                # The half of what is said comes before the resets, and the rest while they come in.
                reader.send(b"%d\n" % (2 * MIB))
                sender.say(MIB)
                crowd.send(b"reset\n")
                sender.say(MIB)
                assert crowd.told()["reset"] == count
                heard = reader.told()
                assert heard["positions"] == [sender.position]
                assert not heard["wrong"]
                wait_until(left, "end of those who were reset")
                memory.append(resident_memory(server.pid))
        # The log fills in the first of them.
        third = max(1, rounds // 3)
        growth = statistics.median(memory[-third:]) / statistics.median(memory[third : 2 * third])
        note(6, f"descriptors after {rounds} x {count} resets", "none is left", "exact")
        note(6, f"memory, from the second third of {rounds} rounds to the last", f"{growth - 1:+.1%}", "+-5 %")
        assert 0.95 <= growth <= 1.05
        assert server.errors.unread == b""


def test_16_a_server_that_is_told_to_end_in_mid_broadcast_delivers_what_was_broadcast() -> None:
    readers, size = scaled(100, 20), scaled(100, 10) * MIB
    drain_time = 10.0
    with (
        serving_with({"farewell": None, "drain_time": drain_time, **UNLIMITED}) as server,
        Crowd("read", server.endpoint, readers=readers) as crowd,
    ):
        with StreamSender(server.endpoint) as sender, sender.saying():
            assert min(crowd.ask(size)["positions"]) >= size
            start = time.monotonic()
            server.signal(signal.SIGTERM)
            heard = crowd.ask("end")
            assert server.wait() == 0
            seconds = time.monotonic() - start
        told = server.output.rest().decode()
        assert server.errors.rest() == b""
    closing, closed = (int(found) for found in re.findall(r"clos(?:ing|ed) at (\d+)", told))
    (position,) = heard["positions"]
    note(16, f"lines that each of {readers} had at the end, of those broadcast", f"{position / LINE_SIZE:.0f}", closed)
    note(16, "exit after SIGTERM, with status 0", f"{seconds:.2f} s", f"<= {drain_time:g} s")
    assert heard["ended"] == readers
    assert not heard["wrong"]
    # The clients ended between the two. A broadcast that waited then is taken after that, and heard by nobody.
    assert closed * LINE_SIZE >= position >= closing * LINE_SIZE >= size
    assert seconds <= drain_time


@pytest.mark.long
def test_18_clients_that_come_and_go_for_long_leave_nothing_behind() -> None:
    slots, seconds, rounds = scaled(10_000, 300), scaled(30, 1), scaled(6, 8)
    with (
        many_descriptors(slots + 500),
        hubbub_serve("relay", "--quiet", *LIFTED, "--when-slow=skip", "--retention=256K", env=UNMEASURED) as server,
        staying(server, 2) as left,
        Crowd("churn", server.endpoint, slots=slots, seconds=seconds) as crowd,
        server.peer() as first,
        server.peer() as second,
    ):
        memory, clients = [], 0
        for _ in range(rounds):
            clients += sum(crowd.ask()["ways"].values())
            wait_until(left, "end of those who went")
            memory.append(resident_memory(server.pid))
        second.send(b"still here\n")
        heard = b""
        while heard != b"still here\n":
            heard = first.line()
            assert heard in (b"Hello\n", b"Hell\n", b"Hell", b"still here\n"), heard
        # A heap takes some thousand clients to find its size; then it keeps it.
        growth = memory[-1] / memory[rounds // 2]
        what = f"memory, after {rounds} times {seconds} s of {slots} that come and go"
        note(18, what, f"{mib(memory[-1])}, {growth - 1:+.1%}", "+-5 %")
        note(18, f"descriptors after {clients} clients", "none is left", "exact")
        assert growth <= 1.05
        assert server.errors.unread == b""


async def test_18_clients_that_come_and_go_leave_no_task() -> None:
    count = scaled(2000, 200)
    before = asyncio.all_tasks()
    async with serving(relay, settings=hubbub.Settings(connect_rate=None)) as (server, record):
        idle = asyncio.all_tasks()
        for start in range(0, count, 100):
            async with contextlib.AsyncExitStack() as stack:
                sockets = [stack.enter_context(await dial(server)) for _ in range(100)]
                await record.wait_for_clients(start + 100)
                assert len(asyncio.all_tasks()) == len(idle) + 100
                for number, connection in enumerate(sockets):
                    if number % 10 == 0:
                        await asyncio.get_running_loop().sock_sendall(connection, b"Hello\nHell")
            await record.wait_for_endings(start + 100)
            await eventually(lambda: asyncio.all_tasks() == idle)
        assert not server.clients
    assert asyncio.all_tasks() == before
    note(18, f"tasks after {count} clients", len(idle), len(idle))
