"""How a client's connection ends, and what its link tells of it."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

import pytest

import hubbub
from hubbub.framing import ByteLines, LengthPrefixed, Lines
from hubbub.hub.client import Client
from hubbub.log.outbox import SPLICE_COST
from hubbub.values.ending import Ending, EndingCode

from support.helpers import Door, Peer, idle, serving
from support.stepping import SteppedLoop, Told, hub_of

KIB = 1024
CLOSED = Ending(EndingCode.CLOSED, "enough")


# Ends.


def test_what_was_broadcast_and_sent_before_an_end_is_delivered(loop: SteppedLoop) -> None:
    hub = hub_of(loop)
    client, transport = hub.joined(credit=0)
    hub.say(b"a", b"b")
    loop.do(client.send(b"c"))
    loop.do(hub.root.broadcast(b"d"))
    client._reader.dismiss(CLOSED)
    loop.do(hub.root.broadcast(b"e"))
    loop.settle()
    assert not transport.at_end
    transport.take()
    loop.settle()
    assert transport.taken == b"a\nb\nc\nd\nenough\n"
    assert transport.at_end
    assert (client.ending, hub.told.endings, hub.told.closings) == (CLOSED, [CLOSED], 1)


def test_the_first_end_is_the_one_that_counts_and_a_later_one_may_cut(loop: SteppedLoop) -> None:
    hub = hub_of(loop)
    client, transport = hub.joined(credit=0)
    hub.say(b"a", b"b")
    client._reader.end(CLOSED, deliver=True)
    for _ in range(2):
        client._reader.end(Ending(EndingCode.FAILED, "later"), deliver=False)
    transport.take()
    loop.settle()
    assert transport.taken == b"a\n"
    assert hub.told.endings == [CLOSED]


def test_an_ended_client_is_told_nothing_more(loop: SteppedLoop) -> None:
    hub = hub_of(loop)
    client, transport = hub.connect()
    client._reader.end(CLOSED, deliver=True)
    client._reader.dismiss(Ending(EndingCode.FAILED, "later"))
    client._reader.on_replies(b"reply")
    loop.settle()
    assert transport.taken == b""


def test_a_framing_without_words_is_dismissed_without(loop: SteppedLoop) -> None:
    hub = hub_of(loop, LengthPrefixed(1))
    client, transport = hub.connect()
    client._reader.dismiss(CLOSED, "x" * 300)
    loop.settle()
    assert transport.taken == b""
    assert transport.at_end


def test_a_client_whose_socket_takes_nothing_is_reset(loop: SteppedLoop) -> None:
    hub = hub_of(loop)
    client, transport = hub.connect(credit=0)
    loop.do(client.send(b"a"))
    with socket.socket() as plain:
        transport._extra = {"socket": plain}  # type: ignore[attr-defined] # what asyncio calls it
        client._reader.end_stalled()
        assert plain.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == b"\1\0\0\0\0\0\0\0"
    loop.settle()
    assert client.ending == Ending(EndingCode.STALLED, "took nothing for 30 s")
    assert transport.taken == b""


def test_a_missed_message_that_a_framing_cannot_tell_of_ends_the_client_without_a_log(
    loop: SteppedLoop, caplog: pytest.LogCaptureFixture
) -> None:
    hub = hub_of(loop)
    client, _ = hub.joined(framing=LengthPrefixed(1))
    hub.say(b"fine")
    assert not client.ending
    hub.say(b"x" * 300)
    assert client.ending
    assert client.ending.code is EndingCode.UNDELIVERABLE
    assert "1 messages are missing" in client.ending.reason
    assert not caplog.records


# What the link tells.


def link_of(client: Client[Any]) -> Any:
    return client._reader.link


def test_the_supervisor_hears_what_arrives_if_it_wants_to_and_when_the_client_pauses(loop: SteppedLoop) -> None:
    class Listening(Told):
        hears_messages = True
        heard: Sequence[Any] = ()
        slow = 0

        def received(self, client: Any, messages: Sequence[Any]) -> None:
            self.heard = messages

        def slowed(self) -> None:
            self.slow += 1

    hub, told = hub_of(loop), Listening()
    client, transport = hub.connect(told=told)
    deaf, _ = hub.connect()
    for one in (client, deaf):
        link_of(one).data_received(b"a\nb\n")
        assert loop.do(one.receive_many()) == [b"a", b"b"]
    assert told.heard == [b"a", b"b"]
    client._reader.on_slowed()
    assert told.slow == 1
    transport.stall()
    loop.do(client.send(b"c"))
    assert told.paused_readers == {client._reader}
    transport.take()
    assert not told.paused_readers


def test_a_peer_that_asks_on_and_on_and_takes_nothing_is_owed_no_more_than_the_limit(loop: SteppedLoop) -> None:
    hub = hub_of(loop, Lines(), outbox_limit=2 * SPLICE_COST)
    client, transport = hub.connect(credit=0)
    for _ in range(10):
        link_of(client).data_received(b"\xff\xfd\x01\n")
        assert loop.do(client.receive_many()) == [""]
    assert client._reader.outbox.private_size == 2 * (SPLICE_COST + 3)
    transport.take()
    loop.settle()
    assert transport.taken == b"\xff\xfc\x01" * 3


@pytest.mark.parametrize(
    ("framing", "received", "code", "words"),
    [
        (ByteLines(), b"x" * 101, EndingCode.TOO_LONG, b"message longer than 100 bytes\n"),
        (LengthPrefixed(1), b"\3ab", EndingCode.INCOMPLETE, b""),
    ],
)
def test_a_peer_whose_bytes_are_no_message_is_told_so_unless_it_has_gone(
    loop: SteppedLoop, framing: Any, received: bytes, code: EndingCode, words: bytes
) -> None:
    hub = hub_of(loop, framing, message_limit=100)
    client, transport = hub.connect()
    link_of(client).data_received(received)
    link_of(client).eof_received()
    for _ in range(2):
        loop.do(client.receive_many())
    loop.settle()
    assert client.ending
    assert client.ending.code is code
    assert transport.taken == words
    assert transport.at_end


@pytest.mark.parametrize(
    ("at_end", "error", "code"),
    [
        (False, None, EndingCode.LEFT),
        (True, BrokenPipeError(32, "Broken pipe"), EndingCode.LEFT),
        (False, ConnectionResetError(104, "Connection reset by peer"), EndingCode.LOST),
    ],
)
def test_a_connection_that_is_gone_ends_its_client(
    loop: SteppedLoop, at_end: bool, error: Exception | None, code: EndingCode
) -> None:
    hub = hub_of(loop)
    client, transport = hub.joined()
    link_of(client).data_received(b"last words\n")
    if at_end:
        link_of(client).eof_received()
    transport.break_off(error)
    loop.settle()
    assert client.ending
    assert client.ending.code is code
    assert hub.told.closings == 1
    # What had arrived from a connection that broke is still given out.
    assert loop.do(client.receive_many()) == [b"last words"]
    assert not hub.root.clients


@pytest.mark.parametrize("then", [b"\xff\xfd\x01", b"too long" * 1000], ids=["asks for an option", "breaks a limit"])
async def test_a_client_that_its_observer_has_ended_is_told_nothing_more(
    then: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    door = Door()
    settings = hubbub.Settings(message_limit=1000)
    async with serving(idle, observer=door, settings=settings) as (server, _), Peer.of(server) as peer:
        await peer.send(b"hello\n" + then)
        assert await peer.rest() == b""
        (ending,) = await door.wait_for_endings()
    assert ending.reason == "shown the door"
    assert not caplog.records
