"""The telnet filter, fed with commands in every place and cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from hubbub.framing.telnet import DO, DONT, IAC, SB, SE, WILL, WONT, TelnetFilter

from support.feeding import pieces_of

GA = 0xF9
NAWS = 31

ESCAPED = bytes([IAC, IAC])
COMMANDS = {
    "a command without an option": bytes([IAC, GA]),
    "DO": bytes([IAC, DO, NAWS]),
    "DONT": bytes([IAC, DONT, NAWS]),
    "WILL": bytes([IAC, WILL, NAWS]),
    "WONT": bytes([IAC, WONT, NAWS]),
    "an option whose number is that of IAC": bytes([IAC, WONT, IAC]),
    "a sub-negotiation": bytes([IAC, SB, NAWS, 0, 80, 0, 24, IAC, SE]),
    "an empty sub-negotiation": bytes([IAC, SB, IAC, SE]),
    "an escaped IAC in a sub-negotiation": bytes([IAC, SB, NAWS, IAC, IAC, SE, IAC, SE]),
    "a command in a sub-negotiation": bytes([IAC, SB, NAWS, IAC, DO, NAWS, IAC, SE]),
    "the end of no sub-negotiation": bytes([IAC, SE]),
}


def filtered(*pieces: bytes) -> tuple[bytes, bytes]:
    """The text and the replies that come of `pieces`."""
    telnet = TelnetFilter()
    text = b"".join([telnet.feed(piece) for piece in pieces])
    return text, bytes(telnet.replies)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_command_is_taken_out_wherever_it_is_cut(command: bytes) -> None:
    stream = b"a" + command + b"b"
    for at in range(len(stream) + 1):
        text, _ = filtered(stream[:at], stream[at:])
        assert text == b"ab"


@given(pieces_of([*COMMANDS.values(), ESCAPED, b"a", b"\r\n", bytes([IAC]), bytes([SB]), bytes([DO])]))
@settings(max_examples=150, deadline=None)
def test_text_and_replies_are_the_same_however_the_stream_is_cut(pieces: list[bytes]) -> None:
    stream = b"".join(pieces)
    whole = filtered(stream)
    assert filtered(*pieces) == whole
    assert filtered(*[bytes([byte]) for byte in stream]) == whole


@given(pieces_of([b"a", b"\0", b"\r\n", bytes([SB, SE, DO, NAWS])]))
@settings(max_examples=50, deadline=None)
def test_text_without_commands_comes_out_as_it_goes_in(pieces: list[bytes]) -> None:
    telnet = TelnetFilter()
    assert [telnet.feed(piece) for piece in pieces] == pieces
    assert telnet.replies == b""


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_text_before_a_command_is_not_held_back_for_its_end(command: bytes) -> None:
    for at in range(1, len(command)):
        assert TelnetFilter().feed(b"Name: " + command[:at]) == b"Name: "


def test_text_after_a_command_comes_at_once() -> None:
    telnet = TelnetFilter()
    telnet.feed(bytes([IAC]))
    assert telnet.feed(bytes([GA]) + b"a") == b"a"


def test_an_escaped_iac_is_a_byte_of_the_text() -> None:
    assert filtered(b"a" + ESCAPED + b"b" + ESCAPED + ESCAPED) == (b"a\xffb\xff\xff", b"")


def test_what_the_client_asks_for_is_refused() -> None:
    assert filtered(bytes([IAC, DO, NAWS])) == (b"", bytes([IAC, WONT, NAWS]))


def test_what_the_client_offers_is_refused() -> None:
    assert filtered(bytes([IAC, WILL, NAWS])) == (b"", bytes([IAC, DONT, NAWS]))


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in {"DO", "WILL"}])
def test_nothing_else_is_answered(name: str) -> None:
    _, replies = filtered(COMMANDS[name])
    assert replies == b""


def test_two_filters_that_talk_to_each_other_fall_silent() -> None:
    here, there = TelnetFilter(), TelnetFilter()
    there.feed(bytes([IAC, DO, 1, IAC, WILL, 3]))
    here.feed(bytes(there.replies))
    assert here.replies == b""


def test_refusals_are_in_the_order_of_what_they_refuse() -> None:
    assert filtered(bytes([IAC, WILL, 1, IAC, DO, 2, IAC, WILL, 3]))[1] == bytes(
        [IAC, DONT, 1, IAC, WONT, 2, IAC, DONT, 3]
    )


def test_a_reply_waits_until_the_caller_has_taken_it() -> None:
    telnet = TelnetFilter()
    telnet.feed(bytes([IAC, DO, 1]))
    telnet.feed(b"text")
    assert telnet.replies == bytes([IAC, WONT, 1])
    telnet.replies.clear()
    telnet.feed(b"text")
    assert telnet.replies == b""
