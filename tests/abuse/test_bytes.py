"""Abuse 11: bytes that are no text, that are telnet's, or that look like the end of a line."""

from __future__ import annotations

import signal

import pytest

from hubbub.framing.telnet import DO, DONT, IAC, SB, SE, WILL, WONT

from support.figures import note
from support.programs import Peer, ServerProgram, hubbub_serve

NEGOTIATION = bytes([IAC, WILL, 31, IAC, DO, 1])
REFUSALS = bytes([IAC, DONT, 31, IAC, WONT, 1])
SIZE_OF_WINDOW = bytes([IAC, SB, 31, 0, 80, IAC, IAC, 10, IAC, SE])
NO_OPERATION = bytes([IAC, 241])

TEXT_LINES = [
    # Sent; what it means as text; how it is shown where it must not act on a terminal.
    (b"a \0 in it\n", "a \0 in it", r"a \x00 in it"),
    (b"no UTF-8: \xc3( \xe2\x82 \x80\n", "no UTF-8: \ufffd( \ufffd \ufffd", "no UTF-8: \ufffd( \ufffd \ufffd"),
    (b"too long: \xc0\xaf\n", "too long: \ufffd\ufffd", "too long: \ufffd\ufffd"),
    (b"a surrogate: \xed\xa0\x80\n", "a surrogate: \ufffd\ufffd\ufffd", "a surrogate: \ufffd\ufffd\ufffd"),
    (b"a \r in it\n", "a \r in it", r"a \r in it"),
    (b"CR LF\r\n", "CR LF", "CR LF"),
    (b"CR CR LF\r\r\n", "CR CR LF\r", r"CR CR LF\r"),
    (b"CR NUL\r\0", "CR NUL", "CR NUL"),
    (b"\r\n", "", ""),
    (b"\n", "", ""),
    (b"VT \x0b FF \x0c FS \x1c\n", "VT \x0b FF \x0c FS \x1c", r"VT \x0b FF \x0c FS \x1c"),
    ("NEL \x85 LS \u2028 PS \u2029\n".encode(), "NEL \x85 LS \u2028 PS \u2029", r"NEL \x85 LS \u2028 PS \u2029"),
    (NEGOTIATION + b"tel" + SIZE_OF_WINDOW + b"n" + NO_OPERATION + b"et\n", "telnet", "telnet"),
    (b"an escaped \xff\xff\n", "an escaped \ufffd", "an escaped \ufffd"),
    (b"the last", "the last", "the last"),
]
LINES = b"".join([sent for sent, _, _ in TEXT_LINES])

ALL_BYTES = bytes(range(256))
HOSTILE = b"\0 \xc3( \xff\xfd\x01 \r \r\n \n \xff\xff"

PIECES = (len(LINES) + 1_000, 1)
"""The sizes of the pieces in which everything is said: all at once, and then byte by byte."""

IN_LINES = pytest.mark.parametrize(("framing", "end"), [("lines", b"\n"), ("crlf-lines", b"\r\n")])


def say(peer: Peer, data: bytes, piece: int) -> None:
    """Say it in pieces, and end the stream."""
    for start in range(0, len(data), piece):
        peer.send(data[start : start + piece])
    peer.end()


def rest(server: ServerProgram, peer: Peer, farewell: bytes) -> bytes:
    """All that it has heard by the time that the server closes."""
    server.signal(signal.SIGTERM)
    heard = peer.rest()
    peer.close()
    assert server.wait() == 0
    assert heard.endswith(farewell)
    return heard.removesuffix(farewell)


@IN_LINES
@pytest.mark.parametrize("app", ["relay", "chat"])
def test_11_a_line_is_passed_on_as_the_text_it_is_and_the_chat_shows_it_with_nothing_that_acts_on_a_terminal(
    app: str, framing: str, end: bytes
) -> None:
    expected = b""
    with hubbub_serve(app, f"--framing={framing}") as server, server.new_peer() as other:
        for piece in PIECES:
            with server.new_peer() as sender:
                say(sender, LINES, piece)
                assert sender.rest() == REFUSALS
            name = sender.name.encode()
            if app == "relay":
                expected += b"".join([text.encode() + end for _, text, _ in TEXT_LINES])
            else:
                said = b"".join([name + b" says: " + shown.encode() + end for _, _, shown in TEXT_LINES])
                expected += name + b" connected." + end + said + name + b" disconnected." + end
        heard = rest(server, other, b"server is closing" + end)
        note(11, f"{app}, {framing}: {len(TEXT_LINES)} hostile lines", f"{len(heard)} bytes, as documented", "")
        assert heard == expected


@IN_LINES
def test_11_the_echo_answers_each_line_once(framing: str, end: bytes) -> None:
    expected = b"".join([b"We got your message: " + text.encode() + end for _, text, _ in TEXT_LINES])
    with hubbub_serve("echo", f"--framing={framing}") as server:
        for piece in PIECES:
            with server.new_peer() as sender:
                say(sender, LINES, piece)
                heard = sender.rest()
            for refusal in (REFUSALS[:3], REFUSALS[3:]):
                # Anywhere among the answers, and neither is text.
                assert heard.count(refusal) == 1
                heard = heard.replace(refusal, b"")
            note(11, f"echo, {framing}: {len(TEXT_LINES)} hostile lines", f"{len(heard)} bytes, as documented", "")
            assert heard == expected


MESSAGES_OF_BYTES = {
    # Whole messages; the part of one within which the stream ends; what others hear of that part.
    "byte-lines": (LINES, b"", b"\n"),
    "nul": (HOSTILE.replace(b"\0", b"") + b"\0" + ALL_BYTES[1:] + b"\0\0", b"the last", b"the last\0"),
    "length1": (b"\xff" + ALL_BYTES[:255] + b"\0" + bytes([len(HOSTILE)]) + HOSTILE, b"\xff\xff", b""),
    "length2": (b"\1\0" + ALL_BYTES + b"\0\0" + b"\0\3\r\n\0", b"\0", b""),
    "length2-le": (b"\0\1" + ALL_BYTES + b"\0\0" + b"\3\0\r\n\0", b"\4", b""),
    "length4": (b"\0\0\1\0" + ALL_BYTES + b"\0\0\0\0", b"\0\0\0\1", b""),
    "length4-le": (b"\0\1\0\0" + ALL_BYTES + b"\0\0\0\0", b"\1\0\0\0", b""),
    "raw": (LINES, ALL_BYTES, ALL_BYTES),
}

FAREWELLS = {"byte-lines": b"server is closing\n", "nul": b"server is closing\0"}
"""What a server that closes says; to readers of a binary framing nothing."""


@pytest.mark.parametrize("framing", MESSAGES_OF_BYTES)
def test_11_messages_of_bytes_are_passed_on_untouched(framing: str) -> None:
    whole, part, heard_of_part = MESSAGES_OF_BYTES[framing]
    with hubbub_serve("relay", f"--framing={framing}") as server, server.new_peer() as other:
        for piece in PIECES:
            with server.new_peer() as sender:
                say(sender, whole + part, piece)
                assert sender.rest() == b""
        heard = rest(server, other, FAREWELLS.get(framing, b""))
        note(11, f"relay, {framing}: messages of all bytes", f"{len(heard)} bytes, untouched", "")
        assert heard == (whole + heard_of_part) * len(PIECES)


@pytest.mark.parametrize("framing", ["length4", "length4-le"])
def test_11_a_message_that_is_announced_too_long_is_refused_before_it_comes(framing: str) -> None:
    with hubbub_serve("relay", f"--framing={framing}") as server, server.new_peer() as other:
        with server.new_peer() as sender:
            # As text or a telnet client would have it.
            sender.send(b"GET / HTTP/1.1\r\n")
            assert sender.rest() == b""
        server.output.expect(rb"disconnected \(too-long: [^\n]*\)\.\n")
        assert rest(server, other, b"") == b""
