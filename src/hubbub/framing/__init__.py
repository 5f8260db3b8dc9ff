"""Framings: how messages become bytes and back.

A framing is a value (two equal ones are interchangeable) that makes a `Decoder` for each connection and encodes
messages. Both are sans-IO: bytes in, messages out, and the reverse.

To write one, derive from `TextFraming` or `BytesFraming` in a file of this folder, and define `decoder` and `encode`.
A constant `NAMES` in that file gives it names on the command line; see `names.py`.

The framing's own decoder must find as many messages in encoded bytes as `encode` was given: a log keeps encoded bytes
only, and finds single messages in them by decoding.
"""

from .base import BytesFraming, Decoder, Framing, M, Named, TextFraming, check_framing
from .beginning import Beginning
from .byte_lines import ByteLines, without_end
from .delimited import Delimited
from .discarding import Discarder
from .length_prefixed import LengthPrefixed
from .lines import Lines
from .messages import Messages
from .raw import Raw
from .whole import Whole
from .words import words_in

__all__ = [
    "Beginning",
    "ByteLines",
    "BytesFraming",
    "Decoder",
    "Delimited",
    "Discarder",
    "Framing",
    "LengthPrefixed",
    "Lines",
    "M",
    "Messages",
    "Named",
    "Raw",
    "TextFraming",
    "Whole",
    "check_framing",
    "without_end",
    "words_in",
]
