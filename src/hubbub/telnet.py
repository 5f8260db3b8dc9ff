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
    rb"\xff(?:"
    # DO and WILL ask for an answer. WONT and DONT state what is the case here anyhow, and get none.
    rb"([\xfb\xfd].)|[\xfc\xfe]."
    # Anything but SE, an escaped IAC above all, belongs to the sub-negotiation.
    rb"|\xfa[^\xff]*(?:\xff[^\xf0][^\xff]*)*(?:\xff\xf0|(\xff?\Z))"
    rb"|(\xff)|[^\xfa-\xff]|([\xfb-\xfe]?\Z))",
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
        data = self._begun + data
        self._begun = b""
        return _COMMAND.sub(self._take, data)

    def _take(self, command: re.Match[bytes]) -> bytes:
        asked, subnegotiation, escaped, begun = command.groups()
        if asked:
            self.replies += IAC_BYTE + asked[:1].translate(_REFUSALS) + asked[1:]
        elif escaped:
            return IAC_BYTE
        elif subnegotiation is not None:
            self._begun = bytes((IAC, SB)) + subnegotiation
        elif begun is not None:
            self._begun = IAC_BYTE + begun
        return b""
