"""Lines of text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from .base import Decoder, Named, TextFraming
from .cutting import Cutter, count_ends
from .messages import Messages
from .mistakes import wrong_type
from .telnet import IAC, TelnetFilter

if TYPE_CHECKING:
    from collections.abc import Sequence

# As numbers: to look for a byte is several times faster than to look for `bytes` of length one.
_CR: Final = 0x0D
_NUL: Final = 0x00


@dataclass(frozen=True, slots=True)
class Lines(TextFraming):
    """Lines of UTF-8 text, for people and most programs.

    A line ends at LF; one CR before the LF is not part of the line. CR NUL ends a line too: that is what the Enter key
    sends in some telnet clients (RFC 1123, 3.3.1). The last line needs no end. Bytes that are not UTF-8 become
    `U+FFFD`. Telnet negotiation is taken out and refused.

    Args:
        crlf: end the lines that are sent with CR LF, as RFC 854 asks of telnet, instead of LF.
    """

    telnet: ClassVar[bool] = True
    crlf: bool = False

    def decoder(self, limit: int) -> Decoder[str]:
        return _TextLineDecoder(self, limit)

    def encode(self, messages: Sequence[str]) -> bytes:
        if type(messages) is Messages and self._would_make(messages):
            return messages.wire
        try:
            text = "\n".join(messages) + "\n" if messages else ""
        except TypeError:
            raise wrong_type(messages, str) from None
        if text.count("\n") != len(messages):
            raise ValueError("a line cannot contain a line end (LF)")
        if self.crlf:
            text = text.replace("\n", "\r\n")
        wire = text.encode()
        if _NUL in wire and b"\r\0" in wire:
            raise ValueError("a line cannot contain a line end (CR NUL)")
        return wire

    def split(self, wire: bytes) -> list[str]:
        text = wire.decode("utf-8", "replace")
        if "\r" in text:
            text = text.replace("\r\n", "\n")
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()
        return lines

    def count(self, wire: bytes) -> int:
        return count_ends(wire, b"\n")

    def _would_make(self, messages: Messages[str]) -> bool:
        """Whether encoding the lines would make the bytes that they came in, as far as that is quickly seen."""
        wire = messages.wire
        if type(messages.framing) is not Lines or not wire.isascii():
            return False
        return wire.count(b"\r\n") == len(messages) if self.crlf else _CR not in wire


class _TextLineDecoder(Cutter[str]):
    """Cuts lines of text out of a telnet stream."""

    __slots__ = ("_telnet",)

    def __init__(self, framing: Lines, limit: int) -> None:
        super().__init__(framing, b"\n", limit, spare=b"\r")
        self._telnet: TelnetFilter | None = None

    def feed(self, data: bytes) -> Sequence[str]:
        # 0xFF never occurs in UTF-8, so it is telnet; most connections never need the filter.
        if self._telnet is not None or IAC in data:
            self._telnet = self._telnet or TelnetFilter()
            data = self._telnet.feed(data)
        if _NUL in data:
            data = self._replace_cr_nul(data)
        # `super()` would take a third of the time that a line takes.
        return Cutter.feed(self, data)

    def take_replies(self) -> bytes:
        return b"" if self._telnet is None else self._telnet.take_replies()

    def _replace_cr_nul(self, data: bytes) -> bytes:
        """`data` with CR LF for each CR NUL. The CR may have come in an earlier piece."""
        if data[0] == _NUL and self._partial.endswith(b"\r"):
            data = b"\n" + data[1:]
        return data.replace(b"\r\0", b"\r\n")


NAMES: Final = {
    "lines": Named(Lines(), "text, UTF-8; lines are sent with LF"),
    "crlf-lines": Named(Lines(crlf=True), "text, UTF-8; lines are sent with CR LF"),
}
