"""Abuse 10: one message without end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from support.abuse_tools import KIB, MIB, UNMEASURED, endings, forget_peak, peak, resident_memory
from support.figures import note, scaled
from support.programs import Peer, hubbub_serve

SIZE = scaled(1024 * MIB, 32 * MIB)
PIECE = b"x" * 256 * KIB
LONG = 16 * MIB


@pytest.mark.parametrize(
    ("app", "framing", "limit"),
    [
        ("chat", "lines", 64 * KIB),
        ("relay", "byte-lines", 64 * KIB),
        ("relay", "nul", 64 * KIB),
        ("relay", "byte-lines", LONG),
    ],
)
def test_10_a_message_without_end_costs_no_more_than_its_limit_and_its_sender_hears_why_it_ends(
    app: str, framing: str, limit: int
) -> None:
    end = b"\0" if framing == "nul" else b"\n"
    with (
        hubbub_serve(app, f"--framing={framing}", f"--message-limit={limit}", env=UNMEASURED) as server,
        server.new_peer() as other,
        server.new_peer() as endless,
    ):
        # What a message makes is made once.
        endless.send(b"a normal one" + end)
        server.output.expect(rb"said: a normal one\n")
        before = resident_memory(server.pid)
        forget_peak(server)
        with ThreadPoolExecutor() as threads:
            answer = threads.submit(rest, endless)
            sent = flood(endless)
        server.output.expect(rb"disconnected \(too-long: message longer than %d bytes\)\.\n" % limit)
        memory = peak(server) - before
        what = f"a message of {sent // MIB} of {SIZE // MIB} MiB, {app}, {framing}, limit {limit // KIB} KiB"
        note(10, f"{what}: memory", f"{memory / MIB:.2f} MiB", f"<= {(limit + MIB) / MIB:.2f} MiB")
        assert memory <= limit + MIB
        # In the framing of the server, and then the stream has ended.
        assert answer.result() == b"message longer than %d bytes" % limit + end
        assert endings(server) == {"too-long": 1}
        # Nothing of it was passed on: what comes next comes behind the normal one.
        with server.new_peer() as third:
            third.send(b"and on it goes" + end)
            heard = b""
            while b"and on it goes" + end not in heard:
                heard += other.exactly(1)
            assert b"xx" not in heard


def flood(peer: Peer) -> int:
    """Send the message until the server has ended the connection; how many bytes of it were sent in whole pieces."""
    sent = 0
    with suppress(BrokenPipeError, ConnectionResetError):
        while sent < SIZE:
            peer.send(PIECE)
            sent += len(PIECE)
        peer.end()
    return sent


def rest(peer: Peer) -> bytes:
    """All that comes until the server has ended the connection, however it has."""
    heard = b""
    with suppress(ConnectionResetError):
        while data := peer.exactly(1):
            heard += data
    return heard
