"""Framings: how messages become bytes and back.

A framing is a value (two equal ones are interchangeable) that makes a `Decoder` for each connection and encodes
messages. Both are sans-IO: bytes in, messages out, and the reverse. To write one, derive from `TextFraming` or
`BytesFraming` and give it `decoder` and `encode`.

What `encode` makes, the framing's own decoder must take apart into the same number of messages: a log keeps encoded
bytes only, and finds single messages in them again by decoding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, ClassVar, Generic, Literal

from .exceptions import IncompleteMessage, MessageTooLong
from .telnet import IAC_BYTE, TelnetFilter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import TypeVar

    # A default, so that `hubbub.Client` alone means a client that speaks text. PEP 696 is Python 3.13's; type checkers
    # know it on all versions.
    M = TypeVar("M", bound=str | bytes, default=str)
else:
    from typing import TypeVar

    M = TypeVar("M", bound=str | bytes)

__all__ = [
    "ByteLines",
    "BytesFraming",
    "Decoder",
    "Delimited",
    "Framing",
    "LengthPrefixed",
    "Lines",
    "Raw",
    "TextFraming",
]


class Decoder(ABC, Generic[M]):
    """Finds the messages in one connection's stream of bytes."""

    __slots__ = ()

    @abstractmethod
    def feed(self, data: bytes) -> Sequence[M]:
        """The messages that `data` completes, in order.

        Raises:
            FramingError: the bytes are no message; the error has the messages found before. The decoder is then spent.
        """

    def end(self) -> Sequence[M]:
        """What the clean end of the stream completes: at most one message.

        Raises:
            IncompleteMessage: the stream ended within a message that cannot stand as it is.
        """
        return []

    def take_replies(self) -> bytes:
        """Bytes that the framing itself owes the peer, such as a refused telnet option; each is given once."""
        return b""


class Framing(ABC, Generic[M]):
    """How messages become bytes and back."""

    self_delimiting: ClassVar[bool] = True
    """Whether the decoder finds each message of encoded bytes again. Where it cannot, a log keeps messages singly."""

    @abstractmethod
    def decoder(self, limit: int) -> Decoder[M]:
        """A decoder for one connection, which takes messages of up to `limit` bytes."""

    @abstractmethod
    def encode(self, messages: Sequence[M]) -> bytes:
        """The bytes that carry `messages`.

        Raises:
            ValueError: a message that this framing cannot carry, such as a line with a line end in it.
            TypeError: a message that is not of the framing's type.
        """

    @abstractmethod
    def from_text(self, text: str) -> M:
        """`text` as a message: for what the server itself has to say."""


class TextFraming(Framing[str]):
    """A framing whose messages are `str`."""

    def from_text(self, text: str) -> str:
        return text


class BytesFraming(Framing[bytes]):
    """A framing whose messages are `bytes`."""

    def from_text(self, text: str) -> bytes:
        return text.encode()


@dataclass(frozen=True, slots=True)
class Lines(TextFraming):
    """Lines of UTF-8 text, for people and most programs.

    A line ends at LF; one CR before it is not part of the line. Bytes that are not UTF-8 become U+FFFD. Telnet
    negotiation is taken out and refused. The last line needs no LF.

    Args:
        crlf: end the lines that are sent with CR LF, as RFC 854 asks of telnet, instead of LF.
    """

    crlf: bool = False

    def decoder(self, limit: int) -> Decoder[str]:
        return _TextLineDecoder(limit)

    def encode(self, messages: Sequence[str]) -> bytes:
        text = "\n".join([*messages, ""])
        _check_line_ends(text.count("\n"), messages)
        if self.crlf:
            text = text.replace("\n", "\r\n")
        return text.encode()


@dataclass(frozen=True, slots=True)
class ByteLines(BytesFraming):
    """Lines of bytes, untouched: no decoding, no telnet filter.

    A line ends at LF; one CR before it is not part of the line. The last line needs no LF.

    Args:
        keepends: leave each line its own terminator, so that what was CR LF goes out as CR LF again. A line that has
            none is sent with LF.
    """

    keepends: bool = False

    def decoder(self, limit: int) -> Decoder[bytes]:
        return _WholeLineDecoder(limit) if self.keepends else _ByteLineDecoder(limit)

    def encode(self, messages: Sequence[bytes]) -> bytes:
        if self.keepends and isinstance(messages, _WholeLines):
            return messages.wire
        if self.keepends:
            wire = b"".join([message if message.endswith(b"\n") else message + b"\n" for message in messages])
        else:
            wire = b"\n".join([*messages, b""])
        _check_line_ends(wire.count(b"\n"), messages)
        return wire


@dataclass(frozen=True, slots=True)
class Delimited(BytesFraming):
    r"""Messages of bytes that end at `delimiter`, such as b"\0". The last one needs no delimiter.

    Raises:
        ValueError: the delimiter is empty.
    """

    delimiter: bytes

    def __post_init__(self) -> None:
        if not self.delimiter:
            raise ValueError("the delimiter is empty; it needs at least one byte")

    def decoder(self, limit: int) -> Decoder[bytes]:
        return _DelimitedDecoder(self.delimiter, limit)

    def encode(self, messages: Sequence[bytes]) -> bytes:
        wire = b"".join([message + self.delimiter for message in messages])
        # Also finds a message whose end and the delimiter together hold an earlier delimiter ("ab" before "ba").
        if wire.split(self.delimiter)[:-1] != list(messages):
            raise ValueError(f"a message cannot contain its delimiter {self.delimiter!r}")
        return wire


@dataclass(frozen=True, slots=True)
class LengthPrefixed(BytesFraming):
    """Messages of bytes, each after its length as an unsigned number of 1, 2 or 4 bytes.

    A stream that ends within a message is an error; the part is dropped.

    Args:
        size: how many bytes the length has.
        byteorder: "big" (network order) or "little".

    Raises:
        ValueError: the size or the byte order is none of these.
    """

    size: Literal[1, 2, 4] = 4
    byteorder: Literal["big", "little"] = "big"

    def __post_init__(self) -> None:
        if self.size not in (1, 2, 4):
            raise ValueError(f"the length prefix has {self.size} bytes; it may have 1, 2 or 4")
        if self.byteorder not in ("big", "little"):
            raise ValueError(f"the byte order is {self.byteorder!r}; it may be 'big' or 'little'")

    def decoder(self, limit: int) -> Decoder[bytes]:
        return _LengthPrefixedDecoder(self, limit)

    def encode(self, messages: Sequence[bytes]) -> bytes:
        parts = []
        for message in messages:
            try:
                parts.append(len(message).to_bytes(self.size, self.byteorder))
            except OverflowError:
                most = 256**self.size - 1
                raise ValueError(
                    f"a message of {len(message)} bytes; {self.size} bytes of length carry {most}"
                ) from None
            parts.append(message)
        return b"".join(parts)


@dataclass(frozen=True, slots=True)
class Raw(BytesFraming):
    """Whatever arrives, as it arrives: a message is what one read of the socket gave.

    There is no limit to a message's length but that of a read, and pieces may be joined or cut on their way.
    """

    self_delimiting: ClassVar[bool] = False

    def decoder(self, limit: int) -> Decoder[bytes]:
        return _RawDecoder()

    def encode(self, messages: Sequence[bytes]) -> bytes:
        return b"".join(messages)


def _check_line_ends(found: int, messages: Sequence[object]) -> None:
    if found != len(messages):
        raise ValueError("a line cannot contain a line end (LF)")


class _LineDecoder(Decoder[M]):
    """Cuts a stream after its last complete line, and keeps at most one line's bytes between pieces."""

    __slots__ = ("_limit", "_partial")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._partial = bytearray()

    def feed(self, data: bytes) -> Sequence[M]:
        end = data.rfind(b"\n") + 1
        lines = self._complete(data[:end]) if end else []
        self._partial += data[end:]
        spare = self._partial.endswith(b"\r")
        if len(self._partial) > self._limit + spare:
            raise MessageTooLong(self._limit, lines)
        return lines

    def end(self) -> Sequence[M]:
        return self._lines(bytes(self._partial)) if self._partial else []

    @abstractmethod
    def _lines(self, block: bytes) -> Sequence[M]:
        """The messages in `block`, a run of lines of which only the last may lack its LF."""

    def _complete(self, block: bytes) -> Sequence[M]:
        if self._partial:
            block = bytes(self._partial) + block
            self._partial.clear()
        start = self._find_too_long(block)
        if start < 0:
            return self._lines(block)
        raise MessageTooLong(self._limit, self._lines(block[:start]) if start else [])

    def _find_too_long(self, block: bytes) -> int:
        """Where the first line over the limit starts, or -1. It leaps over as many lines as the limit can hold."""
        start = 0
        while len(block) - start > self._limit:
            lf = block.rfind(b"\n", start, start + self._limit + 1)
            if lf < 0:
                lf = start + self._limit + 1
                if block[lf - 1 : lf + 1] != b"\r\n":
                    return start
            start = lf + 1
        return -1


class _TextLineDecoder(_LineDecoder[str]):
    __slots__ = ("_telnet",)

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._telnet: TelnetFilter | None = None

    def feed(self, data: bytes) -> Sequence[str]:
        # 0xFF never occurs in UTF-8, so it is telnet; most connections never need the filter.
        if self._telnet is None and IAC_BYTE in data:
            self._telnet = TelnetFilter()
        if self._telnet is not None:
            data = self._telnet.feed(data)
        return super().feed(data)

    def take_replies(self) -> bytes:
        if self._telnet is None:
            return b""
        replies = bytes(self._telnet.replies)
        self._telnet.replies.clear()
        return replies

    def _lines(self, block: bytes) -> list[str]:
        text = block.decode(errors="replace").replace("\r\n", "\n")
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()
        return lines


class _ByteLineDecoder(_LineDecoder[bytes]):
    __slots__ = ()

    def _lines(self, block: bytes) -> list[bytes]:
        lines = block.replace(b"\r\n", b"\n").split(b"\n")
        if not lines[-1]:
            lines.pop()
        return lines


class _WholeLines(tuple[bytes, ...]):
    """Lines with their terminators, and the bytes they were cut from: to encode them again costs nothing."""

    wire: bytes


class _WholeLineDecoder(_LineDecoder[bytes]):
    __slots__ = ()

    def _lines(self, block: bytes) -> Sequence[bytes]:
        lines = _WholeLines(BytesIO(block))
        lines.wire = block if block.endswith(b"\n") else block + b"\n"
        return lines


class _DelimitedDecoder(Decoder[bytes]):
    """Cuts a stream at a delimiter, and keeps at most one message's bytes between pieces."""

    __slots__ = ("_delimiter", "_limit", "_partial")

    def __init__(self, delimiter: bytes, limit: int) -> None:
        self._delimiter = delimiter
        self._limit = limit
        self._partial = bytearray()

    def feed(self, data: bytes) -> Sequence[bytes]:
        overlap = len(self._delimiter) - 1
        searched = max(0, len(self._partial) - overlap)
        self._partial += data
        messages: list[bytes] = []
        if self._partial.find(self._delimiter, searched) >= 0:
            *messages, partial = bytes(self._partial).split(self._delimiter)
            self._partial = bytearray(partial)
        for index, message in enumerate(messages):
            if len(message) > self._limit:
                raise MessageTooLong(self._limit, messages[:index])
        # A part of the delimiter may have arrived already.
        if len(self._partial) > self._limit + overlap:
            raise MessageTooLong(self._limit, messages)
        return messages

    def end(self) -> Sequence[bytes]:
        return [bytes(self._partial)] if self._partial else []


class _LengthPrefixedDecoder(Decoder[bytes]):
    __slots__ = ("_framing", "_limit", "_partial")

    def __init__(self, framing: LengthPrefixed, limit: int) -> None:
        self._framing = framing
        self._limit = limit
        self._partial = bytearray()

    def feed(self, data: bytes) -> Sequence[bytes]:
        self._partial += data
        block = bytes(self._partial) if len(self._partial) >= self._needed() else b""
        messages: list[bytes] = []
        at = 0
        while len(block) - at >= (size := self._framing.size):
            start = at + size
            end = start + int.from_bytes(block[at:start], self._framing.byteorder)
            if end - start > self._limit:
                raise MessageTooLong(self._limit, messages)
            if end > len(block):
                break
            messages.append(block[start:end])
            at = end
        del self._partial[:at]
        return messages

    def end(self) -> Sequence[bytes]:
        if self._partial:
            raise IncompleteMessage(self._needed() - len(self._partial))
        return []

    def _needed(self) -> int:
        """How many bytes the first message takes, its length included, as far as is known."""
        size = self._framing.size
        if len(self._partial) < size:
            return size
        return size + int.from_bytes(self._partial[:size], self._framing.byteorder)


class _RawDecoder(Decoder[bytes]):
    __slots__ = ()

    def feed(self, data: bytes) -> Sequence[bytes]:
        return [data] if data else []
