"""The beginning of a connection's stream, which shows whether the peer speaks what the framing expects.

A telnet client begins with what it wants to negotiate, a browser (for a web page, too) with an HTTP request, a TLS
client with its hello, and some programs on Windows begin text with a byte order mark. None of it is a message. Only the
beginning is looked at; the framing's decoder takes the rest.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from typing import TYPE_CHECKING, Final

from ..values.errors import FramingError, WrongProtocol
from .base import BytesFraming, Decoder, M, TextFraming
from .messages import Messages
from .telnet import TelnetDecoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .base import Framing

# Each of the next two also matches a beginning of what it finds, if that is all there is.

# WILL or DO with one of the options that are assigned. A file of MP3 may begin with WILL and a higher number.
_NEGOTIATION: Final = re.compile(rb"\Z|\xff(?:\Z|[\xfb\xfd](?:\Z|[\x00-\x31]))")
_NEGOTIATION_SIZE: Final = 3

# A record of a handshake with a ClientHello (RFC 8446, 4 and 5.1).
_HELLO: Final = re.compile(rb"\Z|\x16(?:\Z|\x03(?:\Z|[\x00-\x04](?:.?.?\Z|..\x01)))", re.DOTALL)
_HELLO_SIZE: Final = 6

# A request-line (RFC 9112, 3). It is the first line of the first message, where messages may have lines.
_REQUEST: Final = re.compile(r"[A-Z-]{3,} \S+ HTTP/1\.[0-9]\r?(?:\n|\Z)", re.ASCII)


class Beginning(Decoder[M]):
    """Decodes a stream up to its first message.

    Args:
        framing: how messages are cut from the stream.
        limit: how many bytes a message may have.
        guarded: whether a peer that speaks HTTP or TLS, where messages are text, is an error.

    Attributes:
        rest: the decoder to feed from now on; None as long as the stream is at its beginning.
    """

    __slots__ = ("_begun", "_decoder", "_framing", "_guarded", "_limit", "rest")

    def __init__(self, framing: Framing[M], limit: int, *, guarded: bool) -> None:
        self._framing = framing
        self._limit = limit
        self._guarded = guarded and framing.textual
        # Bytes that may be the beginning of what is looked for.
        self._begun = b""
        # Made for the first byte of a message: many a peer never speaks.
        self._decoder: Decoder[M] | None = None
        self.rest: Decoder[M] | None = None

    @property
    def partial(self) -> bool:
        return bool(self._begun) or (self._decoder is not None and self._decoder.partial)

    def feed(self, data: bytes) -> Sequence[M]:
        if self._decoder is None:
            data, self._begun = self._begun + data, b""
            self._decoder = self._choose(data)
            if self._decoder is None:
                self._begun = data
                return []
            if isinstance(self._framing, TextFraming):
                data = data.removeprefix(BOM_UTF8)
        try:
            messages = self._decoder.feed(data)
        except FramingError as error:
            self._look_at(error.messages)
            raise
        self._look_at(messages)
        return messages

    def end(self) -> Sequence[M]:
        if self._decoder is None:
            self._decoder = self._framing.decoder(self._limit)
        messages = [*self._decoder.feed(self._begun), *self._decoder.end()]
        self._look_at(messages)
        return messages

    def take_replies(self) -> bytes:
        return b"" if self._decoder is None else self._decoder.take_replies()

    def _choose(self, data: bytes) -> Decoder[M] | None:
        """The decoder for a stream that begins with `data`; None if that cannot be told yet.

        Raises:
            WrongProtocol: the peer begins with a TLS handshake.
        """
        decoder = self._framing.decoder(self._limit)
        # UTF-8 has no byte 0xFF, so a decoder of text filters its stream by itself, wherever commands come. In a stream
        # of bytes it may be anything, unless the stream begins as only a telnet client does.
        if self._framing.telnet and isinstance(self._framing, BytesFraming) and (found := _NEGOTIATION.match(data)):
            return TelnetDecoder(decoder) if found.end() == _NEGOTIATION_SIZE else None
        if self._guarded and (found := _HELLO.match(data)):
            if found.end() == _HELLO_SIZE:
                raise WrongProtocol("TLS")
            return None
        if isinstance(self._framing, TextFraming) and len(data) < len(BOM_UTF8) and BOM_UTF8.startswith(data):
            return None
        return decoder

    def _look_at(self, messages: Sequence[M]) -> None:
        """Find out whether the first message is one, and whether the beginning is over.

        Raises:
            WrongProtocol: it is an HTTP request.
        """
        if messages:
            if self._guarded and _REQUEST.match(_first_line(messages)):
                raise WrongProtocol("HTTP")
            self.rest = self._decoder


def _first_line(messages: Sequence[str | bytes]) -> str:
    """The first of `messages`, as text; of a run of many, its first line at least."""
    if isinstance(messages, Messages):
        # It is not taken apart for that.
        end = messages.wire.find(b"\n") + 1 or len(messages.wire)
        messages = messages.framing.split(messages.wire[:end])
    first = messages[0]
    return first if isinstance(first, str) else first.decode("latin-1")
