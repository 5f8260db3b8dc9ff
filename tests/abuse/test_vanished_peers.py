"""Abuse 7 and 8: a peer that the network has swallowed, and one that lives and takes nothing."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack

import pytest

from support.abuse_tools import LIFTED, MIB, UNMEASURED, Crowd, StreamSender, kernel_memory, mib, serving_with
from support.figures import note, scaled
from support.hosts import two_hosts
from support.programs import hubbub_serve, wait_until

pytestmark = pytest.mark.long

MARGIN = 1.5
"""Seconds for what programs and timers of the kernel take besides."""


@pytest.mark.parametrize("talking", [False, True], ids=["nothing to send", "data on its way"])
def test_7_a_peer_that_the_network_has_swallowed_is_gone_in_time(talking: bool) -> None:
    """What it is sent still arrives, and no answer comes back."""
    keepalive, interval = scaled(6, 1), scaled(3, 1)
    settings = {"keepalive_time": keepalive, "keepalive_interval": interval, "patience": 1}
    # So many probes are sent (`Settings`).
    allowed = keepalive + 3 * interval
    with (
        two_hosts() as (here, there),
        serving_with({"host": here.address, **settings}, before=here.command) as server,
        Crowd("follow", server.endpoint, readers=1, before=here.command) as listener,
        Crowd("sit", server.endpoint, before=there.command) as lost,
    ):
        name = lost.first["name"]
        server.output.expect(re.escape(name).encode() + rb" connected\.\n")
        with Crowd("talk", server.endpoint, interval=0.05, before=here.command) as talker:
            if not talking:
                talker.end()
                talker.wait()
            # The others hear it as long as that lasts.
            there.swallow(here.address)
            start = time.monotonic()
            wait_until(lambda: f"{name} disconnected (lost: ".encode() in server.output.unread, "end of the peer")
            seconds = time.monotonic() - start
            what = "with data on its way" if talking else "with nothing to send"
            note(7, f"a half-open peer is gone, {what}", f"{seconds:.1f} s", f"<= {allowed} s (+{MARGIN} s)")
            assert seconds <= allowed + MARGIN
            assert not talking or listener.ask()["lines"] >= 0.8 * seconds / 0.05
        lost.end()


def test_8_a_peer_that_answers_and_takes_nothing_is_gone_within_patience() -> None:
    """Its window is zero; its system answers probes for ever, so no timeout of the network ends it."""
    count, patience = scaled(100, 10), scaled(10, 2)
    options = [*LIFTED, "--when-slow=skip", f"--patience={patience}"]
    with (
        hubbub_serve("relay", "--quiet", *options, env=UNMEASURED) as server,
        Crowd("read", server.endpoint, readers=5) as readers,
        ExitStack() as stack,
    ):
        peers = [stack.enter_context(server.peer(receive_buffer=4096)) for _ in range(count)]
        ports = {int(peer.name.rpartition(":")[2]) for peer in peers}
        sender = stack.enter_context(StreamSender(server.endpoint))
        start = time.monotonic()
        readers.send(b"%d\n" % MIB)
        sender.say(MIB)
        assert readers.told()["positions"] == [MIB]
        wait_until(lambda: server.errors.unread.count(b" ended: stalled: ") == count, "end of the peers")
        seconds = time.monotonic() - start
        # Who has run out of patience is looked for once a second, at least.
        allowed = patience + 1
        note(8, f"{count} peers with a window of zero are gone", f"{seconds:.1f} s", f"<= {allowed} s (+{MARGIN} s)")
        assert patience <= seconds <= allowed + MARGIN
        # The kernel does not go on to offer them what they do not take: they could come again and again.
        held = kernel_memory(server.endpoint.port, ports)
        note(8, "memory of the kernel's that is left for them", mib(held), mib(0))
        assert held == 0
