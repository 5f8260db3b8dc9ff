"""Abuse 45 to 47: frames that are none, ends in every state, and a server that closes while many speak."""

from __future__ import annotations

import random
import signal
import time
from contextlib import suppress

import pytest

import hubbub
from hubbub.apps.relay import relay
from hubbub.web import frames
from hubbub.web.frames import BINARY, CLOSE, CONTINUATION, PING, TEXT

from support.abuse_peers import PeerCrowd
from support.abuse_tools import KIB, endings, many_descriptors
from support.abuse_web import WebPeer, web_serve
from support.figures import note, scaled
from support.helpers import Peer, eventually, fall_behind
from support.programs import WAIT_TIME, assert_relays
from support.web import answer, requesting, web_serving
from support.websocket import ASKING, Ear, said

FUZZED = scaled(2_000, 100)
SPEAKERS = scaled(200, 40)


def fuzzed(seed: int) -> bytes:
    """Bytes that begin like frames, or like nothing."""
    chance = random.Random(seed)
    good = said(chance.choice((TEXT, BINARY, PING)), chance.randbytes(chance.choice((0, 3, 125))), last=seed % 3 > 0)
    match seed % 4:
        case 0:
            return chance.randbytes(chance.randrange(1, 400))
        case 1:
            return good + chance.randbytes(50)
        case 2:
            return good + said(TEXT, b"not masked", key=b"")
        case _:
            at = chance.randrange(len(good))
            return good[:at] + chance.randbytes(1) + good[at + 1 :]


def test_45_bytes_that_are_not_frames_end_their_sender_alone() -> None:
    with many_descriptors(2 * FUZZED + 500), web_serve("relay") as (server, web):
        for seed in range(FUZZED):
            with WebPeer(web) as peer:
                # It may have ended the connection already.
                with suppress(ConnectionError):
                    peer.send(fuzzed(seed))
                    peer.end()
                # Whatever was wrong, what it says are whole frames.
                with suppress(ConnectionError):
                    peer.frames()
        assert_relays(server.endpoint)
        assert not server.errors.unread
        ended = endings(server)
    told = ", ".join(f"{code} {count}" for code, count in sorted(ended.items()))
    note(45, f"{FUZZED:,} connections say bytes at random: ended", told, "all, and no traceback")
    assert sum(ended.values()) == FUZZED + 2
    assert ended.keys() <= {"left", "malformed", "too-long", "lost", "incomplete"}
    assert ended["malformed"] >= FUZZED / 4


# Ends in every state.


def closing(code: int = 1000) -> bytes:
    return said(CLOSE, code.to_bytes(2, "big"))


HALF = said(TEXT, b"half")[:-2]
BEGUN = said(TEXT, b"be", last=False)

CLOSES = {
    "at once": (closing(), 1000),
    "within a message": (BEGUN + closing(), 1000),
    "twice": (closing(3000) + closing(3001), 3000),
    "and what is wrong behind it": (closing() + said(TEXT, key=b"") + b"\xff" * 1000, 1000),
    "and a flood behind it": (closing() + said(PING) * 10_000, 1000),
    "behind what is wrong": (said(TEXT, key=b"") + closing(), 1002),
}


@pytest.mark.parametrize("state", CLOSES)
async def test_46_a_close_frame_is_answered_once_whatever_is_around_it(state: str) -> None:
    wire, code = CLOSES[state]
    async with web_serving(relay) as (server, record), requesting(server, *ASKING) as peer:
        await answer(peer)
        await peer.send(wire)
        (frame,) = Ear().hear(await peer.rest())
        assert (frame.opcode, int.from_bytes(frame.payload[:2], "big")) == (CLOSE, code)
        await record.wait_for_endings(1)
        await eventually(lambda: not server.clients)


async def test_46_a_client_that_leaves_while_much_waits_for_it_gets_whole_frames() -> None:
    settings = hubbub.Settings(linger_time=5)
    async with (
        web_serving(relay, settings=settings) as (server, record),
        requesting(server, *ASKING, receive_buffer=16 * KIB) as peer,
    ):
        await answer(peer)
        (client,) = await record.wait_for_clients(1)
        peer.stall()
        await fall_behind(client, server.root, "x" * 1000)
        await peer.send(closing(3000))
        peer.resume()
        *before, last = Ear().hear(await peer.rest())
        assert {len(frame.payload) for frame in before} <= {1000}
        assert (last.opcode, last.payload) == (CLOSE, (3000).to_bytes(2, "big"))


@pytest.mark.parametrize(
    ("said_before", "heard"),
    [
        (b"", []),
        (said(TEXT, b"whole"), [b"whole"]),
        (said(TEXT, b"whole") + HALF, [b"whole"]),
        (said(TEXT, b"whole") + BEGUN + said(CONTINUATION, b"fore", last=False), [b"whole"]),
    ],
)
async def test_46_a_client_that_ends_its_stream_leaves_and_a_part_of_a_message_is_not_passed_on(
    said_before: bytes, heard: list[bytes]
) -> None:
    async with (
        web_serving(relay) as (server, record),
        requesting(server, *ASKING) as peer,
        Peer.of(server) as other,
    ):
        await answer(peer)
        await record.wait_for_clients(2)
        await peer.send(said_before)
        peer.end()
        # Who has closed without a close frame is owed none.
        assert await peer.rest() == b""
        (ending,) = await record.wait_for_endings(1)
        assert ending.code is hubbub.EndingCode.LEFT
        await server.close()
        assert (await other.rest()).startswith(b"".join(line + b"\n" for line in heard) + b"server is closing")


async def test_46_a_close_frame_of_a_client_that_the_server_has_ended_changes_nothing() -> None:
    async def ends(client: hubbub.Client) -> None:
        await client.receive()

    async with web_serving(ends) as (server, record), requesting(server, *ASKING) as peer:
        await answer(peer)
        await peer.send(said(TEXT, b"a"))
        ear = Ear()
        (frame,) = ear.hear(await peer.exactly(len(frames.close(1000, "finished: the handler returned"))))
        await peer.send(closing(3000) + said(TEXT, key=b""))
        peer.end()
        assert await peer.rest() == b""
        assert frame.payload[:2] == (1000).to_bytes(2, "big")
        (ending,) = await record.wait_for_endings(1)
        assert ending.code is hubbub.EndingCode.FINISHED


@pytest.mark.long
def test_47_a_server_closes_while_many_speak_and_all_hear_why() -> None:
    with many_descriptors(2 * SPEAKERS + 500), web_serve("relay", "--quiet") as (server, web), PeerCrowd(web) as crowd:
        line = said(TEXT, b"x" * 100)
        for _ in range(SPEAKERS):
            crowd.add(iter(lambda: line, None), interval=0.5, dial=WebPeer)
        until = time.monotonic() + 1
        crowd.run(lambda: time.monotonic() > until, "second of talk")
        started = time.monotonic()
        server.signal(signal.SIGTERM)
        crowd.run(lambda: crowd.ended, "end of all", within=WAIT_TIME)
        assert server.wait() == 0
        took = time.monotonic() - started
        told = sum(b"\x03\xf4shutdown" in member.last for member in crowd.members)
        note(47, f"a server closes while {SPEAKERS} clients speak: closed in", f"{took:.1f} s", "10 s")
        note(47, "clients that were told", told, SPEAKERS)
        assert took < 10
        assert told == SPEAKERS
