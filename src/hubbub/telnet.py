"""The telnet filter: takes the negotiation out of a stream of text and refuses what is offered.

Real telnet clients mix commands into the text; each starts with the byte IAC (RFC 854). This end has no options, so
whatever the client asks for or offers is refused (RFC 1143 shows why that alone cannot loop).
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

IAC: Final = 0xFF
DONT: Final = 0xFE
DO: Final = 0xFD
WONT: Final = 0xFC
WILL: Final = 0xFB
SB: Final = 0xFA
SE: Final = 0xF0

IAC_BYTE: Final = bytes([IAC])

# DO and WILL ask for an answer. WONT and DONT state what is the case here anyhow, and get none.
_REFUSALS: Final = {DO: WONT, WILL: DONT}


class _State(Enum):
    TEXT = auto()
    COMMAND = auto()
    OPTION = auto()
    SUBNEGOTIATION = auto()
    SUBNEGOTIATION_COMMAND = auto()


class TelnetFilter:
    """Text out of a telnet stream, however the stream is cut into pieces.

    It holds no text back: its only memory is where in a command the last piece ended.

    Attributes:
        replies: what is to be sent to the client; the caller takes it and clears it.
    """

    __slots__ = ("_state", "_verb", "replies")

    def __init__(self) -> None:
        self._state = _State.TEXT
        self._verb = 0
        self.replies = bytearray()

    def feed(self, data: bytes) -> bytes:
        """The text in `data`, without commands; an escaped 0xFF is the byte 0xFF."""
        text = bytearray()
        at = 0
        while at < len(data):
            match self._state:
                case _State.TEXT:
                    at = self._copy_text(data, at, text)
                case _State.SUBNEGOTIATION:
                    at = self._skip_subnegotiation(data, at)
                case _:
                    self._take_command_byte(data[at], text)
                    at += 1
        return bytes(text)

    def _copy_text(self, data: bytes, at: int, text: bytearray) -> int:
        iac = data.find(IAC_BYTE, at)
        if iac < 0:
            text += data[at:]
            return len(data)
        text += data[at:iac]
        self._state = _State.COMMAND
        return iac + 1

    def _skip_subnegotiation(self, data: bytes, at: int) -> int:
        iac = data.find(IAC_BYTE, at)
        if iac < 0:
            return len(data)
        self._state = _State.SUBNEGOTIATION_COMMAND
        return iac + 1

    def _take_command_byte(self, byte: int, text: bytearray) -> None:
        match self._state:
            case _State.OPTION:
                if refusal := _REFUSALS.get(self._verb):
                    self.replies += bytes((IAC, refusal, byte))
                self._state = _State.TEXT
            case _State.SUBNEGOTIATION_COMMAND:
                # Anything but SE, an escaped IAC above all, belongs to the sub-negotiation.
                self._state = _State.TEXT if byte == SE else _State.SUBNEGOTIATION
            case _ if byte == SB:
                self._state = _State.SUBNEGOTIATION
            case _ if byte in (DO, DONT, WILL, WONT):
                self._verb = byte
                self._state = _State.OPTION
            case _:
                if byte == IAC:
                    text.append(IAC)
                self._state = _State.TEXT
