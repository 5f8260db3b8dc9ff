"""A broadcast server as one writes it by hand with asyncio's streams.

python asyncio_streams.py PORT relay|echo uvloop|asyncio [CERTIFICATE]
"""

from __future__ import annotations

import asyncio
import resource
import ssl
import sys
from asyncio import StreamReader, StreamWriter

import uvloop

writers: set[StreamWriter] = set()


async def relay(line: bytes, sender: StreamWriter) -> None:
    # A copy: others join and leave while this waits. Some have ended and only their coroutine has yet to see it; on
    # uvloop, to write to them is an error.
    others = [writer for writer in writers if writer is not sender and not writer.is_closing()]
    for other in others:
        other.write(line)
    # One after the other: all is written, so that takes as long as the slowest, as a gather would, and needs no task
    # for each client and line.
    for other in others:
        try:
            await other.drain()
        except ConnectionError:
            continue  # it has gone, and its own coroutine takes it out


async def echo(line: bytes, sender: StreamWriter) -> None:
    text = line.decode(errors="replace").rstrip("\r\n")
    sender.write(f"We got your message: {text}\n".encode())
    await sender.drain()


async def main(port: int, mode: str, tls: ssl.SSLContext | None) -> None:
    handle = {"relay": relay, "echo": echo}[mode]

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        writers.add(writer)
        try:
            async for line in reader:
                if line.endswith(b"\n"):
                    await handle(line, writer)
        except (ConnectionError, ValueError):
            pass  # a reset, or a line over the reader's limit
        finally:
            writers.discard(writer)
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=4096, ssl=tls)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    _, port, mode, loop, *certificate = sys.argv
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*certificate)
    factory = {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}[loop]
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main(int(port), mode, tls))
