"""WebSocket from the side of the client: frames by hand, and by a library that is not ours."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import cycle
from typing import NamedTuple

from websockets.frames import Frame
from websockets.protocol import CLIENT, OPEN, Protocol

KEY = "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
UPGRADE = ("Host: localhost", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", KEY)
ASKING = ("GET /root/ws HTTP/1.1", *UPGRADE)
"""The lines of a handshake."""

HANDSHAKE = "\r\n".join([*ASKING, "", ""]).encode()

MASK = bytes.fromhex("37fa213d")
"""That of the examples in RFC 6455, 5.7."""


@dataclass(frozen=True)
class Said:
    """A frame of a client, good or bad.

    Attributes:
        reserved: its reserved bits, as 0x40, 0x20 and 0x10.
        key: what masks it; empty: it is not masked.
        size: the size that its head tells; None: that of the payload.
        long: in how many bytes its head tells the size; None: in as few as can be.
    """

    opcode: int
    payload: bytes = b""
    last: bool = True
    reserved: int = 0
    key: bytes = MASK
    size: int | None = None
    long: int | None = None

    @property
    def wire(self) -> bytes:
        """Its bytes."""
        size = len(self.payload) if self.size is None else self.size
        long = self.long if self.long is not None else 0 if size < 126 else 2 if size < 1 << 16 else 8
        short = {0: size, 2: 126, 8: 127}[long]
        head = bytes((self.last << 7 | self.reserved | self.opcode, bool(self.key) << 7 | short))
        masked = bytes(one ^ other for one, other in zip(self.payload, cycle(self.key or b"\0"), strict=False))
        return head + (size.to_bytes(long, "big") if long else b"") + self.key + masked


def said(opcode: int, payload: bytes = b"", **about: object) -> bytes:
    """The bytes of a frame of a client; see `Said`."""
    return Said(opcode, payload, **about).wire  # type: ignore[arg-type] # the names are those of its attributes


class Heard(NamedTuple):
    """A frame of the server."""

    opcode: int
    payload: bytes


class Ear:
    """What the library hears in the bytes of a server. It must find nothing wrong."""

    def __init__(self) -> None:
        self._protocol = Protocol(CLIENT, state=OPEN, max_size=None)

    def hear(self, data: bytes) -> list[Heard]:
        """The frames that `data` completes."""
        self._protocol.receive_data(data)
        assert self._protocol.parser_exc is None
        frames = [event for event in self._protocol.events_received() if isinstance(event, Frame)]
        assert all(frame.fin for frame in frames)
        return [Heard(int(frame.opcode), bytes(frame.data)) for frame in frames]


def heard(data: bytes) -> list[Heard]:
    """The frames in the bytes of a server."""
    return Ear().hear(data)


def close_code(data: bytes) -> int:
    """The code in the close frame of a server."""
    (frame,) = heard(data)
    assert frame.opcode == 8
    return int.from_bytes(frame.payload[:2], "big")
