"""The telnet filter, fed with commands in every place and cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given

from hubbub import FramingError
from hubbub.framing.telnet import DO, DONT, IAC, SB, SE, WILL, WONT, TelnetFilter

from support.feeding import pieces_of

GA = 0xF9
NAWS = 31

NO_COMMAND = 0xEB

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


REPLIES = {"DO": bytes([IAC, WONT, NAWS]), "WILL": bytes([IAC, DONT, NAWS])}
"""What is asked for and what is offered is refused; nothing else is answered."""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_taken_out_and_refused_if_it_must_be_wherever_it_is_cut(name: str) -> None:
    stream = b"a" + ESCAPED + COMMANDS[name] + b"b" + ESCAPED + ESCAPED
    for at in range(len(stream) + 1):
        assert filtered(stream[:at], stream[at:]) == (b"a\xffb\xff\xff", REPLIES.get(name, b""))


def test_an_iac_before_a_byte_that_is_no_command_is_text() -> None:
    stream = bytes([IAC, NO_COMMAND, IAC]) + b"a"
    for at in range(len(stream) + 1):
        assert filtered(stream[:at], stream[at:]) == (stream, b"")


@given(pieces_of([*COMMANDS.values(), ESCAPED, b"a", b"\r\n", bytes([IAC]), bytes([SB]), bytes([DO])]))
def test_text_and_replies_are_the_same_however_the_stream_is_cut(pieces: list[bytes]) -> None:
    stream = b"".join(pieces)
    whole = filtered(stream)
    assert filtered(*pieces) == whole
    assert filtered(*[bytes([byte]) for byte in stream]) == whole


@given(pieces_of([b"a", b"\0", b"\r\n", bytes([SB, SE, DO, NAWS])]))
def test_text_without_commands_comes_out_as_it_goes_in(pieces: list[bytes]) -> None:
    telnet = TelnetFilter()
    assert [telnet.feed(piece) for piece in pieces] == pieces
    assert telnet.replies == b""


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_text_before_a_command_is_not_held_back_for_its_end(command: bytes) -> None:
    for at in range(1, len(command)):
        assert TelnetFilter().feed(b"Name: " + command[:at]) == b"Name: "


@pytest.mark.parametrize("filler", [b"x" * 999, bytes([IAC, SB]) * 500, ESCAPED * 500], ids=["text", "SB", "IAC"])
def test_a_sub_negotiation_that_does_not_end_is_an_error_and_others_are_not(filler: bytes) -> None:
    telnet = TelnetFilter()
    for _ in range(100):
        # What has ended is not counted.
        assert telnet.feed(bytes([IAC, SB, NAWS]) + filler) == b""
        assert telnet.feed(bytes([IAC, SE]) + b"a") == b"a"
    with pytest.raises(FramingError, match="a telnet sub-negotiation of more than 16384 bytes"):
        [telnet.feed(bytes([IAC, SB, NAWS]) + filler) for _ in range(20)]


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
