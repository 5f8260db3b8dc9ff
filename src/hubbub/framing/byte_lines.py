"""Lines of bytes."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, ClassVar, Final

from .base import BytesFraming, Decoder, Named
from .cutting import SMALL, Cutter, count_ends
from .messages import Messages
from .mistakes import wrong_type

if TYPE_CHECKING:
    from collections.abc import Sequence

# As a number: to look for a byte is several times faster than to look for `bytes` of length one.
_CR: Final = 0x0D


@dataclass(frozen=True, slots=True)
class ByteLines(BytesFraming):
    """Lines of bytes, untouched. Only where a stream begins with telnet negotiation, telnet's commands are taken out.

    A line ends at LF; one CR before the LF is not part of the line. The last line needs no LF. A message may be given
    with its line end or without. So a line that was received with `keepends` can be sent without, and the reverse.

    Args:
        keepends: leave each line its own end, so that CR LF is sent on as CR LF. A line without one is sent with LF.
            Without `keepends`, all lines are sent with LF.
    """

    telnet: ClassVar[bool] = True
    keepends: bool = False

    @property
    def textual(self) -> bool:
        return True

    def decoder(self, limit: int) -> Decoder[bytes]:
        # Single lines are mostly passed on, and to encode them with their ends takes longer than to keep their bytes.
        return Cutter(self, b"\n", limit, spare=b"\r", small=0 if self.keepends else SMALL)

    def encode(self, messages: Sequence[bytes]) -> bytes:
        if type(messages) is Messages and type(messages.framing) is ByteLines:
            if self.keepends and messages.framing.keepends:
                return messages.wire
            return _without_cr(messages.wire)
        try:
            if self.keepends:
                wire = b"".join([message if message.endswith(b"\n") else message + b"\n" for message in messages])
            else:
                wire = b"\n".join(messages) + b"\n" if messages else b""
                if wire.count(b"\n") == len(messages):
                    return wire
                wire = b"\n".join(map(without_end, messages)) + b"\n"
        except (TypeError, AttributeError):
            raise wrong_type(messages, bytes) from None
        if wire.count(b"\n") != len(messages):
            raise ValueError("a line cannot contain a line end (LF) but at its end")
        return wire

    def split(self, wire: bytes) -> list[bytes]:
        if self.keepends:
            return list(BytesIO(wire))
        lines = _without_cr(wire).split(b"\n")
        if not lines[-1]:
            lines.pop()
        return lines

    def count(self, wire: bytes) -> int:
        return count_ends(wire, b"\n")


def _without_cr(wire: bytes) -> bytes:
    """`wire` with LF for each CR LF."""
    return wire.replace(b"\r\n", b"\n") if _CR in wire else wire


def without_end(line: bytes) -> bytes:
    """A line without its end, if it has one."""
    return line[:-1].removesuffix(b"\r") if line.endswith(b"\n") else line


NAMES: Final = {"byte-lines": Named(ByteLines(keepends=True), "lines of bytes, untouched")}
