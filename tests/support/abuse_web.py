"""A server that speaks HTTP beside lines, as a program, and connections to it that have asked for something."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hubbub import Address

from support.abuse_tools import LIFTED, UNMEASURED
from support.programs import Peer, ServerProgram, address_in, hubbub_serve
from support.websocket import HANDSHAKE, Ear, Heard

LOCAL = "127.0.0.1:0"


@contextmanager
def web_serve(app: str, *options: str) -> Iterator[tuple[ServerProgram, Address]]:
    """`hubbub serve` with a place for lines and one for HTTP, and the address of that."""
    places = (f"--listen=tcp://{LOCAL}", f"--listen=http://{LOCAL}")
    with hubbub_serve(app, *LIFTED, *places, *options, env=UNMEASURED) as server:
        yield server, address_in(server.output.line())


class WebPeer(Peer):
    """A peer that has asked for something, and whose answer has begun."""

    def __init__(self, endpoint: Address, request: bytes = HANDSHAKE, **options: Any) -> None:
        super().__init__(endpoint, **options)
        self.send(request)
        self.head = b"".join(iter(self.line, b"\r\n"))
        self._ear = Ear()

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    def frames(self) -> list[Heard]:
        """All frames until the end of the stream."""
        return self._ear.hear(self.rest())


def get(kind: str) -> bytes:
    """A request for a kind of stream of the root room."""
    return f"GET /root/{kind} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


REQUESTS = {"ws": HANDSHAKE, **{kind: get(kind) for kind in ("sse", "raw", "json")}}
"""What asks for a stream of the root room, by its kind."""
