"""The frames of WebSocket as bytes: those of the server, and what clients send (RFC 6455, 5).

The server's frames are not masked, so all readers of one kind share the same bytes. What clients send is read here
because an idle connection is to be small (docs/decisions/http.md); the handshake, which is over soon, is the library's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from ..framing import Decoder, M
from ..values.ending import EndingCode
from ..values.errors import FramingError, MessageTooLong

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

NORMAL: Final = 1000
PROTOCOL_ERROR: Final = 1002
NOT_TEXT: Final = 1007
TOO_BIG: Final = 1009

_FIN: Final = 0x80
_RESERVED: Final = 0x70
_OPCODE: Final = 0x0F
_CONTROL: Final = 0x08
_MASKED: Final = 0x80
_KEY_SIZE: Final = 4
_OPCODES: Final = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
_LENGTH_SIZES: Final = {126: 2, 127: 8}
"""How many bytes have the length of a frame whose head says one of these."""

_CONTROL_LIMIT: Final = 125
"""Bytes that a control frame may carry, and a frame whose length is in its second byte."""

_NO_CODES: Final = frozenset((1004, 1005, 1006))
"""Codes that only an application shows, and no frame has (7.4.1)."""

# Shared, and never appended to: most connections wait for the rest of nothing.
_EMPTY: Final = bytearray()


class BrokenRules(FramingError):
    """A client breaks the rules of WebSocket.

    Attributes:
        close_code: what its close frame is to say.
    """

    def __init__(self, reason: str, close_code: int = PROTOCOL_ERROR) -> None:
        super().__init__(reason)
        self.close_code = close_code


class PeerCloses(FramingError):
    """A client sends a close frame, with which it leaves.

    Attributes:
        close_code: the code in it; the answer has the same.
    """

    code: ClassVar[EndingCode] = EndingCode.LEFT

    def __init__(self, close_code: int) -> None:
        super().__init__("the client closed the connection")
        self.close_code = close_code


def head(opcode: int, size: int) -> bytes:
    """What a frame of the server begins with, that carries so many bytes."""
    if size <= _CONTROL_LIMIT:
        return bytes((_FIN | opcode, size))
    if size < 1 << 16:
        return bytes((_FIN | opcode, 126)) + size.to_bytes(2, "big")
    return bytes((_FIN | opcode, 127)) + size.to_bytes(8, "big")


_SHORT: Final = {opcode: [head(opcode, size) for size in range(_CONTROL_LIMIT + 1)] for opcode in (TEXT, BINARY)}
"""The heads of most messages: to make one takes longer than to find it."""


def frames_of(opcode: int, payloads: Iterable[bytes]) -> bytes:
    """A frame for each of some messages."""
    short = _SHORT[opcode]
    parts: list[bytes] = []
    for payload in payloads:
        size = len(payload)
        parts.append(short[size] if size <= _CONTROL_LIMIT else head(opcode, size))
        parts.append(payload)
    return b"".join(parts)


def frame(opcode: int, payload: bytes = b"") -> bytes:
    """A frame of the server."""
    return head(opcode, len(payload)) + payload


def close(code: int, reason: str = "") -> bytes:
    """A close frame, with as much of the reason as it carries."""
    most = _CONTROL_LIMIT - 2
    words = reason.encode(errors="replace")[:most].decode(errors="ignore").encode()
    return frame(CLOSE, code.to_bytes(2, "big") + words)


def mask(payload: bytes, key: bytes) -> bytes:
    """A payload with its mask put on, or taken off."""
    size = len(payload)
    pad = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(size, "big")


class FrameDecoder(Decoder[M]):
    """Finds the messages in what a client sends, and answers its pings.

    A frame is refused as soon as its head shows that its message has more than `limit` bytes.

    Args:
        limit: how many bytes a message may have.
        convert: makes messages of payloads; a payload that was sent as text is UTF-8.
    """

    __slots__ = ("_convert", "_data", "_limit", "_missing", "_opcode", "_pong", "_told")

    def __init__(self, limit: int, convert: Callable[[list[bytes]], Sequence[M]]) -> None:
        self._limit = limit
        self._convert = convert
        # What has come of the frame that is under way, and how many bytes of it are missing at least.
        self._data = _EMPTY
        self._missing = 0
        # What has been told of a message in several frames, and as what; 0: none is under way.
        self._told = _EMPTY
        self._opcode = 0
        self._pong: bytes | None = None

    @property
    def partial(self) -> bool:
        return bool(self._data or self._opcode)

    def feed(self, data: bytes) -> Sequence[M]:
        if self._data:
            self._data += data
            self._missing -= len(data)
            if self._missing > 0:
                return []
            data = bytes(self._data)
        payloads: list[bytes] = []
        try:
            at = self._take_frames(data, payloads)
        except FramingError as error:
            error.messages = self._convert(payloads) if payloads else []
            raise
        self._data = bytearray(data[at:]) if at < len(data) else _EMPTY
        return self._convert(payloads) if payloads else []

    def take_replies(self) -> bytes:
        # The newest ping alone is answered (5.5.3): more would be a buffer that the client fills.
        ping, self._pong = self._pong, None
        return b"" if ping is None else frame(PONG, ping)

    def _take_frames(self, data: bytes, payloads: list[bytes]) -> int:
        """Take all whole frames, and put the messages that they complete into `payloads`; where the rest begins."""
        at = 0
        key, end = self._measure(data, at)
        while end <= len(data):
            payload = mask(data[key + _KEY_SIZE : end], data[key : key + _KEY_SIZE])
            if (message := self._take(data[at] & _OPCODE, payload, last=bool(data[at] & _FIN))) is not None:
                payloads.append(message)
            at = end
            key, end = self._measure(data, at)
        self._missing = end - len(data)
        return at

    def _measure(self, data: bytes, at: int) -> tuple[int, int]:
        """Where the key of the frame at `at` is, and where the frame ends; at least, as far as its head has come.

        Raises:
            FramingError: it may not begin so.
        """
        key = at + 2
        if len(data) < key:
            return key, key
        self._check(data[at], data[at + 1])
        size = data[at + 1] & ~_MASKED
        key += _LENGTH_SIZES.get(size, 0)
        if len(data) < key:
            return key, key
        if size in _LENGTH_SIZES:
            size = int.from_bytes(data[at + 2 : key], "big")
        if size + len(self._told) > self._limit and not data[at] & _CONTROL:
            raise MessageTooLong(self._limit)
        return key, key + _KEY_SIZE + size

    def _check(self, first: int, second: int) -> None:
        """Check what a frame begins with (5.2, 5.4 and 5.5)."""
        opcode, is_last = first & _OPCODE, bool(first & _FIN)
        if first & _RESERVED:
            raise BrokenRules("a frame has a reserved bit, and no extension was agreed on")
        if opcode not in _OPCODES:
            raise BrokenRules(f"a frame has the opcode {opcode}, which means nothing")
        if not second & _MASKED:
            raise BrokenRules("a frame is not masked")
        if opcode & _CONTROL and (not is_last or second & ~_MASKED > _CONTROL_LIMIT):
            raise BrokenRules("a control frame is in parts, or too long")
        if opcode == CONTINUATION and not self._opcode:
            raise BrokenRules("a frame goes on with a message that has not begun")
        if opcode in _SHORT and self._opcode:
            raise BrokenRules("a message begins within another one")

    def _take(self, opcode: int, payload: bytes, *, last: bool) -> bytes | None:
        """A frame: the message that it completes, if it does.

        Raises:
            FramingError: it ends the connection.
        """
        if opcode & _CONTROL:
            self._answer(opcode, payload)
            return None
        if not last:
            # Parts of a byte each would take much more as objects.
            self._told = self._told or bytearray()
            self._told += payload
            self._opcode = self._opcode or opcode
            return None
        if self._opcode:
            opcode, payload = self._opcode, bytes(self._told + payload)
            self._told, self._opcode = _EMPTY, 0
        if opcode == TEXT:
            _check_text(payload)
        return payload

    def _answer(self, opcode: int, payload: bytes) -> None:
        if opcode == PING:
            self._pong = payload
        elif opcode == CLOSE:
            raise PeerCloses(_code_in(payload))


def _check_text(payload: bytes) -> None:
    """Check that a payload is UTF-8.

    Raises:
        FramingError: the payload is not UTF-8.
    """
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise BrokenRules("text that is not UTF-8", NOT_TEXT) from None


def _code_in(payload: bytes) -> int:
    """The code in a close frame (7.1.5 and 7.4).

    Raises:
        FramingError: a close frame cannot have it.
    """
    if not payload:
        return NORMAL
    code = int.from_bytes(payload[:2], "big")
    if len(payload) < 2 or code in _NO_CODES or not (1000 <= code < 1015 or 3000 <= code < 5000):
        raise BrokenRules("a close frame has a code that means nothing")
    _check_text(payload[2:])
    return code
