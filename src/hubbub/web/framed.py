"""A framing by way of WebSocket: each message is a frame of its own, and frames hold each message together."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Any, ClassVar

from ..framing import ByteLines, BytesFraming, Framing, Lines, M, Messages, TextFraming, without_end
from ..framing.mistakes import wrong_type
from ..framing.telnet import IAC_BYTE
from ..log.as_json import json_line, text_of
from ..values.errors import FramingError
from . import frames
from .frames import BrokenRules, FrameDecoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..framing import Decoder


@dataclass(frozen=True, slots=True)
class Framed(Framing[M]):
    """Messages of a place, in frames.

    A message is text without its end where messages are text, and in a binary frame where they are not, or where its
    bytes are not UTF-8. What a client sends as text may have several lines, and is as many messages then.

    Args:
        inner: how messages are framed at the place for those that do not speak WebSocket.
        as_json: whether the messages of the server are objects of JSON.
    """

    kind: ClassVar[type]

    inner: Framing[M]
    as_json: bool = False

    @property
    def textual(self) -> bool:
        # A frame of text cannot be taken for one of bytes.
        return True

    def decoder(self, limit: int) -> Decoder[M]:
        return FrameDecoder(limit, partial(self._messages_in, limit))

    def encode(self, messages: Sequence[M]) -> bytes:
        if type(messages) is Messages and self._can_cut(messages):
            lines = messages.wire.replace(b"\r\n", b"\n").split(b"\n")
            return frames.frames_of(frames.TEXT, lines[:-1])
        if not all(isinstance(message, self.kind) for message in messages):
            raise wrong_type(messages, self.kind)
        if not (self.as_json or self.inner.textual):
            return frames.frames_of(frames.BINARY, messages)  # type: ignore[arg-type] # what is not textual carries bytes
        frame_of = _object_frame if self.as_json else _text_frame
        # Lines of bytes may be given with their ends. Elsewhere, what looks like one is a part of the message.
        shown: Sequence[Any] = messages
        return b"".join(map(frame_of, map(without_end, shown) if isinstance(self.inner, ByteLines) else shown))

    def encode_text(self, text: str) -> bytes:
        payload = json_line({"message": text})[:-1] if self.as_json else text.encode(errors="replace")
        return frames.frames_of(frames.TEXT, [payload])

    def _can_cut(self, messages: Messages[M]) -> bool:
        """Whether lines are to be sent as the bytes that they came in."""
        source = type(messages.framing)
        is_same = source is type(self.inner) and source in (Lines, ByteLines)
        return is_same and not self.as_json and messages.wire.isascii()

    def _messages_in(self, limit: int, payloads: list[bytes]) -> Sequence[M]:
        """The messages in what a client has sent.

        Raises:
            FramingError: the framing of the place cannot carry one.
        """
        are_lines = isinstance(self.inner, Lines | ByteLines)
        if are_lines:
            end = self.inner.encode_text("")
            wire = b"".join([payload if payload.endswith(b"\n") else payload + end for payload in payloads])
            # All at once: to take each apart alone takes ten times as long. CR NUL would be an end too, and what begins
            # as a command of telnet would go on in the next one.
            if not (b"\r\0" in wire or IAC_BYTE in wire):
                return self.inner.decoder(limit).feed(wire)
        split = self._split if self.inner.textual else self._check
        messages: list[M] = []
        try:
            for payload in payloads:
                messages += split(limit, payload)
        except FramingError as error:
            error.messages = [*messages, *error.messages]
            raise
        return messages

    def _split(self, limit: int, payload: bytes) -> Sequence[M]:
        """The messages in a text; the last one needs no end."""
        decoder = self.inner.decoder(limit)
        messages = decoder.feed(payload)
        if decoder.partial or not payload:
            end = self.inner.encode_text("")
            messages = [*messages, *decoder.feed(end), *decoder.end()]
        return messages

    def _check(self, _limit: int, payload: bytes) -> Sequence[Any]:
        """A payload as a message, which the apps then can broadcast."""
        try:
            self.inner.encode([payload])  # type: ignore[list-item] # what is not textual carries bytes
        except ValueError as error:
            raise BrokenRules(str(error), frames.NOT_TEXT) from None
        return [payload]


class FramedText(Framed[str], TextFraming):
    """Messages that are `str`."""

    kind: ClassVar[type] = str


class FramedBytes(Framed[bytes], BytesFraming):
    """Messages that are `bytes`."""

    kind: ClassVar[type] = bytes


@cache
def framed(inner: Framing[Any], *, as_json: bool) -> Framed[Any]:
    """The framing by way of WebSocket of a place; all its clients share it."""
    return (FramedText if isinstance(inner, TextFraming) else FramedBytes)(inner, as_json)


def _text_frame(message: str | bytes) -> bytes:
    """The frame of a message that is text by nature; a binary one, if its bytes are not UTF-8."""
    if isinstance(message, str):
        return frames.frame(frames.TEXT, message.encode())
    try:
        message.decode()
    except UnicodeDecodeError:
        return frames.frame(frames.BINARY, message)
    return frames.frame(frames.TEXT, message)


def _object_frame(message: str | bytes) -> bytes:
    """The frame of a message that has no place in a room, as an object."""
    text, is_base64 = text_of(message)
    fields = {"message": text, "base64": True} if is_base64 else {"message": text}
    return frames.frame(frames.TEXT, json_line(fields)[:-1])
