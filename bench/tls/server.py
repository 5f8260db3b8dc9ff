"""A server that sends what it is told to: `python -m bench.tls.server TRANSPORT CERTIFICATE`; it says its port.

A client that says "go COUNT" has so many pieces sent to all others.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from typing import Any, ClassVar, cast

import hubbub
from hubbub.server.run import loop_factory
from hubbub.wire.tls_transport import TlsTransport

PIECE = b"x" * 64 * 1024


class Member(asyncio.Protocol):
    """A client, which is sent no more while its transport is full: that is left as each transport has it."""

    members: ClassVar[set[Member]] = set()

    def __init__(self) -> None:
        self.writable = asyncio.Event()
        self.writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.members.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.members.discard(self)

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        count = int(data.split()[1])
        others = self.members - {self}
        self.task = asyncio.get_running_loop().create_task(send(others, count))


async def send(members: set[Member], count: int) -> None:
    """Send so many pieces to each."""
    for _ in range(count):
        for member in members:
            await member.writable.wait()
            member.transport.write(PIECE)
        await asyncio.sleep(0)


async def serve_others(kind: str, listening: socket.socket, context: ssl.SSLContext) -> None:
    """Serve with asyncio's, uvloop's or aiofastnet's transport."""
    loop = asyncio.get_running_loop()
    server: Any
    if kind == "aiofastnet":
        import aiofastnet  # noqa: PLC0415 - it need not be installed

        server = await aiofastnet.create_server(loop, Member, sock=listening, ssl=context, backlog=4096)
    else:
        server = await loop.create_server(Member, sock=listening, ssl=context, backlog=4096)
    await server.serve_forever()


async def serve_hubbub(listening: socket.socket, context: ssl.SSLContext) -> None:
    """Serve with the transport of hubbub."""
    loop = asyncio.get_running_loop()

    class Plain(Member):
        lost = at_end = False

        def connection_lost(self, exc: Exception | None) -> None:
            self.lost = True
            super().connection_lost(exc)

    def make() -> Any:
        transport = TlsTransport(cast("Any", Plain()), context, None, loop)
        # Who leaves during the handshake is none of this.
        transport.handshaken.add_done_callback(lambda done: done.cancelled() or done.exception())
        return transport

    server = await loop.create_server(make, sock=listening, backlog=4096)
    await server.serve_forever()


def main() -> None:
    """Serve until somebody ends it."""
    kind, certificate = sys.argv[1:]
    context = hubbub.Tls(certificate).context
    listening = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, hubbub.Settings().unsent_limit)
    print(listening.getsockname()[1], flush=True)  # noqa: T201 - that is how it is found
    serving = serve_hubbub(listening, context) if kind == "hubbub" else serve_others(kind, listening, context)
    with asyncio.Runner(loop_factory=None if kind in ("asyncio", "aiofastnet") else loop_factory()) as runner:
        runner.run(serving)


main()
