"""A broadcast server as one writes it by hand as an asyncio.Protocol: `PORT relay|echo uvloop|asyncio [CERTIFICATE]`.

What a client has not taken yet, its transport keeps, without a bound: nobody is paused.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import ssl
import sys
from typing import cast

import uvloop

transports: set[asyncio.Transport] = set()


class Lines(asyncio.Protocol):
    transport: asyncio.Transport
    rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        transports.add(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        transports.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.line_received(line)

    def line_received(self, line: bytes) -> None:
        raise NotImplementedError


class Relay(Lines):
    def line_received(self, line: bytes) -> None:
        line += b"\n"
        for transport in transports:
            if transport is not self.transport:
                transport.write(line)


class Echo(Lines):
    def line_received(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip("\r")
        self.transport.write(f"We got your message: {text}\n".encode())


async def main(port: int, protocol: type[Lines], tls: ssl.SSLContext | None) -> None:
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", port, backlog=4096, ssl=tls)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    _, port, mode, loop, *certificate = sys.argv
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Writes to a client that has just gone are no news.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*certificate)
    factory = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}[loop]
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main(int(port), {"relay": Relay, "echo": Echo}[mode], tls))
