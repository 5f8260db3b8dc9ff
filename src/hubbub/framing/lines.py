"""Lines, of text and of bytes."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Final

from ..values.errors import MessageTooLong
from .base import BytesFraming, Decoder, M, TextFraming
from .telnet import IAC, TelnetFilter

if TYPE_CHECKING:
    from collections.abc import Sequence


_LINE_END: Final = "a line cannot contain a line end (LF)"


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
        if text.count("\n") != len(messages):
            raise ValueError(_LINE_END)
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
            wire = b"\n".join((*messages, b""))
        if wire.count(b"\n") != len(messages):
            raise ValueError(_LINE_END)
        return wire


class _LineDecoder(Decoder[M]):
    """Cuts a stream after its last complete line, and keeps at most one line's bytes between pieces."""

    __slots__ = ("_limit", "_partial")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._partial = bytearray()

    @property
    def partial(self) -> bool:
        return bool(self._partial)

    def feed(self, data: bytes) -> Sequence[M]:
        end = data.rfind(b"\n") + 1
        if end == len(data) <= self._limit and not self._partial:
            # Nearly always: whole lines, of which none can be too long.
            return self._lines(data) if data else []
        lines = self._complete(data[:end]) if end else []
        self._partial += data[end:]
        spare = self._partial.endswith(b"\r")
        if len(self._partial) > self._limit + spare:
            raise MessageTooLong(self._limit, lines)
        return lines

    def end(self) -> Sequence[M]:
        # One CR more than the limit was let pass for the sake of an LF that has not come.
        if len(self._partial) > self._limit:
            raise MessageTooLong(self._limit)
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
        if self._telnet is not None or IAC in data:
            self._telnet = self._telnet or TelnetFilter()
            data = self._telnet.feed(data)
        # `super()` would take a third of the time that a line takes.
        return _LineDecoder.feed(self, data)

    def take_replies(self) -> bytes:
        if self._telnet is None:
            return b""
        replies = bytes(self._telnet.replies)
        self._telnet.replies.clear()
        return replies

    def _lines(self, block: bytes) -> list[str]:
        text = block.decode("utf-8", "replace")
        if "\r" in text:
            text = text.replace("\r\n", "\n")
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
