"""Abuse 12: streams that end within a message, or right behind one, over TCP and TLS."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.abuse_peers import TlsPeer
from support.abuse_tools import endings
from support.certificates import make_certificates
from support.figures import note, scaled
from support.programs import Peer, ServerProgram, hubbub_serve

ROUNDS = scaled(200, 10)
"""Each end, so often: what races does not always lose."""

NAMES = {
    "close_notify": "TLS's own end",
    "close_notify and FIN": "TLS's own end, and TCP's",
    "FIN": "TCP's end",
    "reset": "a reset",
}


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
def serving(
    app: str, transport: str, tmp_path: Path, *options: str
) -> Iterator[tuple[ServerProgram, Callable[[], Peer]]]:
    """A server, and what makes a peer of it that is in."""
    certificates = make_certificates(tmp_path)
    context = certificates.client_context()
    tls = certificates.options if transport == "TLS" else ()
    with hubbub_serve(app, *options, *tls) as server:

        def dial() -> Peer:
            return server.inside(TlsPeer(server.endpoint, context) if tls else Peer(server.endpoint))

        yield server, dial


CLEAN = [("TCP", "FIN"), ("TLS", "close_notify"), ("TLS", "close_notify and FIN")]
UNCLEAN = [("TCP", "reset"), ("TLS", "FIN"), ("TLS", "reset")]


@pytest.mark.parametrize(("transport", "way"), CLEAN)
def test_12_a_clean_end_within_a_line_delivers_it_and_its_sender_hears_the_end(
    transport: str, way: str, tmp_path: Path
) -> None:
    with serving("relay", transport, tmp_path) as (server, dial), dial() as witness:
        for number in range(ROUNDS):
            with dial() as sender:
                sender.send(b"one %d\nlast %d" % (number, number))
                end(sender, way)
                assert witness.line() == b"one %d\n" % number
                assert witness.line() == b"last %d\n" % number
                assert sender.rest() == b""
            server.output.expect(rb"disconnected\.\n")
        note(12, f"{transport}, {NAMES[way]} within a line: lines delivered", f"{ROUNDS} of {ROUNDS}", "all")
        assert endings(server) == {"left": ROUNDS}


@pytest.mark.parametrize(("transport", "way"), CLEAN)
def test_12_a_clean_end_within_a_counted_message_drops_it(transport: str, way: str, tmp_path: Path) -> None:
    with serving("relay", transport, tmp_path, "--framing=length1") as (server, dial), dial() as witness:
        for number in range(ROUNDS):
            with dial() as sender:
                sender.send(b"\3%03d\5part" % number)
                end(sender, way)
                assert witness.exactly(4) == b"\3%03d" % number
                assert sender.rest() == b""
            server.output.expect(rb"\(incomplete: the stream ended 1 bytes before the end of a message\)\.\n")
        note(12, f"{transport}, {NAMES[way]} within a counted message: parts passed on", 0, 0)
        assert endings(server) == {"incomplete": ROUNDS}


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
                    # The server cannot say its own end to who may be somebody else.
                    with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
                        sender.rest()
            server.output.expect(rb"disconnected[^\n]*\n")
        note(12, f"{transport}, {NAMES[way]} within a message ({framing}): parts passed on", 0, 0)
        # As one that has left, where it has ended TCP's stream and not TLS's.
        assert endings(server) == {"left" if way == "FIN" else "lost": ROUNDS}


@pytest.mark.parametrize(("transport", "way"), CLEAN)
def test_12_who_has_ended_its_stream_still_hears_all_that_it_is_owed(transport: str, way: str, tmp_path: Path) -> None:
    lines = [b"%05d %s\n" % (number, b"x" * 90) for number in range(2_000)]
    with serving("echo", transport, tmp_path) as (_, dial):
        for _ in range(scaled(50, 3)):
            with dial() as sender:
                # They fit into what the kernel holds, and so do not wait for answers to be read.
                sender.send(b"".join(lines))
                end(sender, way)
                assert sender.rest() == b"".join([b"We got your message: " + line for line in lines])
        note(12, f"{transport}, {NAMES[way]} behind {len(lines):,} lines: answers heard", "all", "all")
