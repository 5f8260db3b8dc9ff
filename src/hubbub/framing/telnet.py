"""The telnet filter: takes the negotiation out of a stream of text and refuses what is offered.

Real telnet clients mix commands into the text; each starts with the byte IAC (RFC 854). This end has no options, so
whatever the client asks for or offers is refused (RFC 1143 shows why that alone cannot loop).
"""

from __future__ import annotations

import re
from typing import Final

IAC: Final = 0xFF
DONT: Final = 0xFE
DO: Final = 0xFD
WONT: Final = 0xFC
WILL: Final = 0xFB
SB: Final = 0xFA
SE: Final = 0xF0

IAC_BYTE: Final = bytes([IAC])

# Whatever follows an IAC, one alternative matches, if only the beginning of a command at the end of a piece.
_COMMAND: Final = re.compile(
    rb"\xff(?:(\xff)"
    # DO and WILL ask for an answer. WONT and DONT state what is the case here anyhow, and get none.
    rb"|([\xfb\xfd].)|[\xfc\xfe].|[^\xfa-\xff]"
    # Anything but SE, an escaped IAC above all, belongs to the sub-negotiation.
    rb"|\xfa[^\xff]*(?:\xff[^\xf0][^\xff]*)*(?:\xff\xf0|(\xff?\Z))"
    rb"|([\xfb-\xfe]?\Z))",
    re.DOTALL,
)

_REFUSALS: Final = bytes.maketrans(bytes([DO, WILL]), bytes([WONT, DONT]))


class TelnetFilter:
    """Text out of a telnet stream, however the stream is cut into pieces.

    It holds no text back: its only memory is the beginning of a command, of three bytes at most.

    Attributes:
        replies: what is to be sent to the client; the caller takes it and clears it.
    """

    __slots__ = ("_begun", "replies")

    def __init__(self) -> None:
        self._begun = b""
        self.replies = bytearray()

    def feed(self, data: bytes) -> bytes:
        """The text in `data`, without commands; an escaped 0xFF is the byte 0xFF."""
        # A client may send nothing but commands, tens of thousands at once: none of them costs a call.
        parts: list[bytes | None] = _COMMAND.split(self._begun + data)
        texts, escapes, asked = parts[0::5], parts[1::5], parts[2::5]
        self._begun = _begun(*parts[-3:-1]) if escapes else b""
        self.replies += _refusals(b"".join(filter(None, asked)))
        kept: list[bytes | None] = [None] * (len(texts) + len(escapes))
        kept[0::2], kept[1::2] = texts, escapes
        return b"".join(filter(None, kept))


def _begun(subnegotiation: bytes | None, command: bytes | None) -> bytes:
    """What is to be kept of the last command, if it has not ended."""
    if subnegotiation is not None:
        return bytes((IAC, SB)) + subnegotiation
    return b"" if command is None else IAC_BYTE + command


def _refusals(asked: bytes) -> bytes:
    """The answers to DO and WILL, each of which comes with its option."""
    refusals = bytearray(len(asked) // 2 * 3)
    refusals[0::3] = IAC_BYTE * (len(asked) // 2)
    refusals[1::3] = asked[0::2].translate(_REFUSALS)
    refusals[2::3] = asked[1::2]
    return bytes(refusals)
