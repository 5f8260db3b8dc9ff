"""Abuse 12: streams that end within a message, or right behind one, over TCP and TLS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from support.abuse_peers import TlsPeer
from support.abuse_tools import endings
from support.certificates import make_certificates
from support.figures import note, scaled
from support.programs import Peer, ServerProgram, hubbub_serve

ROUNDS = scaled(200, 10)
"""Each end, so often: what races does not always lose."""


def end(peer: Peer, way: str) -> None:
    """End the stream of a peer; it can still hear but where it resets the connection."""
    if way.startswith("close_notify"):
        assert isinstance(peer, TlsPeer)
        peer.say_end()
    if way.endswith("FIN"):
        peer.end()
    if way == "reset":
        peer.reset()


@contextmanager
def serving(app: str, transport: str, folder: Path, *options: str) -> Iterator[tuple[ServerProgram, Any]]:
    """A server, and what makes a peer of it that is in."""
    certificates = make_certificates(folder)
    tls = certificates.options if transport == "TLS" else ()
    dial = partial(TlsPeer, context=certificates.client_context()) if tls else Peer
    with hubbub_serve(app, *options, *tls) as server:
        yield server, lambda: server.inside(dial(server.endpoint))


CLEAN = [("TCP", "FIN"), ("TLS", "close_notify"), ("TLS", "close_notify and FIN")]
UNCLEAN = [("TCP", "reset"), ("TLS", "FIN"), ("TLS", "reset")]


INCOMPLETE = rb" \(incomplete: the stream ended 1 bytes before the end of a message\)"

WITHIN = {
    # What is sent and what is heard of it; the code of the ending, and what the server tells of it.
    "byte-lines": (b"one %03d\nlast", b"one %03d\nlast\n", "left", b""),
    "length1": (b"\3%03d\5part", b"\3%03d", "incomplete", INCOMPLETE),
}


@pytest.mark.parametrize("framing", WITHIN)
@pytest.mark.parametrize(("transport", "way"), CLEAN)
def test_12_a_clean_end_delivers_the_line_it_is_in_and_drops_a_counted_message_and_its_sender_hears_the_end(
    transport: str, way: str, framing: str, tmp_path: Path
) -> None:
    sent, heard, code, told = WITHIN[framing]
    with serving("relay", transport, tmp_path, f"--framing={framing}") as (server, dial), dial() as witness:
        for number in range(ROUNDS):
            with dial() as sender:
                sender.send(sent % number)
                end(sender, way)
                expected = heard % number
                assert witness.exactly(len(expected)) == expected
                assert sender.rest() == b""
            server.output.expect(rb"disconnected%s\.\n" % told)
        note(12, f"{transport}, {way} within a message ({framing}): as documented", f"{ROUNDS} of {ROUNDS}", "all")
        assert endings(server) == {code: ROUNDS}


@pytest.mark.parametrize("framing", ["byte-lines", "length1"])
@pytest.mark.parametrize(("transport", "way"), UNCLEAN)
def test_12_a_stream_that_is_cut_off_within_a_message_passes_on_none_of_it(
    transport: str, way: str, framing: str, tmp_path: Path
) -> None:
    whole, part = (b"%03d\n", b"part") if framing == "byte-lines" else (b"\3%03d", b"\5part")
    with serving("relay", transport, tmp_path, f"--framing={framing}") as (server, dial), dial() as witness:
        for number in range(ROUNDS):
            with dial() as sender:
                sender.send(whole % number)
                # A reset may overtake what was sent before.
                assert witness.exactly(4) == whole % number
                sender.send(part)
                end(sender, way)
                if way == "FIN":
                    assert sender.rest() == b""
            server.output.expect(rb"disconnected[^\n]*\n")
        note(12, f"{transport}, {way} within a message ({framing}): parts passed on", 0, 0)
        # As one that has left, where it has ended TCP's stream and not TLS's.
        assert endings(server) == {"left" if way == "FIN" else "lost": ROUNDS}


@pytest.mark.parametrize(("transport", "way"), [*CLEAN, ("TLS", "FIN")])
def test_12_who_has_ended_its_stream_still_hears_all_that_it_is_owed(transport: str, way: str, tmp_path: Path) -> None:
    lines = [b"%05d %s\n" % (number, b"x" * 90) for number in range(2_000)]
    with serving("echo", transport, tmp_path) as (_, dial):
        for _ in range(scaled(50, 3)):
            with dial() as sender:
                # They fit into what the kernel holds, and so do not wait for answers to be read.
                sender.send(b"".join(lines))
                end(sender, way)
                assert sender.rest() == b"".join([b"We got your message: " + line for line in lines])
        note(12, f"{transport}, {way} behind {len(lines):,} lines: answers heard", "all", "all")
