"""Abuse 17: handlers that raise, that hang when they should end, or do not let themselves be cancelled."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from support.abuse_peers import Talk
from support.abuse_tools import LIFTED, endings
from support.figures import FULL, note, scaled
from support.programs import Peer, ServerProgram, hubbub_serve

COUNT = scaled(50, 3)
"""Clients of each kind."""

CANCEL_TIME = 5.0
"""How long a handler may outlive its client, and a cancelled one the server (`Settings.cancel_time`)."""

DRAIN_TIME = 2.0

# A machine of CI may have its processor taken away for a while.
LATE = 2.0 if FULL else 8.0
"""How much longer than it may the end of the server may take, in seconds."""

APP = """
import asyncio

async def app(client):
    async for line in client:
        match line:
            case "raise":
                raise RuntimeError("as it was told to")
            case "raise many":
                async with asyncio.TaskGroup() as group:
                    group.create_task(fail())
                    group.create_task(fail())
            case "cancel":
                raise asyncio.CancelledError
            case "fail in the end":
                try:
                    await client.receive()
                finally:
                    raise RuntimeError("at the end")
            case "hang":
                try:
                    async for _ in client:
                        pass
                finally:
                    await asyncio.Event().wait()
            case "swallow":
                while True:
                    try:
                        await asyncio.Event().wait()
                    except asyncio.CancelledError:
                        pass
            case _:
                await client.server.broadcast(line, exclude=client)

async def fail():
    raise ValueError("as it was told to")
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProgram]:
    """Runs the handler."""
    (tmp_path / "harmful.py").write_text(APP)
    with hubbub_serve("harmful:app", f"--drain-time={DRAIN_TIME}", *LIFTED, cwd=tmp_path) as server:
        yield server


def tell(server: ServerProgram, peer: Peer, how: str) -> bytes:
    """Tell the handler of a peer what to do, and see that it was told; the name of the peer."""
    peer.send(how.encode() + b"\n")
    server.output.expect(rb"said: %s\n" % how.encode())
    return peer.name.encode()


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("raise", "the handler raised RuntimeError: as it was told to"),
        ("raise many", "the handler raised ExceptionGroup: unhandled errors in a TaskGroup (2 sub-exceptions)"),
        ("cancel", "the handler was cancelled"),
    ],
)
def test_17_a_handler_that_raises_ends_its_client_alone(how: str, why: str, server: ServerProgram) -> None:
    with server.new_peer() as sender, server.new_peer() as listener:
        with Talk(sender, listener) as talk:
            for _ in range(COUNT):
                with server.new_peer() as peer:
                    peer.send(how.encode() + b"\n")
                    # It hears the others until then.
                    peer.rest()
                    server.output.expect(re.escape(f"{peer.name} disconnected (failed: {why}).\n".encode()))
                    if how != "cancel":
                        name = re.escape(peer.name.encode())
                        server.errors.expect(rb"the handler of %s raised\n[^\n]*Traceback" % name)
        assert endings(server) == {"failed": COUNT}
        note(17, f"{how}: clients that ended", f"{COUNT} of {COUNT}, and no other", "they alone")
        note(17, f"{how}: a line of the others takes", talk.figures, "")


@pytest.mark.long
def test_17_handlers_that_do_not_end_are_named_and_do_not_hold_up_the_server(server: ServerProgram) -> None:
    with server.new_peer() as sender, server.new_peer() as listener, ExitStack() as stack:
        names: dict[str, list[bytes]] = {"hang": [], "swallow": [], "fail in the end": []}
        with Talk(sender, listener) as talk:
            for how, named in names.items():
                for _ in range(COUNT):
                    with server.new_peer() as peer:
                        named.append(tell(server, peer, how))
            # Their clients have left, which may be seen in any order: who reads nothing is only seen to have gone.
            hanging = set(names["hang"])
            while hanging:
                found = server.errors.expect(rb"the handler of (\S+) is cancelled: its client ended 5 s ago\n")
                hanging.discard(found[1])
        # There is one more of each who is still there when the server closes.
        for how in ("hang", "swallow"):
            names[how].append(tell(server, stack.enter_context(server.new_peer()), how))
        started = time.monotonic()
        server.stop()
        took = time.monotonic() - started
        told = server.errors.rest()
        stuck = re.findall(rb"the handler of (\S+) does not end: it swallows its cancellation\n", told)
        note(17, "handlers that swallow their cancellation: named", f"{len(stuck)} of {COUNT + 1}", "all, and no other")
        wanted = f"{DRAIN_TIME + 2 * CANCEL_TIME:g} s"
        note(17, "handlers that do not end: the server closes in", f"{took:.1f} s", wanted)
        note(17, "handlers that do not end: a line of the others takes", talk.figures, "")
        assert sorted(stuck) == sorted(names["swallow"])
        assert took < DRAIN_TIME + 2 * CANCEL_TIME + LATE
