"""The telnet filter: takes the commands out of a client's stream and refuses what the client offers.

Real telnet clients mix commands into what they say. Each starts with the byte IAC (RFC 854). This end supports no
options, so the filter refuses all that the client asks for or offers (RFC 1143 shows why that alone cannot loop).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ..values.errors import FramingError
from .base import Decoder, M

if TYPE_CHECKING:
    from collections.abc import Sequence

IAC: Final = 0xFF
DONT: Final = 0xFE
DO: Final = 0xFD
WONT: Final = 0xFC
WILL: Final = 0xFB
SB: Final = 0xFA
SE: Final = 0xF0

IAC_BYTE: Final = bytes([IAC])
_SUBNEGOTIATION: Final = bytes([IAC, SB])

# One alternative matches at every IAC but before a byte that is no command (RFC 854; RFC 1184 and 885 have the lowest
# ones): such an IAC is text. At the end of a piece, it may be the beginning of a command.
_COMMAND: Final = re.compile(
    rb"\xff(?:(\xff)"
    # DO and WILL ask for an answer. WONT and DONT state what is true here anyway, and get none.
    rb"|([\xfb\xfd].)|[\xfc\xfe].|[\xec-\xf9]"
    # After an IAC, all but SE belongs to the sub-negotiation; mostly it is an escaped IAC.
    rb"|\xfa[^\xff]*(?:\xff[^\xf0][^\xff]*)*(?:\xff\xf0|(\xff?\Z))"
    rb"|([\xfb-\xfe]?\Z))",
    re.DOTALL,
)

SUBNEGOTIATION_LIMIT: Final = 16 * 1024
"""Bytes of a sub-negotiation that has not ended: what clients say there takes less than a hundred."""

_REFUSALS: Final = bytes.maketrans(bytes([DO, WILL]), bytes([WONT, DONT]))


class TelnetFilter:
    """Takes the text out of a telnet stream, however the stream is cut into pieces.

    It holds no text back. It remembers at most three bytes: the beginning of a command.

    Raises:
        FramingError: a sub-negotiation does not end. It would swallow all text, and no limit on messages counts it.

    Attributes:
        replies: the answers to send to the client; see `take_replies`.
    """

    __slots__ = ("_begun", "_unended", "replies")

    def __init__(self) -> None:
        self._begun = b""
        self._unended = 0
        self.replies = bytearray()

    def feed(self, data: bytes) -> bytes:
        """The text in `data`, without commands; an escaped 0xFF is the byte 0xFF."""
        begun = self._begun
        # A client may send nothing but commands, tens of thousands at once, so no call is made for each of them.
        parts: list[bytes | None] = _COMMAND.split(begun + data)
        texts, escapes, asked = parts[0::5], parts[1::5], parts[2::5]
        self._begun = _begun(*parts[-3:-1]) if escapes else b""
        # Nothing but the sub-negotiation that had begun before.
        goes_on = begun.startswith(_SUBNEGOTIATION) and len(escapes) == 1 and self._begun.startswith(_SUBNEGOTIATION)
        self._unended = self._unended + len(data) if goes_on else 0
        if self._unended > SUBNEGOTIATION_LIMIT:
            raise FramingError(f"a telnet sub-negotiation of more than {SUBNEGOTIATION_LIMIT} bytes")
        self.replies += _refusals(b"".join(filter(None, asked)))
        kept: list[bytes | None] = [None] * (len(texts) + len(escapes))
        kept[0::2], kept[1::2] = texts, escapes
        return b"".join(filter(None, kept))

    def take_replies(self) -> bytes:
        """The answers to send to the client. Each is returned once."""
        replies = bytes(self.replies)
        self.replies.clear()
        return replies


def _begun(subnegotiation: bytes | None, command: bytes | None) -> bytes:
    """The bytes to keep of the last command, if it has not ended."""
    if subnegotiation is not None:
        return _SUBNEGOTIATION + subnegotiation
    return b"" if command is None else IAC_BYTE + command


def _refusals(asked: bytes) -> bytes:
    """The answers to `asked`, pairs of DO or WILL and an option."""
    refusals = bytearray(len(asked) // 2 * 3)
    refusals[0::3] = IAC_BYTE * (len(asked) // 2)
    refusals[1::3] = asked[0::2].translate(_REFUSALS)
    refusals[2::3] = asked[1::2]
    return bytes(refusals)


class TelnetDecoder(Decoder[M]):
    """Decodes what a telnet client says: `decoder` is given the stream without its commands, which are refused."""

    __slots__ = ("_decoder", "_filter")

    def __init__(self, decoder: Decoder[M]) -> None:
        self._decoder = decoder
        self._filter = TelnetFilter()

    @property
    def partial(self) -> bool:
        return self._decoder.partial

    def feed(self, data: bytes) -> Sequence[M]:
        return self._decoder.feed(self._filter.feed(data))

    def end(self) -> Sequence[M]:
        return self._decoder.end()

    def take_replies(self) -> bytes:
        return self._filter.take_replies()
